//! Where transactions are written down, outside of the workspace.
//!
//! ```text
//! <state>/<workspace>/lock            one transaction at a time
//!                     <id>/record     what is changed, and how far that has come
//!                          before-N   the content that the file of step N had
//! ```

use super::error::EditError;
use super::outcome::UndoId;
use super::record::{self, Record, Stage};
use super::request::ContentHash;
use crate::beneath;
use crate::lock::Locked;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, geteuid, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const RECORD: &str = "record";
const RECORD_NEW: &str = "record.new";
const LOCK: &str = "lock";

/// The transactions of one workspace.
#[derive(Debug)]
pub(super) struct Store {
    dir: OwnedFd,
    path: PathBuf,
}

/// The directory of one transaction.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) path: PathBuf,
    dir: OwnedFd,
}

impl Store {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the transactions of the workspace `root`, whose device and inode are `id`.
    pub(super) fn open(state: &Path, root: &Path, id: (u64, u64)) -> Result<Self, EditError> {
        let failed = |error: io::Error| EditError::system("use the state directory", state, error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(failed)?;
        let real = state.canonicalize().map_err(failed)?;
        if real.starts_with(root) || root.starts_with(&real) {
            return Err(EditError::Unsuitable(format!(
                "the workspace {} and the state directory {} lie in each other: choose a state directory elsewhere",
                root.display(),
                real.display()
            )));
        }
        let above = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&real)
            .map_err(failed)?;
        private(&above, &real)?;
        let mut named = root.as_os_str().as_bytes().to_vec();
        named.extend_from_slice(&id.0.to_le_bytes());
        named.extend_from_slice(&id.1.to_le_bytes());
        let name: String = ContentHash::of(&named).to_string().chars().take(32).collect();
        make_dir(&above, &name).map_err(failed)?;
        let dir = beneath::open_dir(&above, Path::new(&name)).map_err(failed)?;
        let path = real.join(name);
        private(&dir, &path)?;
        Ok(Self { dir, path })
    }

    /// Keeps other transactions away as long as the results live: those of this state directory, and those of others that
    /// lock the workspace's own directory too, as commits of copy-on-write workspaces do.
    pub(super) fn lock(
        &self,
        root: &OwnedFd,
        shown: &Path,
        wait: Duration,
    ) -> Result<(Locked, Locked), EditError> {
        let since = Instant::now();
        let failed = |error: io::Error| EditError::system("lock", shown, error);
        loop {
            let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let mine = openat(&self.dir, LOCK, flags, Mode::S_IRUSR | Mode::S_IWUSR)
                .map_err(|error| failed(error.into()))?;
            if let Some(mine) = Locked::new(mine).map_err(failed)? {
                let theirs = beneath::open_dir(root, Path::new("")).map_err(failed)?;
                if let Some(theirs) = Locked::new(theirs).map_err(failed)? {
                    return Ok((mine, theirs));
                }
            }
            if since.elapsed() >= wait {
                return Err(EditError::Busy(shown.to_path_buf()));
            }
        }
    }

    /// Every transaction, the oldest first.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, EditError> {
        let failed = |error: io::Error| EditError::system("list", &self.path, error);
        let here = beneath::open_dir(&self.dir, Path::new("")).map_err(failed)?;
        let names = beneath::names(here, usize::MAX).map_err(failed)?;
        let ids = names.iter().filter_map(|name| name.to_str()).filter(|name| UndoId::is_id(name));
        ids.map(|id| self.entry(id).map_err(failed)).collect()
    }

    pub(super) fn entry(&self, id: &str) -> io::Result<Entry> {
        let dir = beneath::open_dir(&self.dir, Path::new(id))?;
        Ok(Entry { id: id.to_owned(), path: self.path.join(id), dir })
    }

    /// A new transaction's directory, which comes after all others.
    pub(super) fn create(&self) -> Result<Entry, EditError> {
        let failed = |error: io::Error| EditError::system("make a journal in", &self.path, error);
        let last = self.entries()?.last().and_then(|entry| u64::from_str_radix(entry.id.get(..16)?, 16).ok());
        let random = beneath::random_name().map_err(failed)?;
        let id = format!("{:016x}-{}", last.unwrap_or(0) + 1, random.get(..16).unwrap_or_default());
        mkdirat(&self.dir, id.as_str(), Mode::S_IRWXU).map_err(|error| failed(error.into()))?;
        self.entry(&id).map_err(failed)
    }

    /// Whether a transaction that keeps so many bytes can be undone at all.
    pub(super) fn check_room(&self, transactions: usize, bytes: u64, coming: u64) -> Result<(), EditError> {
        if coming > bytes || transactions == 0 {
            return Err(EditError::TooLarge(format!(
                "the transaction needs {coming} bytes for its undo, of {bytes}: make it smaller, or raise the limit"
            )));
        }
        Ok(())
    }

    /// Drops the oldest transactions until the rest is within the limits; never `newest`, which has just been made.
    pub(super) fn drop_oldest(&self, transactions: usize, bytes: u64, newest: &str) -> Result<(), EditError> {
        let mut kept = Vec::new();
        for entry in self.entries()? {
            // What cannot be read is left for recovery to speak of.
            if let Ok(Some(record)) = entry.read() {
                kept.push((entry, record.bytes_kept()));
            }
        }
        let mut total = kept.iter().map(|(_, size)| *size).fold(0, u64::saturating_add);
        let mut count = kept.len();
        for (entry, size) in kept.into_iter().filter(|(entry, _)| entry.id != newest) {
            if count <= transactions && total <= bytes {
                break;
            }
            self.remove(&entry)?;
            total = total.saturating_sub(size);
            count -= 1;
        }
        Ok(())
    }

    /// Removes a transaction; its record first, so that what is left after an interruption is none.
    pub(super) fn remove(&self, entry: &Entry) -> Result<(), EditError> {
        let removed = (|| {
            match unlinkat(&entry.dir, RECORD, UnlinkatFlags::NoRemoveDir) {
                Ok(()) => fsync(&entry.dir)?,
                Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(io::Error::from(error)),
            }
            for name in beneath::names(beneath::open_dir(&entry.dir, Path::new(""))?, usize::MAX)? {
                unlinkat(&entry.dir, name.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
            }
            Ok(unlinkat(&self.dir, entry.id.as_str(), UnlinkatFlags::RemoveDir)?)
        })();
        removed.map_err(|error| EditError::system("remove", &entry.path, error))
    }

    /// Takes a transaction out of what is recovered and undone, with all that is kept of it. Gives where it is then.
    pub(super) fn set_aside(&self, entry: &Entry) -> Result<PathBuf, EditError> {
        let name = format!("forgotten-{}", entry.id);
        renameat(&self.dir, entry.id.as_str(), &self.dir, name.as_str())
            .and_then(|()| fsync(&self.dir))
            .map_err(|error| EditError::system("set aside", &entry.path, error))?;
        Ok(self.path.join(name))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.dir)?)
    }
}

impl Entry {
    /// What is written down; `None`: nothing yet.
    pub(super) fn read(&self) -> Result<Option<Record>, EditError> {
        let failed = |error: io::Error| EditError::system("read the journal in", &self.path, error);
        let bytes = match beneath::open_file(&self.dir, OsStr::new(RECORD)) {
            Ok(file) => {
                let mut bytes = Vec::new();
                File::from(file).take(record::MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
                bytes
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        Record::parse(&bytes).map(Some).ok_or_else(|| {
            EditError::Interrupted(format!(
                "the journal in {} cannot be read: look at the workspace, then remove that directory",
                self.path.display()
            ))
        })
    }

    /// Writes the record down as a whole, on stable storage.
    pub(super) fn write(&self, record: &Record) -> Result<(), EditError> {
        let written = (|| {
            match unlinkat(&self.dir, RECORD_NEW, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(io::Error::from(error)),
            }
            let mut file = self.create(RECORD_NEW)?;
            file.write_all(&record.encode())?;
            file.sync_all()?;
            renameat(&self.dir, RECORD_NEW, &self.dir, RECORD)?;
            Ok(fsync(&self.dir)?)
        })();
        written.map_err(|error| EditError::system("write the journal in", &self.path, error))
    }

    /// Takes the record to its next stage.
    pub(super) fn reach(&self, record: &mut Record, stage: Stage) -> Result<(), EditError> {
        record.stage = stage;
        self.write(record)
    }

    pub(super) fn keep(&self, step: usize, content: &[u8]) -> Result<(), EditError> {
        let kept = self.create(&format!("before-{step}")).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        kept.map_err(|error| EditError::system("keep what was there in", &self.path, error))
    }

    /// The content that the file of a step had.
    pub(super) fn kept(&self, step: usize, hash: &ContentHash) -> Result<Vec<u8>, EditError> {
        let failed = |error: io::Error| EditError::system("read what was there from", &self.path, error);
        let mut content = Vec::new();
        let file = beneath::open_file(&self.dir, OsStr::new(&format!("before-{step}"))).map_err(failed)?;
        File::from(file).read_to_end(&mut content).map_err(failed)?;
        if ContentHash::of(&content) != *hash {
            return Err(failed(io::Error::other("it is not what was written there")));
        }
        Ok(content)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
    }
}

fn make_dir(above: &File, name: &str) -> io::Result<()> {
    match mkdirat(above, name, Mode::S_IRWXU) {
        Ok(()) => Ok(fsync(above)?),
        Err(nix::errno::Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn private(dir: impl std::os::fd::AsFd, path: &Path) -> Result<(), EditError> {
    let stat = beneath::stat_fd(dir).map_err(|error| EditError::system("look at", path, error))?;
    if stat.uid != geteuid().as_raw() || stat.mode & 0o077 != 0 {
        return Err(EditError::Unsuitable(format!(
            "the state directory {} is open to others: it must belong to this user and have mode 0700",
            path.display()
        )));
    }
    Ok(())
}
