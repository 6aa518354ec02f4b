//! Makes a transaction, all of it or none, and takes back what an ended process left in the middle.
//!
//! 1. What is replaced is kept beside the record; the new files are written under temporary names in their
//!    directories, and synced ([`Stage::Preparing`], then [`Stage::Active`]).
//! 2. New and old files change places. What came out is looked at: where it is not what was read, somebody else was
//!    faster, and everything goes back.
//! 3. The directories are synced and the record says so ([`Stage::Committed`]); the old files go.

use super::error::EditError;
use super::place;
use super::plan::{Change, Dress, Target};
use super::record::{After, Before, Record, Stage, Step};
use super::request::ContentHash;
use super::store::{Entry, Store};
use crate::beneath::{self, FileKind, Stat};
use crate::codec::Attributes;
use crate::xattr;
use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{Mode, fchmod, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, unlinkat};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const TEMPORARY: &str = ".codegenie-edit-";

/// Directories of a transaction, by device and inode, held open through it.
type Held = BTreeMap<(u64, u64), OwnedFd>;

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

/// A new file, complete and on stable storage.
fn write(parent: &OwnedFd, name: &str, target: &Target) -> io::Result<Stat> {
    let mode = match target.dress {
        // As the process's umask and the directory have it.
        Dress::Fresh { executable: true } => 0o777,
        Dress::Fresh { executable: false } => 0o666,
        Dress::Like(..) => 0o600,
    };
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Mode::from_bits_truncate(mode))?);
    file.write_all(&target.content)?;
    if let Dress::Like(attributes, same) = &target.dress {
        dress(&file, attributes, *same)?;
    }
    file.sync_all()?;
    beneath::stat_fd(&file)
}

/// Owner first, which clears mode bits; then what is set by the owner; times last.
fn dress(file: &File, attributes: &Attributes, times: bool) -> io::Result<()> {
    let explain = |what: &str, error: io::Error| {
        io::Error::new(error.kind(), format!("its {what} cannot be kept: {error}"))
    };
    let now = beneath::stat_fd(file)?;
    if (now.uid, now.gid) != (attributes.uid, attributes.gid) {
        fchown(file, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))
            .map_err(|error| explain("owner", error.into()))?;
    }
    for name in xattr::attributes(file)? {
        if !attributes.extended.iter().any(|(kept, _)| kept == name.as_bytes()) {
            xattr::remove_attribute(file, &name).map_err(|error| explain("attributes", error))?;
        }
    }
    for (name, value) in &attributes.extended {
        let name = CString::new(name.as_slice()).map_err(io::Error::other)?;
        if xattr::attribute(file, &name)?.as_ref() != Some(value) {
            xattr::set_attribute(file, &name, value).map_err(|error| explain("attributes", error))?;
        }
    }
    fchmod(file, Mode::from_bits_truncate(attributes.mode)).map_err(|error| explain("mode", error.into()))?;
    if times {
        let time = TimeSpec::new(attributes.mtime.0, attributes.mtime.1);
        futimens(file, &time, &time)?;
    }
    Ok(())
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

/// After a transaction that is made: the old files go, and it can be undone.
pub(super) fn conclude(
    root: &OwnedFd,
    store: &Store,
    entry: &Entry,
    record: &mut Record,
) -> Result<(), EditError> {
    for step in &record.steps {
        let failed = |error: io::Error| EditError::system("tidy up beside", &step.path, error);
        let Some(before) = &step.before else { continue };
        let Some((parent, _)) = parent_of(root, entry, step, &Held::new()).ok().flatten() else { continue };
        let temporary = OsStr::new(&step.temporary);
        let there = beneath::stat_at(&parent, temporary).map_err(failed)?;
        if there.is_some_and(|stat| (stat.dev, stat.ino) == before.id) {
            unlinkat(&parent, temporary, UnlinkatFlags::NoRemoveDir).map_err(|error| failed(error.into()))?;
        }
    }
    for path in &record.leaves {
        remove_empty(root, path)?;
    }
    if let Some(undone) = record.undoes.take() {
        match store.entry(&undone) {
            Ok(undone) => store.remove(&undone)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(EditError::system("open the journal in", &entry.path, error)),
        }
    }
    entry.reach(record, Stage::Kept)
}

/// Takes back what has been done of a transaction, as far as it has come, and forgets it.
fn take_back(
    root: &OwnedFd,
    store: &Store,
    entry: &Entry,
    record: &Record,
    held: &Held,
) -> Result<(), EditError> {
    // What the record says on stable storage is what counts: the stage may have been reached or not.
    let stage = entry.read()?.map_or(Stage::Preparing, |written| written.stage);
    if matches!(stage, Stage::Committed | Stage::Kept) {
        return Err(EditError::Interrupted("it is made, but that could not be acknowledged".to_owned()));
    }
    roll_back(root, entry, record, held)?;
    store.remove(entry)
}

/// What must be done about one file to have it as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    Nothing,
    /// The new file goes from its temporary name.
    DropNew,
    /// Both change places again, and the new one goes.
    ExchangeBack,
    /// What lies under the temporary name gets its own back.
    MoveBack,
    /// The new file goes from the name.
    TakeOut,
    /// The old file is lost but for its copy.
    Restore,
}

/// Leads the files back to what they were. First all of them are looked at: where somebody else has changed one
/// since, none is touched.
fn roll_back(root: &OwnedFd, entry: &Entry, record: &Record, held: &Held) -> Result<(), EditError> {
    let mut remedies = Vec::new();
    let mut strange = Vec::new();
    for (index, step) in record.steps.iter().enumerate().rev() {
        let Some((parent, name)) = parent_of(root, entry, step, held)? else { continue };
        let failed = |error: io::Error| EditError::system("look at", &step.path, error);
        match remedy(&parent, name, step).map_err(failed)? {
            Some(Remedy::Nothing) => {}
            Some(remedy) => remedies.push((index, step, parent, name, remedy)),
            None => strange.push(step.path.clone()),
        }
    }
    if !strange.is_empty() {
        let list = strange.iter().map(|path| super::error::show(path)).collect::<Vec<_>>().join(", ");
        return Err(EditError::Interrupted(format!(
            "a transaction was interrupted, and since then somebody changed {list}: nothing is overwritten; move those out of \
             the way, then recover (what was there is kept in {})",
            entry.path.display()
        )));
    }
    // What comes back by its name needs the name free: first what goes.
    remedies.sort_by_key(|(.., remedy)| *remedy == Remedy::MoveBack);
    for (index, step, parent, name, remedy) in &remedies {
        apply(entry, *index, step, parent, name, *remedy)
            .map_err(|error| EditError::system("put back", &step.path, error))?;
        fsync(parent).map_err(|error| EditError::system("sync the directory of", &step.path, error))?;
    }
    record.made.iter().rev().try_for_each(|path| remove_empty(root, path))
}

/// What lies under a name, as far as the step knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Nothing,
    Old,
    New,
    Other,
}

/// `None`: somebody else's file is in the way.
fn remedy(parent: &OwnedFd, name: &OsStr, step: &Step) -> io::Result<Option<Remedy>> {
    let look = |name: &OsStr| -> io::Result<Thing> {
        let Some(stat) = beneath::stat_at(parent, name)? else { return Ok(Thing::Nothing) };
        let id = Some((stat.dev, stat.ino));
        Ok(if id == step.before.as_ref().map(|before| before.id) {
            Thing::Old
        } else if id == step.after.as_ref().map(|after| after.id) {
            Thing::New
        } else {
            Thing::Other
        })
    };
    let temporary = OsStr::new(&step.temporary);
    let (here, beside) = (look(name)?, look(temporary)?);
    // Before the new files were known by number, none had changed places: all that is beside is ours.
    if step.after.as_ref().is_some_and(|after| after.id == (0, 0)) {
        return Ok(Some(if beside == Thing::Nothing { Remedy::Nothing } else { Remedy::DropNew }));
    }
    let untouched = || -> io::Result<bool> {
        let Some(after) = &step.after else { return Ok(false) };
        place::holds(parent, name, after.size, &after.hash)
    };
    Ok(match (&step.before, &step.after, here, beside) {
        (_, Some(_), _, Thing::New) => Some(Remedy::DropNew),
        (Some(_), Some(_), Thing::New, Thing::Old) => untouched()?.then_some(Remedy::ExchangeBack),
        // Somebody was faster, and we put ours in the place of theirs.
        (Some(_), Some(_), Thing::New, Thing::Other) => untouched()?.then_some(Remedy::ExchangeBack),
        (Some(_), Some(_), Thing::New, Thing::Nothing) => untouched()?.then_some(Remedy::Restore),
        (Some(_), _, Thing::Nothing, Thing::Old) | (Some(_), None, Thing::Nothing, Thing::Other) => {
            Some(Remedy::MoveBack)
        }
        (Some(_), _, Thing::Other, Thing::Old) | (Some(_), None, Thing::Other, Thing::Other) => None,
        (None, Some(_), Thing::New, Thing::Nothing) => untouched()?.then_some(Remedy::TakeOut),
        (None, Some(_), Thing::New, _) => None,
        _ => Some(Remedy::Nothing),
    })
}

fn apply(
    entry: &Entry,
    index: usize,
    step: &Step,
    parent: &OwnedFd,
    name: &OsStr,
    remedy: Remedy,
) -> io::Result<()> {
    let temporary = OsStr::new(&step.temporary);
    let swap = |flags| renameat2(parent, temporary, parent, name, flags);
    let drop_new = || unlinkat(parent, temporary, UnlinkatFlags::NoRemoveDir);
    match remedy {
        Remedy::Nothing => {}
        Remedy::DropNew => drop_new()?,
        Remedy::ExchangeBack => {
            swap(RenameFlags::RENAME_EXCHANGE)?;
            drop_new()?;
        }
        Remedy::MoveBack => swap(RenameFlags::RENAME_NOREPLACE)?,
        Remedy::TakeOut => {
            renameat2(parent, name, parent, temporary, RenameFlags::RENAME_NOREPLACE)?;
            drop_new()?;
        }
        Remedy::Restore => {
            let Some(before) = &step.before else { return Ok(()) };
            let content = entry.kept(index, &before.hash).map_err(io::Error::other)?;
            write(
                parent,
                &step.temporary,
                &Target { content, dress: Dress::Like(before.attributes.clone(), true) },
            )?;
            swap(RenameFlags::RENAME_EXCHANGE)?;
            drop_new()?;
        }
    }
    Ok(())
}

/// Recovers what ended processes have left. Nobody else is at work.
pub(super) fn recover(
    root: &OwnedFd,
    root_id: (u64, u64),
    store: &Store,
) -> Result<Vec<Recovery>, EditError> {
    let mut recovered = Vec::new();
    for entry in store.entries()? {
        recovered.extend(recover_one(root, root_id, store, &entry)?);
    }
    Ok(recovered)
}

/// Recovers what can be recovered, and sets the journals of the rest aside. Gives where those are then.
pub(super) fn forget(root: &OwnedFd, root_id: (u64, u64), store: &Store) -> Result<Vec<PathBuf>, EditError> {
    let mut aside = Vec::new();
    for entry in store.entries()? {
        match recover_one(root, root_id, store, &entry) {
            Ok(_) => {}
            Err(EditError::Interrupted(_)) => aside.push(store.set_aside(&entry)?),
            Err(error) => return Err(error),
        }
    }
    Ok(aside)
}

fn recover_one(
    root: &OwnedFd,
    root_id: (u64, u64),
    store: &Store,
    entry: &Entry,
) -> Result<Option<Recovery>, EditError> {
    let Some(mut record) = entry.read()? else {
        // Nothing was done before the record was there.
        store.remove(entry)?;
        return Ok(None);
    };
    if record.root != root_id {
        return Err(EditError::Interrupted(format!(
            "the journal in {} is of another directory: remove it, if that one is gone",
            entry.path.display()
        )));
    }
    match record.stage {
        Stage::Kept => Ok(None),
        Stage::Committed => {
            conclude(root, store, entry, &mut record)?;
            Ok(Some(Recovery::Completed))
        }
        Stage::Active | Stage::Preparing => {
            roll_back(root, entry, &record, &Held::new())?;
            store.remove(entry)?;
            Ok(Some(Recovery::RolledBack))
        }
    }
}

/// What became of a transaction whose process had ended in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recovery {
    /// It was made; what it had left is tidied up.
    Completed,
    /// It was not made; the files are as they were.
    RolledBack,
}

/// The directory of a step's file; `None`: it is gone, and with it whatever was in it.
fn parent_of<'s>(
    root: &OwnedFd,
    entry: &Entry,
    step: &'s Step,
    held: &Held,
) -> Result<Option<(OwnedFd, &'s OsStr)>, EditError> {
    let failed = |error: io::Error| EditError::system("open the directory of", &step.path, error);
    let name = step.path.file_name().unwrap_or_default();
    if let Some(parent) = held.get(&step.parent) {
        return Ok(Some((parent.try_clone().map_err(failed)?, name)));
    }
    let parent = match beneath::open_dir(root, step.path.parent().unwrap_or(Path::new(""))) {
        Ok(parent) => parent,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let stat = beneath::stat_fd(&parent).map_err(failed)?;
    if step.parent != (0, 0) && step.parent != (stat.dev, stat.ino) {
        return Err(EditError::Interrupted(format!(
            "the directory of {} is not the one that was being edited in: put that one back, then recover, or give the \
             transaction up by Editor::dangerously_forget_interrupted (what was there is kept in {})",
            super::error::show(&step.path),
            entry.path.display()
        )));
    }
    Ok(Some((parent, name)))
}

fn open_parent<'p>(root: &OwnedFd, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), EditError> {
    let above = path.parent().unwrap_or(Path::new(""));
    let parent = place::directory(root, above, path)?;
    let parent = parent.ok_or_else(|| EditError::Drift { paths: vec![path.to_path_buf()] })?;
    Ok((parent, path.file_name().unwrap_or_default()))
}

/// Removes a directory that a transaction made, unless somebody has put something into it or it is gone.
fn remove_empty(root: &OwnedFd, path: &Path) -> Result<(), EditError> {
    let Some(above) = place::directory(root, path.parent().unwrap_or(Path::new("")), path)? else {
        return Ok(());
    };
    match unlinkat(&above, path.file_name().unwrap_or_default(), UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT | Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => Ok(()),
        Err(error) => Err(EditError::system("remove the directory", path, error)),
    }
}
