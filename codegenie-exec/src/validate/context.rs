//! What surrounds the words that are judged, and what is known of the words that the shell makes.

use super::additional::Additional;
use super::place;
use super::policy::CommandPolicy;
use super::project_secrets;
use super::reach::Reach;
use super::secrets::{self, made_up};
use super::shape::{self, Piece};
use crate::command::{ParsedCommand, SimpleCommand, VariableValue, Word};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// How many words the shell makes of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    One,
    /// One, or none: a variable that nobody set, without quotes.
    AtMostOne,
    /// Any number, each of which begins as the word does.
    Several,
}

/// What surrounds the words that are judged.
pub(super) struct Context<'c> {
    pub(super) policy: &'c CommandPolicy,
    pub(super) variables: BTreeMap<&'c str, VariableValue>,
    /// The working directory is not known: a relative path may lie anywhere.
    pub(super) moved: bool,
    /// Where its words lead.
    pub(super) reach: Reach,
    /// The folders beside the workspace that it may work in.
    pub(super) additional: Additional,
    /// The command that they stand in.
    parsed: &'c ParsedCommand,
    /// Whether it prints the name of a file with secrets, once that was asked.
    prints: OnceCell<bool>,
    /// Whether a command of it makes a name up, once that was asked.
    makes_up: OnceCell<bool>,
}

impl Context<'_> {
    /// Whether what the shell puts into a word is harmless as an operand: variables that nobody set
    /// hold nothing, since a command's environment is the sandbox's own.
    pub(super) fn benign(&self, word: &Word) -> bool {
        let Word::Dynamic(word) = word else { return true };
        let may_be_an_option = word.pattern && word.prefix.is_empty();
        let known = !word.computed && !may_be_an_option;
        known && !word.variables.is_empty() && word.variables.iter().all(|name| self.harmless(name))
    }

    /// How many words the shell makes of this one.
    pub(super) fn count(&self, word: &Word) -> Count {
        let Word::Dynamic(dynamic) = word else { return Count::One };
        if dynamic.pattern {
            return Count::Several;
        }
        if !dynamic.splits {
            return Count::One;
        }
        if !self.benign(word) {
            return Count::Several;
        }
        // In `$x/y` and `a$x` something is left where the variable holds nothing.
        let remains = !dynamic.prefix.is_empty() || dynamic.written.contains(['/', '.', ',', '=']);
        if remains { Count::One } else { Count::AtMostOne }
    }

    /// Whether a word begins with `@`: to some programs it names a file of further options.
    pub(super) fn begins_with_at(&self, word: &Word) -> bool {
        match word {
            Word::Literal(text) => text.starts_with('@'),
            Word::Dynamic(_) => {
                self.reach.texts(word).iter().any(|text| text.first() == Some(&Piece::Char('@')))
            }
        }
    }

    /// Whether reading what a word may name, or looking for it, tells secrets.
    pub(super) fn sensitive(&self, word: &Word) -> Option<&'static str> {
        let told = place::sensitive(word.as_written());
        // Most words are what they seem.
        if word.literal().is_some_and(|text| self.reach.leaves_as_it_is(text)) {
            return told;
        }
        told.or_else(|| self.reach.paths(word).iter().find_map(|path| secrets::told_by(path)))
    }

    /// Whether a word may name a file in which a project keeps secrets: itself, or what follows an option or a revision.
    pub(super) fn kept_secret(&self, word: &Word) -> Option<&'static str> {
        match word {
            Word::Literal(text) => project_secrets::named_in(text),
            Word::Dynamic(_) => {
                let texts = self.reach.texts(word);
                let known =
                    texts.iter().find_map(|text| shape::values(text).find_map(project_secrets::kept_in));
                // Where an expansion is not followed, as `${x:-.env}`, what stands in it may be what it becomes.
                let written =
                    || word.as_written().split(|c: char| !(c.is_alphanumeric() || "._/".contains(c)));
                let joined = || {
                    let joined = made_up::joined(word.as_written())?;
                    project_secrets::named_in(&joined).or_else(|| place::sensitive(&joined))
                };
                known.or_else(|| written().find_map(project_secrets::named_in)).or_else(joined)
            }
        }
    }

    /// Whether what a word becomes is not known before other commands have run.
    pub(super) fn made_by_commands(&self, word: &Word) -> bool {
        let Word::Dynamic(dynamic) = word else { return false };
        let made = dynamic.computed
            || dynamic.variables.iter().any(|name| self.variables.contains_key(name.as_str()));
        made && self.reach.texts(word).iter().any(|text| text.contains(&Piece::Unknown))
    }

    /// Whether a command before one that is given words may give it the name of a file with a project's secrets.
    pub(super) fn prints_a_secret(&self) -> bool {
        *self.prints.get_or_init(|| self.names_a_secret())
    }

    /// Whether a command makes text of its own, or of other text, that may be a name which is written nowhere.
    pub(super) fn makes_names_up(&self) -> bool {
        *self.makes_up.get_or_init(|| made_up::by(self.parsed))
    }

    /// Whether a word of which a part is not known may be the name of a secret.
    pub(super) fn may_become_secret(&self, word: &Word) -> bool {
        self.made_by_commands(word)
            && self.reach.texts(word).iter().any(|text| project_secrets::may_be_secret(text))
    }

    fn names_a_secret(&self) -> bool {
        const PRINT: &[&str] =
            &["ls", "find", "fd", "echo", "printf", "git", "basename", "realpath", "readlink"];
        let named = |word: &Word| match word {
            Word::Literal(text) => {
                project_secrets::named_in(text).is_some()
                    || text.split_whitespace().any(|part| {
                        project_secrets::kept_in(&shape::pattern(part)).is_some()
                            || project_secrets::sought_by(part).is_some()
                    })
            }
            Word::Dynamic(_) => self.kept_secret(word).is_some(),
        };
        let prints = |command: &SimpleCommand| {
            let program = command.words.first().and_then(Word::literal);
            program.is_some_and(|program| PRINT.contains(&program.rsplit('/').next().unwrap_or(program)))
        };
        self.parsed
            .commands
            .iter()
            .filter(|command| prints(command))
            .flat_map(|command| &command.words)
            .any(named)
            || self.parsed.commands.iter().any(made_up::finds_a_secret)
            || self.parsed.inputs.iter().any(|input| named(&input.text))
    }

    /// Whether a word shows a variable of the environment that is called like a secret, or is the name of one.
    pub(super) fn tells_variable(&self, word: &Word, named: bool) -> Option<&'static str> {
        let own = |name: &str| self.variables.contains_key(name);
        let told = match word {
            Word::Literal(text) => named && secrets::names_a_variable(text),
            Word::Dynamic(dynamic) => {
                dynamic.variables.iter().any(|name| !own(name) && secrets::names_a_variable(name))
            }
        };
        told.then_some("what variables with secrets are called")
    }

    /// The texts that a word becomes, where every variable in it has a known value.
    pub(super) fn known_texts(&self, word: &Word) -> Option<Vec<String>> {
        let Word::Dynamic(dynamic) = word else { return word.literal().map(|text| vec![text.to_owned()]) };
        if dynamic.computed || dynamic.pattern || dynamic.variables.is_empty() {
            return None;
        }
        if self.reach.has_too_many(&dynamic.variables) {
            return None;
        }
        // Whatever a number is, it names no device and no process of its own.
        let number = |name: &str| self.variables.get(name) == Some(&VariableValue::Number);
        let known = |name: &str| !is_of_the_shell(name) && (number(name) || self.reach.knows(name));
        if !dynamic.variables.iter().all(|name| known(name)) {
            return None;
        }
        let texts = self.reach.texts(word);
        texts
            .iter()
            .map(|text| {
                let shown: Vec<Piece> = text
                    .iter()
                    .map(|piece| if *piece == Piece::Unknown { Piece::Char('0') } else { *piece })
                    .collect();
                shape::text(&shown)
            })
            .collect()
    }

    /// The files that a word may name which is written, where that is known: `"$f.txt"`, `~/a`, `"$PWD/a"`. A number stands
    /// for any.
    pub(super) fn written_texts(&self, word: &Word) -> Option<Vec<String>> {
        let Word::Dynamic(dynamic) = word else { return self.known_texts(word) };
        if dynamic.computed || dynamic.pattern || self.reach.has_too_many(&dynamic.variables) {
            return None;
        }
        let where_it_is = |name: &str| matches!(name, "PWD" | "HOME");
        let set = |name: &str| self.variables.contains_key(name);
        let known = |name: &str| match where_it_is(name) {
            true => !set(name),
            false if is_of_the_shell(name) => false,
            false => self.variables.get(name) == Some(&VariableValue::Number) || self.reach.knows(name),
        };
        if !dynamic.variables.iter().all(|name| known(name)) {
            return None;
        }
        let digit = |piece: &Piece| if *piece == Piece::Unknown { Piece::Char('0') } else { *piece };
        let here = dynamic.variables.iter().any(|name| where_it_is(name));
        let mut texts = Vec::new();
        for text in self.reach.texts(word) {
            let text = shape::text(&text.iter().map(digit).collect::<Vec<_>>())?;
            // `${PWD}x` lies beside the directory.
            let apart = text.get(1..).is_none_or(|rest| rest.is_empty() || rest.starts_with('/'));
            let several = dynamic.splits && text.contains(char::is_whitespace);
            if several || (text.starts_with(['.', '~']) && here && !apart) {
                return None;
            }
            texts.push(text);
        }
        Some(texts)
    }

    fn harmless(&self, name: &str) -> bool {
        !is_of_the_shell(name) && !matches!(self.variables.get(name), Some(VariableValue::Unknown))
    }
}

/// Whether the shell itself puts something there: from text, from input, or what separates words.
fn is_of_the_shell(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "_",
        "IFS",
        "REPLY",
        "MAPFILE",
        "OPTARG",
        "DIRSTACK",
        "COPROC",
        "FUNCNAME",
        "OLDPWD",
        "PS4",
        "READLINE_LINE",
        "READLINE_POINT",
    ];
    NAMES.contains(&name) || name.starts_with("BASH") || name.starts_with("COMP_")
}

impl<'c> Context<'c> {
    pub(super) fn new(policy: &'c CommandPolicy, parsed: &'c ParsedCommand, outside: Reach) -> Self {
        let mut variables: BTreeMap<_, _> =
            parsed.variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        if parsed.commands.iter().any(names_the_directory) {
            variables.extend(["PWD", "OLDPWD"].map(|name| (name, VariableValue::Unknown)));
        }
        let leaves = outside.begins_elsewhere || parsed.commands.iter().any(leaves_the_workspace);
        let reach = outside.of(parsed);
        let additional = Additional::new(policy, &reach);
        let moved = leaves && !reach.stays(|directory| additional.may_work_in(directory, &reach));
        Self {
            policy,
            variables,
            moved,
            reach,
            additional,
            parsed,
            prints: OnceCell::new(),
            makes_up: OnceCell::new(),
        }
    }
}

/// A command's words, without the builtins that run builtins.
pub(super) fn words(command: &SimpleCommand) -> impl Iterator<Item = &Word> {
    command.words.iter().filter(|word| !matches!(word.literal(), Some("command" | "builtin")))
}

/// Whether the working directory, and with it `$PWD`, may hold spaces after it.
fn names_the_directory(command: &SimpleCommand) -> bool {
    let mut words = words(command);
    let moves = matches!(words.next().and_then(Word::literal), Some("cd" | "pushd" | "popd"));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b));
    moves && !words.all(|word| word.literal().is_some_and(plain))
}

/// Whether relative paths mean something else after it.
fn leaves_the_workspace(command: &SimpleCommand) -> bool {
    let mut words = words(command);
    match words.next().and_then(Word::literal) {
        Some("cd") => !matches!(words.next(), Some(Word::Literal(path))
            if !path.starts_with(['/', '-', '~']) && !place::is_protected(path) && !path.split('/').any(|part| part == "..") && words.next().is_none()),
        Some("pushd" | "popd") => true,
        _ => false,
    }
}
