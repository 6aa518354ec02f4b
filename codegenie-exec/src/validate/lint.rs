//! Rules that can never decide anything, named before somebody relies on them.

use super::additional;
use super::glob;
use super::permissions::{self, Tool};
use super::policy::{CommandPolicy, CommandRule, without_leading_options};
use super::verdict::Decision;
use crate::command::Word;
use std::fmt;

/// A rule that has no effect, or another one than it seems to have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyLint {
    /// The rule, such as `rule 3: git push` or `permissions.allow: Bash(ls *)`.
    pub rule: String,
    /// Why it has no effect.
    pub problem: String,
}

impl fmt::Display for PolicyLint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.problem)
    }
}

impl CommandPolicy {
    /// Names every rule that can never decide anything.
    #[must_use]
    pub fn lint(&self) -> Vec<PolicyLint> {
        let mut found = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            let mut add = |problem: String| found.push(PolicyLint { rule: name(at, &rule.prefix), problem });
            let others = || {
                let others = self.rules.iter().enumerate();
                others.filter(|(other_at, other)| *other_at != at && covers(other, rule))
            };
            let says = |other: &CommandRule| (other.pure, other.justification.clone());
            let alike = says(rule);
            // Of rules that decide the same the first one counts, with what it says.
            let first =
                |(other_at, other): &(usize, &CommandRule)| other.decision == rule.decision && *other_at < at;
            let same = |(_, other): &(usize, &CommandRule)| {
                other.decision == rule.decision && other.prefix != rule.prefix && says(other) == alike
            };
            if let Some((other_at, other)) = others().find(|(_, other)| other.decision > rule.decision) {
                let other = name(other_at, &other.prefix);
                add(format!("can never decide: {other} matches all that it does, and is stricter"));
            } else if let Some((other_at, other)) =
                others().find(first).filter(|(_, other)| says(other) != alike)
            {
                let what = if rule.pure == other.pure { "justification" } else { "pure" };
                let other = name(other_at, &other.prefix);
                add(format!(
                    "changes nothing, its {what} included: {other} comes first, matches all that it does, and decides the same"
                ));
            } else if let Some((other_at, other)) = others().find(first).or_else(|| others().find(same)) {
                let other = name(other_at, &other.prefix);
                add(format!("changes nothing: {other} matches all that it does, and decides the same"));
            }
            if let Some(word) = rule.prefix.first().filter(|word| is_an_assignment(word)) {
                add(format!(
                    "can hardly match: {word:?} sets a variable, and a rule speaks about the program behind it"
                ));
            }
            if let Some(word) = rule.prefix.first().filter(|word| RESERVED.contains(&word.as_str())) {
                add(format!(
                    "can hardly match: {word:?} is a shell's own word, and a rule speaks about the programs behind it"
                ));
            }
            if let Some(word) = rule.prefix.first().filter(|word| word.contains(char::is_whitespace)) {
                add(format!(
                    "can hardly match: {word:?} is one word; write each word of the command by itself"
                ));
            }
            if let Some(word) =
                rule.prefix.iter().find(|word| word.contains(['|', ';', '&', '>', '<', '$', '`', '*']))
            {
                add(format!(
                    "can hardly match: {word:?} means something to a shell, and a prefix holds plain words"
                ));
            }
        }
        self.lint_settings(&mut found);
        self.lint_permissions(&mut found);
        self.lint_across(&mut found);
        found
    }

    /// What stands in the block beside its rules and has no effect.
    fn lint_settings(&self, found: &mut Vec<PolicyLint>) {
        for key in self.permissions.unknown.keys() {
            found.push(PolicyLint {
                rule: format!("permissions.{key}"),
                problem: "is not known here, and has no effect".to_owned(),
            });
        }
        for folder in &self.permissions.additional_directories {
            if let Some(problem) = additional::problem(folder) {
                let rule = format!("permissions.additionalDirectories: {folder}");
                found.push(PolicyLint { rule, problem: problem.to_owned() });
            }
        }
    }

    fn lint_permissions(&self, found: &mut Vec<PolicyLint>) {
        let rules: Vec<(Decision, &str)> = self.permissions.every_rule().collect();
        for (at, (decision, text)) in rules.iter().enumerate() {
            let mut add = |problem: String| {
                found.push(PolicyLint { rule: permission(*decision, text), problem });
            };
            let Some(rule) = permissions::read(text) else {
                add("is not of the form Tool or Tool(pattern)".to_owned());
                continue;
            };
            if rule.tool == Tool::Other {
                add("speaks about a tool that is not run here".to_owned());
            }
            if *decision == Decision::Allow && self.permissions.only_reads() {
                add("can never decide: under defaultMode plan no rule allows".to_owned());
                continue;
            }
            if *decision == Decision::Allow
                && matches!(rule.tool, Tool::Read | Tool::Edit)
                && rule.pattern.is_some_and(|pattern| !glob::is_readable(pattern))
            {
                add("can never match: a bracket is opened and not closed".to_owned());
            }
            let joined = rule.pattern.filter(|pattern| rule.tool == Tool::Command && joins_commands(pattern));
            if let Some(pattern) = joined {
                add(format!(
                    "can hardly match: {pattern:?} joins commands, and a rule speaks about each of them by itself"
                ));
            }
            let earlier = rules.iter().take(at).find(|(stricter, other)| {
                stricter >= decision
                    && permissions::read(other).is_some_and(|other| {
                        other.covers(&rule) || (*stricter > *decision && covers_a_name(&other, &rule))
                    })
            });
            if let Some((_, other)) = earlier {
                add(format!("can never decide: {other} comes first and matches all that it does"));
            }
        }
    }

    /// Rules of one kind that stricter ones of the other kind leave nothing to.
    fn lint_across(&self, found: &mut Vec<PolicyLint>) {
        let commands = || {
            self.permissions.every_rule().filter_map(|(decision, text)| {
                let rule = permissions::read(text).filter(|rule| rule.tool == Tool::Command)?;
                Some((decision, text, rule))
            })
        };
        for (at, rule) in self.rules.iter().enumerate() {
            if rule.decision == Decision::Allow && self.permissions.only_reads() {
                let problem = "can never decide: under defaultMode plan no rule allows".to_owned();
                found.push(PolicyLint { rule: name(at, &rule.prefix), problem });
            }
            let written = format!("{}:*", rule.prefix.join(" "));
            let itself = permissions::Rule { tool: Tool::Command, pattern: Some(&written) };
            for (decision, text, permission_rule) in commands() {
                if decision > rule.decision
                    && (permission_rule.covers(&itself) || covers_a_name(&permission_rule, &itself))
                {
                    let problem = format!(
                        "can never decide: {} matches all that it does, and is stricter",
                        permission(decision, text)
                    );
                    found.push(PolicyLint { rule: name(at, &rule.prefix), problem });
                }
                if decision < rule.decision
                    && (itself.covers(&permission_rule) || covers_a_name(&itself, &permission_rule))
                {
                    let other = name(at, &rule.prefix);
                    let problem =
                        format!("can never decide: {other} matches all that it does, and is stricter");
                    found.push(PolicyLint { rule: permission(decision, text), problem });
                }
            }
        }
    }
}

/// What begins no simple command.
const RESERVED: &[&str] = &[
    "!", "{", "}", "[[", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function",
    "if", "select", "then", "time", "until", "while",
];

fn is_an_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// Whether a rule matches all that another does.
fn covers(rule: &CommandRule, other: &CommandRule) -> bool {
    if other.prefix.starts_with(&rule.prefix) {
        return true;
    }
    // What refuses or asks means a program by its path and behind its options as well.
    rule.decision != Decision::Allow
        && also_called(&other.prefix).iter().any(|called| called.starts_with(&rule.prefix))
}

/// The same for the patterns of permissions of which the one refuses or asks.
fn covers_a_name(rule: &permissions::Rule<'_>, other: &permissions::Rule<'_>) -> bool {
    let Some(pattern) = other.pattern.filter(|_| other.tool == Tool::Command) else { return false };
    let open = pattern.strip_suffix(":*").or_else(|| pattern.strip_suffix(" *"));
    let words: Vec<String> = open.unwrap_or(pattern).split_whitespace().map(str::to_owned).collect();
    // What a sign for any text stands for may be an option, or a subcommand.
    if words.iter().any(|word| word.contains('*')) {
        return false;
    }
    also_called(&words).iter().any(|called| {
        let written = format!("{}{}", called.join(" "), if open.is_some() { ":*" } else { "" });
        rule.covers(&permissions::Rule { tool: Tool::Command, pattern: Some(&written) })
    })
}

/// What else a command is to the rules that refuse or ask about it: by its program's name alone, and without the options
/// before a subcommand.
fn also_called(words: &[String]) -> Vec<Vec<String>> {
    let base = |word: &String| word.rsplit('/').next().unwrap_or(word).to_owned();
    let literal: Vec<Word> = words.iter().cloned().map(Word::Literal).collect();
    let without = without_leading_options(&literal).unwrap_or_default();
    let without = without.iter().map(|words| words.iter().map(|word| word.as_written().to_owned()).collect());
    let named = |words: Vec<String>| -> Vec<String> {
        let program: Option<String> = words.first().map(base);
        program.into_iter().chain(words.into_iter().skip(1)).collect()
    };
    std::iter::once(words.to_vec()).chain(without).map(named).collect()
}

fn name(at: usize, prefix: &[String]) -> String {
    format!("rule {}: {}", at + 1, prefix.join(" "))
}

fn permission(decision: Decision, text: &str) -> String {
    format!("permissions.{decision}: {text}")
}

fn joins_commands(pattern: &str) -> bool {
    ["|", ";", "&&", " > ", " < ", "`", "$("].iter().any(|sign| pattern.contains(sign))
}
