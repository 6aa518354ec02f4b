//! ArcSight's Common Event Format.

use std::fmt::Write;

use super::Origin;
use super::ocsf::details;
use super::text::{epoch_millis, is_unsafe, push_escaped};
use crate::{StoredEvent, ThreatLevel};

/// The event as one line of the Common Event Format, version 0, as in ArcSight's CEF Implementation Standard.
///
/// `CEF:0|vendor|product|version|class|action|severity|` and then, as far as there are any: `rt`
/// (milliseconds since 1970), `externalId` (sequence number), `dvchost`, `suser` (actor), `act` (action),
/// `outcome` (result), `msg` (resource), and labelled texts: `cs1` agent, `cs2` session, `cs3` operation, `cs4`
/// threat level, `cs5` details as a JSON object as in [`ocsf_json`](super::ocsf_json). The severity is 0, 3, 6,
/// 8 and 10 for the threat levels from none to critical.
///
/// In a field of the header a character that would break the line is a space; `act` has the action as it is.
#[must_use]
pub fn cef(origin: &Origin, stored: &StoredEvent) -> String {
    let event = &stored.event;
    let mut out = String::from("CEF:0|");
    for field in [&origin.vendor, &origin.product, &origin.version, event.class.as_str(), &event.action] {
        push_header(&mut out, field);
    }
    let (time, sequence) = (epoch_millis(event.time), stored.sequence);
    let _ = write!(out, "{}|rt={time} externalId={sequence}", severity(event.threat));

    let operation = event.operation.map(|operation| operation.to_string());
    let details = (!event.details.is_empty()).then(|| details(event).to_string());
    for (key, value) in [
        ("dvchost", origin.hostname.as_deref()),
        ("suser", Some(event.actor.as_str()).filter(|actor| !actor.is_empty())),
        ("act", Some(event.action.as_str())),
        ("outcome", Some(event.result.as_str())),
        ("msg", Some(event.resource.as_str())),
    ] {
        push_extension(&mut out, key, value);
    }
    for (key, label, value) in [
        ("cs1", "agent", event.agent.as_deref()),
        ("cs2", "session", event.session.as_deref()),
        ("cs3", "operation", operation.as_deref()),
        ("cs4", "threat", Some(event.threat.as_str())),
        ("cs5", "details", details.as_deref()),
    ] {
        if value.is_some() {
            let _ = write!(out, " {key}Label={label}");
            push_extension(&mut out, key, value);
        }
    }
    out
}

fn severity(threat: ThreatLevel) -> u8 {
    match threat {
        ThreatLevel::None => 0,
        ThreatLevel::Low => 3,
        ThreatLevel::Medium => 6,
        ThreatLevel::High => 8,
        ThreatLevel::Critical => 10,
    }
}

fn push_header(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' | '|' => out.extend(['\\', c]),
            _ if is_unsafe(c) => out.push(' '),
            _ => out.push(c),
        }
    }
    out.push('|');
}

fn push_extension(out: &mut String, key: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    out.push(' ');
    out.push_str(key);
    out.push('=');
    push_escaped(out, value, &['=']);
}
