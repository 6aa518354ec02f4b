//! Makes a transaction, all of it or none.
//!
//! 1. What is replaced is kept beside the record; the new files are written under temporary names in their
//!    directories, and synced ([`Stage::Preparing`], then [`Stage::Active`]).
//! 2. New and old files change places. What came out is looked at: where it is not what was read, somebody else was
//!    faster, and everything goes back.
//! 3. The directories are synced and the record says so ([`Stage::Committed`]); the old files go.

use super::error::EditError;
use super::place;
use super::plan::Change;
use super::record::{After, Before, Record, Stage, Step};
use super::recovery::{Held, conclude, take_back};
use super::request::ContentHash;
use super::store::{Entry, Store};
use super::write::write;
use crate::beneath::{self, FileKind};
use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::fsync;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const TEMPORARY: &str = ".codegenie-edit-";

/// Makes the changes, in the order in which they can be taken back.
pub(super) fn make(
    root: &OwnedFd,
    root_id: (u64, u64),
    store: &Store,
    changes: Vec<Change>,
    undoes: Option<String>,
    leaves: Vec<PathBuf>,
) -> Result<Entry, EditError> {
    let entry = store.create()?;
    let mut record = Record {
        stage: Stage::Preparing,
        root: root_id,
        undoes,
        made: Vec::new(),
        leaves,
        steps: Vec::new(),
    };
    let mut held = Held::new();
    let made = (|| {
        prepare(root, store, &entry, &mut record, &changes)?;
        stage(root, &entry, &mut record, &changes, &mut held)?;
        exchange(root, &record, &changes, &held)?;
        entry.reach(&mut record, Stage::Committed)
    })();
    match made {
        Ok(()) => {
            // The transaction is made; what cannot be tidied up now, the next recovery tidies up.
            let _ = conclude(root, store, &entry, &mut record);
            Ok(entry)
        }
        Err(failure) => match take_back(root, store, &entry, &record, &held) {
            Ok(()) => Err(failure),
            Err(error) => Err(EditError::Interrupted(format!(
                "the transaction failed ({failure}) and so did taking it back ({error}): mend that, then recover"
            ))),
        },
    }
}

/// Writes down what is to be done, and keeps what was.
fn prepare(
    root: &OwnedFd,
    store: &Store,
    entry: &Entry,
    record: &mut Record,
    changes: &[Change],
) -> Result<(), EditError> {
    for (index, change) in changes.iter().enumerate() {
        if let Some(before) = &change.before {
            entry.keep(index, &before.content)?;
        }
        let random = beneath::random_name()
            .map_err(|error| EditError::system("name a file for", &change.path, error))?;
        record.steps.push(Step {
            path: change.path.clone(),
            parent: (0, 0),
            temporary: format!("{TEMPORARY}{random}"),
            before: change.before.as_ref().map(|found| Before {
                id: (found.stat.dev, found.stat.ino),
                hash: found.hash,
                size: found.content.len() as u64,
                attributes: found.attributes.clone(),
            }),
            after: change.after.as_ref().map(|target| After {
                id: (0, 0),
                hash: ContentHash::of(&target.content),
                size: target.content.len() as u64,
                mode: 0,
                owner: (0, 0),
            }),
        });
    }
    for change in changes.iter().filter(|change| change.after.is_some()) {
        let above: Vec<&Path> =
            change.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        for directory in above.into_iter().rev() {
            if place::directory(root, directory, &change.path)?.is_none()
                && !record.made.iter().any(|made| made == directory)
            {
                record.made.push(directory.to_path_buf());
            }
        }
    }
    entry.write(record)?;
    store.sync().map_err(|error| EditError::system("write the journal in", &entry.path, error))
}

/// Makes directories, and writes the new files under their temporary names.
fn stage(
    root: &OwnedFd,
    entry: &Entry,
    record: &mut Record,
    changes: &[Change],
    held: &mut Held,
) -> Result<(), EditError> {
    for path in &record.made {
        let failed = |error: io::Error| EditError::system("make the directory", path, error);
        let (parent, name) = open_parent(root, path)?;
        match mkdirat(&parent, name, Mode::S_IRWXU | Mode::S_IRWXG | Mode::S_IRWXO) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Err(EditError::Drift { paths: vec![path.clone()] }),
            Err(error) => return Err(failed(error.into())),
        }
        fsync(&parent).map_err(|error| failed(error.into()))?;
    }
    for (step, change) in record.steps.iter_mut().zip(changes) {
        let failed = |error: io::Error| EditError::system("write", &step.path, error);
        let (parent, _) = open_parent(root, &step.path)?;
        let stat = beneath::stat_fd(&parent).map_err(failed)?;
        step.parent = (stat.dev, stat.ino);
        if let (Some(target), Some(after)) = (&change.after, &mut step.after) {
            let written = write(&parent, &step.temporary, target).map_err(failed)?;
            after.id = (written.dev, written.ino);
            (after.mode, after.owner) = (written.mode, (written.uid, written.gid));
        }
        held.entry(step.parent).or_insert(parent);
    }
    sync_all(held, record)?;
    entry.reach(record, Stage::Active)
}

/// New and old files change places: first what only goes, so that what comes finds its name free.
fn exchange(root: &OwnedFd, record: &Record, changes: &[Change], held: &Held) -> Result<(), EditError> {
    let steps = || record.steps.iter().zip(changes);
    for (step, change) in steps().filter(|(step, _)| step.after.is_none()) {
        exchange_one(root, step, change, held)?;
    }
    for (step, change) in steps().filter(|(step, _)| step.after.is_some()) {
        exchange_one(root, step, change, held)?;
    }
    sync_all(held, record)
}

fn exchange_one(root: &OwnedFd, step: &Step, change: &Change, held: &Held) -> Result<(), EditError> {
    let drift = || EditError::Drift { paths: vec![step.path.clone()] };
    let failed = |error: io::Error| EditError::system("replace", &step.path, error);
    let parent = held.get(&step.parent).ok_or_else(drift)?;
    // The path still leads to the directory that is held open.
    let (now, name) = open_parent(root, &step.path)?;
    let stat = beneath::stat_fd(&now).map_err(failed)?;
    if (stat.dev, stat.ino) != step.parent {
        return Err(drift());
    }
    let current = beneath::stat_at(parent, name).map_err(failed)?;
    let expected = change.before.as_ref().map(|found| found.stat);
    if current != expected {
        return Err(drift());
    }
    let temporary = OsStr::new(&step.temporary);
    let result = match (&step.before, &step.after) {
        (Some(_), Some(_)) => renameat2(parent, temporary, parent, name, RenameFlags::RENAME_EXCHANGE),
        (Some(_), None) => renameat2(parent, name, parent, temporary, RenameFlags::RENAME_NOREPLACE),
        _ => renameat2(parent, temporary, parent, name, RenameFlags::RENAME_NOREPLACE),
    };
    match result {
        Ok(()) => {}
        Err(Errno::EEXIST | Errno::ENOENT) => return Err(drift()),
        Err(Errno::EINVAL) => {
            let why =
                "the file system cannot exchange files at once, so a change by somebody else could be lost";
            return Err(failed(io::Error::new(io::ErrorKind::Unsupported, why)));
        }
        Err(error) => return Err(failed(error.into())),
    }
    // What came out is what was read, and what went in is what was written.
    let is = |name: &OsStr, id: (u64, u64), size: u64, hash: &ContentHash| {
        let stat = beneath::stat_at(parent, name).ok().flatten();
        stat.is_some_and(|stat| stat.kind == FileKind::File && (stat.dev, stat.ino) == id && stat.nlink == 1)
            && place::holds(parent, name, size, hash).unwrap_or(false)
    };
    let out = step.before.as_ref();
    let out = out.is_none_or(|before| is(temporary, before.id, before.size, &before.hash));
    let inside = step.after.as_ref();
    let inside = inside.is_none_or(|after| is(name, after.id, after.size, &after.hash));
    if out && inside { Ok(()) } else { Err(drift()) }
}

fn sync_all(held: &Held, record: &Record) -> Result<(), EditError> {
    for directory in held.values() {
        fsync(directory).map_err(|error| {
            let path = record.steps.first().map_or(Path::new(""), |step| step.path.as_path());
            EditError::system("sync the directories of", path, error)
        })?;
    }
    Ok(())
}

fn open_parent<'p>(root: &OwnedFd, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), EditError> {
    let above = path.parent().unwrap_or(Path::new(""));
    let parent = place::directory(root, above, path)?;
    let parent = parent.ok_or_else(|| EditError::Drift { paths: vec![path.to_path_buf()] })?;
    Ok((parent, path.file_name().unwrap_or_default()))
}
