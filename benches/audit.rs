//! What the audit log costs: beside a bare file, beside SQLite, and beside the hash that it is made of.
//!
//! `cargo bench --bench audit`, or a part of it: `-- commits`, `-- verification`, `-- query`. The directory of the logs is
//! `CODEGENIE_BENCH_DIR`, or else the system's for temporary files: its disk is part of what is measured.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_security::{
    AuditEvent, AuditLog, AuditLogOptions, AuditQuery, AuditReader, AuditSink, EventClass, SealingKey,
};
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How much is done: a little when the bench is only tried out.
struct Sizes {
    single: usize,
    batches: usize,
    per_producer: usize,
    verified: usize,
    queried: usize,
}

fn main() -> Result<()> {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let sizes = match is_bench {
        true => {
            Sizes { single: 1_500, batches: 300, per_producer: 1_000, verified: 300_000, queried: 1_000_000 }
        }
        false => Sizes { single: 20, batches: 3, per_producer: 2, verified: 2_000, queried: 2_000 },
    };
    let dir = match std::env::var_os("CODEGENIE_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    // What comes after `--`, if anything, is the part that is wanted.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part);
    if is_wanted("commits") {
        let (single, sync) = singles(dir.path(), sizes.single)?;
        batches(dir.path(), sizes.batches, single)?;
        producers(dir.path(), sizes.per_producer, sync)?;
    }
    if is_wanted("verification") {
        verification(dir.path(), sizes.verified)?;
    }
    if is_wanted("query") {
        query(dir.path(), sizes.queried)?;
    }
    Ok(())
}

fn key() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

/// An event like those of an agent's host. As JSON it has 324 bytes, more or less.
fn event(number: usize) -> AuditEvent {
    let actor = ["alice", "bob", "carol", "dave"].get(number % 4).copied().unwrap_or("alice");
    AuditEvent::new(
        EventClass::Command,
        "execute",
        format!("cargo test --workspace -p crate-{:03}", number % 1000),
    )
    .at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + number as u64 / 10))
    .actor(actor)
    .agent("coder")
    .session("0f9a6c1e7d2b")
    .detail("directory", "/home/alice/project")
    .detail("layers", vec!["landlock".to_owned(), "seccomp".to_owned()])
    .detail("exit", 0_i64)
    .detail("wall_ms", 1234_i64)
}

fn json(event: &AuditEvent) -> String {
    let details: Vec<String> =
        event.details.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    let body = format!(
        "{{\"time\":1790000000,\"class\":\"{}\",\"actor\":\"{}\",\"agent\":\"coder\",\"session\":\"0f9a6c1e7d2b\",\
         \"action\":\"{}\",\"resource\":\"{}\",\"result\":\"{}\",\"details\":{{{}}}",
        event.class,
        event.actor,
        event.action,
        event.resource,
        event.result,
        details.join(",")
    );
    // Of the length that the field's comparisons have.
    format!("{body:<323}}}")
}

fn rate(events: usize, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// One event a commit. Returns our rate, and how long a bare sync takes in microseconds.
fn singles(dir: &Path, rounds: usize) -> Result<(f64, f64)> {
    let log = AuditLog::open(dir.join("single"), &key())?;
    let mut bare = OpenOptions::new().append(true).create(true).open(dir.join("bare"))?;
    let (mut ours, mut theirs, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..rounds {
        let event = event(number);
        let line = json(&event);
        let start = Instant::now();
        log.record(&event)?;
        ours.push(start.elapsed());
        let start = Instant::now();
        bare.write_all(line.as_bytes())?;
        let written = Instant::now();
        bare.sync_data()?;
        syncs.push(written.elapsed());
        theirs.push(start.elapsed());
    }
    let (ours_p50, theirs_p50) = (quantile_us(&ours, 0.5), quantile_us(&theirs, 0.5));
    println!("one a commit: p50 {ours_p50:.0} us, bare append and fdatasync {theirs_p50:.0} us");
    figure("audit_append_per_bare", ours_p50 / theirs_p50, "x", Goal::AtMost(1.15));
    let sqlite = sqlite(&dir.join("single.db"), rounds, 1)?;
    let rate = rate(rounds, ours.iter().sum());
    println!("one a commit: {rate:.0} events a second, SQLite {sqlite:.0}");
    Ok((rate, quantile_us(&syncs, 0.5)))
}

/// Rows of JSON in SQLite, in the journal mode WAL with synchronous FULL.
fn sqlite(path: &Path, events: usize, per_commit: usize) -> Result<f64> {
    let mut connection = rusqlite::Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, body TEXT NOT NULL)", [])?;
    let lines: Vec<String> = (0..events).map(|number| json(&event(number))).collect();
    let start = Instant::now();
    for lines in lines.chunks(per_commit) {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO events (body) VALUES (?1)")?;
            for line in lines {
                insert.execute([line])?;
            }
        }
        transaction.commit()?;
    }
    Ok(rate(events, start.elapsed()))
}

/// Time on a processor of this thread.
fn cpu() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanos))
}

fn batches(dir: &Path, batches: usize, single: f64) -> Result<()> {
    for per_commit in [100, 1000] {
        let log = AuditLog::open(dir.join(format!("batch-{per_commit}")), &key())?;
        let events: Vec<AuditEvent> = (0..per_commit).map(event).collect();
        log.record_all(&events)?;
        let (start, before) = (Instant::now(), cpu()?);
        for _ in 0..batches {
            log.record_all(&events)?;
        }
        let (took, spent) = (start.elapsed(), cpu()?.saturating_sub(before));
        let count = per_commit * batches;
        let (rate, each) = (rate(count, took), spent.as_secs_f64() * 1e6 / count as f64);
        println!("{per_commit} a commit: {rate:.0} events a second, {each:.2} us of CPU an event");
        if per_commit == 1000 {
            figure("audit_cpu_per_event", each, "us", Goal::AtMost(1.3));
            continue;
        }
        let sqlite = sqlite(&dir.join("batch.db"), count, per_commit)?;
        println!("{per_commit} a commit: SQLite {sqlite:.0} events a second");
        figure("audit_100_per_single", rate / single, "x", Goal::AtLeast(30.0));
        figure("audit_100_per_sqlite", rate / sqlite, "x", Goal::AtLeast(1.2));
    }
    Ok(())
}

/// Threads that record at once, for long enough that the first commits of a log are few.
fn producers(dir: &Path, each: usize, sync_us: f64) -> Result<()> {
    let mut rates = Vec::new();
    for threads in [1, 64] {
        let log = AuditLog::open(dir.join(format!("producers-{threads}")), &key())?;
        let count = if threads == 1 { each * 2 } else { each };
        let mut start = Instant::now();
        type Samples = std::result::Result<Vec<Vec<Duration>>, String>;
        let samples: Samples = std::thread::scope(|scope| {
            let work = |thread: usize| {
                let log = &log;
                // What a host does to make its events is no part of the log.
                let events: Vec<AuditEvent> =
                    (0..count).map(|number| event(thread * 1000 + number)).collect();
                move || -> std::result::Result<Vec<Duration>, String> {
                    let record = |event| {
                        let start = Instant::now();
                        log.record(event).map_err(|error| error.to_string())?;
                        Ok(start.elapsed())
                    };
                    events.iter().map(record).collect()
                }
            };
            let work: Vec<_> = (0..threads).map(work).collect();
            start = Instant::now();
            let threads: Vec<_> = work.into_iter().map(|work| scope.spawn(work)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a producer panicked".to_owned())?)
                .collect()
        });
        let samples: Vec<Duration> = samples?.into_iter().flatten().collect();
        let rate = rate(samples.len(), start.elapsed());
        let p99 = quantile_us(&samples, 0.99);
        println!("{threads} producers: {rate:.0} events a second, p99 {p99:.0} us");
        rates.push(rate);
        if threads > 1 {
            figure("audit_64_producers_p99_per_fdatasync", p99 / sync_us, "x", Goal::AtMost(10.0));
        }
    }
    if let [one, many] = rates.as_slice() {
        figure("audit_64_producers_per_one", many / one, "x", Goal::AtLeast(15.0));
    }
    Ok(())
}

fn fill(log: &AuditLog, events: usize) -> Result<()> {
    let mut number = 0;
    while number < events {
        let batch: Vec<AuditEvent> = (number..(number + 1000).min(events)).map(event).collect();
        log.record_all(&batch)?;
        number += batch.len();
    }
    Ok(())
}

/// The best of a few runs, in seconds.
fn best(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn verification(dir: &Path, events: usize) -> Result<()> {
    let path = dir.join("verified");
    fill(&AuditLog::open(&path, &key())?, events)?;
    let mut bytes = 0;
    let raw = best(|| {
        bytes = 0;
        let mut hash = Sha256::new();
        for entry in std::fs::read_dir(path.join("segments"))? {
            let content = std::fs::read(entry?.path())?;
            bytes += content.len();
            hash.update(&content);
        }
        std::hint::black_box(hash.finalize());
        Ok(())
    })?;
    let intact = |verification: codegenie_security::Verification| match verification.is_intact() {
        true => Ok(()),
        false => Err(verification.to_string().into()),
    };
    let public = best(|| intact(AuditLog::verify_public(&path, None, &[])?))?;
    let with_key = best(|| intact(AuditLog::verify(&path, &key())?))?;
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{megabytes:.0} MB: SHA-256 on one core {:.0} MB/s; verified on all cores without a key {:.0} MB/s, with the key and all \
         records decrypted {:.0} MB/s",
        megabytes / raw,
        megabytes / public,
        megabytes / with_key
    );
    figure("audit_verify_per_sha256", raw / public, "x", Goal::AtLeast(0.8));
    Ok(())
}

fn query(dir: &Path, events: usize) -> Result<()> {
    let path = dir.join("queried");
    fill(&AuditLogOptions::new().open(&path, &key())?, events)?;
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + events as u64 / 20);
    let query = AuditQuery::new().actor("carol").since(start).until(start + Duration::from_secs(600));
    let reader = AuditReader::open(&path, &key())?;
    let mut samples = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        let page = reader.query(&query)?;
        samples.push(start.elapsed());
        if page.events.is_empty() {
            return Err("the query found nothing".into());
        }
    }
    let p50 = quantile_us(&samples, 0.5) / 1e3;
    println!("{events} events, by actor and time: {p50:.1} ms");
    figure("audit_query", p50, "ms", Goal::AtMost(50.0));
    // A text that is nowhere, in all events of one session: each is decrypted and looked at.
    let few = dir.join("few");
    let log = AuditLogOptions::new().open(&few, &key())?;
    let batch: Vec<AuditEvent> = (0..(events / 50).min(60_000)).map(event).collect();
    log.record_all(&batch)?;
    drop(log);
    let reader = AuditReader::open(&few, &key())?;
    let text = AuditQuery::new().session("0f9a6c1e7d2b").text("zebra");
    let (read, queried) = (
        best(|| {
            let found =
                reader.records()?.filter(|stored| stored.as_ref().is_ok_and(|stored| text.matches(stored)));
            if found.count() == 0 { Ok(()) } else { Err("the text is there".into()) }
        })?,
        best(
            || if reader.query(&text)?.events.is_empty() { Ok(()) } else { Err("the text is there".into()) },
        )?,
    );
    println!(
        "{} events of one commit, by text: {:.0} ms, read in order {:.0} ms",
        batch.len(),
        queried * 1e3,
        read * 1e3
    );
    figure("audit_text_query_per_read", queried / read, "x", Goal::AtMost(2.0));
    Ok(())
}
