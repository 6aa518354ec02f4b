//! RFC 5424 syslog messages.

use std::fmt::Write;

use super::Origin;
use super::text::{push_escaped, push_safe, rfc3339_micros};
use crate::{AuditValue, StoredEvent, ThreatLevel};

/// The number that RFC 5612 reserves for documentation.
const DOCUMENTATION: u32 = 32_473;
/// "Log audit", RFC 5424 table 1.
const FACILITY: u8 = 13;

/// Encodes events as syslog messages of RFC 5424.
///
/// | part | what stands there |
/// |---|---|
/// | PRI | facility 13 (log audit); severity 6 informational, 5 notice, 4 warning, 3 error, 2 critical for the threat levels from none to critical |
/// | TIMESTAMP | the event's time in UTC, rounded down to microseconds; `-` outside the years 0 to 9999 |
/// | HOSTNAME, APP-NAME | from the [`Origin`], with `?` for what the field cannot hold; `-` where there is none |
/// | PROCID | as [set](Self::process_id), or `-` |
/// | MSGID | the [class](crate::EventClass::as_str) |
/// | `origin` | software and its version, RFC 5424 section 7.2 |
/// | `audit@32473` | sequence, actor, agent, session, operation, action, resource, result and threat, as far as there are any |
/// | `details@32473` | a parameter per detail, and one per member of a list; a name that RFC 5424 does not allow, or that begins with `_`, stands in `_name`, and its values follow in `_value` |
/// | MSG | a sentence for people, after a byte order mark if it is not ASCII only |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    origin: Origin,
    process_id: Option<u32>,
    enterprise: u32,
}

impl Syslog {
    /// Messages from there, without a process id.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self { origin, process_id: None, enterprise: DOCUMENTATION }
    }

    /// Sets PROCID: the process that records, which may be another one than exports.
    #[must_use]
    pub fn process_id(mut self, process_id: u32) -> Self {
        self.process_id = Some(process_id);
        self
    }

    /// Sets the private enterprise number in the names of the structured data, which IANA assigns. Without
    /// it, it is 32473, which RFC 5612 reserves for documentation.
    #[must_use]
    pub fn enterprise_number(mut self, number: u32) -> Self {
        self.enterprise = number;
        self
    }

    /// The event as one message, which has no end of line.
    #[must_use]
    pub fn encode(&self, stored: &StoredEvent) -> String {
        let event = &stored.event;
        let Self { origin, enterprise, .. } = self;
        let mut out = format!("<{}>1 ", FACILITY * 8 + severity(event.threat));
        out.push_str(rfc3339_micros(event.time).as_deref().unwrap_or("-"));
        push_header(&mut out, origin.hostname.as_deref().unwrap_or_default(), 255);
        push_header(&mut out, &origin.product, 48);
        push_header(&mut out, &self.process_id.map(|id| id.to_string()).unwrap_or_default(), 128);
        push_header(&mut out, event.class.as_str(), 32);

        out.push_str(" [origin");
        // Section 7.2 allows 48 and 32 characters.
        push_param(&mut out, "software", &limited(&origin.product, 48));
        push_param(&mut out, "swVersion", &limited(&origin.version, 32));
        let _ = write!(out, "][audit@{enterprise} sequence=\"{}\"", stored.sequence);
        let operation = event.operation.map(|operation| operation.to_string());
        for (name, value) in [
            ("actor", Some(event.actor.as_str()).filter(|actor| !actor.is_empty())),
            ("agent", event.agent.as_deref()),
            ("session", event.session.as_deref()),
            ("operation", operation.as_deref()),
            ("action", Some(event.action.as_str())),
            ("resource", Some(event.resource.as_str())),
            ("result", Some(event.result.as_str())),
            ("threat", Some(event.threat.as_str())),
        ] {
            if let Some(value) = value {
                push_param(&mut out, name, value);
            }
        }
        out.push(']');
        if !event.details.is_empty() {
            let _ = write!(out, "[details@{enterprise}");
            for (name, value) in &event.details {
                push_detail(&mut out, name, value);
            }
            out.push(']');
        }

        let mut message = String::new();
        let who = if event.actor.is_empty() { "nobody known" } else { &event.actor };
        let sentence = format!("{who}: {} {}: {}", event.action, event.resource, event.result);
        sentence.chars().for_each(|c| push_safe(&mut message, c));
        out.push(' ');
        if !message.is_ascii() {
            out.push('\u{feff}');
        }
        out + &message
    }
}

fn severity(threat: ThreatLevel) -> u8 {
    match threat {
        ThreatLevel::None => 6,
        ThreatLevel::Low => 5,
        ThreatLevel::Medium => 4,
        ThreatLevel::High => 3,
        ThreatLevel::Critical => 2,
    }
}

/// A space and a field of the header: printable ASCII without spaces, of a limited length (section 6).
fn push_header(out: &mut String, text: &str, most: usize) {
    out.push(' ');
    out.push_str(if text.is_empty() { "-" } else { "" });
    out.extend(text.chars().take(most).map(|c| if c.is_ascii_graphic() { c } else { '?' }));
}

fn limited(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn push_param(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    push_escaped(out, value, &['"', ']']);
    out.push('"');
}

fn push_detail(out: &mut String, name: &str, value: &AuditValue) {
    let key = if is_param_name(name) {
        name
    } else {
        push_param(out, "_name", name);
        "_value"
    };
    match value {
        AuditValue::List(values) => values.iter().for_each(|value| push_param(out, key, value)),
        other => push_param(out, key, &other.to_string()),
    }
}

/// SD-NAME of section 6, and not ours.
fn is_param_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    (1..=32).contains(&name.len()) && !name.starts_with('_') && name.bytes().all(allowed)
}
