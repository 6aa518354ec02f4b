//! How strong is what an event asks for?

use crate::audit::{AuditEvent, AuditResult, AuditValue, EventClass};

/// From here on, what is asked for gives power over others, or over the controls.
pub(super) const ESCALATING: u32 = 5;
/// Programs that run others as somebody else.
const ELEVATING: [&str; 8] = ["sudo", "su", "doas", "pkexec", "run0", "runuser", "setpriv", "nsenter"];

/// How strong what an event asks for is: 0 where that is not known, 1 to read, 2 to write, 3 to execute or to connect,
/// 4 to delete, and from [`ESCALATING`] on more privileges.
pub(super) fn strength(event: &AuditEvent) -> u32 {
    let action = event.action.as_str();
    let of_details = ["permission", "role", "roles"]
        .iter()
        .filter_map(|name| event.get_detail(name))
        .map(|value| match value {
            AuditValue::Text(text) => of_word(text),
            AuditValue::List(texts) => texts.iter().map(|text| of_word(text)).max().unwrap_or_default(),
            _ => 0,
        })
        .max()
        .unwrap_or_default();
    let of_action = match event.class {
        EventClass::Authentication if action == "raise" => ESCALATING.saturating_add(level(event)),
        // A session that is opened or refused is no stronger than any other.
        EventClass::Authentication => 0,
        EventClass::Command => of_command(event),
        EventClass::Configuration => of_word(action).max(ESCALATING),
        EventClass::Authorization if elevates(&event.resource) => ESCALATING,
        EventClass::Authorization
        | EventClass::ApiActivity
        | EventClass::FileActivity
        | EventClass::NetworkActivity => of_word(action),
        EventClass::Approval | EventClass::VulnerabilityFinding | EventClass::DetectionFinding => 0,
    };
    of_action.max(of_details)
}

/// Did this give a session more than one run, or a higher level?
pub(super) fn widens(event: &AuditEvent) -> bool {
    if event.result != AuditResult::Success {
        return false;
    }
    match event.class {
        EventClass::Authentication => event.action == "raise",
        EventClass::Approval => match event.get_detail("scope") {
            Some(AuditValue::Text(scope)) => !scope.eq_ignore_ascii_case("once"),
            _ => false,
        },
        _ => false,
    }
}

/// The level of a raise.
fn level(event: &AuditEvent) -> u32 {
    match event.get_detail("level") {
        Some(AuditValue::Int(level)) => u32::try_from((*level).clamp(0, 255)).unwrap_or_default(),
        _ => 0,
    }
}

/// An executor says of a command what it does, in the detail `class`.
fn of_command(event: &AuditEvent) -> u32 {
    let judged = match event.get_detail("class") {
        Some(AuditValue::Text(class)) => match class.as_str() {
            "read_only" => 1,
            "writes_workspace" => 2,
            "network" | "writes_outside" | "executes_code" => 3,
            "destroys" => 4,
            "escalates" => ESCALATING,
            _ => 0,
        },
        _ => 0,
    };
    match judged {
        _ if elevates(&event.resource) => ESCALATING,
        0 => of_word(&event.action),
        judged => judged,
    }
}

fn of_word(word: &str) -> u32 {
    let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    if is(&["read", "get", "list", "view", "query", "viewer", "reader", "auditor", "guest"]) {
        1
    } else if is(&["write", "create", "edit", "update", "rename", "append", "editor", "writer"]) {
        2
    } else if is(&["execute", "run", "connect", "spawn", "launch", "developer", "deploy"]) {
        3
    } else if is(&["delete", "remove", "purge", "drop", "operator", "maintainer"]) {
        4
    } else if is(&["admin", "administer", "administrator", "owner", "root", "superuser", "grant", "raise"])
        || is(&["impersonate", "assign_role", "grant_role", "set_role", "replace_policy", "chown", "setuid"])
    {
        ESCALATING
    } else {
        0
    }
}

/// Does a command, or a resource such as `command:sudo`, begin with a program that gives privileges?
fn elevates(text: &str) -> bool {
    let text = text.trim_start();
    let text = text.strip_prefix("command:").unwrap_or(text);
    let program = text.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or(program);
    ELEVATING.contains(&program)
}
