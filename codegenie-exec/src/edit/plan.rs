//! Works out, without writing, what a list of edits makes of the files.

use super::coming::{Coming, Named};
use super::confined::Confined;
use super::editor::Editor;
use super::error::{EditError, Refusal};
use super::name;
use super::outcome::FileChange;
use super::patch::HunkPlace;
use super::place::{self, Found};
use super::repository::{self, Repositories};
use super::request::{ContentHash, Edit, EditKind};
use super::text;
use super::told::{self, Dressing};
use crate::beneath;
use crate::codec::Attributes;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a new file has beside its content.
#[derive(Clone, Debug)]
pub(super) enum Dress {
    /// What any new file gets.
    Fresh { executable: bool },
    /// What another version of it had; also its time, where the content is the same.
    Like(Attributes, bool),
}

/// A file as it is to be.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) content: Vec<u8>,
    pub(super) dress: Dress,
}

/// What becomes of one path.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) before: Option<Found>,
    pub(super) after: Option<Target>,
}

/// A path while the edits are worked out.
struct Slot {
    before: Option<Found>,
    now: Option<Target>,
    /// Where the content came from, if it was renamed.
    from: Option<PathBuf>,
    hunks: Vec<HunkPlace>,
    adapted: bool,
}

/// A directory that is there.
struct Directory {
    fd: OwnedFd,
    names: Option<Rc<[Named]>>,
}

pub(super) struct Planner<'a> {
    editor: &'a Editor,
    slots: BTreeMap<PathBuf, Slot>,
    /// `None`: there is none yet.
    directories: BTreeMap<PathBuf, Option<Directory>>,
    coming: Coming,
    repositories: Repositories,
    confinements: Vec<Confined>,
    bytes: u64,
}

impl<'a> Planner<'a> {
    pub(super) fn new(editor: &'a Editor) -> Self {
        Self {
            editor,
            slots: BTreeMap::new(),
            directories: BTreeMap::new(),
            coming: Coming::default(),
            repositories: Repositories::default(),
            confinements: editor.confinements.iter().map(Confined::to).collect(),
            bytes: 0,
        }
    }

    pub(super) fn edit(&mut self, edit: &Edit) -> Result<(), EditError> {
        let path = name::relative(&self.editor.root, &edit.path)?;
        self.look(&path)?;
        if let Some(expected) = edit.expect {
            let found = self.now(&path).map(|target| ContentHash::of(&target.content));
            if found != Some(expected) {
                return Err(EditError::Stale { path, expected, found });
            }
        }
        match &edit.kind {
            EditKind::Create { content, executable } => {
                if self.now(&path).is_some() {
                    let why = "it is there already: overwrite it, or replace text in it";
                    return Err(EditError::refused(&path, Refusal::Exists, why));
                }
                let dress = Dress::Fresh { executable: *executable };
                self.appear(&path, Target { content: content.clone(), dress }, None)
            }
            EditKind::Overwrite { content } => {
                self.change(&path, |_| Ok((content.clone(), Vec::new(), false)))
            }
            EditKind::Replace { old, new, occurrences } => self.change(&path, |now| {
                let (content, adapted) = textual(&path, now).and_then(|()| {
                    text::replace(now, old, new, *occurrences).map_err(|why| EditError::mismatch(&path, why))
                })?;
                Ok((content, Vec::new(), adapted))
            }),
            EditKind::Lines { first, last, text } => self.change(&path, |now| {
                let (content, adapted) = textual(&path, now).and_then(|()| {
                    text::replace_lines(now, *first, *last, text)
                        .map_err(|why| EditError::mismatch(&path, why))
                })?;
                Ok((content, Vec::new(), adapted))
            }),
            EditKind::Patch { patch } => {
                let limits = self.editor.limits.patch;
                self.change(&path, |now| {
                    textual(&path, now)?;
                    let patched = patch
                        .apply(now, &limits)
                        .map_err(|error| EditError::Patch { path: path.clone(), error })?;
                    Ok((patched.content, patched.hunks, patched.line_endings_adapted))
                })
            }
            EditKind::Delete => self.take(&path).map(drop),
            EditKind::Rename { to } => {
                let to = name::relative(&self.editor.root, to)?;
                self.look(&to)?;
                if self.now(&to).is_some() {
                    return Err(EditError::refused(
                        &to,
                        Refusal::Exists,
                        "it is there already: delete it first",
                    ));
                }
                let (target, from, hunks, adapted) = self.take(&path)?;
                self.appear(&to, target, Some(from.unwrap_or(path)))?;
                if let Some(slot) = self.slots.get_mut(&to) {
                    (slot.hunks, slot.adapted) = (hunks, adapted);
                }
                Ok(())
            }
        }
    }

    /// For an undo: the path gets this content again, or none.
    pub(super) fn restore(&mut self, path: &Path, target: Option<Target>) -> Result<(), EditError> {
        match (self.now(path).is_some(), target) {
            (_, None) => self.take(path).map(drop),
            (false, Some(target)) => self.appear(path, target, None),
            (true, Some(target)) => {
                self.count(&target.content, path)?;
                if let Some(slot) = self.slots.get_mut(path) {
                    slot.now = Some(target);
                }
                Ok(())
            }
        }
    }

    /// Reads what is at `path`, once, and checks that it may be edited.
    pub(super) fn look(&mut self, path: &Path) -> Result<(), EditError> {
        if self.slots.contains_key(path) {
            return Ok(());
        }
        self.editor.protected.check(path)?;
        self.confinements.iter().try_for_each(|confined| confined.check(&self.editor.root, path))?;
        self.check_repositories(path)?;
        let limits = &self.editor.limits;
        let name = path.file_name().unwrap_or_default();
        let parent = path.parent().unwrap_or(Path::new(""));
        let before = match self.directory(parent, path)? {
            Some(directory) => place::file(&directory.fd, name, path, limits)?,
            None => None,
        };
        if let Some(found) = &before {
            // The one name that is listed: where case does not count, others reach the file too.
            if !self.names(parent, path)?.iter().any(|listed| *listed.name == *name) {
                return Err(look_alike(path, name, name));
            }
            self.count(&found.content, path)?;
            // Also what goes: an undo would have to bring it back.
            self.check_head(path, &found.content)?;
            self.coming.add(path);
        }
        let now = before.as_ref().map(|found| Target {
            content: found.content.clone(),
            dress: Dress::Like(found.attributes.clone(), true),
        });
        self.slots
            .insert(path.to_path_buf(), Slot { before, now, from: None, hunks: Vec::new(), adapted: false });
        Ok(())
    }

    pub(super) fn found(&self, path: &Path) -> Option<&Found> {
        self.slots.get(path)?.before.as_ref()
    }

    fn now(&self, path: &Path) -> Option<&Target> {
        self.slots.get(path)?.now.as_ref()
    }

    fn change(
        &mut self,
        path: &Path,
        make: impl FnOnce(&[u8]) -> Result<(Vec<u8>, Vec<HunkPlace>, bool), EditError>,
    ) -> Result<(), EditError> {
        let (content, hunks, adapted) = make(&self.now(path).ok_or_else(|| missing(path))?.content)?;
        self.count(&content, path)?;
        if let Some(slot) = self.slots.get_mut(path) {
            if let Some(now) = &mut slot.now {
                if let Dress::Like(_, same) = &mut now.dress {
                    *same = *same && now.content == content;
                }
                now.content = content;
            }
            slot.hunks.extend(hunks);
            slot.adapted |= adapted;
        }
        Ok(())
    }

    #[allow(clippy::type_complexity, reason = "what a slot holds, moved on to another one at once")]
    fn take(&mut self, path: &Path) -> Result<(Target, Option<PathBuf>, Vec<HunkPlace>, bool), EditError> {
        let slot = self.slots.get_mut(path);
        let taken = slot.and_then(|slot| {
            let now = slot.now.take()?;
            self.coming.remove(path);
            Some((now, slot.from.take(), std::mem::take(&mut slot.hunks), std::mem::take(&mut slot.adapted)))
        });
        taken.ok_or_else(|| missing(path))
    }

    /// Something comes to a path where there is nothing. What is new takes on what a file had that the
    /// transaction took away from there.
    fn appear(&mut self, path: &Path, mut target: Target, from: Option<PathBuf>) -> Result<(), EditError> {
        self.count(&target.content, path)?;
        self.check_names(path)?;
        if let (Dress::Fresh { executable }, Some(gone)) = (&target.dress, self.found(path)) {
            let mut attributes = gone.attributes.clone();
            if *executable {
                attributes.mode |= 0o100;
            }
            let same = gone.content == target.content && attributes == gone.attributes;
            target.dress = Dress::Like(attributes, same);
        }
        if let Some(slot) = self.slots.get_mut(path) {
            if slot.now.replace(target).is_none() {
                self.coming.add(path);
            }
            slot.from = from;
        }
        Ok(())
    }

    fn count(&mut self, content: &[u8], path: &Path) -> Result<(), EditError> {
        let size = content.len() as u64;
        if size > self.editor.limits.file_bytes {
            return Err(EditError::refused(
                path,
                Refusal::TooLarge,
                "it would be larger than the limit on files",
            ));
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.editor.limits.transaction_bytes {
            return Err(EditError::TooLarge(
                "the files of the transaction are larger together than the limit: make it smaller, or raise the limit"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    fn directory(&mut self, path: &Path, shown: &Path) -> Result<Option<&mut Directory>, EditError> {
        if !self.directories.contains_key(path) {
            let opened = place::directory(&self.editor.root_fd, path, shown)?;
            let directory = opened.map(|fd| Directory { fd, names: None });
            self.directories.insert(path.to_path_buf(), directory);
        }
        Ok(self.directories.get_mut(path).and_then(Option::as_mut))
    }

    /// The names in a directory that is there.
    fn names(&mut self, path: &Path, shown: &Path) -> Result<Rc<[Named]>, EditError> {
        let room = self.editor.limits.directory_entries;
        let Some(directory) = self.directory(path, shown)? else { return Ok(Rc::default()) };
        if directory.names.is_none() {
            let listed =
                beneath::open_dir(&directory.fd, Path::new("")).and_then(|dir| beneath::names(dir, room));
            let names = listed.map_err(|error| match error.kind() {
                std::io::ErrorKind::Other => EditError::TooLarge(format!(
                    "the directory of {} has more than {room} names: raise the limit",
                    super::error::show(shown)
                )),
                _ => EditError::system("list the directory of", shown, error),
            })?;
            directory.names = Some(names.iter().map(|name| Named::new(name)).collect());
        }
        Ok(directory.names.clone().unwrap_or_default())
    }

    /// Refuses files in what git takes for a repository, whatever its name is, and what would make one.
    fn check_repositories(&mut self, path: &Path) -> Result<(), EditError> {
        if self.editor.protected.is_allowed(path) {
            return Ok(());
        }
        for directory in path.ancestors().skip(1) {
            if !self.repositories.knows(directory) {
                self.directory(directory, path)?;
                let opened = self.directories.get(directory).and_then(Option::as_ref);
                self.repositories
                    .learn(directory, opened.map(|opened| &opened.fd))
                    .map_err(|error| EditError::system("look at the directory of", path, error))?;
            }
        }
        self.repositories.add(path)
    }

    fn check_head(&self, path: &Path, content: &[u8]) -> Result<(), EditError> {
        if self.editor.protected.is_allowed(path) { Ok(()) } else { repository::check_head(path, content) }
    }

    /// Refuses a new name that differs from one beside it in case or Unicode form only.
    fn check_names(&mut self, path: &Path) -> Result<(), EditError> {
        let mut child = path;
        // Up to the first directory that is there already.
        while let Some(parent) = child.parent() {
            let name = child.file_name().unwrap_or_default();
            let Some(folded) = name::folded(name) else {
                return Err(EditError::refused(path, Refusal::BadPath, "a new name must be UTF-8"));
            };
            let there = self.names(parent, path)?;
            let going =
                |listed: &OsStr| self.slots.get(&parent.join(listed)).is_some_and(|slot| slot.now.is_none());
            let alike = |other: &&Named| other.folded.as_ref() == Some(&folded) && *other.name != *name;
            let mut listed = there.iter().filter(alike).filter(|listed| !going(&listed.name));
            if let Some(other) = listed.next().or_else(|| self.coming.names(parent).find(alike)) {
                return Err(look_alike(path, name, &other.name));
            }
            if self.directory(parent, path)?.is_some() {
                break;
            }
            // A file of this transaction cannot be a directory too.
            if self.now(parent).is_some() {
                return Err(EditError::refused(path, Refusal::NotAFile, "its way leads through a file"));
            }
            child = parent;
        }
        if self.coming.names(path).next().is_some() {
            return Err(EditError::refused(
                path,
                Refusal::NotAFile,
                "the transaction needs it as a directory",
            ));
        }
        Ok(())
    }

    /// What is to be done, and how it is told.
    pub(super) fn finish(self) -> Result<(Vec<Change>, Vec<FileChange>), EditError> {
        for (path, slot) in &self.slots {
            if let Some(now) = &slot.now {
                self.check_head(path, &now.content)?;
            }
        }
        let mut reports = Vec::new();
        // Names that the whole transaction moved: told once, under the new name.
        let moved: Vec<PathBuf> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.before.is_none() && slot.now.is_some())
            .filter_map(|(_, slot)| slot.from.clone())
            .filter(|from| self.slots.get(from).is_some_and(|old| old.before.is_some() && old.now.is_none()))
            .collect();
        for (path, slot) in &self.slots {
            if slot.now.is_none() && moved.contains(path) {
                continue;
            }
            let from = slot.from.as_ref().filter(|from| slot.before.is_none() && moved.contains(from));
            let before = match from {
                Some(from) => self.slots.get(from).and_then(|old| old.before.as_ref()),
                None => slot.before.as_ref(),
            };
            if let Some(report) = self.report(path, from, before, slot)? {
                reports.push(report);
            }
        }
        let changes = self.slots.into_iter().filter_map(|(path, slot)| {
            let change = Change { path, before: slot.before, after: slot.now };
            let same = match (&change.before, &change.after) {
                (None, None) => true,
                (Some(before), Some(after)) => {
                    before.content == after.content
                        && matches!(&after.dress, Dress::Like(attributes, _) if *attributes == before.attributes)
                }
                _ => false,
            };
            (!same).then_some(change)
        });
        Ok((changes.collect(), reports))
    }

    fn report(
        &self,
        path: &Path,
        from: Option<&PathBuf>,
        before: Option<&Found>,
        slot: &Slot,
    ) -> Result<Option<FileChange>, EditError> {
        let after = slot.now.as_ref();
        let (old, new) =
            (before.map(|found| found.content.as_slice()), after.map(|now| now.content.as_slice()));
        let dressing = Dressing::between(before, after);
        if from.is_none() && old == new && dressing.is_same() {
            return Ok(None);
        }
        if let (Some(new), Some((gate, threshold))) = (new, &self.editor.gate) {
            let mut findings = gate.inspect(path, old, new);
            findings.retain(|finding| finding.severity >= *threshold);
            if !findings.is_empty() {
                return Err(EditError::Gate { path: path.to_path_buf(), findings });
            }
        }
        let mut diff = Vec::new();
        let (added, removed) = told::write(&mut diff, path, from, before, after, &dressing);
        Ok(Some(FileChange {
            path: path.to_path_buf(),
            from: from.cloned(),
            before: before.map(|found| found.hash),
            after: new.map(ContentHash::of),
            mode: dressing.mode,
            owner: dressing.owner,
            attributes: dressing.attributes,
            diff,
            added,
            removed,
            hunks: slot.hunks.clone(),
            line_endings_adapted: slot.adapted,
            is_binary: old != new && [old, new].into_iter().flatten().any(told::is_binary),
        }))
    }
}

fn textual(path: &Path, content: &[u8]) -> Result<(), EditError> {
    if told::is_binary(content) {
        return Err(EditError::refused(
            path,
            Refusal::Binary,
            "it holds NUL, so it is no text: overwrite it as a whole",
        ));
    }
    Ok(())
}

fn missing(path: &Path) -> EditError {
    EditError::refused(path, Refusal::Missing, "there is no such file")
}

fn look_alike(path: &Path, name: &OsStr, other: &OsStr) -> EditError {
    EditError::refused(
        path,
        Refusal::LookAlike,
        format!(
            "its name {:?} differs from {:?}, which is there, in case or Unicode form only",
            name.to_string_lossy(),
            other.to_string_lossy()
        ),
    )
}
