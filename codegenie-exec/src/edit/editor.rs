//! The editor, where there is one.

use super::commit;
use super::error::{EditError, Refusal};
use super::limits::EditLimits;
use super::outcome::{Applied, FileChange, Preview, UndoId};
use super::plan::{Change, Dress, Planner, Target};
use super::protected::Protected;
use super::record::{Record, Stage};
use super::recovery::{self, Recovery};
use super::request::Edit;
use super::store::{Entry, Store};
use crate::beneath;
use crate::gate::{ContentGate, GateSeverity};
use crate::sandbox::{SandboxPolicy, SandboxPolicyError};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Edits files beneath one directory, in transactions that are all or nothing and can be undone.
///
/// ```
/// use codegenie_exec::{Edit, Editor};
///
/// # #[cfg(target_os = "linux")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (workspace, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
/// let editor = Editor::open(workspace.path(), state.path().join("edits"))?;
/// let made = editor.apply(&[
///     Edit::create("src/lib.rs", "pub fn one() -> u8 {\n    0\n}\n"),
///     Edit::replace("src/lib.rs", "    0\n", "    1\n"),
/// ])?;
/// print!("{}", String::from_utf8_lossy(&made.diff()));
/// editor.undo(&made.undo)?;
/// assert!(!workspace.path().join("src").exists());
/// # Ok(())
/// # }
/// # #[cfg(not(target_os = "linux"))]
/// # fn main() {}
/// ```
///
/// **Paths** are looked up beneath the root by the kernel (`openat2`, or else name by name), through no link and no mount, and
/// from then on only descriptors are used. Links, files with several names, devices, FIFOs, sockets, set-id files, `..`,
/// names that hold invisible or reordering characters, and new names that differ from one beside them in case or
/// Unicode form only are refused. So is what programs of the host run or trust (`.git`, start-up files, tasks of
/// code editors, credentials), at any depth; a host gives it free by
/// [`dangerously_allow_protected`](Self::dangerously_allow_protected).
///
/// **All or nothing.** New content is written beside the old and synced, and both change places at once
/// (`renameat2`). If somebody else has changed a file since it was read, everything goes back. What an ended process left in
/// the middle is taken back when an editor is opened. Where a stranger has changed a file in between, nothing is
/// overwritten: the error says what to move out of the way.
///
/// **Kept** are mode, owner, extended attributes (access lists and security labels among them), line endings, byte order
/// mark and the state of the last line. Where owner or attributes cannot be kept the edit is refused.
///
/// **One transaction at a time** in a workspace, whichever process makes it; others wait, see
/// [`EditLimits::lock_wait`]. Programs that do not lock can still write to a file between its last check and its
/// exchange only by holding it open: what they write then is lost with the old file.
///
/// All methods block; in asynchronous code call them from `spawn_blocking`.
pub struct Editor {
    pub(super) root: PathBuf,
    pub(super) root_fd: OwnedFd,
    root_id: (u64, u64),
    store: Store,
    pub(super) protected: Protected,
    pub(super) confinements: Vec<SandboxPolicy>,
    pub(super) gate: Option<(Box<dyn ContentGate>, GateSeverity)>,
    pub(super) limits: EditLimits,
    recovered: Vec<Recovery>,
}

impl Editor {
    /// Opens an editor on the directory `root`, with its journal below `state`, and recovers what ended processes
    /// have left. `state` must lie outside of the root and be the host's alone (mode 0700); it is made where it is
    /// missing.
    pub fn open(root: impl AsRef<Path>, state: impl AsRef<Path>) -> Result<Self, EditError> {
        Self::open_with(root, state, EditLimits::default())
    }

    /// The same, with limits of the host's.
    pub fn open_with(
        root: impl AsRef<Path>,
        state: impl AsRef<Path>,
        limits: EditLimits,
    ) -> Result<Self, EditError> {
        let (root, root_fd, root_id, store) = open(root.as_ref(), state.as_ref())?;
        let protected = Protected::below(&root);
        let mut editor = Self {
            root,
            root_fd,
            root_id,
            store,
            protected,
            confinements: Vec::new(),
            gate: None,
            limits,
            recovered: Vec::new(),
        };
        editor.recovered = editor.recover()?;
        Ok(editor)
    }

    /// Gives up transactions that ended in the middle and can be neither completed nor taken back, as when the
    /// directory of one of their files has been moved since, so that an editor can be opened again. **Their files
    /// stay as they are: some may be new, others old or under a temporary name.** Whatever can be recovered is. Gives the
    /// directories in which the journals of the rest are kept, with what the files held before; the host removes
    /// them.
    pub fn dangerously_forget_interrupted(
        root: impl AsRef<Path>,
        state: impl AsRef<Path>,
    ) -> Result<Vec<PathBuf>, EditError> {
        let (root, root_fd, root_id, store) = open(root.as_ref(), state.as_ref())?;
        let _locks = store.lock(&root_fd, &root, EditLimits::default().lock_wait)?;
        recovery::forget(&root_fd, root_id, &store)
    }

    /// Has `gate` look at new content. A finding of `threshold` or more refuses the transaction.
    #[must_use]
    pub fn gate(mut self, gate: impl ContentGate + 'static, threshold: GateSeverity) -> Self {
        self.gate = Some((Box::new(gate), threshold));
        self
    }

    /// Lets `path`, relative to the root, be edited though programs of the host run or trust it, and whatever is below
    /// it: an agent may then have the host run commands of its own.
    #[must_use]
    pub fn dangerously_allow_protected(mut self, path: impl Into<PathBuf>) -> Self {
        self.protected.allowed.push(path.into());
        self
    }

    /// Refuses whatever commands under `policy` could not write: what it makes read-only, hides, has copy-on-write or
    /// does not grant, also where [`dangerously_allow_protected`](Self::dangerously_allow_protected) names it. Each
    /// call narrows. An executor confines its editor to its own policy.
    pub fn confined_to(mut self, policy: &SandboxPolicy) -> Result<Self, SandboxPolicyError> {
        self.confinements.push(policy.resolve()?);
        Ok(self)
    }

    /// The directory beneath which it edits, without links in its path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where its journal of this root is kept, links followed.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.store.path()
    }

    /// What became of transactions that were found interrupted when it was opened.
    #[must_use]
    pub fn recovered(&self) -> &[Recovery] {
        &self.recovered
    }

    /// What the edits would do, without doing it. Nothing is locked: it holds for the files as they are read.
    pub fn preview(&self, edits: &[Edit]) -> Result<Preview, EditError> {
        Ok(Preview { files: self.plan(edits)?.1 })
    }

    /// What taking a transaction back would do, without doing it.
    pub fn preview_undo(&self, id: &UndoId) -> Result<Preview, EditError> {
        let (entry, record) = self.kept(id)?;
        Ok(Preview { files: self.plan_undo(&entry, &record)?.1 })
    }

    /// Makes the edits, in order, as one transaction.
    pub fn apply(&self, edits: &[Edit]) -> Result<Applied, EditError> {
        self.apply_if(edits, None)
    }

    /// Makes the edits, if they still do exactly what `preview` says: for somebody who has agreed to that. Else nothing is
    /// changed, and the error is [`EditError::Drift`].
    pub fn apply_previewed(&self, edits: &[Edit], preview: &Preview) -> Result<Applied, EditError> {
        self.apply_if(edits, Some(preview))
    }

    /// Takes a transaction back: content, mode, owner, attributes and times. Refused where one of its files has changed since.
    /// It is a transaction itself, all or nothing, and can be undone too.
    pub fn undo(&self, id: &UndoId) -> Result<Applied, EditError> {
        self.undo_if(id, None)
    }

    /// Takes a transaction back, if that still does exactly what `preview` says.
    pub fn undo_previewed(&self, id: &UndoId, preview: &Preview) -> Result<Applied, EditError> {
        self.undo_if(id, Some(preview))
    }

    /// What can be undone, the oldest first.
    pub fn undoable(&self) -> Result<Vec<UndoId>, EditError> {
        let mut ids = Vec::new();
        for entry in self.store.entries()? {
            if entry.read()?.is_some_and(|record| record.stage == Stage::Kept) {
                ids.push(UndoId(entry.id));
            }
        }
        Ok(ids)
    }

    /// Takes back, or completes, what an ended process has left in the middle. Opening an editor, and every transaction,
    /// does it too.
    pub fn recover(&self) -> Result<Vec<Recovery>, EditError> {
        let _locks = self.store.lock(&self.root_fd, &self.root, self.limits.lock_wait)?;
        recovery::recover(&self.root_fd, self.root_id, &self.store)
    }

    /// The files that edits speak of, relative to the root, by their text alone: nothing is looked at.
    #[cfg(feature = "executor")]
    pub(crate) fn paths(&self, edits: &[Edit]) -> Result<Vec<PathBuf>, EditError> {
        let given = edits.iter().flat_map(|edit| std::iter::once(edit.path()).chain(edit.target()));
        let mut paths =
            given.map(|path| super::name::relative(&self.root, path)).collect::<Result<Vec<_>, _>>()?;
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// The files of a transaction that can be undone, relative to the root.
    #[cfg(feature = "executor")]
    pub(crate) fn undo_paths(&self, id: &UndoId) -> Result<Vec<PathBuf>, EditError> {
        Ok(self.kept(id)?.1.steps.into_iter().map(|step| step.path).collect())
    }

    fn apply_if(&self, edits: &[Edit], preview: Option<&Preview>) -> Result<Applied, EditError> {
        let _locks = self.store.lock(&self.root_fd, &self.root, self.limits.lock_wait)?;
        recovery::recover(&self.root_fd, self.root_id, &self.store)?;
        let (changes, files) = self.plan(edits)?;
        as_previewed(&files, preview)?;
        self.make(changes, files, None, Vec::new())
    }

    fn undo_if(&self, id: &UndoId, preview: Option<&Preview>) -> Result<Applied, EditError> {
        let _locks = self.store.lock(&self.root_fd, &self.root, self.limits.lock_wait)?;
        recovery::recover(&self.root_fd, self.root_id, &self.store)?;
        let (entry, record) = self.kept(id)?;
        let (changes, files) = self.plan_undo(&entry, &record)?;
        as_previewed(&files, preview)?;
        let leaves = record.made.iter().rev().cloned().collect();
        self.make(changes, files, Some(entry.id.clone()), leaves)
    }

    /// The journal of a transaction that can be undone.
    fn kept(&self, id: &UndoId) -> Result<(Entry, Record), EditError> {
        let nothing = || EditError::NothingToUndo(id.to_string());
        let entry = match self.store.entry(&id.0) {
            Ok(entry) => entry,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(nothing()),
            Err(error) => return Err(EditError::system("open the journal of", &self.root, error)),
        };
        let record = entry.read()?.filter(|record| record.stage == Stage::Kept).ok_or_else(nothing)?;
        Ok((entry, record))
    }

    fn plan(&self, edits: &[Edit]) -> Result<(Vec<Change>, Vec<FileChange>), EditError> {
        if edits.len() > self.limits.edits {
            return Err(EditError::TooLarge(format!(
                "{} edits are more than the {} that a transaction may have",
                edits.len(),
                self.limits.edits
            )));
        }
        let mut planner = Planner::new(self);
        edits.iter().try_for_each(|edit| planner.edit(edit))?;
        planner.finish()
    }

    fn plan_undo(&self, entry: &Entry, record: &Record) -> Result<(Vec<Change>, Vec<FileChange>), EditError> {
        let mut planner = Planner::new(self);
        let mut drifted = Vec::new();
        for step in &record.steps {
            match planner.look(&step.path) {
                Ok(()) => {}
                // It is not what it was made, whatever it is.
                Err(EditError::Refused { refusal, .. })
                    if !matches!(refusal, Refusal::Protected | Refusal::Confined | Refusal::TooLarge) =>
                {
                    drifted.push(step.path.clone());
                    continue;
                }
                Err(error) => return Err(error),
            }
            let now = planner
                .found(&step.path)
                .map(|found| (found.hash, found.stat.mode, (found.stat.uid, found.stat.gid)));
            if now != step.after.as_ref().map(|after| (after.hash, after.mode, after.owner)) {
                drifted.push(step.path.clone());
            }
        }
        if !drifted.is_empty() {
            return Err(EditError::Drift { paths: drifted });
        }
        // What goes makes room for what comes, where names differ in case only.
        let (gone, there): (Vec<_>, Vec<_>) =
            record.steps.iter().enumerate().partition(|(_, step)| step.before.is_none());
        for (index, step) in gone.into_iter().chain(there) {
            let target = match &step.before {
                None => None,
                Some(before) => Some(Target {
                    content: entry.kept(index, &before.hash)?,
                    dress: Dress::Like(before.attributes.clone(), true),
                }),
            };
            planner.restore(&step.path, target)?;
        }
        planner.finish()
    }

    fn make(
        &self,
        changes: Vec<Change>,
        files: Vec<FileChange>,
        undoes: Option<String>,
        leaves: Vec<PathBuf>,
    ) -> Result<Applied, EditError> {
        let coming = changes.iter().filter_map(|change| change.before.as_ref());
        let coming = coming.map(|found| found.content.len() as u64).sum();
        let (most, bytes, is_undo) =
            (self.limits.undo_transactions, self.limits.undo_bytes, undoes.is_some());
        if !is_undo {
            self.store.check_room(most, bytes, coming)?;
        }
        let entry = commit::make(&self.root_fd, self.root_id, &self.store, changes, undoes, leaves)?;
        if !is_undo {
            // It is made: what could not be dropped now is dropped after the next one.
            let _ = self.store.drop_oldest(most, bytes, &entry.id);
        }
        Ok(Applied { undo: UndoId(entry.id), files })
    }
}

/// The root, held open, with its device and inode, and the journals of its transactions.
fn open(given: &Path, state: &Path) -> Result<(PathBuf, OwnedFd, (u64, u64), Store), EditError> {
    let failed = |error: io::Error| EditError::system("open", given, error);
    let root = given.canonicalize().map_err(failed)?;
    let root_fd = OwnedFd::from(
        std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&root)
            .map_err(failed)?,
    );
    let stat = beneath::stat_fd(&root_fd).map_err(failed)?;
    let root_id = (stat.dev, stat.ino);
    let store = Store::open(state, &root, root_id)?;
    Ok((root, root_fd, root_id, store))
}

/// Refuses what differs from what somebody was shown.
fn as_previewed(files: &[FileChange], preview: Option<&Preview>) -> Result<(), EditError> {
    let Some(Preview { files: shown }) = preview else { return Ok(()) };
    let differ = |these: &[FileChange], those: &[FileChange]| {
        let differing = these.iter().filter(|file| !those.iter().any(|other| other.is_same_change(file)));
        differing.map(|file| file.path.clone()).collect::<Vec<PathBuf>>()
    };
    let mut paths = differ(files, shown);
    paths.extend(differ(shown, files));
    paths.sort();
    paths.dedup();
    if paths.is_empty() { Ok(()) } else { Err(EditError::Drift { paths }) }
}

impl fmt::Debug for Editor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Editor")
            .field("root", &self.root)
            .field("limits", &self.limits)
            .field("gate", &self.gate.as_ref().map(|(_, threshold)| threshold))
            .finish_non_exhaustive()
    }
}
