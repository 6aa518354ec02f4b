//! Events as JSON lines: read one by one, and recorded in commits.

use std::error::Error;
use std::io::{BufRead, IsTerminal};
use std::time::{Duration, SystemTime};

use codegenie_security::{
    AuditErrorKind, AuditEvent, AuditLog, AuditResult, AuditSink, AuditValue, EventClass, ThreatLevel,
};
use indicatif::ProgressBar;
use serde_json::Value;

/// How many events go in one commit.
const BATCH: usize = 1000;

/// Records what standard input has, up to the first line that is no event or that the log cannot hold. What is before it is on
/// record.
pub(crate) fn record_lines(log: &AuditLog, progress: &ProgressBar) -> Result<(), Box<dyn Error>> {
    // Whoever types one line sees it recorded; a file goes in commits.
    let most = if std::io::stdin().is_terminal() { 1 } else { BATCH };
    let mut batch = Vec::new();
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let event = match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => text_of(&line).and_then(event_of),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        match event {
            Ok(event) => batch.push((number, event)),
            Err(problem) => {
                commit(log, &mut batch, progress)?;
                return Err(format!("line {number}: {problem}; the lines before it are on record").into());
            }
        }
        if batch.len() >= most {
            commit(log, &mut batch, progress)?;
        }
    }
    commit(log, &mut batch, progress)
}

fn commit(
    log: &AuditLog,
    batch: &mut Vec<(u64, AuditEvent)>,
    progress: &ProgressBar,
) -> Result<(), Box<dyn Error>> {
    match log.record_all(batch.iter().map(|(_, event)| event)) {
        Ok(()) => progress.inc(batch.len() as u64),
        // None is on record, because of one of them.
        Err(error) if error.kind() == AuditErrorKind::Rejected => {
            for (number, event) in &*batch {
                log.record(event)
                    .map_err(|error| format!("line {number}: {error}; the lines before it are on record"))?;
                progress.inc(1);
            }
        }
        Err(error) => {
            let first = batch.first().map_or(1, |(number, _)| *number);
            return Err(format!("{error}; the lines before line {first} are on record").into());
        }
    }
    batch.clear();
    Ok(())
}

fn text_of(line: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 from byte {} of the line on", error.valid_up_to() + 1))
}

fn event_of(line: &str) -> Result<AuditEvent, String> {
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
