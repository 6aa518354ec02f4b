//! A seccomp profile in a file, for as long as it is asked for by name.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Removed when the value is dropped.
#[derive(Debug)]
pub(super) struct ProfileFile(PathBuf);

impl ProfileFile {
    pub(super) fn new(profile: &str) -> io::Result<Self> {
        let name = crate::container::unguessable_name().map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("{name}.json"));
        // A service of another user reads it too: it holds nothing secret. What came of it is compared afterwards.
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        let this = Self(path);
        file.write_all(profile.as_bytes())?;
        Ok(this)
    }

    pub(super) fn path(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

impl Drop for ProfileFile {
    fn drop(&mut self) {
        // One that stays is in a directory for temporary files.
        let _ = std::fs::remove_file(&self.0);
    }
}
