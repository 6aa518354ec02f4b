//! Where a wrapper's own arguments end and the command that it runs begins.

use super::{Reader, Run};
use crate::command::Word;
use crate::validate::class::Class;

impl<'a> Reader<'a, '_> {
    /// A wrapper's operands: some of its own, then the command. Whether the command was found.
    pub(super) fn wrapped(&mut self, arguments: &'a [Word], at: usize, more: bool) -> bool {
        let Some(word) = arguments.get(at) else { return false };
        if self.name == "env"
            && let Some((name, value)) = word.literal().and_then(|text| text.split_once('='))
        {
            self.assignments.push((name, value));
            return false;
        }
        if self.operands.len() < self.current().skip {
            self.value(word);
            self.operands.push(word);
            return false;
        }
        // `command -v NAME` tells where the program is.
        if self.reads && self.name == "command" {
            self.operands.push(word);
            return false;
        }
        let rest = arguments.get(at..).unwrap_or_default();
        if self.name == "xargs" {
            let strings = replaced(arguments.get(..at).unwrap_or_default());
            let holds = |word: &Word| strings.iter().any(|string| word.as_written().contains(string));
            // What stands in an operand is one; what stands elsewhere makes another program or option of it.
            let (program, others) = (rest.first(), rest.iter().skip(1));
            if program.is_some_and(holds)
                || others.clone().any(|word| word.as_written().starts_with(['-', '+']) && holds(word))
            {
                self.found(Class::ExecutesCode, "what its input makes of the command is not known");
            }
            // By whatever string: to the rules it is a hole like another.
            if strings.iter().skip(1).any(|string| !string.is_empty()) && rest.iter().any(holds) {
                let filled = |text: &str| {
                    let strings = strings.iter().filter(|string| !string.is_empty());
                    strings.fold(text.to_owned(), |text, string| text.replace(string, "{}"))
                };
                let made = rest.iter().map(|word| match word {
                    Word::Literal(text) => Word::Literal(filled(text)),
                    Word::Dynamic(_) => word.clone(),
                });
                self.runs.push(Run::Perhaps(made.collect()));
            }
        }
        let adds = more || matches!(self.name.as_str(), "xargs" | "parallel");
        self.runs.push(Run::Words(rest, adds));
        true
    }
}

/// What `xargs` may replace by words of its input, as the options before its command say.
fn replaced(options: &[Word]) -> Vec<&str> {
    let mut strings = vec!["{}"];
    let mut words = options.iter().filter_map(Word::literal).peekable();
    while let Some(word) = words.next() {
        let attached = match word.strip_prefix("--replace=") {
            Some(string) => Some(string),
            None if word.starts_with("--") => None,
            None => word.split_once(['I', 'i', 'J']).map(|(_, string)| string),
        };
        match attached {
            Some("") => strings.extend(words.peek().copied()),
            Some(string) => strings.push(string),
            None => {}
        }
    }
    strings
}
