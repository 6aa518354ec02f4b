//! Private directories: made empty, removed whole.

use super::error::LifecycleError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the directory itself is called, in one of its own: what is removed is moved within that.
const NAME: &str = "workspace";

#[derive(Debug)]
pub(super) struct PrivateRoot {
    root: PathBuf,
    next: AtomicU64,
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
        Ok(Self { root, next: AtomicU64::new(0) })
    }

    /// A new empty directory.
    pub(super) fn make(&self) -> Result<PathBuf, LifecycleError> {
        let failed = |path: &Path, error: &io::Error| {
            LifecycleError::Directory(format!("{} cannot be made: {error}", path.display()))
        };
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
            return match make_directory(&directory) {
                Ok(()) => Ok(directory),
                Err(error) => {
                    let _ = std::fs::remove_dir(&own);
                    Err(failed(&directory, &error))
                }
            };
        }
    }

    /// Removes a directory that was made here, whatever is in it. Nothing may run in it any more.
    pub(super) fn remove(&self, directory: &Path) -> io::Result<()> {
        let own = directory.parent().filter(|own| own.parent() == Some(&self.root));
        let Some(own) = own else { return Ok(()) };
        let removed = remove_tree(own).and_then(|()| std::fs::remove_dir(own));
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
