//! What a session must be permitted to execute, by the names that stand in a command.

use crate::command::{ParsedCommand, SimpleCommand, Word};
use crate::validate::may_run_others;
use codegenie_security::{AccessControl, Decision, Reason, Session};
use std::path::{Component, Path, PathBuf};

/// What a program that only the shell will know is called.
const UNKNOWN: &str = "command:(unknown)";

/// The first resource that the session may not execute, and why.
///
/// A named program is `command:NAME`; one that is named by its path must be permitted by both its
/// full path and its name. The arguments of programs that run others are not permissions to ask
/// for, but a rule that denies a name holds for them too. That is as far as names reach: what a
/// script or an interpreter starts is up to the sandbox.
pub(super) fn refused(
    access: &AccessControl,
    session: &Session,
    parsed: &ParsedCommand,
    cwd: &Path,
) -> Option<(String, Decision)> {
    let ask = |resource: String| (access.permit(session, "execute", &resource), resource);
    for resource in needed(parsed, cwd) {
        let (decision, resource) = ask(resource);
        if !decision.is_allowed() {
            return Some((resource, decision));
        }
    }
    // A shell among them may read its commands from a text that stands there.
    let fed = parsed.commands.iter().any(runs_others);
    let texts = parsed.inputs.iter().filter(|_| fed).flat_map(|input| names(input.text.as_written()));
    for name in parsed.commands.iter().flat_map(run_by_wrapper).chain(texts) {
        let (decision, resource) = ask(format!("command:{name}"));
        if matches!(decision.reason(), Reason::Denied(_)) {
            return Some((resource, decision));
        }
    }
    None
}

fn needed(parsed: &ParsedCommand, cwd: &Path) -> Vec<String> {
    let mut resources = Vec::new();
    for program in parsed.commands.iter().filter_map(|command| command.words.first()) {
        match program {
            Word::Literal(path) if path.contains('/') => {
                resources.push(format!("command:{}", normalized(&cwd.join(path)).display()));
                resources.push(format!("command:{}", base_name(path)));
            }
            Word::Literal(name) => resources.push(format!("command:{name}")),
            Word::Dynamic(_) => resources.push(UNKNOWN.to_owned()),
        }
    }
    if !parsed.opaque.is_empty() || resources.is_empty() {
        resources.push(UNKNOWN.to_owned());
    }
    resources.sort();
    resources.dedup();
    resources
}

/// Every name that a wrapper could run: too many is safe, since only a denial counts.
fn run_by_wrapper(command: &SimpleCommand) -> Vec<String> {
    if !runs_others(command) {
        return Vec::new();
    }
    command.words.iter().skip(1).map(Word::as_written).flat_map(names).collect()
}

fn runs_others(command: &SimpleCommand) -> bool {
    command.words.first().and_then(Word::literal).map(base_name).is_some_and(may_run_others)
}

/// What stands in a text that may be a program's name.
fn names(text: &str) -> impl Iterator<Item = String> {
    let separators = |c: char| c.is_whitespace() || "|&;()<>`$\"'={}\\".contains(c);
    text.split(separators).map(base_name).filter(|name| !name.is_empty()).map(str::to_owned)
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Without `.` and `..`, by text alone: the sandbox, not this name, decides what the path reaches.
fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
