//! Commands that a program takes from its operands or its input, and runs elsewhere or in another way.

use super::{Reader, Run};
use crate::command::Word;
use crate::validate::class::Class;

impl<'a> Reader<'a, '_> {
    /// A command that begins here, behind the operands that are the program's own. Whether one does.
    pub(super) fn within(&mut self, rest: &'a [Word], more: bool) -> bool {
        let Some(within) = self.current().command.filter(|within| self.operands.len() >= within.after) else {
            return false;
        };
        if within.itself {
            let program = self.name.split(' ').next().unwrap_or_default();
            let words = std::iter::once(Word::Literal(program.to_owned())).chain(rest.iter().cloned());
            self.runs.push(Run::Made(words.collect()));
        } else if within.joined {
            self.joined(rest, more);
        } else {
            self.runs.push(Run::Words(rest, more));
        }
        true
    }

    /// Words that are joined to a command line for a shell. Where not all is known, what is written tells enough to refuse.
    pub(super) fn joined(&mut self, words: &[Word], more: bool) {
        if more || words.iter().any(|word| word.literal().is_none()) {
            self.found(Class::ExecutesCode, "its command is not known before it runs");
        }
        self.runs.push(Run::Joined(words.iter().map(Word::as_line).collect::<Vec<_>>().join(" ")));
    }

    /// The signals for which the shell runs a line later. Without a line it changes what they do.
    pub(super) fn trapped(&mut self, operands: &[&'a Word]) {
        /// Once, when the command ends or is ended: not with every command, as for DEBUG.
        const ENDS: &[&str] = &["EXIT", "INT", "TERM", "HUP", "QUIT", "0", "1", "2", "3", "15"];
        let Some((line, signals)) = operands.split_first() else { return };
        if signals.is_empty() || matches!(line.literal(), Some("" | "-")) {
            return self.found(Class::Unknown, "changes what signals do");
        }
        let ends = |word: &&Word| {
            word.literal().is_some_and(|name| ENDS.contains(&name.strip_prefix("SIG").unwrap_or(name)))
        };
        if let Some(signal) = signals.iter().copied().find(|word| !ends(word)) {
            let why = format!("{}: how often it runs its line is not known", signal.as_written());
            self.found(Class::ExecutesCode, why);
        }
    }

    /// Whether its standard input holds command lines.
    pub(super) fn reads_lines(&self, arguments: &[Word]) -> bool {
        let Some(most) = self.current().lines else { return false };
        // `bash -s a b`: the operands are parameters.
        let told = |word: &Word| {
            word.literal().is_some_and(|text| {
                text.starts_with('-') && !text.starts_with("--") && text.contains('s') && text.len() < 4
            })
        };
        let input = |word: &&Word| {
            matches!(word.as_written(), "-" | "<(…)" | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0")
        };
        self.runs.is_empty()
            && (self.operands.len() <= most
                || arguments.iter().any(told)
                || self.operands.first().is_some_and(input))
    }
}
