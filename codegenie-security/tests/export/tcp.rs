use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use codegenie_security::export::{Origin, Syslog, SyslogTcp};
use codegenie_security::{AuditEvent, EventClass, StoredEvent};

fn syslog() -> Syslog {
    Syslog::new(Origin::new())
}

fn stored(number: u64) -> StoredEvent {
    let event = AuditEvent::new(EventClass::Command, "execute", format!("echo é\n{number}"));
    StoredEvent::new(number, event.at(std::time::UNIX_EPOCH))
}

#[test]
fn frames_are_counted_in_octets() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = thread::spawn(move || {
        let mut bytes = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut sender = SyslogTcp::new(syslog(), TcpStream::connect(address).unwrap());
    for number in 0..100 {
        sender.send(&stored(number)).unwrap();
    }
    sender.flush().unwrap();
    drop(sender.into_inner());

    let bytes = receiver.join().unwrap();
    let mut rest = bytes.as_slice();
    for number in 0..100 {
        let space = rest.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
        let message = &rest[space + 1..][..length];
        assert_eq!(std::str::from_utf8(message).unwrap(), syslog().encode(&stored(number)));
        rest = &rest[space + 1 + length..];
    }
    assert!(rest.is_empty());
}

/// Takes a few bytes, fails once, and would go on.
struct Fails(u32);

impl Write for Fails {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += 1;
        if self.0 == 2 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(bytes.len().min(10)) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_follows_half_a_frame() {
    let mut sender = SyslogTcp::new(syslog(), Fails(0));
    assert_eq!(sender.send(&stored(0)).unwrap_err().kind(), io::ErrorKind::TimedOut);
    let later = sender.send(&stored(1)).unwrap_err();
    assert!(later.to_string().contains("connect again"), "{later}");
    assert_eq!(sender.into_inner().0, 2, "the writer was not called again");
}
