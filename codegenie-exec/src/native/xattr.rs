//! Extended attributes of an open file, which neither std nor nix reads.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The kernel's own bounds on the list of names and on one value.
const MAX_LIST: usize = 64 << 10;
const MAX_VALUE: usize = 64 << 10;

/// The names of a file's attributes. Empty where the file system has none.
pub(crate) fn attributes(file: impl AsFd) -> io::Result<Vec<CString>> {
    let mut list = vec![0u8; MAX_LIST];
    // SAFETY: the buffer is as long as the call is told, and lives through it.
    let length = unsafe { libc::flistxattr(file.as_fd().as_raw_fd(), list.as_mut_ptr().cast(), list.len()) };
    let Ok(length) = usize::try_from(length) else {
        return match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Vec::new()),
            error => Err(error),
        };
    };
    list.truncate(length);
    Ok(list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| CString::new(name).ok())
        .collect())
}

/// The value of one attribute; `None`: there is no such attribute.
pub(crate) fn attribute(file: impl AsFd, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0u8; MAX_VALUE];
    // SAFETY: the name is NUL-terminated; the buffer is as long as the call is told.
    let length = unsafe {
        libc::fgetxattr(file.as_fd().as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    let Ok(length) = usize::try_from(length) else {
        return match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)) => Ok(None),
            error => Err(error),
        };
    };
    value.truncate(length);
    Ok(Some(value))
}

/// Sets one attribute.
pub(crate) fn set_attribute(file: impl AsFd, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: the name is NUL-terminated; the value is as long as the call is told.
    let result = unsafe {
        libc::fsetxattr(file.as_fd().as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Removes one attribute.
#[cfg(feature = "edit")]
pub(crate) fn remove_attribute(file: impl AsFd, name: &CStr) -> io::Result<()> {
    // SAFETY: the name is NUL-terminated, and the descriptor is open as long as it is borrowed.
    let result = unsafe { libc::fremovexattr(file.as_fd().as_raw_fd(), name.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
