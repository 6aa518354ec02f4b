//! What a transaction leads to: the old files go when it is made, and all of them are as they were when it is not, also after
//! its process has ended in the middle.

use super::error::EditError;
use super::place;
use super::plan::{Dress, Target};
use super::record::{Record, Stage, Step};
use super::store::{Entry, Store};
use super::write::write;
use crate::beneath;
use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat2};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Directories of a transaction, by device and inode, held open through it.
pub(super) type Held = BTreeMap<(u64, u64), OwnedFd>;

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
pub(super) fn take_back(
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
