//! What a shell makes of one word: quotes removed where nothing else happens to it.
//!
//! Our own scanner, linear in the word and without recursion. It only has to recognize the words to
//! which a shell does nothing but remove quotes; everything else is dynamic or, where it may run
//! code, opaque.

use crate::command::Word;

const SUBSTITUTION: &str = "a command substitution or an arithmetic expansion";
const NOT_UNDERSTOOD: &str = "a word that is not understood";

/// A word, and why it cannot be followed where that is so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    pub(super) word: Word,
    pub(super) opaque: Option<&'static str>,
}

/// Reads a word as it stands in the text.
pub(super) fn scan(source: &str) -> Scanned {
    let mut scanner = Scanner { rest: source, text: String::new(), dynamic: false, brace: false };
    let opaque = scanner.run().err();
    // A brace expands where an unquoted one meets a list or a sequence.
    let braces = scanner.brace && (source.contains(',') || source.contains(".."));
    let word = if opaque.is_none() && !scanner.dynamic && !braces {
        Word::Literal(scanner.text)
    } else {
        Word::Dynamic(source.to_owned())
    };
    Scanned { word, opaque }
}

struct Scanner<'a> {
    rest: &'a str,
    text: String,
    /// The shell makes something of it that is not known before.
    dynamic: bool,
    /// It holds an unquoted brace.
    brace: bool,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn run(&mut self) -> Result<(), &'static str> {
        let mut double = false;
        // A tilde expands at the start, and in what looks like an assignment or a search path.
        let mut tilde_expands = true;
        while let Some(c) = self.next() {
            let expands = std::mem::replace(&mut tilde_expands, matches!(c, ':' | '='));
            match c {
                '\\' => self.escape(double)?,
                '$' => self.dollar(double)?,
                '`' => return Err(SUBSTITUTION),
                '"' => double = !double,
                c if double => self.text.push(c),
                '\'' => {
                    let (quoted, rest) = self.rest.split_once('\'').ok_or(NOT_UNDERSTOOD)?;
                    self.text.push_str(quoted);
                    self.rest = rest;
                }
                ' ' | '\t' | '\n' | '(' | ')' | '<' | '>' | '|' | '&' | ';' => return Err(NOT_UNDERSTOOD),
                c => {
                    self.text.push(c);
                    self.brace |= c == '{';
                    self.dynamic |= match c {
                        '*' | '?' => true,
                        // Without its end it is a character like any other: the program `[`.
                        '[' => self.rest.contains(']'),
                        '~' => expands,
                        _ => false,
                    };
                }
            }
        }
        if double { Err(NOT_UNDERSTOOD) } else { Ok(()) }
    }

    fn escape(&mut self, double: bool) -> Result<(), &'static str> {
        match self.next() {
            Some('\n') => {}
            Some(c) if !double || matches!(c, '$' | '`' | '"' | '\\') => self.text.push(c),
            Some(c) => self.text.extend(['\\', c]),
            None => return Err(NOT_UNDERSTOOD),
        }
        Ok(())
    }

    /// After a dollar sign.
    fn dollar(&mut self, double: bool) -> Result<(), &'static str> {
        match self.rest.chars().next() {
            Some('(' | '[') => return Err(SUBSTITUTION),
            Some('{') => {
                // Only a plain name is sure to run nothing: subscripts and offsets are computed,
                // default values are expanded.
                let (name, rest) =
                    self.rest.get(1..).and_then(|rest| rest.split_once('}')).ok_or(NOT_UNDERSTOOD)?;
                let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if name.is_empty() || !plain {
                    return Err("a parameter expansion that computes");
                }
                self.rest = rest;
                self.dynamic = true;
            }
            Some('\'') if !double => {
                self.next();
                self.dynamic = true;
                loop {
                    match self.next().ok_or(NOT_UNDERSTOOD)? {
                        '\\' => drop(self.next()),
                        '\'' => break,
                        _ => {}
                    }
                }
            }
            Some('"') if !double => self.dynamic = true,
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => {
                self.next();
                self.dynamic = true;
            }
            Some(c) if c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() => self.dynamic = true,
            // A dollar sign before anything else, and at the end, is one.
            Some(_) | None => self.text.push('$'),
        }
        Ok(())
    }
}
