//! What init tells the host: a record, and for some a payload. Any bytes are read without harm.

use super::abi::Status;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// What init told.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) status: Status,
    pub(super) payload: Vec<u8>,
    pub(super) descriptor: Option<OwnedFd>,
}

/// Reads a message: a record, then its payload.
pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
    let (record, payload) = bytes.split_first_chunk::<{ size_of::<Status>() }>()?;
    let [k0, k1, k2, k3, o0, o1, o2, o3, value @ ..] = *record;
    Some(Message {
        status: Status {
            kind: u32::from_ne_bytes([k0, k1, k2, k3]),
            op: u32::from_ne_bytes([o0, o1, o2, o3]),
            value: i64::from_ne_bytes(value),
        },
        payload: payload.to_vec(),
        descriptor: None,
    })
}

/// What init told of the tree's use of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu: Option<Duration>,
    pub(super) max_rss_bytes: Option<u64>,
    pub(super) written_bytes: Option<u64>,
}

impl Usage {
    /// Reads `struct rusage`: user and system time in seconds and microseconds, then the largest
    /// resident set in KiB.
    pub(super) fn of_children(&mut self, payload: &[u8]) {
        let mut words = payload.chunks_exact(8).map(|word| {
            let word = <[u8; 8]>::try_from(word).map_or(0, i64::from_ne_bytes);
            u64::try_from(word).unwrap_or(0)
        });
        let mut time = || {
            let (seconds, micros) = (words.next()?, words.next()?);
            Duration::from_secs(seconds).checked_add(Duration::from_micros(micros))
        };
        if let (Some(user), Some(system)) = (time(), time()) {
            self.cpu = user.checked_add(system);
        }
        self.max_rss_bytes = words.next().map(|kib| kib.saturating_mul(1024));
    }

    /// Reads the text of `/proc/PID/io`.
    pub(super) fn of_transfers(&mut self, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload);
        let value = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        self.written_bytes = value.and_then(|value| value.trim_end_matches('\0').trim().parse().ok());
    }
}
