//! The `permissions` block of Claude Code's settings, taken as it is.
//!
//! `deny` is looked at first, then `ask`, then `allow`. A rule is a tool with a pattern:
//! `Bash(git push *)` speaks about commands, `Read(.env)` and `Edit(src/**)` about files.

use super::shape::{self, Piece, Shape, meets};
use super::verdict::Decision;
use crate::command::Word;

/// Rules by tool and pattern, as Claude Code's settings have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Permissions {
    /// Runs without a question.
    pub allow: Vec<String>,
    /// An approver is asked.
    pub ask: Vec<String>,
    /// Does not run.
    pub deny: Vec<String>,
    /// Further folders that the agent works in. They are for the host to hand to the sandbox.
    #[serde(rename = "additionalDirectories")]
    pub additional_directories: Vec<String>,
    /// Claude Code's mode. Under `plan` nothing is changed without a question, and no rule allows; `default` and `acceptEdits`
    /// change nothing here; any other is refused.
    #[serde(rename = "defaultMode")]
    pub default_mode: Option<String>,
    /// Claude Code's switch against that mode; it changes nothing here.
    #[serde(rename = "disableBypassPermissionsMode")]
    pub disable_bypass_permissions_mode: Option<String>,
}

/// One rule, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule<'r> {
    pub(super) tool: Tool,
    pub(super) pattern: Option<&'r str>,
}

/// What a rule speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Command,
    Read,
    Edit,
    /// Something that is not run here: a web page, a server of tools.
    Other,
}

impl Permissions {
    /// The rules that count, the strictest first, each with its text.
    pub(super) fn rules(&self) -> impl Iterator<Item = (Decision, &str)> {
        self.every_rule().filter(|(decision, _)| *decision != Decision::Allow || !self.only_reads())
    }

    /// The rules that are written, the strictest first, each with its text.
    pub(super) fn every_rule(&self) -> impl Iterator<Item = (Decision, &str)> {
        let deny = self.deny.iter().map(|rule| (Decision::Deny, rule.as_str()));
        let ask = self.ask.iter().map(|rule| (Decision::Ask, rule.as_str()));
        let allow = self.allow.iter().map(|rule| (Decision::Allow, rule.as_str()));
        deny.chain(ask).chain(allow)
    }

    /// Why the block cannot be used, if it cannot.
    pub(super) fn problem(&self) -> Option<String> {
        self.rules().find_map(|(decision, rule)| rule_problem(decision, rule)).or_else(|| self.mode_problem())
    }

    fn mode_problem(&self) -> Option<String> {
        match self.default_mode.as_deref() {
            None | Some("default" | "acceptEdits" | "plan") => None,
            Some("bypassPermissions") => {
                Some("defaultMode bypassPermissions would check nothing; remove it".to_owned())
            }
            Some(mode) => Some(format!(
                "defaultMode {mode:?} is not known here; use default, acceptEdits or plan, or remove it"
            )),
        }
    }

    /// Whether nothing may be changed: the mode in which an agent only makes plans.
    pub(super) fn only_reads(&self) -> bool {
        self.default_mode.as_deref() == Some("plan")
    }

    /// What the block says of a program with its arguments.
    pub(super) fn command(&self, words: &[Word]) -> Option<(Decision, &str)> {
        let text = words.iter().map(Word::as_written).collect::<Vec<_>>().join(" ");
        // A rule that refuses a program means it by its path as well.
        let named = words.first().map(Word::as_written).and_then(|program| {
            let name = program.rsplit('/').next()?;
            (name != program).then(|| format!("{name}{}", text.get(program.len()..).unwrap_or_default()))
        });
        self.rules().find(|(decision, rule)| {
            let Some(Rule { tool: Tool::Command, pattern }) = read(rule) else { return false };
            let Some(pattern) = pattern else { return true };
            match decision {
                Decision::Allow => words_match(pattern, words),
                Decision::Ask | Decision::Deny => {
                    command_matches(pattern, &text)
                        || named.as_deref().is_some_and(|named| command_matches(pattern, named))
                }
            }
        })
    }

    /// What the block says of reading or editing a file, by its text. Nothing, where only a lax rule
    /// matches and `lax` is not asked for.
    pub(super) fn file(&self, path: &str, edits: bool) -> Option<(Decision, &str)> {
        self.rules().find(|(_, rule)| {
            let Some(Rule { tool, pattern }) = read(rule) else { return false };
            let speaks = match tool {
                Tool::Edit => edits,
                // What may not be read may not be edited either.
                Tool::Read => true,
                Tool::Command | Tool::Other => false,
            };
            speaks && pattern.is_none_or(|pattern| path_matches(pattern, path, true))
        })
    }
}

impl Permissions {
    /// The rule that refuses or asks about what a path may become.
    pub(super) fn may_name(&self, path: &[Piece], edits: bool) -> Option<&str> {
        let rule = self.rules().filter(|(decision, _)| *decision != Decision::Allow).find(|(_, rule)| {
            let Some(Rule { tool, pattern }) = read(rule) else { return false };
            let speaks = match tool {
                Tool::Edit => edits,
                Tool::Read => true,
                Tool::Command | Tool::Other => false,
            };
            speaks && pattern.is_none_or(|pattern| meanings(pattern).iter().any(|meant| meets(path, meant)))
        });
        rule.map(|(_, rule)| rule)
    }

    /// What the block says of editing one file, `relative` to the workspace and `absolute`. What refuses or asks speaks of
    /// the file by any of its names; what allows, by the one that the pattern is about.
    #[cfg(feature = "edit")]
    pub(super) fn edit(&self, relative: &str, absolute: &str) -> Option<(Decision, &str)> {
        let home = std::env::home_dir();
        let below_home = home.as_deref().and_then(|home| absolute.strip_prefix(home.to_str()?));
        let at_home = below_home.filter(|rest| rest.starts_with('/')).map(|rest| format!("~{rest}"));
        self.rules().find(|(decision, rule)| {
            let Some(Rule { tool, pattern }) = read(rule) else { return false };
            let allows = *decision == Decision::Allow;
            let speaks = match tool {
                Tool::Edit => true,
                Tool::Read => !allows,
                Tool::Command | Tool::Other => false,
            };
            let named = |pattern: &str| match (allows, at_home.as_deref()) {
                (true, Some(path)) if pattern.starts_with('~') => path_matches(pattern, path, false),
                (true, _) if pattern.starts_with("//") => path_matches(pattern, absolute, false),
                (true, _) => path_matches(pattern, relative, false),
                (false, home) => [Some(relative), Some(absolute), home]
                    .into_iter()
                    .flatten()
                    .any(|path| path_matches(pattern, path, true)),
            };
            speaks && pattern.is_none_or(named)
        })
    }
}

impl Rule<'_> {
    /// Whether it is certain to match all that `other` matches: where that is not easily told, it is not.
    pub(super) fn covers(&self, other: &Self) -> bool {
        /// In the place of any text: nothing but a `*` takes it.
        const ANY: &str = "\u{1}";
        let speaks = self.tool == other.tool || (self.tool == Tool::Read && other.tool == Tool::Edit);
        let Some(pattern) = self.pattern else { return speaks };
        let Some(theirs) = other.pattern else { return false };
        if !speaks || self.tool == Tool::Other {
            return speaks && pattern == theirs;
        }
        if self.tool == Tool::Command {
            let trailing = theirs.strip_suffix(":*").or_else(|| theirs.strip_suffix(" *"));
            let shown = trailing.unwrap_or(theirs).replace('*', ANY);
            let longer = trailing.map(|_| format!("{shown} {ANY}"));
            return command_matches(pattern, &shown)
                && longer.is_none_or(|longer| command_matches(pattern, &longer));
        }
        // A name alone is one at any depth.
        let anchored = |pattern: &str| pattern.trim_start_matches("./").contains('/');
        let comparable =
            !theirs.contains("**") && (!anchored(pattern) || anchored(theirs)) && !theirs.contains('?');
        pattern == theirs || (comparable && path_matches(pattern, &theirs.replace('*', ANY), false))
    }
}

/// Tools that nothing here runs, and rules may speak about.
const OTHER_TOOLS: &[&str] = &[
    "WebFetch",
    "WebSearch",
    "Task",
    "Agent",
    "TodoRead",
    "TodoWrite",
    "BashOutput",
    "KillBash",
    "KillShell",
    "SlashCommand",
    "Skill",
    "ExitPlanMode",
    "AskUserQuestion",
];

/// Tools of which rules are kept here.
const TOOLS: &[&str] =
    &["Bash", "Read", "Glob", "Grep", "LS", "NotebookRead", "Edit", "Write", "MultiEdit", "NotebookEdit"];

/// Why a rule cannot be kept.
fn rule_problem(decision: Decision, rule: &str) -> Option<String> {
    let Some(Rule { tool, pattern }) = read(rule) else {
        return Some(format!("permission {rule:?} is not of the form Tool or Tool(pattern)"));
    };
    if matches!(tool, Tool::Read | Tool::Edit) && pattern.is_some_and(|pattern| pattern.contains(['[', '{']))
    {
        return Some(format!(
            "permission {rule:?}: sets in brackets are not kept; write a rule for each name"
        ));
    }
    let name = rule.split('(').next().unwrap_or(rule);
    let known = tool != Tool::Other || OTHER_TOOLS.contains(&name) || name.starts_with("mcp__");
    if known || decision == Decision::Allow {
        return None;
    }
    // Nobody would be refused or asked by it.
    let meant = TOOLS.iter().chain(OTHER_TOOLS).find(|tool| tool.eq_ignore_ascii_case(name));
    let advice = match meant {
        Some(tool) => format!("names are case-sensitive, did you mean {tool}?"),
        None => "name one that is, such as Bash, Read or Edit".to_owned(),
    };
    let list = decision.as_str();
    Some(format!("permission {rule:?} in {list}: no tool is called {name:?}; {advice}"))
}

/// Reads `Tool` or `Tool(pattern)`.
pub(super) fn read(rule: &str) -> Option<Rule<'_>> {
    let (name, pattern) = match rule.split_once('(') {
        None => (rule, None),
        Some((name, rest)) => (name, Some(rest.strip_suffix(')')?)),
    };
    let tool = match name {
        "Bash" => Tool::Command,
        "Read" | "Glob" | "Grep" | "LS" | "NotebookRead" => Tool::Read,
        "Edit" | "Write" | "MultiEdit" | "NotebookEdit" => Tool::Edit,
        name if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-*".contains(c)) => {
            Tool::Other
        }
        _ => return None,
    };
    Some(Rule { tool, pattern: pattern.filter(|pattern| !pattern.is_empty() && *pattern != "*") })
}

fn command_matches(pattern: &str, text: &str) -> bool {
    let trailing = pattern.strip_suffix(":*").or_else(|| pattern.strip_suffix(" *"));
    match trailing {
        // The words themselves, alone or with more behind them.
        Some(prefix) => {
            wildcard(prefix.as_bytes(), text.as_bytes())
                || wildcard(format!("{prefix} *").as_bytes(), text.as_bytes())
        }
        None => wildcard(pattern.as_bytes(), text.as_bytes()),
    }
}

/// Whether what allows speaks of these words: a space in the pattern is where one word ends, and the program is named
/// by its path only where the pattern names it so.
fn words_match(pattern: &str, words: &[Word]) -> bool {
    /// Stands between words, and in none of them.
    const BETWEEN: char = '\u{1}';
    let by_path = pattern.split_whitespace().next().is_some_and(|program| program.contains('/'));
    let program = words.first().and_then(Word::literal).unwrap_or_default();
    let plain = !program.is_empty() && !program.contains(char::is_whitespace);
    if !plain || (program.contains('/') && !by_path) {
        return false;
    }
    let words: Vec<&str> = words.iter().map(Word::as_written).collect();
    if words.iter().any(|word| word.contains(BETWEEN)) {
        return false;
    }
    let text = words.join(&BETWEEN.to_string());
    let written = pattern.replace(' ', &BETWEEN.to_string());
    let trailing = pattern.strip_suffix(":*").or_else(|| pattern.strip_suffix(" *"));
    match trailing.and_then(|prefix| written.get(..prefix.len())) {
        Some(prefix) => {
            wildcard(prefix.as_bytes(), text.as_bytes())
                || wildcard(format!("{prefix}{BETWEEN}*").as_bytes(), text.as_bytes())
        }
        None => wildcard(written.as_bytes(), text.as_bytes()),
    }
}

/// `*` stands for any text.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, false)
}

/// `*` stands for any text in a name, `?` for one character.
fn name_matches(pattern: &str, name: &str) -> bool {
    matches_with(pattern.as_bytes(), name.as_bytes(), true)
}

fn matches_with(pattern: &[u8], text: &[u8], one: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') if one => {
                p += 1;
                t += 1;
                // A character of several bytes is one.
                while text.get(t).is_some_and(|byte| byte & 0xc0 == 0x80) {
                    t += 1;
                }
            }
            Some(c) if text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star.as_mut() {
                Some((at, from)) => {
                    *from += 1;
                    (p, t) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == b'*')
}

/// Paths as `.gitignore` has them: without a slash at any depth, `//` from the root, `**` over folders. What is too
/// costly to tell is `untold`: a rule that refuses or asks then matches, one that allows does not.
fn path_matches(pattern: &str, path: &str, untold: bool) -> bool {
    let path = path.strip_prefix("./").unwrap_or(path);
    if let Some(absolute) = pattern.strip_prefix("//") {
        return path.strip_prefix('/').is_some_and(|path| segments(absolute, path, untold));
    }
    if pattern.starts_with('~') {
        return segments(pattern, path, untold);
    }
    let anchored = pattern.strip_prefix("./").or_else(|| pattern.strip_prefix('/')).unwrap_or(pattern);
    let relative = path.trim_start_matches('/');
    if !anchored.trim_end_matches('/').contains('/') && !anchored.contains("**") {
        return relative.split('/').any(|part| name_matches(anchored.trim_end_matches('/'), part));
    }
    if !path.starts_with('/') {
        return segments(anchored, relative, untold);
    }
    // Where the project lies is not known here: an absolute path may end in it.
    const MAX_DEPTH: usize = 64;
    if relative.len() > 4096 || relative.matches('/').count() > MAX_DEPTH {
        return untold;
    }
    let ends = relative.match_indices('/').filter_map(|(at, _)| relative.get(at + 1..));
    std::iter::once(relative).chain(ends).any(|candidate| segments(anchored, candidate, untold))
}

/// What a pattern about paths stands for: the files that it names, and what lies below.
fn meanings(pattern: &str) -> Vec<Shape> {
    let absolute = pattern.strip_prefix('/').filter(|rest| rest.starts_with('/'));
    let named = absolute.or_else(|| pattern.strip_prefix("./")).unwrap_or(pattern);
    let named =
        if absolute.is_some() || pattern.starts_with('~') { named } else { named.trim_start_matches('/') };
    let mut named = named.trim_end_matches('/');
    let anywhere = !named.contains('/') || named.starts_with("**/");
    while let Some(rest) = named.strip_prefix("**/") {
        named = rest;
    }
    while let Some(rest) = named.strip_suffix("/**") {
        named = rest;
    }
    let mut itself: Shape = Vec::new();
    for (at, part) in named.split("**").enumerate() {
        if at > 0 {
            itself.push(Piece::Unknown);
        }
        // Between two folders there may be none.
        let part = if at > 0 { part.strip_prefix('/').unwrap_or(part) } else { part };
        itself.extend(shape::pattern(part));
    }
    let below = [itself.as_slice(), &[Piece::Char('/'), Piece::Unknown]].concat();
    let mut meant = vec![itself, below];
    if anywhere && !named.starts_with('~') {
        let deeper: Vec<Shape> = meant
            .iter()
            .map(|shape| [&[Piece::Unknown, Piece::Char('/')], shape.as_slice()].concat())
            .collect();
        meant.extend(deeper);
    }
    meant
}

fn segments(pattern: &str, path: &str, untold: bool) -> bool {
    fn matched(pattern: &[&str], path: &[&str], budget: &mut u32) -> bool {
        *budget = budget.saturating_sub(1);
        if *budget == 0 {
            return false;
        }
        match pattern.split_first() {
            None => path.is_empty(),
            Some((&"**", rest)) => {
                rest.is_empty()
                    || (0..=path.len())
                        .any(|skip| matched(rest, path.get(skip..).unwrap_or_default(), budget))
            }
            Some((first, rest)) => path.split_first().is_some_and(|(name, below)| {
                name_matches(first, name)
                    && (matched(rest, below, budget) || (rest.is_empty() && !below.is_empty()))
            }),
        }
    }
    let pattern: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
    let path: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let mut budget = 10_000;
    let matched = matched(&pattern, &path, &mut budget);
    if budget == 0 { untold } else { matched }
}
