//! The decision about a parsed command: each simple command is judged, the strictest wins.

use super::policy::CommandPolicy;
use super::programs::{Class, KNOWN, Known, REFUSED, assignment_is_harmless};
use crate::command::{CommandRequest, ParsedCommand, SimpleCommand, Word};
use std::fmt;

/// What is done with a command. Ordered from lax to strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Runs, confined.
    Allow,
    /// Runs, confined, when an approver agrees.
    Ask,
    /// Does not run. No approver can change that.
    Deny,
}

impl Decision {
    /// The name used in policies, tables and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was decided about one part of a command.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Judgement {
    /// The part, as it was written.
    pub part: String,
    /// What is done with it.
    pub decision: Decision,
    /// The rule that decided, such as `rule 2: make test` or `known: git log`.
    pub rule: String,
    /// Why, in a few words.
    pub reason: String,
    /// Whether its output depends on the command alone, or the policy says so.
    pub pure: bool,
}

/// What was decided about a command.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The strictest decision of the parts.
    pub decision: Decision,
    /// The rule that made it.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Whether the result may be taken from a cache: every part is pure.
    pub pure: bool,
    /// Every part, in order.
    pub parts: Vec<Judgement>,
}

/// Judges a command under a policy.
pub(crate) fn judge(policy: &CommandPolicy, request: &CommandRequest, parsed: &ParsedCommand) -> Verdict {
    let line = request.line.display();
    let mut parts: Vec<Judgement> =
        parsed.commands.iter().flat_map(|command| judge_command(policy, command)).collect();
    // The request's variables act like assignments before the command.
    let assignments = request.env.iter().map(|(name, value)| (name.clone(), Word::Literal(value.clone())));
    let environment = SimpleCommand { assignments: assignments.collect(), ..SimpleCommand::default() };
    parts.extend(judge_simple(policy, &environment));
    let whole = |rule: &str, reason: String| Judgement {
        part: line.clone(),
        decision: policy.default.decision(),
        rule: rule.to_owned(),
        reason,
        pure: false,
    };
    for construct in &parsed.opaque {
        parts.push(whole("not followed", format!("{construct}: what it does is not known before it runs")));
    }
    let shown =
        [line.as_str()].into_iter().chain(request.env.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]));
    if let Some(name) = shown.into_iter().find_map(deceptive_character) {
        parts.push(whole("deceptive text", format!("{name}: what is shown may not be what runs")));
    }
    let pure = !parts.is_empty() && parts.iter().all(|part| part.pure);
    // Of equally strict parts the first is named.
    let (decision, rule, reason) = match parts.iter().rev().max_by_key(|part| part.decision) {
        Some(part) => (part.decision, part.rule.clone(), part.reason.clone()),
        None => (Decision::Ask, "nothing".to_owned(), "the command has no parts".to_owned()),
    };
    Verdict { decision, rule, reason, pure, parts }
}

/// Also judges a command without program, assignment or file: `2>&1` alone.
fn judge_command(policy: &CommandPolicy, command: &SimpleCommand) -> Vec<Judgement> {
    let mut judgements = judge_simple(policy, command);
    if judgements.is_empty() {
        judgements.push(Judgement {
            part: String::new(),
            decision: Decision::Allow,
            rule: "nothing".to_owned(),
            reason: "runs no program".to_owned(),
            pure: false,
        });
    }
    judgements
}

fn judge_simple(policy: &CommandPolicy, command: &SimpleCommand) -> Vec<Judgement> {
    let shown = |words: &[Word]| words.iter().map(Word::as_written).collect::<Vec<_>>().join(" ");
    let part = shown(&command.words);
    let mut judgements = Vec::new();
    let mut add = |part: &str, decision, rule: String, reason: String, pure| {
        judgements.push(Judgement { part: part.to_owned(), decision, rule, reason, pure });
    };
    if !command.words.is_empty() {
        let (decision, rule, reason, pure) = judge_words(policy, &command.words);
        add(&part, decision, rule, reason, pure && command.redirects.is_empty());
    }
    for (name, value) in &command.assignments {
        let shown = format!("{name}={}", value.as_written());
        if assignment_is_harmless(name) && value.literal().is_some() {
            add(&shown, Decision::Allow, "assignment".into(), "changes no program".into(), false);
        } else {
            let reason = format!("{name} can change what programs load or run");
            add(&shown, Decision::Ask, "assignment".into(), reason, false);
        }
    }
    for redirect in &command.redirects {
        let target = redirect.target.as_written();
        if !redirect.writes {
            let known = redirect.target.literal().is_some_and(is_a_file);
            let decision = if known { Decision::Allow } else { Decision::Ask };
            add(&format!("< {target}"), decision, "redirection".into(), "reads a file".into(), false);
        } else if redirect.target.literal().is_some_and(stays_inside) {
            let reason = "writes within the workspace".into();
            add(&format!("> {target}"), Decision::Allow, "redirection".into(), reason, false);
        } else {
            let reason = "writes to a place outside of the workspace, or not known before it runs".into();
            add(&format!("> {target}"), Decision::Ask, "redirection".into(), reason, false);
        }
    }
    judgements
}

/// Not a device: a shell connects to the network where one reads `/dev/tcp/HOST/PORT`.
fn is_a_file(path: &str) -> bool {
    !path.starts_with("/dev/") || path == "/dev/null"
}

/// A relative path that does not climb, or a place that is the sandbox's own.
fn stays_inside(path: &str) -> bool {
    let climbs = path.split('/').any(|part| part == "..");
    !path.is_empty()
        && !climbs
        && (!path.starts_with('/') || path == "/dev/null" || path.starts_with("/tmp/"))
}

fn judge_words(policy: &CommandPolicy, words: &[Word]) -> (Decision, String, String, bool) {
    let unknown = |rule: &str, reason: String| (policy.default.decision(), rule.to_owned(), reason, false);
    let Some(program) = words.first().and_then(Word::literal) else {
        return unknown("program", "which program runs is decided by the shell".into());
    };
    if let Some(matched) = policy.strictest_match(words) {
        return matched;
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    // mkfs.ext4 and its siblings.
    let stem = name.split('.').next().unwrap_or(name);
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name || *refused == stem) {
        return (Decision::Deny, format!("refused: {name}"), (*why).to_owned(), false);
    }
    // A path names a file, which may be anything.
    if program.contains('/') {
        return by_default(
            policy,
            format!("{program} is a path, and only names of system programs are known"),
        );
    }
    let Some(literal) = words.iter().map(Word::literal).collect::<Option<Vec<_>>>() else {
        return unknown("expansion", "an argument is made by the shell while it runs".into());
    };
    let matching = |known: &&Known| literal.starts_with(known.prefix);
    let Some(known) = KNOWN.iter().filter(matching).max_by_key(|known| known.prefix.len()) else {
        return by_default(policy, format!("this use of {name} is not known"));
    };
    let rule = format!("known: {}", known.prefix.join(" "));
    let arguments = literal.get(known.prefix.len()..).unwrap_or_default();
    if let Some(option) = leaves_class(known, arguments) {
        return unknown(&rule, format!("{option} takes it beyond what is known of it"));
    }
    let reason = match known.class {
        Class::Reads => "only reads",
        Class::Constant => "tells the same whatever files there are",
        Class::Works => "works within the workspace",
    };
    (Decision::Allow, rule, reason.to_owned(), known.class == Class::Constant)
}

fn by_default(policy: &CommandPolicy, reason: String) -> (Decision, String, String, bool) {
    (policy.default.decision(), "default".to_owned(), reason, false)
}

/// The argument that takes a use out of its class, if one does.
fn leaves_class(known: &Known, arguments: &[&str]) -> Option<String> {
    let mut operands = 0usize;
    let mut options_ended = false;
    for argument in arguments {
        if options_ended || !argument.starts_with('-') || *argument == "-" {
            operands += 1;
        } else if *argument == "--" {
            options_ended = true;
        } else if let Some(option) = known.except.iter().find(|option| stands_for(argument, option)) {
            return Some((*option).to_owned());
        }
    }
    (operands > known.operands).then(|| format!("more than {} operands", known.operands))
}

/// Whether `argument` may be understood as `option`: attached values, clusters of short options and
/// abbreviated long options included. Too often is safe.
fn stands_for(argument: &str, option: &str) -> bool {
    if argument == option {
        return true;
    }
    match (option.strip_prefix("--"), argument.strip_prefix("--")) {
        (Some(long), Some(given)) => {
            let name = given.split('=').next().unwrap_or(given);
            long.starts_with(name)
        }
        (None, None) => {
            // A short option somewhere in a cluster; a long one with a single dash, as find has.
            let letter = option.trim_start_matches('-');
            if letter.len() == 1 { argument.contains(letter) } else { argument.starts_with(option) }
        }
        _ => false,
    }
}

/// Characters that make text look like something else.
fn deceptive_character(text: &str) -> Option<&'static str> {
    text.chars().find_map(|c| match c {
        '\n' | '\t' => None,
        c if c.is_control() => Some("a control character"),
        '\u{00ad}'
        | '\u{034f}'
        | '\u{061c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2060}'..='\u{2064}'
        | '\u{206a}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => Some("an invisible character"),
        // What looks like a space and separates no words.
        c if c != ' ' && c.is_whitespace() => Some("a space that is none"),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some("a character that turns the text direction")
        }
        _ => None,
    })
}
