//! The host's own rules about commands, as a value and as a file.

use super::judge::Decision;
use super::shell;
use crate::command::{CommandLine, Word};
use codegenie_security::{AuditEvent, AuditResult, AuditSink, EventClass, ThreatLevel};
use std::path::Path;

/// The host's rules, on top of what is known of common programs.
///
/// A rule speaks about every simple command that begins with its words; among several that match,
/// the strictest holds. What no rule and no knowledge covers falls to [`default`](Self::default).
///
/// ```
/// use codegenie_exec::{CommandPolicy, CommandRequest, Decision};
///
/// let policy = CommandPolicy::from_toml(r#"
///     default = "deny"
///
///     [[rules]]
///     prefix = ["make", "test"]
///     decision = "allow"
///     justification = "the project's own tests"
///     match = ["make test", "make test -j2"]
///     not_match = ["make install"]
/// "#)?;
/// assert_eq!(policy.judge(&CommandRequest::shell("make test && git status"))?.decision, Decision::Allow);
/// assert_eq!(policy.judge(&CommandRequest::shell("make install"))?.decision, Decision::Deny);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CommandPolicy {
    /// What happens to what is not known.
    pub default: UnknownCommand,
    /// The rules.
    pub rules: Vec<CommandRule>,
}

/// What happens to a command that no rule and no knowledge covers, and to what cannot be followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnknownCommand {
    /// An approver is asked.
    #[default]
    Ask,
    /// It does not run.
    Deny,
}

impl UnknownCommand {
    pub(super) fn decision(self) -> Decision {
        match self {
            Self::Ask => Decision::Ask,
            Self::Deny => Decision::Deny,
        }
    }
}

/// One rule: what happens to commands that begin with these words.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CommandRule {
    /// The program and leading arguments, each one word.
    pub prefix: Vec<String>,
    /// What happens.
    pub decision: Decision,
    /// Why, for the person who reads a refusal or an approval.
    #[serde(default)]
    pub justification: String,
    /// The output depends on the command, its directory and the workspace only: it may come from a
    /// cache until something else ran in the workspace.
    #[serde(default)]
    pub pure: bool,
    /// Commands that the rule must match; loading fails if it does not.
    #[serde(default, rename = "match")]
    pub matches: Vec<String>,
    /// Commands that the rule must not match; loading fails if it does.
    #[serde(default)]
    pub not_match: Vec<String>,
}

impl CommandRule {
    /// A rule about commands that begin with `prefix`.
    pub fn new<I, T>(prefix: I, decision: Decision) -> Self
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        Self {
            prefix: prefix.into_iter().map(Into::into).collect(),
            decision,
            justification: String::new(),
            pure: false,
            matches: Vec::new(),
            not_match: Vec::new(),
        }
    }

    /// Says why.
    #[must_use]
    pub fn justification(mut self, why: impl Into<String>) -> Self {
        self.justification = why.into();
        self
    }

    /// Marks the output as depending on the command and the workspace only.
    #[must_use]
    pub fn pure(mut self) -> Self {
        self.pure = true;
        self
    }

    /// A rule that refuses or asks about a program also means it by its path.
    fn matches_words(&self, words: &[Word]) -> bool {
        let same = |(index, (wanted, word)): (usize, (&String, &Word))| {
            word.literal().is_some_and(|word| {
                let named = index == 0 && self.decision != Decision::Allow && !wanted.contains('/');
                word == wanted || (named && word.rsplit('/').next() == Some(wanted))
            })
        };
        !self.prefix.is_empty()
            && words.len() >= self.prefix.len()
            && self.prefix.iter().zip(words).enumerate().all(same)
    }
}

/// A policy file that cannot be used. Nothing of it is applied.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}; correct the file, commands stay blocked until it loads")]
pub struct PolicyFileError {
    origin: String,
    problem: String,
}

impl CommandPolicy {
    /// Adds a rule.
    #[must_use]
    pub fn rule(mut self, rule: CommandRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Reads a policy file, TOML or JSON by its extension.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PolicyFileError> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let error = |problem: String| PolicyFileError { origin: origin.clone(), problem };
        let text = std::fs::read_to_string(path).map_err(|e| error(format!("cannot be read: {e}")))?;
        match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("toml") => Self::parse_toml(&text, &origin),
            Some("json") => Self::parse_json(&text, &origin),
            _ => Err(error("the name must end in .toml or .json".into())),
        }
    }

    /// As [`load`](Self::load), and puts on record which file was loaded, or why it was not. Where that
    /// cannot be recorded, the policy is not given either.
    pub fn load_recorded(path: impl AsRef<Path>, audit: &impl AuditSink) -> Result<Self, PolicyFileError> {
        let path = path.as_ref();
        let loaded = Self::load(path);
        let event =
            AuditEvent::new(EventClass::Configuration, "load command policy", path.display().to_string());
        let event = match &loaded {
            Ok(policy) => event.detail("rules", policy.rules.len() as u64),
            Err(error) => event
                .result(AuditResult::Failure)
                .threat(ThreatLevel::Low)
                .detail("problem", error.problem.as_str()),
        };
        audit.record(&event).map_err(|error| PolicyFileError {
            origin: path.display().to_string(),
            problem: format!("loading it could not be recorded: {error}"),
        })?;
        loaded
    }

    /// Reads a policy from TOML text.
    pub fn from_toml(text: &str) -> Result<Self, PolicyFileError> {
        Self::parse_toml(text, "policy")
    }

    /// Reads a policy from JSON text.
    pub fn from_json(text: &str) -> Result<Self, PolicyFileError> {
        Self::parse_json(text, "policy")
    }

    fn parse_toml(text: &str, origin: &str) -> Result<Self, PolicyFileError> {
        let policy = toml::from_str::<Self>(text).map_err(|error| {
            let place = error.span().map_or_else(String::new, |span| {
                let before = text.get(..span.start).unwrap_or(text);
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                format!("line {line} column {column}: ")
            });
            PolicyFileError {
                origin: origin.to_owned(),
                problem: format!("{place}{}", one_line(error.message())),
            }
        })?;
        policy.checked(origin)
    }

    fn parse_json(text: &str, origin: &str) -> Result<Self, PolicyFileError> {
        let policy = serde_json::from_str::<Self>(text).map_err(|error| PolicyFileError {
            origin: origin.to_owned(),
            problem: one_line(&error.to_string()),
        })?;
        policy.checked(origin)
    }

    /// A rule that does not do what its examples say is a mistake that would show too late.
    fn checked(self, origin: &str) -> Result<Self, PolicyFileError> {
        for (index, rule) in self.rules.iter().enumerate() {
            let number = index + 1;
            let error = |problem: String| PolicyFileError {
                origin: origin.to_owned(),
                problem: format!("rule {number}: {problem}"),
            };
            if rule.prefix.iter().all(String::is_empty) {
                return Err(error("the prefix is empty, so that it would match everything".into()));
            }
            for (examples, expected) in [(&rule.matches, true), (&rule.not_match, false)] {
                for example in examples {
                    let parsed = shell::parse(&CommandLine::Shell(example.clone()))
                        .map_err(|e| error(format!("example {example:?}: {e}")))?;
                    let any = parsed.commands.iter().any(|command| rule.matches_words(&command.words));
                    if any != expected {
                        let verb = if expected { "does not match" } else { "matches" };
                        return Err(error(format!("it {verb} its example {example:?}")));
                    }
                }
            }
        }
        Ok(self)
    }

    /// Parses and judges a command, without running anything.
    pub fn judge(&self, request: &crate::CommandRequest) -> Result<super::Verdict, super::ParseError> {
        let parsed = shell::parse(&request.line)?;
        Ok(super::judge::judge(self, request, &parsed))
    }

    /// The strictest rule that matches: decision, name, reason, purity.
    pub(super) fn strictest_match(&self, words: &[Word]) -> Option<(Decision, String, String, bool)> {
        let matching = self.rules.iter().enumerate().filter(|(_, rule)| rule.matches_words(words));
        let (index, rule) = matching.rev().max_by_key(|(_, rule)| rule.decision)?;
        let name = format!("rule {}: {}", index + 1, rule.prefix.join(" "));
        let reason = if rule.justification.is_empty() {
            "the host's policy".to_owned()
        } else {
            rule.justification.clone()
        };
        Some((rule.decision, name, reason, rule.pure && rule.decision == Decision::Allow))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
