//! A key in a file of its own, readable by its owner only.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

use super::key::{NoRandomness, SealingKey, random};
use crate::files;

/// Why a key file was not read or made. Every message names the file and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is no such file.
    #[error("key file {path:?} does not exist; create one with `KeyFile::create`, or correct the path")]
    #[non_exhaustive]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A key is never overwritten: what it sealed would be lost.
    #[error("key file {path:?} exists already and is never overwritten; load it, or choose another path")]
    #[non_exhaustive]
    Exists {
        /// The file that is there.
        path: PathBuf,
    },
    /// The path ends in a symbolic link, which somebody else may turn elsewhere.
    #[error("key file {path:?} is a symbolic link, which is refused; give the path that it points to")]
    #[non_exhaustive]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A directory, device, socket or pipe.
    #[error("key file {path:?} is not a regular file; give the path of a file of 32 bytes")]
    #[non_exhaustive]
    NotAFile {
        /// What was opened.
        path: PathBuf,
    },
    /// Group or others have access.
    #[error("key file {path:?} is open to others (mode {mode:04o}); run: chmod 600 {path:?}")]
    #[non_exhaustive]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user, who can read and replace it.
    #[error(
        "key file {path:?} belongs to user {owner}, not to user {user} or root; run: chown {user} {path:?}"
    )]
    #[non_exhaustive]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// The user id that owns it.
        owner: u32,
        /// The effective user id of this process.
        user: u32,
    },
    /// A key is 32 bytes exactly.
    #[error("key file {path:?} holds {len} bytes, and a key has 32; restore it from a backup")]
    #[non_exhaustive]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
    /// The operating system refused.
    #[error("cannot {action} key file {path:?}: {source}; check the directory and its permissions")]
    #[non_exhaustive]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// No random key could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// A [`SealingKey`] and the file that holds it: 32 raw bytes, mode 0600.
///
/// Who may read the file is checked on the open descriptor, not on the path, so nobody can swap the
/// file between check and use. The last component of the path may not be a symbolic link. The
/// directories above it are trusted: keep them writable by the owner only. Access lists beyond the
/// mode bits are not looked at.
///
/// Platforms other than unix have no mode bits to check: every function fails there with an
/// [`Io`](KeyFileError::Io) error of kind `Unsupported`. Take the key from the platform's key store and
/// pass it to [`SealingKey::from_bytes`].
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    key: SealingKey,
}

impl KeyFile {
    /// Makes a random key and writes it to a new file, durably.
    ///
    /// The file appears complete or not at all, and an existing one is never touched.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        let path = path.as_ref();
        let io = |action| move |source| KeyFileError::Io { action, path: path.to_owned(), source };
        let key = SealingKey::generate()?;

        // Written under another name and linked into place: a link never replaces a file, and
        // another process that loads the path never sees half a key.
        let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
        name.push(format!(".{:016x}.tmp", u64::from_le_bytes(random()?)));
        let temporary = path.with_file_name(name);
        let mut file = files::create_new_private(&temporary).map_err(io("create"))?;
        let written = file.write_all(key.expose()).and_then(|()| file.sync_all());
        let linked = written
            .map_err(io("write"))
            .and_then(|()| std::fs::hard_link(&temporary, path).map_err(io("create")));
        let removed = std::fs::remove_file(&temporary).map_err(io("clean up after creating"));
        match linked {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                return Err(KeyFileError::Exists { path: path.to_owned() });
            }
            other => other?,
        }
        removed?;
        files::sync_parent(path).map_err(io("sync the directory of"))?;
        Ok(Self { path: path.to_owned(), key })
    }

    /// Reads a key, after making sure that nobody else can.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        let path = path.as_ref();
        let io = |action| move |source| KeyFileError::Io { action, path: path.to_owned(), source };
        let file = files::open_to_read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => KeyFileError::Missing { path: path.to_owned() },
            _ if files::is_symlink_refusal(&error) => KeyFileError::Symlink { path: path.to_owned() },
            _ => io("open")(error),
        })?;
        check_descriptor(&file, path)?;

        let mut bytes = Zeroizing::new([0; SealingKey::LEN + 1]);
        let mut len = 0;
        while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match (&file).read(rest) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io("read")(error)),
            }
        }
        if len != SealingKey::LEN {
            // One byte more than a key was asked for; the descriptor knows the real length.
            let len = file.metadata().map_or(len as u64, |metadata| metadata.len());
            return Err(KeyFileError::WrongLength { path: path.to_owned(), len });
        }
        let mut key = Zeroizing::new([0; SealingKey::LEN]);
        for (to, from) in key.iter_mut().zip(bytes.iter()) {
            *to = *from;
        }
        bytes.zeroize();
        Ok(Self { path: path.to_owned(), key: SealingKey::from_zeroizing(key) })
    }

    /// Loads the key if the file is there, and creates it otherwise. Two processes that start at
    /// once get the same key.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        let path = path.as_ref();
        match Self::load(path) {
            Err(KeyFileError::Missing { .. }) => match Self::create(path) {
                Err(KeyFileError::Exists { .. }) => Self::load(path),
                other => other,
            },
            other => other,
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SealingKey {
        &self.key
    }

    /// The key, without the file that it came from.
    #[must_use]
    pub fn into_key(self) -> SealingKey {
        self.key
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
fn check_descriptor(file: &File, path: &Path) -> Result<(), KeyFileError> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata().map_err(|source| KeyFileError::Io {
        action: "check",
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile { path: path.to_owned() });
    }
    let user = nix::unistd::geteuid().as_raw();
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(KeyFileError::ForeignOwner { path: path.to_owned(), owner: metadata.uid(), user });
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_descriptor(_file: &File, path: &Path) -> Result<(), KeyFileError> {
    Err(KeyFileError::Io { action: "check", path: path.to_owned(), source: files::unsupported() })
}
