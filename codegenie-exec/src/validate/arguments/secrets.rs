//! Which operands show a project's secrets: those of which more than the name is told.

use super::Reader;
use crate::command::Word;
use crate::validate::class::Class;
use crate::validate::knowledge::{Effect, Program, Role};
use crate::validate::place;
use crate::validate::project_secrets::{matched_by, named_in, sought_by};

/// They tell that a file is there, or what it is called.
const NAMES_ONLY: &[&str] = &[
    "ls",
    "dir",
    "vdir",
    "test",
    "[",
    "stat",
    "echo",
    "printf",
    "basename",
    "dirname",
    "realpath",
    "readlink",
    "du",
    "tree",
    "rm",
    "unlink",
    "chmod",
    "file",
    "which",
    "git check-ignore",
    "git status",
    "git ls-files",
    "git rm",
    "git log",
];

/// What they write is made anew, or comes from elsewhere.
const ONLY_WRITE: &[&str] = &[
    "mkdir",
    "gmkdir",
    "touch",
    "gtouch",
    "tee",
    "gtee",
    "sponge",
    "mktemp",
    "gmktemp",
    "mkfifo",
    "fallocate",
    "ranlib",
];

/// Their first operand is mostly a pattern.
const SEARCH: &[&str] = &[
    "grep", "egrep", "fgrep", "zgrep", "bzgrep", "xzgrep", "zstdgrep", "rgrep", "ggrep", "rg", "ag", "ack",
    "ugrep", "pt", "git grep",
];

/// Options whose values are files that are read.
const FILES: &[&str] = &[
    "-in",
    "--infile",
    "-i",
    "--input",
    "-f",
    "--file",
    "--env-file",
    "--from-file",
    "--to-file",
    "-T",
    "-a",
    "--arg-file",
    "--files-from",
    "-L",
    "--rawfile",
    "--slurpfile",
    "--patterns-from",
    "--exclude-from",
];

/// Options whose values choose the files that are read.
const CHOOSE: &[&str] = &["--include", "-g", "--glob", "--iglob"];

/// The same, by regular expressions.
const CHOOSE_BY_EXPRESSIONS: &[&str] = &["-G", "--file-search-regex"];

/// What the options of a search say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    /// They give what is searched for, so that every operand is a file.
    has_pattern: bool,
    /// All that lies below is searched.
    deep: bool,
    /// Hidden files are searched as well.
    hidden: bool,
}

impl Search {
    pub(super) fn by(arguments: &[Word]) -> Self {
        let mut search = Self::default();
        for text in arguments.iter().filter_map(Word::literal).take_while(|text| *text != "--") {
            if let Some(long) = text.strip_prefix("--") {
                let named = long.split('=').next().unwrap_or_default();
                let is = |names: &[&str]| {
                    names
                        .iter()
                        .any(|name| name.starts_with(named) && (named.len() > 2 || long.contains('=')))
                };
                search.has_pattern |= is(&["regexp", "file", "patterns-from", "match"]);
                search.deep |= is(&["recursive", "dereference-recursive", "directories"]);
                search.hidden |= is(&["hidden", "unrestricted", "no-ignore"]);
            } else if let Some(letters) = text.strip_prefix('-') {
                search.has_pattern |= letters.contains(['e', 'f']);
                search.deep |= letters.contains(['r', 'R', 'd']);
                search.hidden |= letters.contains(['u', '.', 'a']);
            }
        }
        search
    }
}

/// Whether a program tells of files only that they are there, or what they are called.
pub(in super::super) fn tells_names_only(name: &str) -> bool {
    NAMES_ONLY.contains(&name)
}

impl<'a> Reader<'a, '_> {
    /// A file that an option names.
    pub(super) fn read_by_option(&mut self, name: &str, text: &str) {
        let named = named_in(text).filter(|_| FILES.contains(&name) || CHOOSE.contains(&name));
        let sought = || sought_by(text).filter(|_| CHOOSE.contains(&name));
        let matched = || matched_by(text, false).filter(|_| CHOOSE_BY_EXPRESSIONS.contains(&name));
        if let Some(what) = named.or_else(sought).or_else(matched) {
            self.found(Class::Escalates, format!("{text}: {what}"));
        }
    }

    /// What it is given that is not known may be what the command names elsewhere.
    pub(super) fn given_secrets(&mut self) {
        let named = !tells_names_only(&self.name) && self.context.prints_a_secret();
        if named && self.current().effect != Effect::Wraps {
            self.found(Class::Escalates, "it is given what files with a project's secrets are called");
        } else {
            self.given_what_is_made_up();
        }
    }

    /// What other commands put together may be any name.
    fn given_what_is_made_up(&mut self) {
        let name = self.name.as_str();
        let shows = !tells_names_only(name) && !ONLY_WRITE.contains(&name);
        if shows && self.current().effect != Effect::Wraps && self.context.makes_names_up() {
            self.found(Class::Escalates, "it is given a name that another command makes up");
        }
    }

    /// What of an operand tells secrets by where it lies or what it is called.
    pub(super) fn sensitive_operand(&self, word: &'a Word, operands: &[&'a Word]) -> Option<&'static str> {
        // What is only shown is not looked for.
        if matches!(self.name.as_str(), "echo" | "printf") {
            return place::sensitive(word.as_written());
        }
        let first = operands.first().is_some_and(|first| std::ptr::eq(*first, word));
        if first && self.is_sought(operands) {
            return None;
        }
        self.context.sensitive(word)
    }

    /// Whether the first operand is a text that is looked for, and no file.
    fn is_sought(&self, operands: &[&Word]) -> bool {
        let Some((first, files)) = operands.split_first() else { return false };
        let written = first.as_written();
        let searches = SEARCH.contains(&self.name.as_str()) && !self.search.has_pattern;
        if !searches || written.contains('/') || written.starts_with(".env") {
            return false;
        }
        // What secrets are called is looked for in a part of the project, and not wherever some may be kept.
        let part = |word: &&Word| {
            let path = word.as_written();
            let inside = !path.starts_with(['/', '~', '$', '-']) && !path.contains("..");
            inside && !matches!(path.trim_end_matches('/'), "." | "*" | "**")
        };
        let of_itself = matches!(self.name.as_str(), "rg" | "ag" | "ack" | "pt" | "git grep");
        let skips_hidden = of_itself && !self.search.hidden;
        let narrow = match files {
            [] => skips_hidden || !(self.search.deep || of_itself),
            files => {
                skips_hidden && files.iter().all(|word| part(word) || word.literal() == Some("."))
                    || files.iter().all(part)
            }
        };
        narrow || place::sensitive(written).is_none()
    }

    pub(super) fn shown_secrets(&mut self, operands: &[&'a Word]) {
        // It takes the names of what it shows from its input.
        if self.name == "git cat-file" && operands.is_empty() {
            self.given_secrets();
        }
        if tells_names_only(&self.name) && !self.shows {
            return;
        }
        if ONLY_WRITE.contains(&self.name.as_str()) {
            return;
        }
        // What is only written is not shown.
        let writes = |program: &Program| program.last == Some(Role::Write);
        let moves = ["mv", "gmv", "ln", "gln", "git mv"].contains(&self.name.as_str());
        let last = moves || self.chain.iter().any(|program| writes(program));
        let last = last && operands.len() > 1 && self.target.is_none();
        let read = operands.len().saturating_sub(usize::from(last));
        if operands.iter().take(read).any(|word| self.context.made_by_commands(word)) {
            if self.context.prints_a_secret() {
                self.given_secrets();
            } else if operands.iter().take(read).any(|word| self.context.may_become_secret(word)) {
                self.given_what_is_made_up();
            }
        }
        // A script, or a pattern that is looked for, is no file.
        let scripted = self.current().language.is_some() && !self.scripted;
        for (at, word) in operands.iter().take(read).enumerate() {
            if at == 0 && (scripted || (operands.len() > 1 && self.is_sought(operands))) {
                continue;
            }
            let of_git = self.name.starts_with("git ");
            let sought = || word.literal().filter(|_| of_git).and_then(sought_by);
            if let Some(what) = self.context.kept_secret(word).or_else(sought) {
                self.found(Class::Escalates, format!("{}: {what}", word.as_written()));
            }
        }
    }
}
