//! What must hold for any bytes that come over the control socket. Shared by the fuzz target and by a
//! bounded test that runs with the others. The reader is private to the crate: its source is included.

#[allow(dead_code, reason = "both sides of the protocol are in it")]
#[path = "../../src/native/abi.rs"]
mod abi;
#[allow(dead_code, reason = "descriptors do not come in bytes")]
#[path = "../../src/native/message.rs"]
mod message;

use message::{Usage, parse};

/// Reads `bytes` as a message of init, and its payload as each kind there is.
pub(crate) fn init(bytes: &[u8]) {
    let Some(message) = parse(bytes) else {
        assert!(bytes.len() < size_of::<abi::Status>(), "a whole record was not read");
        return;
    };
    // The record and the payload are all of it, in order.
    let status = message.status;
    let mut again =
        [&status.kind.to_ne_bytes()[..], &status.op.to_ne_bytes(), &status.value.to_ne_bytes()].concat();
    again.extend_from_slice(&message.payload);
    assert_eq!(again, bytes);
    let mut usage = Usage::default();
    usage.of_children(&message.payload);
    // Two times of two words each, then the memory.
    assert!(message.payload.len() >= 40 || usage.max_rss_bytes.is_none());
    usage.of_transfers(&message.payload);
    if let Some(written) = usage.written_bytes {
        assert!(String::from_utf8_lossy(&message.payload).contains(&written.to_string()));
    }
}
