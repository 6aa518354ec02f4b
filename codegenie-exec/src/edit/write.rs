//! A new file, complete and on stable storage, before anybody sees it under its name.

use super::plan::{Dress, Target};
use crate::beneath::{self, Stat};
use crate::codec::Attributes;
use crate::xattr;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

/// A new file, complete and on stable storage.
pub(super) fn write(parent: &OwnedFd, name: &str, target: &Target) -> io::Result<Stat> {
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
