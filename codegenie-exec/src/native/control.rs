//! The socket between the host and a sandbox's init: one message each way at a time, never a
//! stream. Its hang-up tells each side that the other is gone.

use super::message::{Message, parse};
use super::sys;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// The largest message of init: a record and what `getrusage` or `/proc/self/io` says.
const MESSAGE_BYTES: usize = 1024;
/// More than a message ever carries; what is sent beyond it is closed by the kernel.
const DESCRIPTORS: usize = 4;

/// Both ends, the host's first.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (host, init) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok((sys::above_init_range(host)?, sys::above_init_range(init)?))
}

/// The next message; `None` when init is gone. Waits at most `timeout`; without one it does not
/// wait, and answers [`io::ErrorKind::WouldBlock`].
pub(super) fn receive(from: &OwnedFd, timeout: Option<Duration>) -> io::Result<Option<Message>> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    if let Some(timeout) = timeout {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut polled, timeout) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
                Ok(_) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut bytes = [0; MESSAGE_BYTES];
    let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS]);
    let (length, mut descriptors) = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Ok(message) => break (message.bytes, received(&message)?),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if length == 0 {
        return Ok(None);
    }
    let mut message = parse(bytes.get(..length).unwrap_or_default())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "init sent a message that is too short"))?;
    message.descriptor = descriptors.pop();
    Ok(Some(message))
}

/// The descriptors of a message, all owned, so that none is left open.
fn received<S>(message: &nix::sys::socket::RecvMsg<'_, '_, S>) -> io::Result<Vec<OwnedFd>> {
    let mut owned = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just made these descriptors for this process; nobody else owns them.
            owned.extend(numbers.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok(owned)
}

/// Sends a message with descriptors, whole or not at all. Init always reads, so this does not wait.
pub(super) fn send(to: &OwnedFd, bytes: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control: &[ControlMessage<'_>] = if descriptors.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    loop {
        match sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
