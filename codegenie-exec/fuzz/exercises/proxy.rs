//! What must hold for any bytes that the sandboxed side sends to the proxy. Shared by the fuzz target and
//! by a bounded test that runs with the others.

use codegenie_exec::proxy::{
    Body, Chunked, HttpRequest, Piece, head_end, parse_greeting, parse_head, parse_request,
};
use codegenie_exec::{DomainRule, HostName};

/// Reads `bytes` as everything that a client of the proxy may send.
pub(crate) fn proxy(bytes: &[u8]) {
    socks(bytes);
    head(bytes);
    chunks(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        host(text);
    }
}

fn socks(bytes: &[u8]) {
    if let Ok(Some(used)) = parse_greeting(bytes) {
        assert!(used <= bytes.len());
        assert_eq!(parse_greeting(&bytes[..used]), Ok(Some(used)));
    }
    if let Ok(Some((request, used))) = parse_request(bytes) {
        assert!(used <= bytes.len() && request.port != 0);
        // Every shorter beginning is incomplete: nothing is read that is not there.
        for shorter in 0..used {
            assert_eq!(parse_request(&bytes[..shorter]), Ok(None));
        }
        is_plain(&request.host);
    }
}

fn head(bytes: &[u8]) {
    let end = head_end(bytes, 0);
    for seen in [1, 2, bytes.len() / 2] {
        // Where it was looked at before makes no difference, as long as the end had not come.
        if end.is_none_or(|end| seen < end) {
            assert_eq!(head_end(bytes, seen), end);
        }
    }
    let Some(head) = end.map(|end| &bytes[..end]) else { return };
    match parse_head(head) {
        Ok(HttpRequest::Connect { host, port }) => {
            assert_ne!(port, 0);
            is_plain(&host);
        }
        Ok(HttpRequest::Forward(forward)) => {
            is_plain(&forward.host);
            let text = forward.head();
            assert_eq!(head_end(&text, 0), Some(text.len()), "one head, and nothing behind it");
            let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            let named = |name: &[u8]| {
                lines
                    .iter()
                    .filter(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))
                    .count()
            };
            assert_eq!(named(b"host:"), 1);
            assert_eq!(named(b"connection:"), 1);
            let framing = (named(b"content-length:"), named(b"transfer-encoding:"));
            let expected = match forward.body {
                Body::None => (0, 0),
                Body::Length(_) => (1, 0),
                Body::Chunked => (0, 1),
            };
            assert_eq!(framing, expected);
            assert!(!text.contains(&0));
            let carriage_returns = text.iter().filter(|byte| **byte == b'\r').count();
            assert_eq!(carriage_returns, lines.len() - 1, "lines end by CR LF and hold neither");
            assert!(lines.iter().filter(|line| !line.is_empty()).all(|line| line.ends_with(b"\r")));
        }
        Ok(_) | Err(_) => {}
    }
}

/// The data of a chunked body and where it ends, as far as the bytes go.
fn read_chunks(bytes: &[u8], at_a_time: usize) -> Result<(Vec<u8>, usize, bool), ()> {
    let mut chunks = Chunked::default();
    let (mut data, mut used) = (Vec::new(), 0);
    while used < bytes.len() && !chunks.is_done() {
        let piece = &bytes[used..bytes.len().min(used + at_a_time)];
        match chunks.next(piece).map_err(|_| ())? {
            Piece::Framing(n) => {
                assert!(n > 0 && n <= piece.len());
                used += n;
            }
            Piece::Data(n) => {
                assert!(n > 0 && n <= piece.len());
                data.extend_from_slice(&piece[..n]);
                used += n;
            }
            Piece::End => unreachable!("it was not done"),
        }
    }
    Ok((data, used, chunks.is_done()))
}

fn chunks(bytes: &[u8]) {
    let whole = read_chunks(bytes, usize::MAX / 2);
    assert_eq!(whole, read_chunks(bytes, 1), "how the bytes come makes no difference");
    assert_eq!(whole, read_chunks(bytes, 7));
}

fn host(text: &str) {
    if let Some(host) = HostName::parse(text) {
        is_plain(&host);
    }
    let rule = DomainRule::new(text);
    for other in ["example.org", "127.0.0.1", "169.254.169.254"] {
        let host = HostName::parse(other).unwrap();
        if rule.permits(&host, 80) {
            let text = text.to_ascii_lowercase();
            let of_example = text.contains(other) || (other == "example.org" && text.starts_with("*."));
            assert!(of_example || text.contains("ffff:"), "{text:?} permits {other}");
        }
    }
}

/// A host that a resolver and a log can be given, and that reads back as itself.
fn is_plain(host: &HostName) {
    if let HostName::Domain(name) = host {
        assert!(!name.is_empty() && name.len() <= 253);
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)));
        assert!(name.parse::<std::net::IpAddr>().is_err());
        assert_eq!(HostName::parse(name).as_ref(), Some(host));
    }
}
