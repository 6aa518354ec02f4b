//! A witness over HTTP: what it signs, and what is made of all that it may answer.

#[path = "witness/go.rs"]
mod go;
#[path = "witness/server.rs"]
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use codegenie_security::tlog::CosignatureVerifier;
use codegenie_security::{
    Anchor, AnchorObjection, AuditLog, AuditLogError, AuditLogOptions, AuditReader, AuditSink, BadWitness,
    FaultKind, HttpWitness, RetentionPolicy, SigningKey, Verdict,
};
use server::{Mode, NAME, Server, TIME};

use super::{Fixture, event, files, key, put};

/// A log, a witness, and the file that is kept of it.
struct World {
    fixture: Fixture,
    server: Server,
    elsewhere: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self::unknown();
        let log = AuditLog::open(&world.fixture.path, &key()).unwrap();
        world.server.knows(&log.witness_key().to_string());
        drop(log);
        world
    }

    /// The witness knows no log.
    fn unknown() -> Self {
        Self { fixture: Fixture::new(&[2]), server: Server::start(), elsewhere: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.elsewhere.path().join("witness")
    }

    fn key(&self) -> CosignatureVerifier {
        self.server.verifier().parse().unwrap()
    }

    fn witness(&self) -> Arc<HttpWitness> {
        Arc::new(HttpWitness::new(&self.server.url(), self.key(), self.file()).unwrap())
    }

    fn open_with(&self, witness: &Arc<HttpWitness>) -> Result<AuditLog, AuditLogError> {
        let options = AuditLogOptions::new().anchor(witness.clone()).anchor_interval(Duration::ZERO);
        options.open(&self.fixture.path, &key())
    }

    fn open(&self) -> Result<AuditLog, AuditLogError> {
        self.open_with(&self.witness())
    }

    fn record(&self, range: std::ops::Range<u64>) {
        let log = AuditLog::open(&self.fixture.path, &key()).unwrap();
        range.for_each(|number| log.record(&event(number)).unwrap());
    }

    fn verdict(&self) -> Verdict {
        let reader = AuditReader::open(&self.fixture.path, &key()).unwrap();
        let verification = reader.verify_against(&[&self.witness()]).unwrap();
        verification.verdict().clone()
    }

    /// Log and keys.
    fn state(&self) -> super::Files {
        files(self.fixture.path.parent().unwrap())
    }

    fn put_back(&self, state: &super::Files) {
        put(self.fixture.path.parent().unwrap(), state);
    }
}

#[test]
fn each_checkpoint_is_signed_by_the_witness_and_what_it_signed_is_kept() {
    let world = World::new();
    let witness = world.witness();
    let log = world.open_with(&witness).unwrap();
    for number in 2..40 {
        log.record(&event(number)).unwrap();
        let status = log.flush_anchors();
        assert_eq!((status.last_error, status.last_size), (None, log.head().size));
    }
    assert_eq!(world.server.size(), Some(log.head().size));
    let cosigned = witness.cosigned().unwrap().unwrap();
    assert_eq!(cosigned.time(), SystemTime::UNIX_EPOCH + Duration::from_secs(TIME));
    assert_eq!(cosigned.checkpoint().open(log.origin(), &log.identity()), Some(log.head()));
    // For whom the note is enough: the log's key, and the witness's; no line of anybody else.
    let note = cosigned.note();
    assert_eq!(note.open(&[log.witness_key()]).unwrap().text(), log.checkpoint().unverified_text());
    assert_eq!(world.key().open(note), Ok(cosigned.time()));
    let names: Vec<_> = note.signatures().iter().map(|line| line.name().to_owned()).collect();
    assert_eq!(names, [log.origin(), NAME]);
    drop(log);
    assert_eq!(world.verdict(), Verdict::Anchored);
    // Another file, which knows nothing: the witness is asked how far it got.
    std::fs::remove_file(world.file()).unwrap();
    world.server.asked();
    let log = world.open().unwrap();
    assert_eq!(log.flush_anchors().last_error, None);
    let size = world.server.size().unwrap();
    let asked = world.server.asked();
    assert!(asked[0] == 0 && asked.iter().skip(1).all(|old| (1..=size).contains(old)), "{asked:?}");
}

#[test]
fn a_log_that_was_put_back_with_keys_and_anchor_is_seen_by_the_witness() {
    let world = World::new();
    let earlier = world.state();
    let log = world.open().unwrap();
    (2..9).for_each(|number| log.record(&event(number)).unwrap());
    let size = log.flush_anchors().last_size;
    drop(log);
    let signed = world.server.size().unwrap();
    assert!(signed >= size);

    // All that is on this machine.
    world.put_back(&earlier);
    std::fs::remove_file(world.file()).unwrap();
    assert!(AuditLog::verify(&world.fixture.path, &key()).unwrap().is_intact(), "by itself it looks fine");
    let rolled_back =
        |verdict: &Verdict| matches!(verdict, Verdict::RolledBack { anchored, .. } if *anchored == signed);
    assert!(rolled_back(&world.verdict()), "{:?}", world.verdict());
    // It was noted, also for when the witness is out of reach, and the log is not opened.
    world.server.be(Mode::Silent);
    assert!(rolled_back(&world.verdict()));
    let Err(AuditLogError::Tampered { fault, .. }) = world.open() else { panic!("it was opened") };
    assert_eq!(fault.kind(), FaultKind::RolledBack);

    // Opened without a look at the witness first, the log tells its host.
    world.server.be(Mode::Honest);
    std::fs::remove_file(world.file()).unwrap();
    let log = world.open().unwrap();
    let status = log.flush_anchors();
    assert_eq!(status.objection, Some(AnchorObjection::rolled_back(signed)), "{status:?}");
    assert!(status.last_error.unwrap().contains("was put back"));
}

#[test]
fn a_witness_that_is_required_is_asked_at_the_opening() {
    let world = World::new();
    let earlier = world.state();
    let open = || {
        let witness = HttpWitness::new(&world.server.url(), world.key(), world.file()).unwrap();
        let witness = Arc::new(witness.timeout(Duration::from_millis(300)));
        AuditLogOptions::new().anchor(witness).require_anchors().open(&world.fixture.path, &key())
    };
    let log = open().unwrap();
    assert_eq!(world.server.size(), Some(log.head().size));
    log.record(&event(2)).unwrap();
    drop(log);
    world.server.be(Mode::Silent);
    let error = open().unwrap_err();
    assert!(matches!(error, AuditLogError::Anchor { .. }), "{error}");
    world.server.be(Mode::Honest);
    world.put_back(&earlier);
    std::fs::remove_file(world.file()).unwrap();
    let Err(AuditLogError::Tampered { fault, .. }) = open() else { panic!("it was opened") };
    assert_eq!(fault.kind(), FaultKind::RolledBack);
}

#[test]
fn another_history_is_seen_whether_it_is_longer_or_as_long() {
    for more in [0, 1, 7] {
        let world = World::new();
        let earlier = world.state();
        let log = world.open().unwrap();
        (2..9).for_each(|number| log.record(&event(number)).unwrap());
        log.flush_anchors();
        drop(log);
        let signed = world.server.size().unwrap();
        world.put_back(&earlier);
        std::fs::remove_file(world.file()).unwrap();
        // As many segments as the first history has.
        world.record(102..109 + more);
        let verdict = world.verdict();
        assert!(
            matches!(verdict, Verdict::Forked { anchored, .. } if anchored == signed),
            "{more}: {verdict:?}"
        );
        let Err(AuditLogError::Tampered { fault, .. }) = world.open() else { panic!("it was opened") };
        assert_eq!(fault.kind(), FaultKind::Forked);
        assert_eq!(world.server.size(), Some(signed), "it signed the other history");
    }
}

/// What must not be believed, and is no word against the log either.
#[test]
fn answers_that_prove_nothing_are_failures() {
    let cases = [
        (Mode::WrongKey, "does not hold"),
        (Mode::WrongText, "does not hold"),
        (Mode::Says("200 OK", "\r\n"), "none of the given keys"),
        (Mode::Says("200 OK", "\r\n\u{2014} garbage\n"), "is not a signature"),
        (Mode::Says("200 OK", "Content-Length: 9\r\n\r\n\u{2014}"), "check the address"),
        (Mode::Says("204 No", "\r\n"), "answered 204"),
        (Mode::Says("302 Found", "Location: http://127.0.0.1:1/\r\n\r\n"), "redirects are not followed"),
        (Mode::Says("307 There", "Location: /elsewhere\r\n\r\n"), "redirects are not followed"),
        (Mode::Says("409 Conflict", "\r\n"), "contradict"),
        (Mode::Says("409 Conflict", "Content-Type: text/plain\r\n\r\n99999\n"), "contradict"),
        (Mode::Says("409 Conflict", "Content-Type: text/x.tlog.size\r\n\r\n099\n"), "contradict"),
        (Mode::Says("409 Conflict", "Content-Type: text/x.tlog.size\r\n\r\n0\n"), "contradict"),
        (Mode::Says("409 Conflict", "Content-Type: text/x.tlog.size\r\n\r\n1\n"), "contradict"),
        (Mode::Says("422 Unprocessable", "\r\n"), "contradict"),
        (Mode::Says("403 Forbidden", "\r\n"), "by another key"),
        (Mode::Says("404 Not Found", "\r\n"), "does not know the log"),
        (Mode::Says("500 Oh", "\r\n"), "answered 500"),
        (Mode::Endless, "check the address"),
        (Mode::Slow, "check the address"),
        (Mode::Silent, "check the address"),
    ];
    let world = World::new();
    for (mode, expected) in cases {
        let text = format!("{mode:?}");
        world.server.be(mode);
        let witness = HttpWitness::new(&world.server.url(), world.key(), world.file()).unwrap();
        let witness = Arc::new(witness.timeout(Duration::from_millis(300)));
        let since = Instant::now();
        let log = world.open_with(&witness).unwrap();
        let status = log.flush_anchors();
        drop(log);
        assert!(since.elapsed() < Duration::from_secs(5), "{text}: {:?}", since.elapsed());
        let error = status.last_error.unwrap_or_default();
        assert!(error.contains(expected) && status.objection.is_none(), "{text}: {error}");
        assert_eq!((witness.cosigned().unwrap(), witness.latest().unwrap()), (None, None), "{text}");
        let reader = AuditReader::open(&world.fixture.path, &key()).unwrap();
        let verification = reader.verify_against(&[&witness]).unwrap();
        assert_eq!(*verification.verdict(), Verdict::Unanchored, "{text}");
    }
}

#[test]
fn a_witness_that_does_not_know_the_log_or_its_key_says_so() {
    let world = World::unknown();
    let told = || world.open().unwrap().flush_anchors().last_error.unwrap_or_default();
    assert!(told().contains("does not know the log"));
    let log = AuditLog::open(&world.fixture.path, &key()).unwrap();
    let (origin, own) = (log.origin().to_owned(), log.witness_key().to_string());
    drop(log);
    let other = codegenie_security::tlog::NoteSigner::new(origin, SigningKey::from_seed([3; 32])).unwrap();
    world.server.knows(&other.verifier().to_string());
    assert!(told().contains("by another key"));
    world.server.knows(&own);
    assert_eq!(told(), "");
}

/// The process that writes the log and one that verifies it do not take each other for attackers.
#[test]
fn a_witness_that_was_told_more_by_the_same_host_is_no_objection() {
    let world = World::new();
    let options = AuditLogOptions::new().anchor(world.witness()).anchor_interval(Duration::from_secs(3600));
    let log = options.open(&world.fixture.path, &key()).unwrap();
    assert_eq!(log.flush_anchors().last_error, None);
    (2..5).for_each(|number| log.record(&event(number)).unwrap());
    let other = HttpWitness::new(&world.server.url(), world.key(), world.elsewhere.path().join("other"));
    let other = other.unwrap();
    let reader = AuditReader::open(&world.fixture.path, &key()).unwrap();
    assert_eq!(*reader.verify_against(&[&other]).unwrap().verdict(), Verdict::Anchored);
    assert_eq!(world.server.size(), Some(log.head().size));
    let status = log.flush_anchors();
    assert_eq!((status.last_error, status.last_size), (None, log.head().size));
}

#[test]
fn what_was_kept_of_the_witness_is_not_believed_when_it_was_altered() {
    let world = World::new();
    let log = world.open().unwrap();
    log.record(&event(2)).unwrap();
    log.flush_anchors();
    let origin = log.origin().to_owned();
    drop(log);
    let original = std::fs::read(world.file()).unwrap();
    let (witness, cosigned) = (world.witness(), world.witness().cosigned().unwrap());
    for place in 0..original.len() {
        let mut altered = original.clone();
        altered[place] ^= 1;
        std::fs::write(world.file(), &altered).unwrap();
        let Ok(kept) = witness.cosigned() else { continue };
        // Only signatures that are not the witness's may differ, and these are for who reads them to check.
        let text = kept.map(|kept| kept.note().unverified_text().to_owned());
        let expected = cosigned.as_ref().map(|kept| kept.note().unverified_text().to_owned());
        assert_eq!(text, expected, "byte {place}");
    }
    // Of another log.
    std::fs::write(world.file(), &original).unwrap();
    let other = World::new();
    std::fs::copy(world.file(), other.file()).unwrap();
    let witness = Arc::new(HttpWitness::new(&other.server.url(), world.key(), other.file()).unwrap());
    let opened = other.open_with(&witness);
    assert!(matches!(opened, Err(AuditLogError::Tampered { .. })), "{origin}: {opened:?}");
}

/// Retention goes on while the witness is away; growth from what it signed can then not be proved any more.
#[test]
fn growth_from_before_what_is_kept_is_told_as_what_it_is() {
    let world = World::new();
    let options = AuditLogOptions::new()
        .segment_bytes(3_000)
        .retention(RetentionPolicy::forever().max_bytes(9_000))
        .anchor_interval(Duration::ZERO);
    let log = options.clone().anchor(world.witness()).open(&world.fixture.path, &key()).unwrap();
    for number in 2..40 {
        log.record(&event(number)).unwrap();
        assert_eq!(log.flush_anchors().last_error, None);
    }
    drop(log);
    let log = options.clone().open(&world.fixture.path, &key()).unwrap();
    (40..90).for_each(|number| log.record(&event(number)).unwrap());
    drop(log);
    let log = options.anchor(world.witness()).open(&world.fixture.path, &key()).unwrap();
    let status = log.flush_anchors();
    assert!(status.objection.is_none(), "{status:?}");
    assert!(status.last_error.unwrap().contains("removed by its retention"));
}

/// The certificate is of a root that no system trusts.
#[test]
fn a_witness_with_tls_is_believed_by_the_root_that_the_host_gives() {
    let world = World::unknown();
    let server = Server::start_tls();
    let root = include_bytes!("../vectors/witness/root.pem");
    let new = || HttpWitness::new(&server.url(), world.key(), world.file()).unwrap();
    let told = |witness: HttpWitness| {
        let log = world.open_with(&Arc::new(witness.timeout(Duration::from_secs(5)))).unwrap();
        server.knows(&log.witness_key().to_string());
        log.flush_anchors();
        log.record(&event(2)).unwrap();
        log.flush_anchors().last_error
    };
    let error = told(new()).unwrap();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(server.size(), None);
    assert_eq!(told(new().roots(root).unwrap()), None);
    assert!(server.size().is_some());
    for pem in [b"".as_slice(), b"-----BEGIN CERTIFICATE-----\nAAA", b"text"] {
        assert!(matches!(new().roots(pem), Err(BadWitness::Roots { .. })));
    }
}

#[test]
fn addresses_that_are_not_safe_are_refused() {
    let key: CosignatureVerifier = Server::start().verifier().parse().unwrap();
    let new = |url: &str| HttpWitness::new(url, key.clone(), "unused").map(|_| ());
    for url in [
        "https://witness.example",
        "https://witness.example:8443/a/b/",
        "http://127.0.0.1:1/w",
        "http://[::1]/w",
    ] {
        assert_eq!(new(url), Ok(()), "{url}");
    }
    for url in [
        "http://witness.example/",
        "http://localhost:80/",
        "http://10.0.0.1/",
        "http://[::2]/",
        "http://0.0.0.0",
    ] {
        assert!(matches!(new(url), Err(BadWitness::Plain { .. })), "{url}");
        assert!(HttpWitness::dangerous_plain_http(url, key.clone(), "unused").is_ok(), "{url}");
    }
    for url in [
        "",
        "ftp://a",
        "https://",
        "https:///a",
        "https://a@b",
        "https://a/?b",
        "https://a/#b",
        "https://a b",
        "https://a:99999",
        "https://a:",
        "https://[::1",
        "https://a\\b",
        "https://a..b",
        "HTTPS://a",
        "https://127.0.0.1@a",
        "http://127.0.0.1:80:80/",
    ] {
        assert!(matches!(new(url), Err(BadWitness::Address { .. })), "{url}: {:?}", new(url));
    }
}
