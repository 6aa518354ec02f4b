//! Takes the layer's changes over into the workspace, all of them or none.
//!
//! 1. What is to be replaced or removed is kept as pre-images; the journal is written and synced.
//! 2. The workspace is led to the journal's `after`, path by path ([`converge`]). Each step can be
//!    made again, so that after an interruption all of them are.
//! 3. The workspace is synced, then the journal is removed.
//!
//! Where a step fails, the workspace is led back to `before` by the same procedure.

use super::changes::{self, Difference};
use super::error::{CowError, CowErrorKind};
use super::fault;
use super::journal::{Attributes, Journal, Node, Step};
use super::layer::Written;
use super::state::{BEFORE, JOURNAL, State, UNDO};
use super::strangers;
use super::tree::{self, FileKind, Stat};
use crate::native;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, Whence, fchown, fchownat, linkat, lseek, symlinkat, unlinkat};
use std::collections::{BTreeSet, HashMap};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Which of a journal's two states the workspace is led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

impl Step {
    fn node(&self, side: Side) -> &Node {
        match side {
            Side::Before => &self.before,
            Side::After => &self.after,
        }
    }
}

/// Where a commit works.
pub(super) struct Place<'a> {
    pub(super) workspace: &'a OwnedFd,
    pub(super) upper: &'a OwnedFd,
    pub(super) state: &'a State,
}

/// Refuses what must not be overwritten or cannot be given to the workspace's owner.
pub(super) fn check(owner: u32, differences: &[Difference]) -> Result<(), CowError> {
    for Difference { path, before, after, .. } in differences {
        if before.is_some_and(|before| before.kind == FileKind::Special) {
            let why = "what is there in the workspace is a device, a FIFO or a socket: remove it yourself";
            return Err(CowError::refused(path, why));
        }
        if let Written::File { stat, .. } | Written::Symlink { stat, .. } | Written::Directory { stat, .. } =
            after
            && stat.uid != owner
            && before.is_none_or(|before| before.uid != stat.uid)
        {
            return Err(CowError::refused(path, "it does not belong to the workspace's owner"));
        }
    }
    Ok(())
}

/// Whether what is there now is what the transaction began on, for a path that it changes.
pub(super) fn is_as_begun(begun: Option<&Stat>, now: Option<&Stat>, after: &Written) -> bool {
    match (begun, now) {
        (None, None) => true,
        (Some(begun), Some(now)) => {
            let same = (begun.kind, begun.dev, begun.ino, begun.mode, begun.uid, begun.gid)
                == (now.kind, now.dev, now.ino, now.mode, now.uid, now.gid);
            // Other entries may come and go in a directory that stays.
            let stays = begun.kind == FileKind::Directory && matches!(after, Written::Directory { .. });
            let content = |stat: &Stat| (stat.size, stat.mtime);
            let changed = |stat: &Stat| (begun.kind != FileKind::Directory).then_some(stat.ctime);
            same && (stays || (content(begun) == content(now) && changed(begun) == changed(now)))
        }
        _ => false,
    }
}

/// Writes down what a commit will do, and keeps what it will replace.
pub(super) fn prepare(
    place: &Place<'_>,
    path: &Path,
    root: &Stat,
    differences: &[Difference],
) -> Result<Journal, CowError> {
    let before_dir = reset_before(place.state)?;
    let mut names: HashMap<(u64, u64), u32> = HashMap::new();
    let mut steps = Vec::with_capacity(differences.len());
    for (index, difference) in differences.iter().enumerate() {
        let Difference { path, before, after, .. } = difference;
        let failed = |what: &str, error| CowError::system(what, path, error);
        let index = u32::try_from(index)
            .map_err(|_| CowError::new(CowErrorKind::TooLarge, "the commit has too many paths"))?;
        fault::point()?;
        let before = match before {
            None => Node::Absent,
            Some(stat) => {
                let extended = match stat.kind {
                    FileKind::File | FileKind::Directory => {
                        changes::attributes_of(place.workspace, path, stat.kind)
                            .map_err(|error| failed("read the attributes of", error))?
                    }
                    _ => Vec::new(),
                };
                let attributes = attributes(stat, stat, extended);
                match stat.kind {
                    FileKind::Directory => Node::Directory { attributes },
                    FileKind::Symlink => Node::Symlink {
                        target: changes::link_target(place.workspace, path)
                            .map_err(|error| failed("read the link", error))?,
                        attributes,
                    },
                    _ => {
                        keep(place.workspace, path, &before_dir, index)
                            .map_err(|error| failed("keep the content of", error))?;
                        let known = strangers::know(place.workspace, path)
                            .map_err(|error| failed("look at", error))?;
                        Node::File { attributes, same_as: None, known }
                    }
                }
            }
        };
        let old = difference.before.as_ref();
        let after = match after {
            Written::Gone => Node::Absent,
            Written::Symlink { stat, target } => {
                let attributes = attributes(stat, old.unwrap_or(stat), Vec::new());
                Node::Symlink { attributes, target: target.clone() }
            }
            Written::Directory { stat, attributes: extended, .. } => {
                let attributes = attributes(stat, old.unwrap_or(stat), extended.clone());
                Node::Directory { attributes }
            }
            Written::File { stat, attributes: extended } => {
                let known = (stat.nlink > 1).then(|| names.get(&(stat.dev, stat.ino)).copied()).flatten();
                names.entry((stat.dev, stat.ino)).or_insert(index);
                let attributes = attributes(stat, old.unwrap_or(stat), extended.clone());
                Node::File { attributes, same_as: known, known: None }
            }
        };
        steps.push(Step { path: path.clone(), before, after });
    }
    Ok(Journal { workspace: path.to_path_buf(), root: (root.dev, root.ino), steps })
}

/// Mode and times of what is written, owner of what was there.
fn attributes(stat: &Stat, owner: &Stat, extended: Vec<super::layer::Attribute>) -> Attributes {
    Attributes { mode: stat.mode, uid: owner.uid, gid: owner.gid, mtime: stat.mtime, extended }
}

fn reset_before(state: &State) -> Result<OwnedFd, CowError> {
    (|| {
        tree::remove(&state.dir, OsStr::new(BEFORE))?;
        mkdirat(&state.dir, BEFORE, Mode::S_IRWXU)?;
        tree::open_dir(&state.dir, Path::new(BEFORE))
    })()
    .map_err(|error| CowError::system("make the directory of pre-images in", &state.path, error))
}

/// Keeps a file: by another name of it where that is possible, or else by a copy.
fn keep(workspace: &OwnedFd, path: &Path, before: &OwnedFd, index: u32) -> io::Result<()> {
    let (parent, name) = tree::open_parent(workspace, path)?;
    let place = index.to_string();
    if linkat(&parent, name, before, place.as_str(), AtFlags::empty()).is_ok() {
        return Ok(());
    }
    let from = File::from(tree::open_file(&parent, name)?);
    let to = create(before, OsStr::new(&place))?;
    copy(from, &to)
}

fn create(dir: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
}

/// Copies the data of a file and leaves its holes out.
fn copy(mut from: File, to: &File) -> io::Result<()> {
    let length = from.metadata()?.len();
    let mut at = 0u64;
    while at < length {
        let offset = i64::try_from(at).map_err(io::Error::other)?;
        let data = match lseek(&from, offset, Whence::SeekData) {
            Ok(data) => u64::try_from(data).map_err(io::Error::other)?,
            // No data behind here.
            Err(nix::errno::Errno::ENXIO) => break,
            Err(nix::errno::Errno::EINVAL) => at,
            Err(error) => return Err(error.into()),
        };
        let start = i64::try_from(data).map_err(io::Error::other)?;
        let hole = lseek(&from, start, Whence::SeekHole).ok().and_then(|hole| u64::try_from(hole).ok());
        let end = hole.unwrap_or(length).min(length);
        from.seek(SeekFrom::Start(data))?;
        let mut target: &File = to;
        target.seek(SeekFrom::Start(data))?;
        let copied = io::copy(&mut (&from).take(end.saturating_sub(data)), &mut target)?;
        if copied == 0 {
            return Err(io::Error::other("it became shorter while it was copied"));
        }
        at = data.saturating_add(copied);
    }
    to.set_len(length)
}

/// Writes the journal down: from here on the commit is decided.
pub(super) fn decide(place: &Place<'_>, journal: &Journal) -> Result<(), CowError> {
    let failed = |error| CowError::system("write the journal in", &place.state.path, error);
    fault::point()?;
    // The layer and the pre-images, which the journal relies on.
    nix::unistd::syncfs(&place.state.dir).map_err(|error| failed(error.into()))?;
    let written = place.state.put(JOURNAL, &journal.encode()).map_err(failed).and_then(|()| fault::point());
    if written.is_err() && !fault::is_dead() {
        // Nothing is changed yet: without the journal nothing will be.
        tree::remove(&place.state.dir, OsStr::new(JOURNAL)).map_err(failed)?;
    }
    written
}

/// After a commit that is complete, or undone: the journal goes.
pub(super) fn conclude(place: &Place<'_>) -> Result<(), CowError> {
    let failed = |error: io::Error| CowError::system("remove the journal in", &place.state.path, error);
    nix::unistd::syncfs(place.workspace).map_err(|error| failed(error.into()))?;
    fault::point()?;
    tree::remove(&place.state.dir, OsStr::new(JOURNAL)).map_err(failed)?;
    fault::point()?;
    tree::remove(&place.state.dir, OsStr::new(UNDO)).map_err(failed)?;
    nix::unistd::fsync(&place.state.dir).map_err(|error| failed(error.into()))
}

/// What an undo must leave alone: steps whose paths somebody else has changed.
pub(super) type Spared = BTreeSet<u32>;

pub(super) fn encode_spared(spared: &Spared) -> Vec<u8> {
    spared.iter().flat_map(|index| index.to_le_bytes()).collect()
}

pub(super) fn parse_spared(bytes: &[u8]) -> Spared {
    let number = |chunk: &[u8]| chunk.try_into().ok().map(u32::from_le_bytes);
    bytes.chunks(4).filter_map(number).collect()
}

/// Leads the workspace to one side of the journal. Every step can be made again. `begun`: this is the
/// first time, and what is there must still be what the transaction began on; a path that is not
/// is put into `spared`.
pub(super) fn converge(
    place: &Place<'_>,
    journal: &Journal,
    side: Side,
    begun: Option<&[Option<Stat>]>,
    spared: &mut Spared,
) -> Result<(), CowError> {
    let mut work = Converge { place, journal, side, begun, spared };
    for (index, step) in journal.steps.iter().enumerate() {
        work.open_up(index, step)?;
    }
    for (index, step) in journal.steps.iter().enumerate().rev() {
        work.each(index, step, "remove", Converge::clear)?;
    }
    for (index, step) in journal.steps.iter().enumerate() {
        work.each(index, step, "write", Converge::install)?;
    }
    for (index, step) in journal.steps.iter().enumerate().rev() {
        work.each(index, step, "set the attributes of", Converge::finish)?;
    }
    Ok(())
}

struct Converge<'a> {
    place: &'a Place<'a>,
    journal: &'a Journal,
    side: Side,
    begun: Option<&'a [Option<Stat>]>,
    spared: &'a mut Spared,
}

impl Converge<'_> {
    fn each(
        &mut self,
        index: usize,
        step: &Step,
        what: &str,
        act: fn(&mut Self, usize, &Step) -> io::Result<()>,
    ) -> Result<(), CowError> {
        if self.is_spared(index) {
            return Ok(());
        }
        fault::point()?;
        act(self, index, step).map_err(|error| {
            if error.kind() == io::ErrorKind::Other
                && error.get_ref().is_some_and(|inner| inner.is::<Drifted>())
            {
                return CowError::drift(vec![step.path.clone()]);
            }
            CowError::system(what, &step.path, error)
        })
    }

    fn is_spared(&self, index: usize) -> bool {
        u32::try_from(index).is_ok_and(|index| self.spared.contains(&index))
    }

    fn temporary(&self, index: usize) -> String {
        format!(".cow-{}-{index}", self.place.state.id)
    }

    /// Directories in which something is done must be writable; their own modes come at the end.
    fn open_up(&mut self, _: usize, step: &Step) -> Result<(), CowError> {
        let opened = (|| {
            let (parent, name) = match tree::open_parent(self.place.workspace, &step.path) {
                Ok(found) => found,
                Err(error) if is_missing(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            let stat = tree::stat_at(&parent, name)?;
            if stat.is_some_and(|stat| stat.kind == FileKind::Directory && stat.mode & 0o700 != 0o700) {
                let mode = Mode::from_bits_truncate(stat.map_or(0, |stat| stat.mode) | 0o700);
                if name.is_empty() {
                    fchmod(&parent, mode)?;
                } else {
                    fchmodat(&parent, name, mode, FchmodatFlags::NoFollowSymlink)?;
                }
            }
            Ok(())
        })();
        opened.map_err(|error| CowError::system("work in", &step.path, error))
    }

    /// Removes what cannot be replaced by a rename.
    fn clear(&mut self, index: usize, step: &Step) -> io::Result<()> {
        let (parent, name) = match tree::open_parent(self.place.workspace, &step.path) {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if name.is_empty() {
            return Ok(());
        }
        if self.begun.is_none() {
            // A predecessor may have been interrupted before it gave this its name.
            tree::remove(&parent, OsStr::new(&self.temporary(index)))?;
        }
        let Some(current) = tree::stat_at(&parent, name)? else { return Ok(()) };
        let is_directory = current.kind == FileKind::Directory;
        match step.node(self.side) {
            Node::Directory { .. } if is_directory => return Ok(()),
            Node::File { .. } | Node::Symlink { .. } if !is_directory => return Ok(()),
            _ => {}
        }
        self.guard(index, Some(&current))?;
        let how = if is_directory { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        match unlinkat(&parent, name, how) {
            Err(nix::errno::Errno::ENOTEMPTY | nix::errno::Errno::EEXIST) => Err(self.drifted(index)),
            result => Ok(result?),
        }
    }

    /// Puts what is to be there into its place, by one rename.
    fn install(&mut self, index: usize, step: &Step) -> io::Result<()> {
        let node = step.node(self.side);
        if *node == Node::Absent {
            return Ok(());
        }
        let (parent, name) = tree::open_parent(self.place.workspace, &step.path)?;
        let temporary = self.temporary(index);
        let temporary = OsStr::new(&temporary);
        match node {
            Node::Absent => return Ok(()),
            Node::Directory { .. } => {
                if !name.is_empty() && tree::stat_at(&parent, name)?.is_none() {
                    mkdirat(&parent, name, Mode::S_IRWXU)?;
                }
                return Ok(());
            }
            Node::Symlink { target, attributes } => {
                symlinkat(target, &parent, temporary)?;
                let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
                let now = tree::stat_at(&parent, temporary)?;
                if now.is_none_or(|now| (now.uid, now.gid) != (attributes.uid, attributes.gid)) {
                    fchownat(&parent, temporary, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
                }
                let time = time_of(attributes);
                utimensat(&parent, temporary, &time, &time, UtimensatFlags::NoFollowSymlink)?;
            }
            Node::File { same_as: Some(other), .. } => {
                let other = self.journal.steps.get(*other as usize).map(|step| step.path.as_path());
                let (from, other) = tree::open_parent(self.place.workspace, other.unwrap_or(Path::new("")))?;
                linkat(&from, other, &parent, temporary, AtFlags::empty())?;
            }
            Node::File { attributes, same_as: None, .. } => {
                let file = self.fetch(index, step, &parent, temporary)?;
                set(&file, attributes)?;
            }
        }
        fault::point().map_err(io::Error::other)?;
        self.place_at(index, &parent, temporary, name)
    }

    /// The content of a file under its temporary name.
    fn fetch(&self, index: usize, step: &Step, parent: &OwnedFd, temporary: &OsStr) -> io::Result<File> {
        if self.side == Side::After {
            let to = create(parent, temporary)?;
            copy(changes::open(self.place.upper, &step.path)?, &to)?;
            return Ok(to);
        }
        let before = tree::open_dir(&self.place.state.dir, Path::new(BEFORE))?;
        let kept = index.to_string();
        if linkat(&before, kept.as_str(), parent, temporary, AtFlags::empty()).is_ok() {
            return Ok(File::from(tree::open_file(parent, temporary)?));
        }
        let from = File::from(tree::open_file(&before, OsStr::new(&kept))?);
        let to = create(parent, temporary)?;
        copy(from, &to)?;
        Ok(to)
    }

    fn place_at(
        &mut self,
        index: usize,
        parent: &OwnedFd,
        temporary: &OsStr,
        name: &OsStr,
    ) -> io::Result<()> {
        let mut how = RenameFlags::empty();
        if self.begun.is_some() {
            let current = tree::stat_at(parent, name)?;
            if let Err(error) = self.guard(index, current.as_ref()) {
                unlinkat(parent, temporary, UnlinkatFlags::NoRemoveDir)?;
                return Err(error);
            }
            if current.is_none() {
                how = RenameFlags::RENAME_NOREPLACE;
            }
        }
        match renameat2(parent, temporary, parent, name, how) {
            Err(nix::errno::Errno::EEXIST) => {
                unlinkat(parent, temporary, UnlinkatFlags::NoRemoveDir)?;
                Err(self.drifted(index))
            }
            // Not every file system has the flag; the look just before has to do then.
            Err(nix::errno::Errno::EINVAL) => {
                Ok(renameat2(parent, temporary, parent, name, RenameFlags::empty())?)
            }
            // A rename between two names of one file does nothing, and leaves both.
            result => {
                result?;
                tree::remove(parent, temporary)
            }
        }
    }

    fn finish(&mut self, _: usize, step: &Step) -> io::Result<()> {
        match step.node(self.side) {
            Node::Directory { attributes } => {
                set(&File::from(tree::open_dir(self.place.workspace, &step.path)?), attributes)
            }
            _ => Ok(()),
        }
    }

    /// What is about to be replaced must be what the transaction began on, or what is already gone.
    fn guard(&mut self, index: usize, current: Option<&Stat>) -> io::Result<()> {
        let Some(begun) = self.begun.and_then(|begun| begun.get(index)) else { return Ok(()) };
        let same = match (begun, current) {
            (_, None) => true,
            (Some(begun), Some(now)) if begun.kind == FileKind::Directory => {
                (begun.kind, begun.dev, begun.ino) == (now.kind, now.dev, now.ino)
            }
            (Some(begun), Some(now)) => {
                (begun.kind, begun.dev, begun.ino, begun.size, begun.mtime)
                    == (now.kind, now.dev, now.ino, now.size, now.mtime)
            }
            (None, Some(_)) => false,
        };
        if same { Ok(()) } else { Err(self.drifted(index)) }
    }

    fn drifted(&mut self, index: usize) -> io::Error {
        if let Ok(index) = u32::try_from(index) {
            self.spared.insert(index);
        }
        io::Error::other(Drifted)
    }
}

/// Somebody else has changed a path meanwhile.
#[derive(Debug)]
struct Drifted;

impl std::fmt::Display for Drifted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("somebody else has changed it meanwhile")
    }
}

impl std::error::Error for Drifted {}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}

fn time_of(attributes: &Attributes) -> TimeSpec {
    TimeSpec::new(attributes.mtime.0, attributes.mtime.1)
}

/// Owner first, which clears mode bits; attributes while the file is writable; times last.
fn set(file: &File, attributes: &Attributes) -> io::Result<()> {
    let now = tree::stat_fd(file)?;
    if (now.uid, now.gid) != (attributes.uid, attributes.gid) {
        fchown(file, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))?;
    }
    for (name, value) in &attributes.extended {
        let name = CString::new(name.as_slice()).map_err(io::Error::other)?;
        if native::attribute(file, &name)?.as_ref() != Some(value) {
            native::set_attribute(file, &name, value)?;
        }
    }
    fchmod(file, Mode::from_bits_truncate(attributes.mode))?;
    let time = time_of(attributes);
    Ok(futimens(file, &time, &time)?)
}
