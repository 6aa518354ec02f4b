//! Terminals: a private `devpts` inside, whose controlling side the host gets.

use super::plan::{Arg, Plan, Purpose};
use crate::sandbox::{Layer, TerminalSize};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The number under which the terminal's controlling side is passed to the host.
pub(super) const CONTROLLING: u32 = 1;
/// Where the plan keeps both sides.
const MASTER: u8 = 3;
const SLAVE: u8 = 4;

/// Makes a terminal inside the view, and passes its controlling side out. The host's own terminals
/// never come into the sandbox.
pub(super) fn make(plan: &mut Plan, size: TerminalSize) {
    plan.section(Purpose::Layer(Layer::MountNamespace), false);
    let (path, flags) = (plan.text("/dev/pts/ptmx"), libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
    plan.call("make a terminal", libc::SYS_openat, &[libc::AT_FDCWD.into(), path.into(), flags.into()])
        .store(MASTER);
    let unlocked = plan.words(&[0]);
    plan.call(
        "unlock the terminal",
        libc::SYS_ioctl,
        &[Arg::Slot(MASTER), Arg::Value(libc::TIOCSPTLCK), unlocked.into()],
    );
    let window = plan.bytes(&window(size));
    plan.call(
        "set the terminal's size",
        libc::SYS_ioctl,
        &[Arg::Slot(MASTER), Arg::Value(libc::TIOCSWINSZ), window.into()],
    );
    plan.call(
        "open the terminal",
        libc::SYS_ioctl,
        &[Arg::Slot(MASTER), Arg::Value(libc::TIOCGPTPEER), flags.into()],
    )
    .store(SLAVE);
    plan.pass_fd(CONTROLLING, MASTER);
}

/// Init keeps neither side: the host learns of the end when the command's side is closed.
pub(super) fn leave(plan: &mut Plan) {
    plan.call("close the terminal", libc::SYS_close, &[Arg::Slot(MASTER)]);
    plan.call("close the terminal", libc::SYS_close, &[Arg::Slot(SLAVE)]);
}

/// Makes it the controlling terminal of the process's session, and its standard streams.
pub(super) fn control(plan: &mut Plan) {
    plan.call(
        "take the terminal",
        libc::SYS_ioctl,
        &[Arg::Slot(SLAVE), Arg::Value(libc::TIOCSCTTY), 0.into()],
    );
    for stream in 0..3 {
        plan.call("connect the terminal", libc::SYS_dup3, &[Arg::Slot(SLAVE), stream.into(), 0.into()]);
    }
}

fn window(size: TerminalSize) -> Vec<u8> {
    [size.rows, size.columns, 0, 0].iter().flat_map(|value| value.to_ne_bytes()).collect()
}

/// Tells the terminal its size; programs inside get SIGWINCH.
pub(super) fn set_size(terminal: &OwnedFd, size: TerminalSize) -> io::Result<()> {
    let window = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the structure lives through the call, which only reads it.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const window) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
