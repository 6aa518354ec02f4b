//! What the proxy reads from the sandboxed side, and what its rules say: against oracles, and with bytes
//! that nobody sends.
#![cfg(feature = "proxy")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "../fuzz/exercises/proxy.rs"]
mod exercise;

use codegenie_exec::proxy::{AddressKind, Chunked, HttpRequest, Piece, parse_head};
use codegenie_exec::{DomainRule, HostName, SandboxPolicy};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Small steps of a generator that gives the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() % bound.max(1)
    }
}

const SEEDS: [&[u8]; 12] = [
    b"GET http://example.org/a?b HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nConnection: x, keep-alive\r\nX: y\r\n\r\n",
    b"POST http://example.org:81/ HTTP/1.1\r\nHost: example.org:81\r\nContent-Length: 12\r\n\r\n",
    b"POST http://[2001:db8::1]/ HTTP/1.1\r\nHost: [2001:db8::1]\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
    b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nProxy-Authorization: Basic x\r\n\r\n",
    b"\x05\x02\x00\x02",
    b"\x05\x01\x00\x03\x0bexample.org\x01\xbb",
    b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50",
    b"\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\xbb",
    b"5\r\nhello\r\n10;a=b\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\nrest",
    b"*.example.org:8443",
    b"::ffff:127.0.0.1",
    b"xn--bcher-kva.example.",
];

/// The fuzz target's own function, over mutations of what clients send. Bounded and always the same.
#[test]
fn any_bytes_are_read_without_harm() {
    let mut numbers = Numbers(1);
    let special = b"\r\n\0 :;,/@[]?#%.\t\x7f\xff0123456789aAzZ-_*\\";
    for round in 0..20_000 {
        let mut bytes = SEEDS[round % SEEDS.len()].to_vec();
        for _ in 0..numbers.below(8) {
            let at = numbers.below(bytes.len() + 1);
            match numbers.below(6) {
                0 if at < bytes.len() => bytes[at] = special[numbers.below(special.len())],
                1 => bytes.insert(at, special[numbers.below(special.len())]),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.truncate(at.max(1)),
                4 => {
                    let other = SEEDS[numbers.below(SEEDS.len())];
                    let from = numbers.below(other.len());
                    let inserted = other[from..].to_vec();
                    bytes.splice(at..at, inserted);
                }
                _ => bytes.push(u8::try_from(numbers.below(256)).unwrap()),
            }
        }
        exercise::proxy(&bytes);
    }
}

proptest! {
    #[test]
    fn random_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        exercise::proxy(&bytes);
    }

    /// A rule against the plainest reading of what it says.
    #[test]
    fn rules_permit_what_they_name(
        labels in proptest::collection::vec("[a-cA-C]{1,2}", 1..5),
        rule_labels in proptest::collection::vec("[a-c]{1,2}", 1..4),
        below: bool,
        rule_port in proptest::option::of(prop_oneof![Just(80u16), Just(22), Just(8443)]),
        port in prop_oneof![Just(80u16), Just(443), Just(22), Just(8443)],
        dot: bool,
    ) {
        let name = labels.join(".");
        let rule_name = rule_labels.join(".");
        let mut text = if below { format!("*.{rule_name}") } else { rule_name.clone() };
        if let Some(port) = rule_port {
            text = format!("{text}:{port}");
        }
        let asked = if dot { format!("{name}.") } else { name.clone() };
        let lower: Vec<String> = labels.iter().map(|label| label.to_ascii_lowercase()).collect();
        let hosts = if below {
            rule_labels.len() > 1 && lower.len() > rule_labels.len() && lower.ends_with(&rule_labels)
        } else {
            lower == rule_labels
        };
        let ports = rule_port.map_or(port == 80 || port == 443, |only| only == port);
        let host = HostName::parse(&asked).unwrap();
        prop_assert_eq!(DomainRule::new(text).permits(&host, port), hosts && ports);
    }

    /// A body is the same after it was cut into chunks, however they come.
    #[test]
    fn chunks_carry_their_data(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
        step in 1usize..50,
    ) {
        let mut encoded = Vec::new();
        for piece in &pieces {
            encoded.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
            encoded.extend_from_slice(piece);
            encoded.extend_from_slice(b"\r\n");
        }
        encoded.extend_from_slice(b"0\r\n\r\nGET");
        let (mut chunks, mut data, mut at) = (Chunked::default(), Vec::new(), 0);
        while !chunks.is_done() {
            let piece = &encoded[at..encoded.len().min(at + step)];
            match chunks.next(piece).unwrap() {
                Piece::Framing(n) => at += n,
                Piece::Data(n) => {
                    data.extend_from_slice(&piece[..n]);
                    at += n;
                }
                Piece::End => unreachable!(),
            }
        }
        prop_assert_eq!(data, pieces.concat());
        prop_assert_eq!(&encoded[at..], b"GET");
    }

    /// Every IPv4 address is as public within IPv6 as by itself.
    #[test]
    fn embedded_addresses_are_what_they_embed(address: [u8; 4]) {
        let v4 = Ipv4Addr::from(address);
        let [a, b, c, d] = address.map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        let public = AddressKind::of(v4.into()).is_public();
        for v6 in [
            v4.to_ipv6_mapped(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2a00, 1, 2, 3, 0, 0x5efe, high, low),
        ] {
            prop_assert_eq!(AddressKind::of(v6.into()).is_public(), public, "{}", v6);
        }
        // Against std, which knows most of the blocks.
        if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()
            || v4.is_documentation() || v4.is_unspecified() || a == 0 || a >= 240
        {
            prop_assert!(!public);
        }
    }
}

#[test]
fn addresses_are_what_they_are_for() {
    let kind = |text: &str| AddressKind::of(text.parse::<IpAddr>().unwrap());
    for (address, expected) in [
        ("93.184.215.14", AddressKind::Public),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", AddressKind::Public),
        ("64:ff9b::93.184.215.14", AddressKind::Public),
        ("127.8.8.8", AddressKind::Loopback),
        ("::1", AddressKind::Loopback),
        ("::ffff:127.0.0.1", AddressKind::Loopback),
        ("10.0.0.1", AddressKind::Private),
        ("172.31.255.255", AddressKind::Private),
        ("172.32.0.0", AddressKind::Public),
        ("100.64.0.1", AddressKind::Private),
        ("100.128.0.1", AddressKind::Public),
        ("fd12::1", AddressKind::Private),
        ("64:ff9b::10.0.0.1", AddressKind::Private),
        ("2002:c0a8:0101::1", AddressKind::Private),
        ("169.254.1.1", AddressKind::LinkLocal),
        ("fe80::1", AddressKind::LinkLocal),
        ("169.254.169.254", AddressKind::Metadata),
        ("::ffff:169.254.169.254", AddressKind::Metadata),
        ("64:ff9b::a9fe:a9fe", AddressKind::Metadata),
        ("fd00:ec2::254", AddressKind::Metadata),
        ("100.100.100.200", AddressKind::Metadata),
        ("168.63.129.16", AddressKind::Metadata),
        ("0.0.0.0", AddressKind::NoHost),
        ("0.1.2.3", AddressKind::NoHost),
        ("::", AddressKind::NoHost),
        ("224.0.0.1", AddressKind::NoHost),
        ("ff02::1", AddressKind::NoHost),
        ("255.255.255.255", AddressKind::NoHost),
        ("192.0.2.1", AddressKind::Documentation),
        ("2001:db8::1", AddressKind::Documentation),
        ("198.18.0.1", AddressKind::Documentation),
        ("240.0.0.1", AddressKind::Reserved),
        ("2001::1", AddressKind::Reserved),
        ("::127.0.0.1", AddressKind::Reserved),
        ("64:ff9b:1::1", AddressKind::Reserved),
        ("100::1", AddressKind::Reserved),
    ] {
        assert_eq!(kind(address), expected, "{address}");
    }
}

#[test]
fn names_that_resolvers_take_for_addresses_are_no_names() {
    for text in [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.0x1",
        "127.0.0.1.",
        "1.2.3.4.5",
        "example.0x",
        "example.123",
        "fe80::1%eth0",
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "-a.b",
        "a-.b",
        "a b",
        "a/b",
        "a\0b",
        "a\nb",
        "a%2eb",
        "user@host",
        "bücher.example",
        "exa\u{200b}mple.org",
        "example.org\u{3002}",
        "*",
        "*.example.org",
        "[::1]",
    ] {
        assert_eq!(HostName::parse(text), None, "{text:?}");
    }
    let long = format!("{}.org", "a".repeat(64));
    assert_eq!(HostName::parse(&long), None);
    assert_eq!(HostName::parse(&vec!["abc"; 64].join(".")), None);
    assert_eq!(HostName::parse("EXAMPLE.Org.").unwrap().to_string(), "example.org");
    assert_eq!(HostName::parse("xn--bcher-kva.example").unwrap().to_string(), "xn--bcher-kva.example");
    assert_eq!(HostName::parse("::FFFF:127.0.0.1").unwrap().to_string(), "127.0.0.1");
}

#[test]
fn rules_that_cannot_be_read_spoil_the_policy() {
    let policy = |rule: &str| SandboxPolicy::default().domains([rule]).resolve();
    for rule in [
        "https://example.org",
        "example.org/path",
        "*",
        "*:443",
        "*.org",
        "*.*.org",
        "exa*mple.org",
        "*.10.0.0.1",
        "example.org:0",
        "example.org:65536",
        "example.org:http",
        "example.org:",
        "bücher.example",
        "",
        "10.0.0.0/8",
        "user@example.org",
        "127.1",
    ] {
        let error = policy(rule).unwrap_err().to_string();
        assert!(error.starts_with(&format!("domain rule {rule:?}: ")), "{error}");
        assert!(!DomainRule::new(rule).permits(&HostName::parse("example.org").unwrap(), 80));
    }
    for rule in
        ["example.org", "*.example.org:8443", "10.0.0.1", "[::1]:8080", "::1", "localhost", "EXAMPLE.org."]
    {
        policy(rule).unwrap();
    }
}

#[test]
fn heads_are_handed_on_without_what_is_for_one_connection() {
    let head = b"GET http://example.org:81?q HTTP/1.0\r\nUser-Agent: x\r\nConnection: X-Secret, close\r\nX-Secret: y\r\nProxy-Authorization: Basic z\r\nUpgrade: h2c\r\nKeep-Alive: 1\r\nTE: a\r\nAccept:  b \r\n\r\n";
    let Ok(HttpRequest::Forward(forward)) = parse_head(head) else { panic!("not handed on") };
    assert_eq!(
        String::from_utf8(forward.head()).unwrap(),
        "GET /?q HTTP/1.1\r\nHost: example.org:81\r\nUser-Agent: x\r\nAccept: b\r\nConnection: close\r\n\r\n"
    );
}

#[cfg(feature = "serde")]
#[test]
fn rules_read_as_they_are_written() {
    let text = r#"{"network":{"domains":["crates.io",{"domain":"db.internal:5432","dangerous_private_addresses":true}]}}"#;
    let policy: SandboxPolicy = serde_json::from_str(text).unwrap();
    let rules =
        [DomainRule::new("crates.io"), DomainRule::new("db.internal:5432").dangerous_private_addresses()];
    assert_eq!(policy, SandboxPolicy::default().domains(rules));
    let written = serde_json::to_value(&policy).unwrap();
    let network: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(written["network"], network["network"]);
    assert!(
        serde_json::from_str::<SandboxPolicy>(r#"{"network":{"domains":[{"domain":"a","private":true}]}}"#)
            .is_err()
    );
}
