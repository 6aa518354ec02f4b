//! Rules that can never decide anything, named before somebody relies on them.

use super::permissions::{self, Tool};
use super::policy::CommandPolicy;
use super::verdict::Decision;
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
            let covers = |(other_at, other): &(usize, &super::CommandRule)| {
                *other_at != at && rule.prefix.starts_with(&other.prefix)
            };
            let mut others = self.rules.iter().enumerate().filter(covers);
            if let Some((other_at, other)) = others.clone().find(|(_, other)| other.decision > rule.decision)
            {
                let other = name(other_at, &other.prefix);
                add(format!("can never decide: {other} matches all that it does, and is stricter"));
            } else if let Some((other_at, other)) = others.find(|(other_at, other)| {
                other.decision == rule.decision && (other.prefix != rule.prefix || *other_at < at)
            }) {
                let other = name(other_at, &other.prefix);
                add(format!("changes nothing: {other} matches all that it does, and decides the same"));
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
        self.lint_permissions(&mut found);
        self.lint_across(&mut found);
        found
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
            let joined = rule.pattern.filter(|pattern| rule.tool == Tool::Command && joins_commands(pattern));
            if let Some(pattern) = joined {
                add(format!(
                    "can hardly match: {pattern:?} joins commands, and a rule speaks about each of them by itself"
                ));
            }
            let earlier = rules.iter().take(at).find(|(stricter, other)| {
                stricter >= decision && permissions::read(other).is_some_and(|other| other.covers(&rule))
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
                if decision > rule.decision && permission_rule.covers(&itself) {
                    let problem = format!(
                        "can never decide: {} matches all that it does, and is stricter",
                        permission(decision, text)
                    );
                    found.push(PolicyLint { rule: name(at, &rule.prefix), problem });
                }
                if decision < rule.decision && itself.covers(&permission_rule) {
                    let other = name(at, &rule.prefix);
                    let problem =
                        format!("can never decide: {other} matches all that it does, and is stricter");
                    found.push(PolicyLint { rule: permission(decision, text), problem });
                }
            }
        }
    }
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
