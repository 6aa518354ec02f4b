//! A seccomp profile in a file, for as long as it is asked for by name.

use crate::container::owner::Owner;
use crate::sandbox::SandboxError;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// How the name of a file begins, before the label of its owner, what nobody guesses, and the end.
const START: &str = "codegenie-profile:";
const END: &str = ".json";

/// Removed when the value is dropped, or by [`sweep`] where this process is killed before.
#[derive(Debug)]
pub(super) struct ProfileFile(PathBuf);

impl ProfileFile {
    pub(super) fn new(profile: &str, owner: &str) -> io::Result<Self> {
        let unguessable = crate::container::unguessable_name().map_err(io::Error::other)?;
        // A service of another user reads it too: it holds nothing secret. What came of it is compared afterwards.
        let path = std::env::temp_dir().join(format!("{START}{owner}:{unguessable}{END}"));
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
        // One that stays is in a directory for temporary files, and swept.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes the files of hosts that are gone.
pub(in crate::container) fn sweep(owner: &Owner) -> Result<(), SandboxError> {
    let failed =
        |error| SandboxError::system("cannot list the temporary directory for seccomp profiles", error);
    for entry in std::fs::read_dir(std::env::temp_dir()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let of_owner =
            name.to_str().and_then(|name| name.strip_prefix(START)?.strip_suffix(END)?.rsplit_once(':'));
        if of_owner.is_some_and(|(label, _)| owner.knows_gone(label)) {
            // Another user's is not ours to remove, and another host sweeps too.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}
