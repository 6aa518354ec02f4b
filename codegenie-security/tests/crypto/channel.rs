//! The channel between two processes: what goes through, and what does not.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use crate::{key, some_bytes};
use codegenie_security::{ChannelError, ChannelIdentity, ChannelSecret, SealingKey, SecureChannel};

type Opened = Result<SecureChannel<UnixStream>, ChannelError>;

fn both(connect: ChannelSecret<'_>, accept: ChannelSecret<'_>, purposes: [&[u8]; 2]) -> (Opened, Opened) {
    let (a, b) = UnixStream::pair().unwrap();
    thread::scope(|threads| {
        let connecting = threads.spawn(move || connect.connect(a, purposes[0]));
        let accepted = accept.accept(b, purposes[1]);
        (connecting.join().unwrap(), accepted)
    })
}

/// The end that is refused drops its stream, so that the other one sees it go.
fn refused((connected, accepted): (Opened, Opened)) -> bool {
    let echo = |channel: &mut SecureChannel<UnixStream>| {
        channel.write_all(b"x").and_then(|()| channel.read_exact(&mut [0])).is_ok()
    };
    match (connected, accepted) {
        (Ok(mut a), Ok(mut b)) => thread::scope(|threads| {
            let other = threads.spawn(move || echo(&mut b));
            !echo(&mut a) && !other.join().unwrap()
        }),
        _ => true,
    }
}

fn exchange(connected: SecureChannel<UnixStream>, mut accepted: SecureChannel<UnixStream>) {
    let plain = some_bytes(300_000);
    thread::scope(|threads| {
        let (plain, mut connected) = (&plain, connected);
        threads.spawn(move || {
            connected.write_all(plain).unwrap();
            connected.flush().unwrap();
            let mut answer = [0; 6];
            connected.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"thanks");
            connected.close().unwrap();
        });
        let mut received = vec![0; plain.len()];
        accepted.read_exact(&mut received).unwrap();
        assert_eq!(&received, plain);
        accepted.write_all(b"thanks").unwrap();
        assert_eq!(accepted.read(&mut [0; 8]).unwrap(), 0, "the end was said");
        assert_eq!(accepted.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn bytes_go_both_ways_under_known_keys_and_under_a_shared_one() {
    let (a, b) = (ChannelIdentity::generate().unwrap(), ChannelIdentity::generate().unwrap());
    let pinned = both(ChannelSecret::Keys(&a, b.peer()), ChannelSecret::Keys(&b, a.peer()), [b"p", b"p"]);
    exchange(pinned.0.unwrap(), pinned.1.unwrap());
    let key = key();
    let shared = both(ChannelSecret::Shared(&key), ChannelSecret::Shared(&key), [b"p", b"p"]);
    exchange(shared.0.unwrap(), shared.1.unwrap());
}

#[test]
fn other_keys_purposes_and_kinds_are_refused_by_both_ends() {
    let [a, b, c] = std::array::from_fn(|_| ChannelIdentity::generate().unwrap());
    let (key, other) = (key(), SealingKey::from_bytes([9; 32]));
    let keys = |own, peer: &ChannelIdentity| ChannelSecret::Keys(own, peer.peer());
    assert!(!refused(both(keys(&a, &b), keys(&b, &a), [b"p", b"p"])), "they would be let through");
    assert!(refused(both(keys(&c, &b), keys(&b, &a), [b"p", b"p"])), "a stranger connects");
    assert!(refused(both(keys(&a, &b), keys(&c, &a), [b"p", b"p"])), "a stranger accepts");
    assert!(refused(both(keys(&a, &c), keys(&b, &a), [b"p", b"p"])));
    assert!(refused(both(keys(&a, &b), keys(&b, &a), [b"p", b"q"])), "another purpose");
    assert!(!refused(both(ChannelSecret::Shared(&key), ChannelSecret::Shared(&key), [b"", b""])));
    assert!(refused(both(ChannelSecret::Shared(&key), ChannelSecret::Shared(&other), [b"", b""])));
    assert!(refused(both(keys(&a, &b), ChannelSecret::Shared(&key), [b"", b""])));
}

/// A wire that somebody owns: what `connect` sends goes through `alter` once the handshake is over.
fn over_a_wire(alter: impl Fn(&mut Vec<u8>) + Sync) -> io::Result<Vec<u8>> {
    let key = key();
    let (mine, wire_in) = UnixStream::pair().unwrap();
    let (wire_out, theirs) = UnixStream::pair().unwrap();
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut channel = ChannelSecret::Shared(&key).connect(mine, b"").unwrap();
            channel.write_all(b"first").unwrap();
            channel.write_all(b"second").unwrap();
            channel.close().unwrap();
        });
        let alter = &alter;
        threads.spawn(move || {
            let message = |stream: &mut UnixStream| {
                let mut bytes = vec![0; 2];
                stream.read_exact(&mut bytes).unwrap();
                let len = u16::from_be_bytes([bytes[0], bytes[1]]) as usize;
                bytes.resize(2 + len, 0);
                stream.read_exact(&mut bytes[2..]).unwrap();
                bytes
            };
            let (mut wire_in, mut wire_out) = (wire_in, wire_out);
            wire_out.write_all(&message(&mut wire_in)).unwrap();
            wire_in.write_all(&message(&mut wire_out)).unwrap();
            let mut rest = Vec::new();
            wire_in.read_to_end(&mut rest).unwrap();
            assert!(!rest.windows(5).any(|bytes| bytes == b"first"), "it is not to be read on the wire");
            alter(&mut rest);
            wire_out.write_all(&rest).unwrap();
        });
        let mut out = Vec::new();
        ChannelSecret::Shared(&key).accept(theirs, b"")?.read_to_end(&mut out)?;
        Ok(out)
    })
}

#[test]
fn what_is_altered_repeated_reordered_or_cut_on_the_wire_is_refused() {
    assert_eq!(over_a_wire(|_| {}).unwrap(), b"firstsecond");
    let (first, second) = (2 + 5 + 17, 2 + 6 + 17);
    let total = first + second + 2 + 17;
    for byte in 2..total {
        if (first..first + 2).contains(&byte) || (first + second..first + second + 2).contains(&byte) {
            continue; // lengths: below
        }
        let error = over_a_wire(|bytes| bytes[byte] ^= 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {byte}: {error}");
    }
    assert!(over_a_wire(|bytes| bytes[1] ^= 1).is_err(), "another length");
    assert!(over_a_wire(|bytes| bytes.extend_from_within(..first)).is_ok(), "after the end nothing is read");
    assert!(
        over_a_wire(|bytes| {
            bytes.splice(..0, bytes[..first].to_vec());
        })
        .is_err(),
        "repeated"
    );
    assert!(over_a_wire(|bytes| bytes[..first + second].rotate_left(first)).is_err(), "another order");
    assert!(over_a_wire(|bytes| drop(bytes.drain(..first))).is_err(), "the first is missing");
    for cut in [0, 1, 10, first, first + 1, first + second] {
        let error = over_a_wire(|bytes| bytes.truncate(cut)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {cut}: {error}");
    }
}

#[test]
fn a_peer_that_talks_nonsense_is_refused_without_much_reading() {
    for nonsense in [&b""[..], b"\x00", b"\x00\x00", b"\xff\xff", b"GET / HTTP/1.1\r\n\r\n", &[0; 600]] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(nonsense).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(ChannelSecret::Shared(&key()).accept(ours, b"").is_err(), "{nonsense:?}");
    }
}

#[test]
fn keys_change_on_the_way_and_both_ends_agree() {
    let key = key();
    let (connected, accepted) = both(ChannelSecret::Shared(&key), ChannelSecret::Shared(&key), [b"", b""]);
    let (mut connected, mut accepted) = (connected.unwrap(), accepted.unwrap());
    const MESSAGES: usize = (1 << 16) + 5;
    thread::scope(|threads| {
        threads.spawn(move || {
            for number in 0..MESSAGES {
                connected.write_all(&[number as u8]).unwrap();
            }
            connected.close().unwrap();
        });
        let mut received = Vec::new();
        accepted.read_to_end(&mut received).unwrap();
        assert!(received.len() == MESSAGES && received.iter().enumerate().all(|(i, byte)| *byte == i as u8));
    });
}

#[test]
fn a_read_that_comes_to_nothing_for_the_moment_loses_nothing() {
    let key = key();
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::scope(|threads| {
        let other = threads.spawn(|| {
            let mut channel = ChannelSecret::Shared(&key).accept(theirs, b"").unwrap();
            let mut asked = [0; 4];
            channel.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"more");
            channel.write_all(b"first").unwrap();
            channel.write_all(&some_bytes(3000)).unwrap();
            channel.close().unwrap();
        });
        // The handshake wants whole messages.
        let opened = ChannelSecret::Shared(&key).connect(ours, b"").unwrap();
        opened.get_ref().set_read_timeout(Some(std::time::Duration::from_millis(5))).unwrap();
        let mut channel = opened;
        assert!(channel.read(&mut [0; 8]).is_err(), "nothing has come");
        // What waits for it on the other side goes out all the same.
        channel.write_all(b"more").unwrap();
        let mut all = Vec::new();
        let mut buffer = [0; 100];
        loop {
            match channel.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) => {
                    assert!(
                        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
                        "{error}"
                    );
                }
            }
        }
        assert_eq!(all, [b"first".to_vec(), some_bytes(3000)].concat());
        other.join().unwrap();
    });
}
