//! Texts in a command that its commands read from their standard input.

use super::Tree;
use crate::command::{InputText, SimpleCommand, Word};

impl Tree {
    /// Texts that the commands from `first` on may read.
    pub(super) fn read_by(&mut self, texts: Vec<Word>, first: usize) {
        let readers = first..self.commands.len();
        self.inputs.extend(texts.into_iter().map(|text| InputText::new(text, readers.clone())));
    }

    /// Those of a substitution, whose commands come to stand behind those that are there.
    pub(super) fn take_inputs(&mut self, inner: &mut Self) {
        let before = self.commands.len();
        for input in inner.inputs.drain(..) {
            let readers = input.readers.start + before..input.readers.end + before;
            self.inputs.push(InputText::new(input.text, readers));
        }
    }

    /// What the commands from `first` on print, as far as they only repeat what they are given.
    pub(super) fn printed(&self, first: usize) -> Vec<Word> {
        let commands = self.commands.iter().enumerate().skip(first);
        commands.flat_map(|(at, command)| self.printed_by(at, command, first)).collect()
    }

    fn printed_by(&self, at: usize, command: &SimpleCommand, first: usize) -> Vec<Word> {
        let arguments = command.words.get(1..).unwrap_or_default();
        let texts = || arguments.iter().map(|word| word.as_line().to_owned()).collect::<Vec<_>>();
        match command.words.first().and_then(Word::literal).map(name) {
            Some("echo") => {
                let flag = |text: &String| text.len() > 1 && text.starts_with('-') && !text.contains(' ');
                let shown: Vec<String> = texts().into_iter().skip_while(flag).collect();
                vec![Word::Literal(unescaped(&shown.join(" ")))]
            }
            // The words that its format arranges, each by itself and all in a line.
            Some("printf") => {
                let mut shown: Vec<String> = texts().iter().map(|text| unescaped(text)).collect();
                if let Some(words) = shown.get(1..).filter(|words| words.len() > 1) {
                    shown.push(words.join(" "));
                }
                shown.into_iter().map(Word::Literal).collect()
            }
            Some("cat" | "tee") => {
                // Those of what came before stand before them.
                let latest = self.inputs.iter().rev().take_while(|input| input.readers.start >= first);
                let own = latest.filter(|input| input.readers == (at..at + 1));
                own.map(|input| input.text.clone()).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// With the escapes that part lines and words.
fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}
