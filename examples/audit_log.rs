//! Keeps, verifies, queries, proves, shreds, exports and reports on an audit log.
//!
//! ```sh
//! echo '{"actor":"alice","action":"execute","resource":"git push","result":"denied","threat":"high"}' |
//!     cargo run --release --example audit_log -- append --dir /tmp/audit
//! cargo run --release --example audit_log -- query --dir /tmp/audit 'actor:alice threat:high'
//! cargo run --release --example audit_log -- verify --dir /tmp/audit --public-only
//! ```

use std::error::Error;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codegenie_security::export::{Exporter, Origin, Syslog};
use codegenie_security::tlog::NoteVerifier;
use codegenie_security::{
    Anchor, AnchoredCheckpoint, AuditEvent, AuditLog, AuditLogOptions, AuditQuery, AuditReader, AuditResult,
    AuditValue, ComplianceReport, EventClass, FileAnchor, KeyFile, StoredEvent, ThreatLevel, Verdict,
};
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

const USAGE: &str = "usage: audit_log COMMAND --dir DIR [--keys DIR] [options]
  append [--anchor FILE]                 records JSON lines from standard input: actor, agent, session, action,
                                         resource, result, threat, details; all but action optional
  verify [--public-only] [--anchor FILE] [--identity KEY]
                                         one line; status 0 Anchored or Unanchored, 2 RolledBack, Forked or Corrupt
  query [QUERY] [--json]                 such as 'actor:alice threat:high since:2026-01-31 limit:20 \"rm -rf\"'
  summary [QUERY] [--json]               counts by threat, class, result, actor and agent
  prove N                                the proof that record N is in the log
  check FILE --identity KEY              verifies such a proof, without the log
  shred SUBJECT                          destroys the keys of an actor's events
  export --format ocsf|cef|syslog|otlp [QUERY]
                                         all events that the query finds, in order
  report [QUERY] [--format markdown|json] [--anchor FILE]
                                         who did what, approvals, controls, detections, integrity; status as of verify
  tiles                                  writes the tiles of the tree, for web servers
  identity                               prints the key that says who the log is
  --keys DIR     the keys of the log; by default DIR.keys beside it, made on first use
  --dir DIR      the directory of the log";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("audit_log: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Arguments {
    command: String,
    dir: PathBuf,
    keys: PathBuf,
    anchor: Option<PathBuf>,
    identity: Option<NoteVerifier>,
    format: String,
    public_only: bool,
    json: bool,
    rest: Vec<String>,
}

fn arguments() -> Result<Option<Arguments>> {
    let mut parsed = Arguments::default();
    let (mut dir, mut keys) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--dir" => dir = Some(PathBuf::from(value()?)),
            "--keys" => keys = Some(PathBuf::from(value()?)),
            "--anchor" => parsed.anchor = Some(PathBuf::from(value()?)),
            "--identity" => parsed.identity = Some(value()?.parse()?),
            "--format" => parsed.format = value()?,
            "--public-only" => parsed.public_only = true,
            "--json" => parsed.json = true,
            "--help" | "-h" => return Ok(None),
            other if other.starts_with("--") => return Err(format!("{other} is not known\n{USAGE}").into()),
            other if parsed.command.is_empty() => other.clone_into(&mut parsed.command),
            other => parsed.rest.push(other.to_owned()),
        }
    }
    if parsed.command == "check" {
        return Ok(Some(parsed));
    }
    parsed.dir = dir.ok_or(format!("--dir is missing\n{USAGE}"))?;
    let beside = || {
        let mut name = parsed.dir.file_name().unwrap_or_default().to_owned();
        name.push(".keys");
        parsed.dir.with_file_name(name)
    };
    parsed.keys = keys.unwrap_or_else(beside);
    Ok(Some(parsed))
}

fn run() -> Result<ExitCode> {
    let Some(arguments) = arguments()? else {
        println!("{USAGE}");
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
        "tiles" => println!("{} leaves", reader(&arguments)?.write_tiles()?),
        "identity" => match reader(&arguments)?.identity() {
            Some(identity) => println!("{identity}"),
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
    const BATCH: usize = 1000;
    let log = open(arguments, true)?;
    let recovery = log.recovery();
    if !recovery.is_clean() {
        eprintln!("repaired: {recovery:?}");
    }
    let progress = ProgressBar::new_spinner();
    progress.set_draw_target(match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    });
    progress.set_style(ProgressStyle::with_template("{spinner} {pos} events, {per_sec}")?);
    let mut batch = Vec::new();
    let commit = |batch: &mut Vec<AuditEvent>| -> Result<()> {
        log.record_all(batch.iter())?;
        progress.inc(batch.len() as u64);
        batch.clear();
        Ok(())
    };
    let mut input = std::io::stdin().lock();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        match event_of(&line) {
            Ok(event) => batch.push(event),
            Err(problem) => {
                commit(&mut batch)?;
                return Err(format!("line {number}: {problem}; the lines before it are on record").into());
            }
        }
        // Whoever types one line sees it recorded; a file goes in commits.
        if batch.len() >= BATCH || std::io::stdin().is_terminal() {
            commit(&mut batch)?;
        }
    }
    commit(&mut batch)?;
    progress.finish_and_clear();
    println!("{} records, {} leaves, root {}", log.records(), log.head().size, log.head().root);
    let anchors = log.flush_anchors();
    if let Some(error) = anchors.last_error {
        return Err(format!("recorded, but not anchored: {error}").into());
    }
    Ok(())
}

fn event_of(line: &str) -> std::result::Result<AuditEvent, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let Value::Object(fields) = value else { return Err("not a JSON object".to_owned()) };
    let known =
        ["time", "class", "actor", "agent", "session", "action", "resource", "result", "threat", "details"];
    if let Some(unknown) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("{unknown:?} is not known; put it into details"));
    }
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(format!("{name} is {other}, not a text")),
    };
    let action = text("action")?.ok_or("action is missing")?;
    let class = match text("class")? {
        None => EventClass::ApiActivity,
        Some(name) => *EventClass::ALL
            .iter()
            .find(|class| class.as_str() == name)
            .ok_or(format!("class {name:?} is not known"))?,
    };
    let mut event = AuditEvent::new(class, action, text("resource")?.unwrap_or_default());
    if let Some(actor) = text("actor")? {
        event = event.actor(actor);
    }
    if let Some(agent) = text("agent")? {
        event = event.agent(agent);
    }
    if let Some(session) = text("session")? {
        event = event.session(session);
    }
    if let Some(result) = text("result")? {
        use AuditResult::{Denied, Failure, Pending, Success};
        let found = [Pending, Success, Failure, Denied].into_iter().find(|known| known.as_str() == result);
        event = event.result(found.ok_or(format!("result {result:?} is not known"))?);
    }
    if let Some(threat) = text("threat")? {
        use ThreatLevel::{Critical, High, Low, Medium, None};
        let found = [None, Low, Medium, High, Critical].into_iter().find(|known| known.as_str() == threat);
        event = event.threat(found.ok_or(format!("threat {threat:?} is not known"))?);
    }
    match fields.get("time") {
        None | Some(Value::Null) => {}
        Some(time) => {
            let seconds = time.as_f64().ok_or(format!("time is {time}, not seconds since 1970"))?;
            let since = Duration::try_from_secs_f64(seconds).map_err(|error| format!("time: {error}"))?;
            event = event.at(SystemTime::UNIX_EPOCH.checked_add(since).ok_or("time is out of range")?);
        }
    }
    match fields.get("details") {
        None | Some(Value::Null) => {}
        Some(Value::Object(details)) => {
            for (name, value) in details {
                event = event.detail(name.as_str(), value_of(value));
            }
        }
        Some(other) => return Err(format!("details is {other}, not an object")),
    }
    Ok(event)
}

fn value_of(value: &Value) -> AuditValue {
    let texts = |values: &[Value]| values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    match value {
        Value::Bool(value) => AuditValue::Bool(*value),
        Value::String(text) => AuditValue::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => AuditValue::Int(number),
            None => number.as_f64().map_or(AuditValue::Text(number.to_string()), AuditValue::Float),
        },
        Value::Array(values) => match texts(values) {
            Some(texts) => AuditValue::List(texts),
            None => AuditValue::Text(value.to_string()),
        },
        Value::Null | Value::Object(_) => AuditValue::Text(value.to_string()),
    }
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

fn verify(arguments: &Arguments) -> Result<ExitCode> {
    let anchored = anchored(arguments)?;
    let verification = if arguments.public_only {
        AuditLog::verify_public(&arguments.dir, arguments.identity.as_ref(), &anchored)?
    } else {
        reader(arguments)?.verify(&anchored)?
    };
    println!("{verification}");
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

/// A text that a log holds may not move the cursor of whoever looks at it.
fn shown(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

fn query(arguments: &Arguments) -> Result<()> {
    let page = reader(arguments)?.query(&parsed_query(arguments)?)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        for stored in &page.events {
            writeln!(out, "{}", json_of(stored))?;
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
        eprintln!("there is more: add after:{next}");
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
        println!("{}", Value::Object(all));
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header(["by", "", "events"]);
    for (part, counts) in parts {
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            table.add_row([part.to_owned(), shown(&name), count.to_string()]);
        }
    }
    println!("{} events\n{table}", summary.events());
    Ok(())
}

fn prove(arguments: &Arguments) -> Result<()> {
    let [number] = arguments.rest.as_slice() else {
        return Err(format!("prove needs a number\n{USAGE}").into());
    };
    let number = number.parse().map_err(|_| format!("{number:?} is no number of a record"))?;
    print!("{}", reader(arguments)?.prove(number)?);
    Ok(())
}

fn check(arguments: &Arguments) -> Result<()> {
    let [file] = arguments.rest.as_slice() else { return Err(format!("check needs a file\n{USAGE}").into()) };
    let identity = arguments.identity.as_ref().ok_or("check needs --identity, from somewhere you trust")?;
    let proof = codegenie_security::RecordProof::parse(&std::fs::read(file)?)?;
    let checkpoint = proof.verify(identity)?;
    println!("in the log {}, of {} leaves", checkpoint.origin(), checkpoint.head().size);
    match proof.event() {
        Some(stored) => println!("{}", json_of(stored)),
        None => println!("the record was shredded"),
    }
    Ok(())
}

fn shred(arguments: &Arguments) -> Result<()> {
    let [subject] = arguments.rest.as_slice() else {
        return Err(format!("shred needs a subject\n{USAGE}").into());
    };
    println!("{} keys destroyed", open(arguments, false)?.shred(subject)?.keys);
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
        "json" => println!("{}", report.to_json()),
        _ => print!("{}", report.to_markdown()),
    }
    Ok(status(report.verification().verdict()))
}
