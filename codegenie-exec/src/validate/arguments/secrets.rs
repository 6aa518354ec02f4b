//! Which operands show a project's secrets: those of which more than the name is told.

use super::Reader;
use crate::command::Word;
use crate::validate::class::Class;
use crate::validate::knowledge::{Effect, Program, Role};
use crate::validate::project_secrets::{named_in, sought_by};

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
const SEARCH: &[&str] = &["grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "ugrep", "git grep"];

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

/// Whether a program tells of files only that they are there, or what they are called.
pub(in super::super) fn tells_names_only(name: &str) -> bool {
    NAMES_ONLY.contains(&name)
}

impl<'a> Reader<'a, '_> {
    /// A file that an option names.
    pub(super) fn read_by_option(&mut self, name: &str, text: &str) {
        let named = named_in(text).filter(|_| FILES.contains(&name) || CHOOSE.contains(&name));
        let sought = || sought_by(text).filter(|_| CHOOSE.contains(&name));
        if let Some(what) = named.or_else(sought) {
            self.found(Class::Escalates, format!("{text}: {what}"));
        }
    }

    /// What it is given that is not known may be what the command names elsewhere.
    pub(super) fn given_secrets(&mut self) {
        let named = !tells_names_only(&self.name) && self.context.prints_a_secret();
        if named && self.current().effect != Effect::Wraps {
            self.found(Class::Escalates, "it is given what files with a project's secrets are called");
        }
    }

    pub(super) fn shown_secrets(&mut self, operands: &[&'a Word]) {
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
            self.given_secrets();
        }
        // A script, or a pattern that is looked for, is no file.
        let scripted = self.current().language.is_some() && !self.scripted;
        let searches = operands.len() > 1 && SEARCH.contains(&self.name.as_str());
        for (at, word) in operands.iter().take(read).enumerate() {
            let written = word.as_written();
            if at == 0 && (scripted || (searches && !written.contains('/') && !written.starts_with(".env"))) {
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
