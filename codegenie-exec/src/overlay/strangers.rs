//! What somebody has put, between the interruption of a commit and its recovery, where the commit
//! works. A recovery leads each path to one of two states, wherever between them it was: what is in
//! neither is not the commit's to overwrite.

use super::changes;
use super::commit::{Place, Spared};
use super::error::CowError;
use super::journal::{Attributes, Journal, Known, Node, Step};
use super::state::BEFORE;
use super::tree::{self, FileKind, Stat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// By what a file is known again. After it has been kept, which gives it another name.
pub(super) fn know(workspace: &OwnedFd, path: &Path) -> io::Result<Option<Known>> {
    let (parent, name) = tree::open_parent(workspace, path)?;
    let Some(stat) = tree::stat_at(&parent, name)? else { return Ok(None) };
    // One with further names may lose them by the commit itself, which its time of change tells.
    let ctime = (stat.nlink <= 2).then_some(stat.ctime);
    Ok(Some(Known { dev: stat.dev, ino: stat.ino, size: stat.size, ctime }))
}

/// Paths of the journal that are in neither of its states, nor on the way. `undo`: the commit was being
/// undone, and these steps are left alone.
pub(super) fn find(
    place: &Place<'_>,
    journal: &Journal,
    undo: Option<&Spared>,
) -> Result<Vec<PathBuf>, CowError> {
    let mut strange = Vec::new();
    for (index, step) in journal.steps.iter().enumerate() {
        let spared = u32::try_from(index).is_ok_and(|index| undo.is_some_and(|u| u.contains(&index)));
        let look = Look { place, index, step, undone: undo.is_some() };
        let ours =
            spared || look.is_ours().map_err(|error| CowError::system("look at", &step.path, error))?;
        if !ours {
            strange.push(step.path.clone());
        }
    }
    Ok(strange)
}

struct Look<'a> {
    place: &'a Place<'a>,
    index: usize,
    step: &'a Step,
    undone: bool,
}

impl Look<'_> {
    fn is_ours(&self) -> io::Result<bool> {
        let found = match tree::open_parent(self.place.workspace, &self.step.path) {
            Ok((parent, name)) => tree::stat_at(&parent, name),
            Err(error) => Err(error),
        };
        let now = match found {
            Ok(Some(now)) => now,
            // What is gone cannot be overwritten.
            Ok(None) => return Ok(true),
            Err(error) if is_missing(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        let nodes = [&self.step.before, &self.step.after];
        match now.kind {
            // What is in it has paths of its own; one that is not empty is not removed.
            FileKind::Directory => Ok(nodes.iter().any(|node| matches!(node, Node::Directory { .. }))),
            FileKind::Symlink => {
                let target = changes::link_target(self.place.workspace, &self.step.path)?;
                let same = |node: &&Node| matches!(node, Node::Symlink { target: of, .. } if *of == target);
                Ok(nodes.iter().any(same))
            }
            FileKind::File => Ok(self.is_before(&now)? || self.is_after(&now)?),
            FileKind::Special => Ok(false),
        }
    }

    fn is_before(&self, now: &Stat) -> io::Result<bool> {
        let Node::File { attributes, known, .. } = &self.step.before else { return Ok(false) };
        if !has(now, attributes) {
            return Ok(false);
        }
        let kept = (|| {
            let before = tree::open_dir(&self.place.state.dir, Path::new(BEFORE))?;
            let name = self.index.to_string();
            let stat = tree::stat_at(&before, OsStr::new(&name))?;
            Ok(stat.map(|stat| (before, name, stat)))
        })();
        let Some((before, name, kept)) = kept.or_else(|error: io::Error| match is_missing(&error) {
            true => Ok(None),
            false => Err(error),
        })?
        else {
            return Ok(false);
        };
        if (kept.dev, kept.ino) != (now.dev, now.ino) {
            return self
                .same_content(now, &kept, || tree::open_file(&before, OsStr::new(&name)).map(File::from));
        }
        // The pre-image is another name of it, and has what was written into it too.
        let Some(known) = known else { return Ok(now.mtime == attributes.mtime) };
        let unchanged = known.ctime.is_none_or(|ctime| self.undone || ctime == now.ctime);
        Ok((known.dev, known.ino, known.size) == (now.dev, now.ino, now.size)
            && now.mtime == attributes.mtime
            && unchanged)
    }

    fn is_after(&self, now: &Stat) -> io::Result<bool> {
        let Node::File { attributes, .. } = &self.step.after else { return Ok(false) };
        if !has(now, attributes) {
            return Ok(false);
        }
        let layer = match changes::open(self.place.upper, &self.step.path) {
            Ok(layer) => layer,
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        let of_layer = tree::stat_fd(&layer)?;
        self.same_content(now, &of_layer, || Ok(layer))
    }

    fn same_content(
        &self,
        now: &Stat,
        other: &Stat,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<bool> {
        if now.size != other.size {
            return Ok(false);
        }
        match changes::open(self.place.workspace, &self.step.path) {
            Ok(file) => changes::same_bytes(file, open()?),
            // A mode that keeps the owner out keeps others out too.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(now.mtime == other.mtime),
            Err(error) => Err(error),
        }
    }
}

/// Whether a file has the attributes that a commit gives, or found.
fn has(now: &Stat, attributes: &Attributes) -> bool {
    (now.mode & 0o777, now.uid, now.gid) == (attributes.mode & 0o777, attributes.uid, attributes.gid)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}
