//! sed: everything but the commands that write files and run programs.

use super::super::class::Class;
use super::super::context::Context;
use super::super::place::{self, Place};
use super::super::project_secrets;
use super::super::shape::{self, Shape};
use super::Script;

/// What a script does beyond editing its input.
pub(super) fn read(script: &str, context: &Context<'_>) -> Script {
    let mut reader = Reader { rest: script, found: Vec::new(), files: Vec::new(), context };
    if reader.commands().is_none() {
        reader.found.push((Class::Unknown, "a sed script that is not understood".to_owned()));
    }
    Script { found: reader.found, files: reader.files }
}

struct Reader<'s, 'c> {
    rest: &'s str,
    found: Vec<(Class, String)>,
    files: Vec<(Shape, bool)>,
    context: &'c Context<'c>,
}

impl<'s> Reader<'s, '_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..)?;
        Some(c)
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(skipped);
    }

    /// The rest of the line.
    fn line(&mut self) -> &'s str {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        line
    }

    fn commands(&mut self) -> Option<()> {
        loop {
            self.skip(|c| c.is_whitespace() || c == ';');
            if self.rest.is_empty() {
                return Some(());
            }
            self.addresses()?;
            self.skip(|c| c == ' ' || c == '\t');
            while self.peek() == Some('!') {
                self.next();
                self.skip(|c| c == ' ');
            }
            self.command()?;
        }
    }

    fn addresses(&mut self) -> Option<()> {
        while let Some(c) = self.peek() {
            match c {
                '0'..='9' | '$' | '~' | '+' | ',' | ' ' => drop(self.next()),
                '/' => {
                    self.next();
                    self.pattern('/')?;
                    self.skip(|c| c == 'I' || c == 'M');
                }
                '\\' => {
                    self.next();
                    let delimiter = self.next()?;
                    self.pattern(delimiter)?;
                    self.skip(|c| c == 'I' || c == 'M');
                }
                _ => break,
            }
        }
        Some(())
    }

    /// To the delimiter, which may stand in brackets and behind a backslash.
    fn pattern(&mut self, delimiter: char) -> Option<()> {
        if delimiter == '\\' || delimiter == '\n' {
            return None;
        }
        loop {
            match self.next()? {
                '\\' => drop(self.next()?),
                // A bracket that closes at once stands for itself, to some.
                '[' if self.rest.starts_with([']', '^'])
                    && self.rest.trim_start_matches('^').starts_with(']') =>
                {
                    return None;
                }
                // In brackets it is understood in two ways.
                '[' if self.rest.split(']').next().is_some_and(|inside| inside.contains(delimiter)) => {
                    return None;
                }
                c if c == delimiter => return Some(()),
                _ => {}
            }
        }
    }

    fn replacement(&mut self, delimiter: char) -> Option<()> {
        loop {
            match self.next()? {
                '\\' => drop(self.next()?),
                c if c == delimiter => return Some(()),
                _ => {}
            }
        }
    }

    fn command(&mut self) -> Option<()> {
        match self.next()? {
            '{' | '}' => Some(()),
            '#' => {
                self.line();
                Some(())
            }
            'p' | 'd' | 'D' | 'g' | 'G' | 'h' | 'H' | 'n' | 'N' | 'x' | '=' | 'P' | 'z' => self.end(),
            'q' | 'Q' | 'l' | 'L' => {
                self.skip(|c| c == ' ' || c.is_ascii_digit());
                self.end()
            }
            ':' | 'b' | 't' | 'T' => {
                // Where a label ends differs between seds: some take blanks into it, others begin a command after them.
                let end = self.rest.find([';', '\n', '}']).unwrap_or(self.rest.len());
                let label = self.rest.get(..end)?;
                self.rest = self.rest.get(end..)?;
                (!label.trim().contains(char::is_whitespace)).then_some(())
            }
            'a' | 'i' | 'c' => loop {
                if !continues(self.line()) || self.rest.is_empty() {
                    return Some(());
                }
            },
            'r' | 'R' => {
                let file = self.line().trim();
                self.files.push((shape::literal(file), false));
                if let Some(what) = place::sensitive(file).or_else(|| project_secrets::named_in(file)) {
                    self.found.push((Class::Escalates, format!("{file}: {what}")));
                }
                Some(())
            }
            'w' | 'W' => {
                let file = self.line().trim();
                self.written(file);
                Some(())
            }
            'e' => {
                self.line();
                self.found.push((Class::ExecutesCode, "sed's command e runs a program".to_owned()));
                Some(())
            }
            'y' => {
                let delimiter = self.next()?;
                self.replacement(delimiter)?;
                self.replacement(delimiter)?;
                self.end()
            }
            's' => {
                let delimiter = self.next()?;
                self.pattern(delimiter)?;
                self.replacement(delimiter)?;
                self.flags()
            }
            _ => None,
        }
    }

    fn flags(&mut self) -> Option<()> {
        loop {
            match self.peek() {
                Some('g' | 'p' | 'i' | 'I' | 'm' | 'M' | '0'..='9') => drop(self.next()),
                Some('e') => {
                    self.found.push((Class::ExecutesCode, "sed's flag e runs a program".to_owned()));
                    self.next();
                }
                Some('w') => {
                    self.next();
                    let file = self.line().trim();
                    self.written(file);
                    return Some(());
                }
                _ => return self.end(),
            }
        }
    }

    fn written(&mut self, file: &str) {
        self.files.push((shape::literal(file), true));
        match place::of(file, self.context) {
            Place::Nowhere => {}
            Place::Inside => self.found.push((Class::WritesWorkspace, format!("sed writes {file}"))),
            Place::Protected | Place::Outside => {
                self.found
                    .push((Class::WritesOutside, format!("sed writes {file}, outside of the workspace")));
            }
        }
    }

    /// After a command: another one, the end of a group, or nothing.
    fn end(&mut self) -> Option<()> {
        self.skip(|c| c == ' ' || c == '\t');
        match self.peek() {
            None | Some(';' | '\n' | '}' | '#') => Some(()),
            Some(_) => None,
        }
    }
}

/// Whether a text goes on in the next line: an even number of backslashes stands for themselves.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}
