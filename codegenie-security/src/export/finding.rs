//! Findings in OCSF: what was found, and which vulnerabilities it is about.

use serde_json::{Value, json};

use crate::{AuditEvent, AuditValue, EventClass, StoredEvent};

pub(super) fn finding_info(stored: &StoredEvent, class: EventClass) -> Value {
    let mut info = json!({ "title": title(&stored.event), "uid": stored.sequence.to_string() });
    if let (true, Some(info)) = (stored.event.class != class, info.as_object_mut()) {
        info.insert("types".to_owned(), json!(["Vulnerability"]));
    }
    info
}

/// The schema wants just one of `cve`, `advisory` and `cwe` in each, so there is none where the event names none of them.
pub(super) fn vulnerabilities(event: &AuditEvent) -> Vec<Value> {
    if event.class != EventClass::VulnerabilityFinding {
        return Vec::new();
    }
    let cwes = identifiers(event, "cwe");
    let named = ["cve", "advisory"].into_iter().map(|name| (name, identifiers(event, name)));
    let Some((name, found)) = named.into_iter().find(|(_, found)| !found.is_empty()) else {
        return cwes.iter().map(|uid| json!({ "cwe": { "uid": uid }, "title": title(event) })).collect();
    };
    // Which weakness belongs to which of several vulnerabilities, the event does not say.
    let related = (found.len() == 1 && !cwes.is_empty())
        .then(|| cwes.iter().map(|uid| json!({ "uid": uid })).collect::<Value>());
    let one = |uid: &String| {
        let record = match &related {
            Some(cwes) => json!({ "related_cwes": cwes, "uid": uid }),
            None => json!({ "uid": uid }),
        };
        json!({ name: record, "title": title(event) })
    };
    found.iter().map(one).collect()
}

fn title(event: &AuditEvent) -> String {
    format!("{} {}", event.action, event.resource)
}

/// The values of all details of this name that can name something, each once.
fn identifiers(event: &AuditEvent, name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        let text = text.trim();
        if !text.is_empty() && !found.iter().any(|known| known == text) {
            found.push(text.to_owned());
        }
    };
    for (_, value) in event.details.iter().filter(|(known, _)| known == name) {
        match value {
            AuditValue::Text(text) => add(text),
            AuditValue::List(texts) => texts.iter().for_each(|text| add(text)),
            // Scanners write the number of a weakness also as a number.
            AuditValue::Int(number) if name == "cwe" && *number > 0 => add(&format!("CWE-{number}")),
            _ => {}
        }
    }
    found
}
