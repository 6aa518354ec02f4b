//! A policy that is read from a file again when the file has changed.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use super::Policy;
use super::file::{PolicyFileError, PolicyFormat};
use crate::access::control::AccessControl;

/// A policy's file, and what was last read of it. The name's end tells the format: `.json`, and TOML otherwise.
#[derive(Debug)]
pub struct PolicyFile {
    path: PathBuf,
    format: PolicyFormat,
    /// The text that is in force. Held while another one is put in force, so that of two reloads the later
    /// one wins.
    in_force: Mutex<Option<String>>,
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
        Self { path, format, in_force: Mutex::new(None) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the policy, for the first time.
    pub fn load(&self) -> Result<Policy, PolicyFileError> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.read()?;
        let policy = Policy::parse(&text, self.format)?;
        *in_force = Some(text);
        Ok(policy)
    }

    /// Reads the file, and puts its policy in force where it has changed. When it is bad the error says so and
    /// the old policy stays in force.
    pub fn reload(&self, access: &AccessControl) -> Result<Reload, PolicyFileError> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.read()?;
        if in_force.as_ref() == Some(&text) {
            return Ok(Reload::Unchanged);
        }
        access.replace_policy(Policy::parse(&text, self.format)?);
        *in_force = Some(text);
        Ok(Reload::Replaced)
    }

    fn read(&self) -> Result<String, PolicyFileError> {
        std::fs::read_to_string(&self.path).map_err(|error| PolicyFileError::io(&self.path, error))
    }
}
