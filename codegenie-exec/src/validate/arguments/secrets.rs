//! Which operands show a project's secrets: those of which more than the name is told.

use super::Reader;
use crate::command::Word;
use crate::validate::class::Class;
use crate::validate::knowledge::Role;
use crate::validate::project_secrets::named_in;

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

/// Their first operand is mostly a pattern.
const SEARCH: &[&str] = &["grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "ugrep", "git grep"];

/// Options whose values are files that are read.
const FILES: &[&str] =
    &["-in", "--infile", "-i", "--input", "-f", "--file", "--env-file", "--from-file", "--to-file", "-T"];

impl<'a> Reader<'a, '_> {
    /// A file that an option names.
    pub(super) fn read_by_option(&mut self, name: &str, text: &str) {
        if let Some(what) = named_in(text).filter(|_| FILES.contains(&name)) {
            self.found(Class::Escalates, format!("{text}: {what}"));
        }
    }

    pub(super) fn shown_secrets(&mut self, operands: &[&'a Word]) {
        if NAMES_ONLY.contains(&self.name.as_str()) {
            return;
        }
        let writes = |role: Option<Role>| role == Some(Role::Write);
        let all = self.chain.iter().any(|program| writes(program.operands)) && self.name != "mv";
        let last = self.chain.iter().any(|program| writes(program.last) || writes(program.operands));
        // What is only written is not shown.
        let read =
            if all { 0 } else { operands.len().saturating_sub(usize::from(last && operands.len() > 1)) };
        // A script, or a pattern that is looked for, is no file.
        let scripted = self.current().language.is_some() && !self.scripted;
        let searches = operands.len() > 1 && SEARCH.contains(&self.name.as_str());
        for (at, word) in operands.iter().take(read).enumerate() {
            let written = word.as_written();
            if at == 0 && (scripted || (searches && !written.contains('/') && !written.starts_with(".env"))) {
                continue;
            }
            if let Some(what) = self.context.kept_secret(word) {
                self.found(Class::Escalates, format!("{}: {what}", word.as_written()));
            }
        }
    }
}
