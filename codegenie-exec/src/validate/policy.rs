//! The host's own rules about commands, as a value and as a file.

use super::class::Class;
use super::knowledge;
use super::permissions::Permissions;
use super::shell;
use super::verdict::Decision;
use crate::command::{CommandLine, Word};
use codegenie_security::{AuditEvent, AuditResult, AuditSink, EventClass, ThreatLevel};
use std::collections::BTreeMap;
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
    /// Rules by tool and pattern, as Claude Code's settings have them.
    pub permissions: Permissions,
    /// What commands may change without a question.
    pub sandbox_mode: SandboxMode,
    /// When somebody is asked.
    pub approval_policy: ApprovalPolicy,
    /// Which of the profiles holds; `None`: what stands beside it.
    pub profile: Option<String>,
    /// Named sets of the two settings above.
    pub profiles: BTreeMap<String, PolicyProfile>,
}

/// What commands may change without a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SandboxMode {
    /// Nothing.
    ReadOnly,
    /// Files of the workspace.
    #[default]
    WorkspaceWrite,
    /// Anything: neither writing elsewhere nor connecting is asked about.
    DangerFullAccess,
}

impl SandboxMode {
    /// The name used in policy files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite => "workspace-write",
            Self::DangerFullAccess => "danger-full-access",
        }
    }
}

/// When somebody is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ApprovalPolicy {
    /// About everything but what is known to only read.
    Untrusted,
    /// About what the sandbox mode does not cover, and what is not known.
    #[default]
    OnRequest,
    /// Never: what would be asked about does not run.
    Never,
}

/// A named set of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicyProfile {
    /// In place of the policy's.
    pub sandbox_mode: Option<SandboxMode>,
    /// In place of the policy's.
    pub approval_policy: Option<ApprovalPolicy>,
    /// In place of the policy's.
    pub default: Option<UnknownCommand>,
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

    /// Whether it matches a command in `example`; `None` where that is not understood.
    pub(super) fn matches_example(&self, example: &str) -> Option<bool> {
        let parsed = shell::parse(&CommandLine::Shell(example.to_owned())).ok()?;
        Some(parsed.commands.iter().any(|command| self.matches_words(&command.words)))
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
#[error("{origin}: {problem}; correct the file, {until} until it loads")]
pub struct PolicyFileError {
    origin: String,
    problem: String,
    until: &'static str,
}

/// What is so as long as a file does not load.
const BLOCKED: &str = "commands stay blocked";
const AS_BEFORE: &str = "the policy that was loaded before holds";

impl PolicyFileError {
    pub(super) fn new(origin: &str, problem: impl Into<String>) -> Self {
        Self { origin: origin.to_owned(), problem: one_line(&problem.into()), until: BLOCKED }
    }

    /// Of a file that was loaded before.
    pub(super) fn of_a_change(self) -> Self {
        Self { until: AS_BEFORE, ..self }
    }
}

impl CommandPolicy {
    /// The same policy under one of its profiles. Without one of that name, the error says which there are.
    pub fn with_profile(mut self, name: &str) -> Result<Self, PolicyFileError> {
        let Some(profile) = self.profiles.get(name) else {
            let names = self.profiles.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(PolicyFileError::new(
                "policy",
                format!("there is no profile {name:?}, only: {names}"),
            ));
        };
        self.sandbox_mode = profile.sandbox_mode.unwrap_or(self.sandbox_mode);
        self.approval_policy = profile.approval_policy.unwrap_or(self.approval_policy);
        self.default = profile.default.unwrap_or(self.default);
        self.profile = Some(name.to_owned());
        Ok(self)
    }

    /// Whether commands get no write access unless somebody agrees to it.
    pub(crate) fn only_reads(&self) -> bool {
        self.permissions.only_reads() || self.sandbox_mode == SandboxMode::ReadOnly
    }

    /// What is decided about a command of this class that no rule speaks about.
    pub(super) fn decide(&self, class: Class) -> Decision {
        let mode = if self.only_reads() { SandboxMode::ReadOnly } else { self.sandbox_mode };
        let allowed = match (mode, class) {
            (_, Class::ReadOnly) => true,
            _ if self.approval_policy == ApprovalPolicy::Untrusted => false,
            (SandboxMode::WorkspaceWrite, Class::WritesWorkspace) => true,
            (SandboxMode::DangerFullAccess, class) => {
                matches!(class, Class::WritesWorkspace | Class::WritesOutside | Class::Network)
            }
            _ => false,
        };
        if allowed { Decision::Allow } else { self.asked() }
    }

    /// What becomes of a question.
    pub(super) fn asked(&self) -> Decision {
        match self.approval_policy {
            ApprovalPolicy::Never => Decision::Deny,
            ApprovalPolicy::Untrusted | ApprovalPolicy::OnRequest => self.default.decision(),
        }
    }

    /// A decision by a rule, under the approval policy: where nobody is ever asked, a question is a refusal.
    pub(super) fn question(&self, decision: Decision) -> Decision {
        match (decision, self.approval_policy) {
            (Decision::Ask, ApprovalPolicy::Never) => Decision::Deny,
            _ => decision,
        }
    }

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
        let error = |problem: String| PolicyFileError { origin: origin.clone(), problem, until: BLOCKED };
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
            until: BLOCKED,
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
                until: BLOCKED,
            }
        })?;
        policy.checked(origin)
    }

    fn parse_json(text: &str, origin: &str) -> Result<Self, PolicyFileError> {
        let policy = serde_json::from_str::<Self>(text).map_err(|error| PolicyFileError {
            origin: origin.to_owned(),
            problem: one_line(&error.to_string()),
            until: BLOCKED,
        })?;
        policy.checked(origin)
    }

    /// A rule that does not do what its examples say is a mistake that would show too late.
    pub(super) fn checked(self, origin: &str) -> Result<Self, PolicyFileError> {
        if let Some(problem) = self.permissions.problem() {
            return Err(PolicyFileError::new(origin, problem));
        }
        let policy = self.with_rules_checked(origin)?;
        match policy.profile.clone() {
            Some(name) => {
                policy.with_profile(&name).map_err(|error| PolicyFileError::new(origin, error.problem))
            }
            None => Ok(policy),
        }
    }

    fn with_rules_checked(self, origin: &str) -> Result<Self, PolicyFileError> {
        for (index, rule) in self.rules.iter().enumerate() {
            let number = index + 1;
            let words = rule.prefix.join(" ").escape_debug().to_string();
            let words = if words.is_empty() { words } else { format!(" ({words})") };
            let error = |problem: String| PolicyFileError {
                origin: origin.to_owned(),
                problem: format!("rule {number}{words}: {problem}"),
                until: BLOCKED,
            };
            if rule.prefix.iter().all(String::is_empty) {
                return Err(error("the prefix is empty, so that it would match everything".into()));
            }
            for (examples, expected) in [(&rule.matches, true), (&rule.not_match, false)] {
                for example in examples {
                    let matched = rule.matches_example(example).ok_or_else(|| {
                        error(format!("example {example:?} is not understood as a command"))
                    })?;
                    if matched != expected {
                        let verb = if expected { "does not match" } else { "matches" };
                        return Err(error(format!("it {verb} its example {example:?}")));
                    }
                }
            }
        }
        Ok(self)
    }

    /// Parses and judges a command, without running anything. Where the workspace lies is not known here: a
    /// request that names a working directory counts as one that runs elsewhere.
    pub fn judge(&self, request: &crate::CommandRequest) -> Result<super::Verdict, super::ParseError> {
        let parsed = shell::parse(&request.line)?;
        Ok(super::judge::judge(self, request, &parsed, None))
    }

    /// As [`judge`](Self::judge), for a workspace that lies at this absolute path.
    pub fn judge_in(
        &self,
        request: &crate::CommandRequest,
        workspace: &Path,
    ) -> Result<super::Verdict, super::ParseError> {
        let parsed = shell::parse(&request.line)?;
        Ok(super::judge::judge(self, request, &parsed, Some(workspace)))
    }

    /// Whether it has rules that refuse or ask.
    pub(super) fn has_strict_rules(&self) -> bool {
        let rules = self.rules.iter().map(|rule| rule.decision);
        rules.chain(self.permissions.rules().map(|(decision, _)| decision)).any(|one| one != Decision::Allow)
    }

    /// The strictest rule that matches: decision, name, reason, purity.
    pub(super) fn strictest_match(&self, words: &[Word]) -> Option<Matched> {
        let named = self.matching(words);
        // `git -C x push` is a `git push` to what refuses or asks about that.
        let Some(without) = without_leading_options(words) else {
            let strict = |decision: &Decision| *decision != Decision::Allow;
            let rules = self.rules.iter().map(|rule| rule.decision);
            let gravest =
                rules.chain(self.permissions.rules().map(|(decision, _)| decision)).filter(strict).max();
            let reason =
                "more options than are looked at, and rules that may speak of what follows".to_owned();
            let by = gravest.map(|decision| (decision, "options".to_owned(), reason, false));
            return named.into_iter().chain(by).reduce(stricter);
        };
        let strict = without.iter().filter_map(|words| self.matching(words));
        let strict = strict.filter(|(decision, ..)| *decision != Decision::Allow);
        named.into_iter().chain(strict).reduce(stricter)
    }

    fn matching(&self, words: &[Word]) -> Option<Matched> {
        let permission = self.permissions.command(words).map(|(decision, rule)| {
            (decision, format!("permissions: {rule}"), "the host's policy".to_owned(), false)
        });
        let speaks = |rule: &CommandRule| rule.decision != Decision::Allow || !self.permissions.only_reads();
        let matching =
            self.rules.iter().enumerate().filter(|(_, rule)| speaks(rule) && rule.matches_words(words));
        let Some((index, rule)) = matching.rev().max_by_key(|(_, rule)| rule.decision) else {
            return permission;
        };
        if let Some(permission) = permission.filter(|(decision, ..)| *decision > rule.decision) {
            return Some(permission);
        }
        let name = format!("rule {}: {}", index + 1, rule.prefix.join(" "));
        let reason = if rule.justification.is_empty() {
            "the host's policy".to_owned()
        } else {
            rule.justification.clone()
        };
        Some((rule.decision, name, reason, rule.pure && rule.decision == Decision::Allow))
    }
}

/// Decision, rule, reason, and whether its result depends on the command alone.
pub(super) type Matched = (Decision, String, String, bool);

fn stricter(strictest: Matched, other: Matched) -> Matched {
    if other.0 > strictest.0 { other } else { strictest }
}

/// The words without options before a subcommand, which may take the word after them for their values. `None`: there are more
/// of them than are looked at.
pub(super) fn without_leading_options(words: &[Word]) -> Option<Vec<Vec<Word>>> {
    const MOST: usize = 64;
    let known = words
        .first()
        .and_then(Word::literal)
        .and_then(|program| knowledge::program(program.rsplit('/').next().unwrap_or(program)));
    // A leading `+toolchain` is none of the program's words either.
    let is_option = |word: Option<&Word>| word.is_some_and(|word| word.as_written().starts_with(['-', '+']));
    let takes_a_value = |word: Option<&Word>| {
        let Some(name) = word.map(Word::as_written).filter(|name| name.starts_with('-')) else {
            return false;
        };
        let flag = known.is_some_and(|program| {
            program.options.iter().any(|(option, role)| *option == name && *role == knowledge::Role::Flag)
        });
        !flag && !name.contains('=')
    };
    let leading =
        (1..words.len()).take_while(|at| is_option(words.get(*at)) || takes_a_value(words.get(at - 1)));
    let mut without = Vec::new();
    for at in leading {
        // No subcommand begins with a dash.
        if words.get(at + 1).is_none() || is_option(words.get(at + 1)) {
            continue;
        }
        if without.len() >= MOST {
            return None;
        }
        let rest = words.get(at + 1..).unwrap_or_default();
        without.push(words.first().into_iter().chain(rest).cloned().collect());
    }
    Some(without)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
