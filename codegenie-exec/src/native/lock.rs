//! File locks that end with the last copy of their descriptor, wherever it has been passed to.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A process that this host is just starting has, for a moment, copies of all its descriptors. A lock
/// that seems to be held still after its holder's end is asked for again for so long.
const COPIES_LAST: Duration = Duration::from_millis(500);

/// Locks the open file exclusively; false: somebody else has it. The lock belongs to the open file, so
/// a process that inherits the descriptor holds it too.
pub(crate) fn try_lock(file: impl AsFd) -> io::Result<bool> {
    let since = Instant::now();
    while !call(&file, libc::LOCK_EX | libc::LOCK_NB)? {
        if since.elapsed() > COPIES_LAST {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(true)
}

fn call(file: impl AsFd, operation: libc::c_int) -> io::Result<bool> {
    loop {
        // SAFETY: flock takes numbers only, and the descriptor is open as long as it is borrowed.
        if unsafe { libc::flock(file.as_fd().as_raw_fd(), operation) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EWOULDBLOCK) => return Ok(false),
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

/// A lock that is this process's alone: it ends when this is dropped, whoever has copies of it.
#[derive(Debug)]
pub(crate) struct Locked(OwnedFd);

impl Locked {
    /// `None`: somebody else has it.
    pub(crate) fn new(file: OwnedFd) -> io::Result<Option<Self>> {
        Ok(try_lock(&file)?.then_some(Self(file)))
    }

    /// As [`new`](Self::new), without a second look: a lock whose holder ended this moment may still count.
    #[cfg(feature = "lifecycle")]
    pub(crate) fn at_once(file: OwnedFd) -> io::Result<Option<Self>> {
        Ok(call(&file, libc::LOCK_EX | libc::LOCK_NB)?.then_some(Self(file)))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = call(&self.0, libc::LOCK_UN);
    }
}
