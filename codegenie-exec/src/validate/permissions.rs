//! The `permissions` block of Claude Code's settings, taken as it is.
//!
//! `deny` is looked at first, then `ask`, then `allow`. A rule is a tool with a pattern:
//! `Bash(git push *)` speaks about commands, `Read(.env)` and `Edit(src/**)` about files.

use super::judge::Decision;
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
    /// Claude Code's mode. Only `bypassPermissions` would mean something here, and that is refused.
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
    /// The rules, the strictest first, each with its text.
    pub(super) fn rules(&self) -> impl Iterator<Item = (Decision, &str)> {
        let deny = self.deny.iter().map(|rule| (Decision::Deny, rule.as_str()));
        let ask = self.ask.iter().map(|rule| (Decision::Ask, rule.as_str()));
        let allow = self.allow.iter().map(|rule| (Decision::Allow, rule.as_str()));
        deny.chain(ask).chain(allow)
    }

    /// Why the block cannot be used, if it cannot.
    pub(super) fn problem(&self) -> Option<String> {
        for (_, rule) in self.rules() {
            if read(rule).is_none() {
                return Some(format!("permission {rule:?} is not of the form Tool or Tool(pattern)"));
            }
        }
        let bypasses = self.default_mode.as_deref() == Some("bypassPermissions");
        bypasses.then(|| "defaultMode bypassPermissions would check nothing; remove it".to_owned())
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

/// Reads `Tool` or `Tool(pattern)`.
pub(super) fn read(rule: &str) -> Option<Rule<'_>> {
    let (name, pattern) = match rule.split_once('(') {
        None => (rule, None),
        Some((name, rest)) => (name, Some(rest.strip_suffix(')')?)),
    };
    let tool = match name {
        "Bash" => Tool::Command,
        "Read" | "Glob" | "Grep" => Tool::Read,
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
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
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
        return relative
            .split('/')
            .any(|part| wildcard(anchored.trim_end_matches('/').as_bytes(), part.as_bytes()));
    }
    // Where the project lies is not known here: an absolute path may end in it.
    let mut rest = Some(relative);
    while let Some(candidate) = rest {
        if segments(anchored, candidate, untold) {
            return true;
        }
        rest = if path.starts_with('/') { candidate.split_once('/').map(|(_, rest)| rest) } else { None };
    }
    false
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
                wildcard(first.as_bytes(), name.as_bytes())
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
