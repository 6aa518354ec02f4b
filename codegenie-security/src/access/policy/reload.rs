//! A policy that is read from a file again when the file has changed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use super::Policy;
use super::file::{self, PolicyFileError, PolicyFormat};
use crate::access::control::AccessControl;

/// A policy's file. The name's end tells the format: `.json`, and TOML otherwise.
///
/// Replace the file only by renaming a new one over it. Of a file that is written in place half may be read, and
/// half a TOML text is often a policy of its own, without the prohibitions at the end. A file that changes while
/// it is read is refused, but not one whose writer pauses; for that see the end mark in [`Policy::parse`].
#[derive(Debug)]
pub struct PolicyFile {
    path: PathBuf,
    format: PolicyFormat,
    /// Held from reading until what was read is in force, so that of two reloads the later one wins.
    reloading: Mutex<()>,
}

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reload {
    /// The file says what is in force already.
    Unchanged,
    /// The new policy is in force.
    Replaced,
}

impl PolicyFile {
    /// Names the file. Nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
        let format = if is_json { PolicyFormat::Json } else { PolicyFormat::Toml };
        Self { path, format, reloading: Mutex::new(()) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the policy.
    pub fn load(&self) -> Result<Policy, PolicyFileError> {
        Policy::parse(&self.read()?, self.format)
    }

    /// Reads the file, and puts its policy in force unless that was made from the same text. When it is bad the
    /// error says so and the old policy stays in force.
    pub fn reload(&self, access: &AccessControl) -> Result<Reload, PolicyFileError> {
        let _guard = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.read()?;
        if access.policy().source == Some(file::fingerprint(&text, self.format)) {
            return Ok(Reload::Unchanged);
        }
        access.replace_policy(Policy::parse(&text, self.format)?);
        Ok(Reload::Replaced)
    }

    fn read(&self) -> Result<String, PolicyFileError> {
        let failed = |error| PolicyFileError::io(&self.path, error);
        let file = open(&self.path).map_err(failed)?;
        let before = file.metadata().map_err(failed)?;
        if !before.is_file() {
            let path = &self.path;
            return Err(PolicyFileError::text(format!("policy file {path:?} is no regular file; name one")));
        }
        let mut bytes = Vec::new();
        (&file).take(file::MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > file::MAX_LEN {
            return Err(PolicyFileError::too_long());
        }
        let after = file.metadata().map_err(failed)?;
        if (before.len(), before.modified().ok()) != (after.len(), after.modified().ok()) {
            return Err(PolicyFileError::text(format!(
                "policy file {:?} changed while it was read; rename a new file over it, and read again",
                self.path
            )));
        }
        String::from_utf8(bytes).map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

/// Opens for reading, and does not wait for somebody to write where the file is a pipe.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, nix::libc::O_NONBLOCK);
    options.read(true).open(path)
}
