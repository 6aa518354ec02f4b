//! Private directories: made empty, removed whole.

use super::error::LifecycleError;
#[cfg(codegenie_native)]
use crate::native::Locked;
#[cfg(codegenie_native)]
use std::collections::HashMap;
#[cfg(codegenie_native)]
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(codegenie_native)]
use std::sync::{Mutex, PoisonError};

/// What the directory itself is called, in one of its own: what is removed is moved within that.
const NAME: &str = "workspace";
/// Beside it: locked as long as its host is there.
#[cfg(codegenie_native)]
const LOCK: &str = "lock";

#[derive(Debug)]
pub(super) struct PrivateRoot {
    root: PathBuf,
    next: AtomicU64,
    #[cfg(codegenie_native)]
    held: Mutex<HashMap<PathBuf, Locked>>,
}

impl PrivateRoot {
    pub(super) fn open(root: PathBuf) -> Result<Self, LifecycleError> {
        let failed = |error: io::Error| {
            LifecycleError::Directory(format!("{} cannot hold private directories: {error}", root.display()))
        };
        make_directory(&root).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(failed(error)),
        })?;
        let root = root.canonicalize().map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let metadata = root.metadata().map_err(failed)?;
            if !metadata.is_dir() || metadata.mode() & 0o022 != 0 {
                let problem = "others may write there, or it is no directory: give it mode 0700";
                return Err(failed(io::Error::other(problem)));
            }
        }
        let root = Self {
            root,
            next: AtomicU64::new(0),
            #[cfg(codegenie_native)]
            held: Mutex::default(),
        };
        #[cfg(codegenie_native)]
        root.remove_left().map_err(|error| {
            let root = root.root.display();
            LifecycleError::Directory(format!(
                "what hosts that are gone have left in {root} cannot be removed: {error}"
            ))
        })?;
        Ok(root)
    }

    /// A new empty directory.
    pub(super) fn make(&self) -> Result<PathBuf, LifecycleError> {
        let failed = |path: &Path, error: &io::Error| {
            LifecycleError::Directory(format!("{} cannot be made: {error}", path.display()))
        };
        #[cfg(codegenie_native)]
        let _making = self.lock_root().map_err(|error| failed(&self.root, &error))?;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let own = self.root.join(format!("{}-{number}", std::process::id()));
            match make_directory(&own) {
                Ok(()) => {}
                // Left by a process of the same number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(failed(&own, &error)),
            }
            let directory = own.join(NAME);
            let made = self.hold(&own).and_then(|()| make_directory(&directory));
            return made.map(|()| directory).map_err(|error| {
                let _ = self.let_go(&own).and_then(|()| std::fs::remove_dir(&own));
                failed(&own, &error)
            });
        }
    }

    /// Removes a directory that was made here, whatever is in it. Nothing may run in it any more.
    pub(super) fn remove(&self, directory: &Path) -> io::Result<()> {
        let own = directory.parent().filter(|own| own.parent() == Some(&self.root));
        let Some(own) = own else { return Ok(()) };
        let removed =
            remove_tree(own).and_then(|()| self.let_go(own)).and_then(|()| std::fs::remove_dir(own));
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("{} cannot be removed: {error}", directory.display()),
            )),
            Ok(()) => Ok(()),
        }
    }
}

/// Directories belong to the process that made them, and to nobody once that is gone.
#[cfg(codegenie_native)]
impl PrivateRoot {
    /// Between the making of a directory and its lock nobody else looks. It ends when it is dropped.
    fn lock_root(&self) -> io::Result<Locked> {
        let busy = || io::Error::new(io::ErrorKind::WouldBlock, "other hosts are at work there; try again");
        Locked::new(File::open(&self.root)?.into())?.ok_or_else(busy)
    }

    fn hold(&self, own: &Path) -> io::Result<()> {
        let file = File::options().write(true).create_new(true).open(own.join(LOCK))?;
        let taken = || io::Error::other("somebody else has locked it");
        let lock = Locked::new(file.into())?.ok_or_else(taken)?;
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(own.to_path_buf(), lock);
        Ok(())
    }

    fn let_go(&self, own: &Path) -> io::Result<()> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(own);
        match std::fs::remove_file(own.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Removes what hosts have left that ended without tidying up. There may be much of it: others make theirs meanwhile.
    fn remove_left(&self) -> io::Result<()> {
        for (own, lock) in self.take_left()? {
            let emptied = remove_tree(&own).and_then(|()| gone(std::fs::remove_file(own.join(LOCK))));
            // Another host that looks now finds an empty directory, and may be the one that removes it.
            drop(lock);
            gone(emptied.and_then(|()| std::fs::remove_dir(&own)))?;
        }
        Ok(())
    }

    /// What was left, and is this process's from now on.
    fn take_left(&self) -> io::Result<Vec<(PathBuf, Locked)>> {
        let _looking = self.lock_root()?;
        let mut taken = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let ours =
                entry.file_name().to_str().and_then(|name| name.split_once('-')).is_some_and(|parts| {
                    [parts.0, parts.1]
                        .iter()
                        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
                });
            if !ours || !entry.file_type()?.is_dir() {
                continue;
            }
            let own = entry.path();
            match File::open(own.join(LOCK)) {
                Ok(file) => taken.extend(Locked::at_once(file.into())?.map(|lock| (own, lock))),
                // Its host ended while it was made, was one that locked nothing, or is just removing it: there is no more
                // than a directory, unless somebody else has put something there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    gone(remove_tree(&own).and_then(|()| std::fs::remove_dir(&own)))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}

/// What another host has removed meanwhile is gone too.
#[cfg(codegenie_native)]
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(not(codegenie_native))]
impl PrivateRoot {
    #[allow(clippy::unused_self, reason = "as where there are locks")]
    fn hold(&self, _own: &Path) -> io::Result<()> {
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "as where there are locks")]
    fn let_go(&self, _own: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(codegenie_native)]
fn remove_tree(own: &Path) -> io::Result<()> {
    crate::overlay::remove_tree(&std::fs::File::open(own)?, NAME.as_ref())
}

#[cfg(not(codegenie_native))]
fn remove_tree(own: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(own.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    #[allow(unused_mut, reason = "modes are set on Unix only")]
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
