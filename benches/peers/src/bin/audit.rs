//! The audit log beside witness-log-core: how many events a second become durable, 100 a commit.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --features audit --bin audit`. The directory of both logs is
//! `CODEGENIE_BENCH_DIR`, or else the system's for temporary files: its disk is part of what is measured.
//!
//! What the peer's `JournaledLog` does at each append: a random salt, written to a file of its own; a SHA-256 commitment to the
//! payload; the leaf into a tree in memory, and as a line of JSON into the journal. `sync` is an fsync of each of the two
//! files. It encrypts nothing, signs nothing unless it is asked for a checkpoint, which is not done here, and does not keep the
//! payload: only the commitment is logged. Ours keeps the event, encrypted, and at each commit syncs one file by fdatasync
//! and signs the tree. For whom the second sync decides, the peer's journal is measured alone as well, without its salts.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_security::{AuditEvent, AuditLog, EventClass, SealingKey};
use witness_log_core::identity::IdentityKeypair;
use witness_log_core::journal::{JournaledLog, LeafJournal};
use witness_log_core::log::WitnessLog;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PER_COMMIT: usize = 100;
/// Commits of each. The first make files and warm caches.
const COMMITS: usize = 420;
const WARM: usize = 20;

fn main() -> Result<()> {
    let dir = match std::env::var_os("CODEGENIE_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let events: Vec<AuditEvent> = (0..PER_COMMIT).map(event).collect();
    let lines: Vec<String> = events.iter().map(json).collect();
    let ours = AuditLog::open(dir.path().join("ours"), &SealingKey::from_bytes([7; 32]))?;
    let mut peer = JournaledLog::create(&text(&dir.path().join("peer"))?, IdentityKeypair::generate())?;
    let mut bare = Bare::create(&dir.path().join("bare"))?;

    // In turn, so that what else the disk does falls on all alike.
    let mut samples: [Vec<Duration>; 3] = Default::default();
    for number in 0..COMMITS {
        let by_ours = timed(|| Ok(ours.record_all(&events)?))?;
        let by_peer = timed(|| {
            for line in &lines {
                peer.append_intent(line.as_bytes())?;
            }
            Ok(peer.sync()?)
        })?;
        let by_bare = timed(|| bare.commit(&lines))?;
        if number >= WARM {
            samples.iter_mut().zip([by_ours, by_peer, by_bare]).for_each(|(all, time)| all.push(time));
        }
    }
    // By the commit in the middle: a disk that others use as well now and then takes ten times as long.
    let [ours, peer, bare] = samples.map(|all| PER_COMMIT as f64 * 1e6 / quantile_us(&all, 0.5));
    println!(
        "{PER_COMMIT} a commit: ours {ours:.0} events a second, witness-log-core {peer:.0}, its journal without salts {bare:.0}"
    );
    figure("audit_per_witness_log", ours / peer, "x", Goal::AtLeast(2.5));
    Ok(())
}

fn timed(commit: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    commit()?;
    Ok(start.elapsed())
}

/// The peer's tree and journal, without the file of salts.
struct Bare {
    log: WitnessLog,
    journal: LeafJournal,
}

impl Bare {
    fn create(path: &Path) -> Result<Self> {
        let log = WitnessLog::new();
        let journal = LeafJournal::create(&text(path)?, &log.identity_bytes(), 0)?;
        Ok(Self { log, journal })
    }

    fn commit(&mut self, lines: &[String]) -> Result<()> {
        for line in lines {
            let index = self.log.append_intent(line.as_bytes());
            let leaf = self.log.leaves().get(usize::try_from(index)?).ok_or("a leaf is missing")?;
            self.journal.append(leaf)?;
        }
        Ok(self.journal.sync()?)
    }
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().ok_or("the directory's name is not UTF-8")?.to_owned())
}

/// An event like those of an agent's host, as `benches/audit.rs` has it.
fn event(number: usize) -> AuditEvent {
    let actor = ["alice", "bob", "carol", "dave"][number % 4];
    let resource = format!("cargo test --workspace -p crate-{:03}", number % 1000);
    AuditEvent::new(EventClass::Command, "execute", resource)
        .at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + number as u64 / 10))
        .actor(actor)
        .agent("coder")
        .session("0f9a6c1e7d2b")
        .detail("directory", "/home/alice/project")
        .detail("layers", vec!["landlock".to_owned(), "seccomp".to_owned()])
        .detail("exit", 0_i64)
        .detail("wall_ms", 1234_i64)
}

/// The same for the peer, which takes bytes: 324 of them.
fn json(event: &AuditEvent) -> String {
    let details: Vec<String> =
        event.details.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    let (class, details) = (event.class, details.join(","));
    let (actor, action, resource, result) = (&event.actor, &event.action, &event.resource, event.result);
    let body = format!(
        "{{\"time\":1790000000,\"class\":\"{class}\",\"actor\":\"{actor}\",\"agent\":\"coder\",\"session\":\"0f9a6c1e7d2b\",\
         \"action\":\"{action}\",\"resource\":\"{resource}\",\"result\":\"{result}\",\"details\":{{{details}}}"
    );
    format!("{body:<323}}}")
}
