//! Which activity of its OCSF class an event is.

use crate::{AuditEvent, AuditResult, EventClass};

/// The number of an activity in its class, and its caption.
pub(super) type Activity<'a> = (u32, &'a str);

/// Of a verb that the class has no activity for, the number is 99, and the caption is the verb.
pub(super) fn activity(event: &AuditEvent) -> Activity<'_> {
    let verb = event.action.as_str();
    let known = match event.class {
        EventClass::Authentication => authentication(verb),
        EventClass::Authorization => None,
        EventClass::Approval | EventClass::ApiActivity => api(verb),
        EventClass::Command => process(verb),
        EventClass::FileActivity => file(verb),
        EventClass::NetworkActivity => network(verb, event.result),
        EventClass::Configuration => Some((1, "Log")),
        EventClass::VulnerabilityFinding | EventClass::DetectionFinding => Some(finding(verb)),
    };
    known.unwrap_or((99, if verb.is_empty() { "Other" } else { verb }))
}

fn authentication(verb: &str) -> Option<Activity<'static>> {
    match verb {
        "enter" | "login" | "logon" | "open_session" => Some((1, "Logon")),
        "close_session" | "expire" | "logoff" | "logout" | "revoke" | "revoke_user" => Some((2, "Logoff")),
        _ => None,
    }
}

fn api(verb: &str) -> Option<Activity<'static>> {
    match verb {
        "add" | "create" | "insert" => Some((1, "Create")),
        "get" | "list" | "query" | "read" => Some((2, "Read")),
        "replace" | "set" | "update" | "write" => Some((3, "Update")),
        "delete" | "remove" => Some((4, "Delete")),
        _ => None,
    }
}

fn process(verb: &str) -> Option<Activity<'static>> {
    match verb {
        "execute" | "launch" | "run" | "spawn" => Some((1, "Launch")),
        "kill" | "stop" | "terminate" => Some((2, "Terminate")),
        _ => None,
    }
}

fn file(verb: &str) -> Option<Activity<'static>> {
    match verb {
        "create" => Some((1, "Create")),
        "read" => Some((2, "Read")),
        "append" | "change" | "edit" | "modify" | "replace" | "truncate" | "update" | "write" => {
            Some((3, "Update"))
        }
        "delete" | "remove" | "unlink" => Some((4, "Delete")),
        "move" | "rename" => Some((5, "Rename")),
        "set_attributes" => Some((6, "Set Attributes")),
        "chmod" | "chown" | "set_permissions" => Some((7, "Set Security")),
        "open" => Some((14, "Open")),
        _ => None,
    }
}

/// The activities of a connection say how it ended, so the result counts.
fn network(verb: &str, result: AuditResult) -> Option<Activity<'static>> {
    match (verb, result) {
        ("connect" | "listen" | "open", AuditResult::Denied) => Some((5, "Refuse")),
        ("connect" | "listen" | "open", AuditResult::Failure) => Some((4, "Fail")),
        ("connect" | "open", _) => Some((1, "Open")),
        ("close", _) => Some((2, "Close")),
        ("reset", _) => Some((3, "Reset")),
        ("traffic", _) => Some((6, "Traffic")),
        ("listen", _) => Some((7, "Listen")),
        _ => None,
    }
}

fn finding(verb: &str) -> Activity<'static> {
    match verb {
        "update" => (2, "Update"),
        "close" | "resolve" => (3, "Close"),
        _ => (1, "Create"),
    }
}
