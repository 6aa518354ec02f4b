//! Events as JSON lines: read one by one, and recorded in commits.

use std::error::Error;
use std::time::{Duration, SystemTime};

use codegenie_security::{
    AuditErrorKind, AuditEvent, AuditLog, AuditResult, AuditSink, AuditValue, EventClass, ThreatLevel,
};
use indicatif::ProgressBar;
use serde_json::Value;

use crate::lines::{Lines, Next};
use crate::strict_json;

/// How many events go in one commit, and how many bytes of their lines.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 8 << 20;

/// Records what standard input has, up to the first line that is no event or that the log cannot hold. What is before it is on
/// record, and so is all that has arrived while the input pauses: who writes may be waiting for that.
pub(crate) fn record_lines(log: &AuditLog, progress: &ProgressBar) -> Result<(), Box<dyn Error>> {
    let mut lines = Lines::of_stdin();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    loop {
        let (number, event) = match lines.next(batch.is_empty()) {
            Next::Line(_, line) if line.trim_ascii().is_empty() => continue,
            Next::Line(number, line) => {
                bytes += line.len();
                (number, text_of(&line).and_then(event_of))
            }
            Next::Bad(number, problem) => (number, Err(problem)),
            Next::Pause => {
                commit(log, &mut batch, progress)?;
                bytes = 0;
                continue;
            }
            Next::End => break,
        };
        match event {
            Ok(event) => batch.push((number, event)),
            Err(problem) => {
                commit(log, &mut batch, progress)?;
                return Err(format!("line {number}: {problem}; the lines before it are on record").into());
            }
        }
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            commit(log, &mut batch, progress)?;
            bytes = 0;
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
    let fields = strict_json::object(line, "details")?;
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
            // Integers that are too large have become texts.
            None => number.as_f64().map_or(AuditValue::Text(number.to_string()), AuditValue::Float),
        },
        Value::Array(values) => match texts(values) {
            Some(texts) => AuditValue::List(texts),
            None => AuditValue::Text(value.to_string()),
        },
        Value::Null | Value::Object(_) => AuditValue::Text(value.to_string()),
    }
}
