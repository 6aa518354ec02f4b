//! Keeps, verifies, queries, proves, shreds, exports and reports on an audit log.
//!
//! ```sh
//! echo '{"actor":"alice","action":"execute","resource":"git push","result":"denied","threat":"high"}' |
//!     cargo run --release --example audit_log -- append --dir /tmp/audit
//! cargo run --release --example audit_log -- query --dir /tmp/audit 'actor:alice threat:high'
//! cargo run --release --example audit_log -- verify --dir /tmp/audit --public-only
//! ```

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use codegenie_security::export::{Exporter, Origin, Syslog};
use codegenie_security::{
    Anchor, AnchoredCheckpoint, AuditLog, AuditLogOptions, AuditQuery, AuditReader, AuditResult, AuditValue,
    ComplianceReport, EventClass, FileAnchor, KeyFile, StoredEvent, ThreatLevel, Verdict, Verification,
};
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

#[path = "audit_log/arguments.rs"]
mod arguments;
#[path = "audit_log/input.rs"]
mod input;
#[path = "audit_log/lines.rs"]
mod lines;
#[path = "audit_log/places.rs"]
mod places;
#[path = "audit_log/shown.rs"]
mod shown;
#[path = "audit_log/strict_json.rs"]
mod strict_json;

use arguments::{Arguments, USAGE};
use shown::{shown, shown_json, shown_lines};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `println` that fails where nobody can write.
macro_rules! say {
    ($($text:tt)*) => { writeln!(std::io::stdout(), $($text)*)? };
}

fn main() -> ExitCode {
    let done = run().and_then(|code| {
        std::io::stdout().flush()?;
        Ok(code)
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            // Who closed the pipe has read enough.
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_none_or(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
                warn(&format!("audit_log: {error}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// There is nobody left to tell that standard error is closed.
fn warn(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", shown_lines(text));
}

fn run() -> Result<ExitCode> {
    let Some(arguments) = arguments::parse(std::env::args_os().skip(1))? else {
        say!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    match arguments.command.as_str() {
        "append" => append(&arguments)?,
        "verify" => return verify(&arguments),
        "query" => query(&arguments)?,
        "summary" => summary(&arguments)?,
        "prove" => prove(&arguments)?,
        "check" => check(&arguments)?,
        "shred" => shred(&arguments)?,
        "export" => export(&arguments)?,
        "report" => return report(&arguments),
        "tiles" => say!("{} leaves", reader(&arguments)?.write_tiles()?),
        "identity" => match reader(&arguments)?.identity() {
            Some(identity) => say!("{identity}"),
            None => return Err("the log has no identity".into()),
        },
        other => return Err(format!("{other:?} is no command\n{USAGE}").into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// The key that seals the directory of keys lies in it: enough for an example. A host keeps it elsewhere.
fn host_key(arguments: &Arguments, create: bool) -> Result<KeyFile> {
    let path = arguments.keys.join("host.key");
    if !create {
        if !path.exists() {
            let Arguments { dir, keys, .. } = arguments;
            return Err(match dir.exists() {
                true => format!(
                    "no keys for the log in {keys:?}; give the directory that was made with it by --keys"
                ),
                false => format!("audit log {dir:?} does not exist; correct --dir, or make one by `append`"),
            }
            .into());
        }
        return Ok(KeyFile::load(path)?);
    }
    match std::fs::create_dir(&arguments.keys) {
        Ok(()) => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&arguments.keys, std::fs::Permissions::from_mode(0o700))?;
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("cannot make {:?}: {error}", arguments.keys).into()),
    }
    Ok(KeyFile::load_or_create(path)?)
}

fn open(arguments: &Arguments, create: bool) -> Result<AuditLog> {
    let mut options = AuditLogOptions::new().keys(&arguments.keys);
    if !create {
        options = options.must_exist();
    }
    if let Some(anchor) = &arguments.anchor {
        options = options.anchor(Arc::new(FileAnchor::new(anchor)));
    }
    Ok(options.open(&arguments.dir, host_key(arguments, create)?.key())?)
}

fn reader(arguments: &Arguments) -> Result<AuditReader> {
    let key = host_key(arguments, false)?;
    Ok(AuditReader::open_with_keys(&arguments.dir, &arguments.keys, key.key())?)
}

fn parsed_query(arguments: &Arguments) -> Result<AuditQuery> {
    Ok(arguments.rest.join(" ").parse()?)
}

fn append(arguments: &Arguments) -> Result<()> {
    places::check(&arguments.dir, &arguments.keys)?;
    let log = open(arguments, true)?;
    let recovery = log.recovery();
    if !recovery.is_clean() {
        warn(&format!("repaired: {recovery:?}"));
    }
    let progress = ProgressBar::new_spinner();
    progress.set_draw_target(match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    });
    progress.set_style(ProgressStyle::with_template("{spinner} {pos} events, {per_sec}")?);
    let recorded = input::record_lines(&log, &progress);
    progress.finish_and_clear();
    recorded?;
    say!("{} records, {} leaves, root {}", log.records(), log.head().size, log.head().root);
    let anchors = log.flush_anchors();
    if let Some(error) = anchors.last_error {
        return Err(format!("recorded, but not anchored: {error}").into());
    }
    Ok(())
}

fn anchored(arguments: &Arguments) -> Result<Vec<AnchoredCheckpoint>> {
    let Some(path) = &arguments.anchor else { return Ok(Vec::new()) };
    match FileAnchor::new(path).latest()? {
        Some(anchored) => Ok(vec![anchored]),
        None => Err(format!("there is no anchor {path:?}").into()),
    }
}

fn status(verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Anchored | Verdict::Unanchored => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

fn verification(arguments: &Arguments, anchored: &[AnchoredCheckpoint]) -> Result<Verification> {
    let identity = arguments.identity.as_ref();
    let public = || AuditLog::verify_public(&arguments.dir, identity, anchored);
    if arguments.public_only {
        return Ok(public()?);
    }
    let is_bad = |found: &Verification| status(found.verdict()) != ExitCode::SUCCESS;
    match reader(arguments) {
        Ok(reader) => {
            // The log is another one than that of the keys, or than that which is asked for.
            if identity.is_some_and(|given| reader.identity() != Some(given)) {
                let found = public()?;
                if is_bad(&found) {
                    return Ok(found);
                }
            }
            Ok(reader.verify(anchored)?)
        }
        // Who took the keys away as well does not get by with that.
        Err(error) => public().ok().filter(is_bad).ok_or(error),
    }
}

fn verify(arguments: &Arguments) -> Result<ExitCode> {
    let anchored = anchored(arguments)?;
    let verification = verification(arguments, &anchored)?;
    say!("{}", shown_lines(&verification.to_string()));
    Ok(status(verification.verdict()))
}

fn json_of(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    let time = event.time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let details: serde_json::Map<String, Value> =
        event.details.iter().map(|(name, value)| (name.clone(), json_value(value))).collect();
    json!({
        "sequence": stored.sequence, "time": time, "class": event.class.as_str(), "actor": event.actor,
        "agent": event.agent, "session": event.session, "action": event.action, "resource": event.resource,
        "result": event.result.as_str(), "threat": event.threat.as_str(), "details": details,
    })
}

fn json_value(value: &AuditValue) -> Value {
    match value {
        AuditValue::Bool(value) => json!(value),
        AuditValue::Int(value) => json!(value),
        AuditValue::Float(value) => json!(value),
        AuditValue::Text(value) => json!(value),
        AuditValue::List(values) => json!(values),
        other => json!(other.to_string()),
    }
}

fn query(arguments: &Arguments) -> Result<()> {
    let page = reader(arguments)?.query(&parsed_query(arguments)?)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        for stored in &page.events {
            writeln!(out, "{}", shown_json(&json_of(stored).to_string()))?;
        }
    } else {
        let mut table = Table::new();
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["#", "actor", "agent", "action", "resource", "result", "threat"]);
        for stored in &page.events {
            let event = &stored.event;
            table.add_row([
                stored.sequence.to_string(),
                shown(&event.actor),
                shown(event.agent.as_deref().unwrap_or_default()),
                shown(&event.action),
                shown(&event.resource),
                event.result.to_string(),
                event.threat.to_string(),
            ]);
        }
        writeln!(out, "{table}")?;
    }
    if let Some(next) = page.next {
        warn(&format!("there is more: add after:{next}"));
    }
    Ok(())
}

fn summary(arguments: &Arguments) -> Result<()> {
    let summary = reader(arguments)?.summary(&parsed_query(arguments)?)?;
    let classes = EventClass::ALL.map(|class| (class.to_string(), summary.by_class(class)));
    let threats =
        [ThreatLevel::Critical, ThreatLevel::High, ThreatLevel::Medium, ThreatLevel::Low, ThreatLevel::None]
            .map(|threat| (threat.to_string(), summary.by_threat(threat)));
    let results = [AuditResult::Pending, AuditResult::Success, AuditResult::Failure, AuditResult::Denied]
        .map(|result| (result.to_string(), summary.by_result(result)));
    let names = |names: &codegenie_security::NameCounts| -> Vec<(String, u64)> {
        names.top(10).into_iter().map(|name| (name.name, name.at_least)).collect()
    };
    let parts = [
        ("threat", threats.to_vec()),
        ("class", classes.to_vec()),
        ("result", results.to_vec()),
        ("actor", names(summary.actors())),
        ("agent", names(summary.agents())),
    ];
    if arguments.json {
        let object = |counts: &[(String, u64)]| -> Value {
            counts
                .iter()
                .map(|(name, count)| (name.clone(), json!(count)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let mut all: serde_json::Map<String, Value> =
            parts.iter().map(|(name, counts)| ((*name).to_owned(), object(counts))).collect();
        all.insert("events".to_owned(), json!(summary.events()));
        all.insert("high_threat".to_owned(), summary.high_threat().map(json_of).collect());
        say!("{}", shown_json(&Value::Object(all).to_string()));
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header(["by", "", "events"]);
    for (part, counts) in parts {
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            table.add_row([part.to_owned(), shown(&name), count.to_string()]);
        }
    }
    say!("{} events\n{table}", summary.events());
    Ok(())
}

fn prove(arguments: &Arguments) -> Result<()> {
    let [number] = arguments.rest.as_slice() else {
        return Err(format!("prove needs a number\n{USAGE}").into());
    };
    let number = number.parse().map_err(|_| format!("{number:?} is no number of a record"))?;
    Ok(write!(std::io::stdout(), "{}", reader(arguments)?.prove(number)?)?)
}

fn check(arguments: &Arguments) -> Result<()> {
    let [file] = arguments.rest.as_slice() else { return Err(format!("check needs a file\n{USAGE}").into()) };
    let identity = arguments.identity.as_ref().ok_or("check needs --identity, from somewhere you trust")?;
    let proof = codegenie_security::RecordProof::parse(&std::fs::read(file)?)?;
    let checkpoint = proof.verify(identity)?;
    say!("in the log {}, of {} leaves", shown(checkpoint.origin()), checkpoint.head().size);
    match proof.event() {
        Some(stored) => {
            let mut event = json_of(stored);
            // No proof shows the number of a record: that is what the log's host says.
            if let Some(fields) = event.as_object_mut()
                && let Some(sequence) = fields.remove("sequence")
            {
                fields.insert("claimed_sequence".to_owned(), sequence);
            }
            say!("{}", shown_json(&event.to_string()));
        }
        None => say!(
            "not opened: leaf {} is in the log, but nothing shows what it is; the record was shredded, or its opening was cut off",
            proof.logged().index()
        ),
    }
    Ok(())
}

fn shred(arguments: &Arguments) -> Result<()> {
    let [subject] = arguments.rest.as_slice() else {
        return Err(format!("shred needs a subject\n{USAGE}").into());
    };
    if subject.is_empty() {
        return Err("shred needs the name of an actor; events without one have no keys of their own".into());
    }
    say!("{} keys destroyed", open(arguments, false)?.shred(subject)?.keys);
    Ok(())
}

fn export(arguments: &Arguments) -> Result<()> {
    let origin = Origin::new();
    let exporter = match arguments.format.as_str() {
        "ocsf" => Exporter::OcsfJson(origin),
        "cef" => Exporter::Cef(origin),
        "syslog" => Exporter::Syslog(Syslog::new(origin)),
        "otlp" => Exporter::Otlp(origin),
        "" => return Err(format!("export needs --format\n{USAGE}").into()),
        other => return Err(format!("format {other:?} is not known: ocsf, cef, syslog or otlp").into()),
    };
    let query = parsed_query(arguments)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for stored in reader(arguments)?.records()? {
        let stored = stored?;
        if query.matches(&stored) {
            exporter.write(&stored, &mut out)?;
        }
    }
    Ok(out.flush()?)
}

fn report(arguments: &Arguments) -> Result<ExitCode> {
    if !matches!(arguments.format.as_str(), "" | "markdown" | "json") {
        return Err(format!("format {:?} is not known: markdown or json", arguments.format).into());
    }
    let query = parsed_query(arguments)?;
    let mut report = ComplianceReport::make(&reader(arguments)?, &query, &anchored(arguments)?)?;
    if !arguments.rest.is_empty() {
        report = report.title(format!("Audit report on {}", arguments.rest.join(" ")));
    }
    match arguments.format.as_str() {
        "json" => say!("{}", shown_json(&report.to_json())),
        _ => write!(std::io::stdout(), "{}", shown_lines(&report.to_markdown()))?,
    }
    Ok(status(report.verification().verdict()))
}
