//! Builtins that change the shell itself.

use crate::command::{ParsedCommand, SimpleCommand, Word};

/// Builtins for which there is no program to execute.
pub(super) const SHELL_ONLY: &[&str] = &[
    ".",
    ":",
    "alias",
    "bg",
    "bind",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "declare",
    "dirs",
    "disown",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
    "break",
    "continue",
];

impl ParsedCommand {
    /// Whether the shell that runs it is the same afterwards: no variable, directory, option or function is another.
    pub(in crate::validate) fn keeps_to_itself(&self) -> bool {
        let program = |command: &SimpleCommand| match command.words.first() {
            None => command.assignments.is_empty(),
            Some(word) => word.literal().is_some_and(|name| name == ":" || !SHELL_ONLY.contains(&name)),
        };
        self.functions.is_empty()
            && self.variables.is_empty()
            && self.bound.is_empty()
            && self.commands.iter().all(program)
    }
}

/// Whether functions may be gone after it, or be passed over.
pub(super) fn hides_functions(command: &SimpleCommand) -> bool {
    let mut words = command.words.iter().map(Word::literal);
    let builtin = |word: &str| matches!(word, "command" | "builtin") || word.starts_with('-');
    let program = words.find(|word| !word.is_some_and(builtin)).flatten();
    matches!(program, Some("unset" | "alias" | "shopt" | "eval" | "source" | "." | "trap"))
}
