//! The command's standard streams: the ends that it gets, and those that the host keeps.

use super::identity::Identity;
use super::sys;
use crate::sandbox::{SandboxRequest, Stdio};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

/// What the command gets.
pub(super) type Inside = [OwnedFd; 3];

/// What the host keeps.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) stdout: OwnedFd,
    /// None on a terminal, where both are one.
    pub(super) stderr: Option<OwnedFd>,
    /// Where input is streamed.
    pub(super) stdin: Option<OwnedFd>,
    pub(super) is_terminal: bool,
}

const PIPE_BYTES: i32 = 256 << 10;

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

/// Nothing to read, nowhere to print.
pub(super) fn none() -> io::Result<Inside> {
    let null = || -> io::Result<OwnedFd> {
        sys::above_init_range(File::options().read(true).write(true).open("/dev/null")?.into())
    };
    Ok([null()?, null()?, null()?])
}

/// Pipes for a request that has no terminal.
pub(super) fn pipes(request: &SandboxRequest, identity: &Identity) -> io::Result<(Inside, Outside)> {
    let mut streamed = None;
    let stdin: OwnedFd = if request.stdio == Stdio::Piped {
        let (read, write) = pipe()?;
        streamed = Some(write);
        read
    } else if request.stdin.is_empty() {
        File::open("/dev/null")?.into()
    } else {
        // A memory file: the command may be slow to read, and nobody has to feed it.
        let fd = nix::sys::memfd::memfd_create(c"stdin", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
        let mut file = File::from(fd);
        file.write_all(&request.stdin)?;
        file.rewind()?;
        file.into()
    };
    let (stdout, stdout_inside) = pipe()?;
    let (stderr, stderr_inside) = pipe()?;
    // A larger pipe wakes both sides less often. Refused where the user has many: then it stays as it is.
    let _ = nix::fcntl::fcntl(&stdout, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    if identity.dropped {
        // So that the command can open /dev/stdout, as shell scripts do.
        for fd in [&stdout_inside, &stderr_inside] {
            let (uid, gid) = (identity.uid_outside, identity.gid_outside);
            nix::unistd::fchown(fd, Some(uid.into()), Some(gid.into()))?;
        }
    }
    let inside = [
        sys::above_init_range(stdin)?,
        sys::above_init_range(stdout_inside)?,
        sys::above_init_range(stderr_inside)?,
    ];
    Ok((inside, Outside { stdout, stderr: Some(stderr), stdin: streamed, is_terminal: false }))
}

/// A terminal's controlling side, for reading and for writing.
pub(super) fn terminal(controlling: OwnedFd) -> io::Result<Outside> {
    let stdin = Some(controlling.try_clone()?);
    Ok(Outside { stdout: controlling, stderr: None, stdin, is_terminal: true })
}
