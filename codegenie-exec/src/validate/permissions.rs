//! The `permissions` block of Claude Code's settings, taken as it is.
//!
//! `deny` is looked at first, then `ask`, then `allow`. A rule is a tool with a pattern:
//! `Bash(git push *)` speaks about commands, `Read(.env)` and `Edit(src/**)` about files.

use super::glob::{command_matches, is_readable, meanings, path_matches, words_match};
use super::shape::{Piece, meets};
use super::verdict::Decision;
use crate::command::Word;
use std::collections::BTreeMap;

/// Rules by tool and pattern, as Claude Code's settings have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Permissions {
    /// Runs without a question.
    pub allow: Vec<String>,
    /// An approver is asked.
    pub ask: Vec<String>,
    /// Does not run.
    pub deny: Vec<String>,
    /// Further folders that the agent works in: absolute, relative to the workspace, or below `~`. Commands may write there as
    /// in the workspace, and an executor lets its sandbox do so; but not where other programs' settings or secrets lie.
    #[serde(rename = "additionalDirectories")]
    pub additional_directories: Vec<String>,
    /// Claude Code's mode. Under `plan` nothing is changed without a question, and no rule allows; `default` and `acceptEdits`
    /// change nothing here; any other is refused.
    #[serde(rename = "defaultMode")]
    pub default_mode: Option<String>,
    /// Claude Code's switch against that mode; it changes nothing here.
    #[serde(rename = "disableBypassPermissionsMode")]
    pub disable_bypass_permissions_mode: Option<String>,
    /// What else stands there. It has no effect here, and the linter names it.
    #[serde(flatten)]
    pub(super) unknown: BTreeMap<String, serde_json::Value>,
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
        self.rules()
            .find_map(|(decision, rule)| rule_problem(decision, rule))
            .or_else(|| self.mode_problem())
            .or_else(|| self.unknown.iter().find_map(|(key, value)| unknown_problem(key, value)))
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
        let comparable = !theirs.contains("**")
            && !theirs.contains(['[', '\\'])
            && (!anchored(pattern) || anchored(theirs))
            && !theirs.contains('?');
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
    let of_files = matches!(tool, Tool::Read | Tool::Edit);
    if of_files && decision != Decision::Allow && pattern.is_some_and(|pattern| !is_readable(pattern)) {
        return Some(format!(
            "permission {rule:?} matches nothing: a bracket is opened and not closed; write \\[ for the sign itself"
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

/// Why an unknown key makes the block unusable: it may have been meant to refuse or to ask. What is left of the others only
/// asks more.
fn unknown_problem(key: &str, value: &serde_json::Value) -> Option<String> {
    let name = key.to_ascii_lowercase();
    let meant = ["deny", "ask"].into_iter().find(|known| {
        let begins =
            name.len() > 2 && known.get(..name.len().min(3)).is_some_and(|begin| name.starts_with(begin));
        begins || one_edit_apart(&name, known)
    });
    if let Some(meant) = meant {
        return Some(format!("unknown field `{key}` in permissions, did you mean {meant}?"));
    }
    let rules = value.as_array().is_some_and(|rules| {
        let known = |rule: &serde_json::Value| {
            rule.as_str().and_then(read).is_some_and(|rule| rule.tool != Tool::Other)
        };
        rules.iter().any(known)
    });
    let allows = name.starts_with("al") || one_edit_apart(&name, "allow");
    (rules && !allows).then(|| {
        format!("unknown field `{key}` in permissions: its rules would not be kept; use allow, ask or deny")
    })
}

/// Whether one letter more, less or another makes one of the other, or two that are swapped.
fn one_edit_apart(one: &str, other: &str) -> bool {
    let (a, b) = (one.as_bytes(), other.as_bytes());
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let rest = |text: &[u8], from: usize| text.get(same + from..).map(<[u8]>::to_vec);
    let swapped = || {
        let (a, b) = (rest(a, 0).unwrap_or_default(), rest(b, 0).unwrap_or_default());
        matches!((a.as_slice(), b.as_slice()), ([a0, a1, a @ ..], [b0, b1, b @ ..]) if a0 == b1 && a1 == b0 && a == b)
    };
    let apart = |a_from, b_from| rest(a, a_from).zip(rest(b, b_from)).is_some_and(|(a, b)| a == b);
    apart(1, 1) || apart(1, 0) || apart(0, 1) || swapped()
}
