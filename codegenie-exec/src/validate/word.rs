//! What a shell makes of one word: quotes removed, and what it puts in while it runs.
//!
//! Our own scanner, linear in the word and without recursion. It recognizes the words to which a
//! shell does nothing but remove quotes, and for the others what they are made from; what it does not
//! recognize is opaque.

use crate::command::{DynamicWord, Word};

const NOT_UNDERSTOOD: &str = "a word that is not understood";
const COMPUTES: &str = "a parameter expansion that computes";

/// A word, the commands whose output stands in it, the expressions that it computes, and why it cannot
/// be followed where that is so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    pub(super) word: Word,
    pub(super) commands: Vec<String>,
    pub(super) arithmetic: Vec<String>,
    /// Variables that an expansion sets: `${x:=y}`.
    pub(super) sets: Vec<String>,
    pub(super) opaque: Option<&'static str>,
}

/// Reads a word as it stands in the text.
pub(super) fn scan(source: &str) -> Scanned {
    Scanner::new(source).finish(source, false)
}

/// Reads the body of a here-document, in which quotes are characters like any other.
pub(super) fn scan_document(body: &str) -> Scanned {
    Scanner::new(body).finish(body, true)
}

struct Scanner<'a> {
    rest: &'a str,
    text: String,
    /// What was read before the first thing that the shell puts in.
    prefix: Option<String>,
    found: DynamicWord,
    commands: Vec<String>,
    arithmetic: Vec<String>,
    sets: Vec<String>,
    /// It holds an unquoted brace.
    brace: bool,
}

impl<'a> Scanner<'a> {
    fn new(rest: &'a str) -> Self {
        Self {
            rest,
            text: String::new(),
            prefix: None,
            found: DynamicWord::default(),
            commands: Vec::new(),
            arithmetic: Vec::new(),
            sets: Vec::new(),
            brace: false,
        }
    }

    fn finish(mut self, source: &str, document: bool) -> Scanned {
        let opaque = self.run(document).err();
        // A brace expands where an unquoted one meets a list or a sequence.
        if self.brace && (source.contains(',') || source.contains("..")) {
            let before = self.text.split('{').next().unwrap_or_default().to_owned();
            let shorter = self.prefix.as_ref().is_none_or(|prefix| prefix.len() > before.len());
            if shorter {
                self.prefix = Some(before);
            }
            self.found.splits = true;
            // What is made is more than the variables in it.
            self.found.computed = true;
        }
        let word = match (opaque, self.prefix) {
            (None, None) => Word::Literal(self.text),
            (_, prefix) => {
                let prefix = prefix.unwrap_or_default();
                Word::Dynamic(DynamicWord { written: source.to_owned(), prefix, ..self.found })
            }
        };
        Scanned { word, commands: self.commands, arithmetic: self.arithmetic, sets: self.sets, opaque }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    /// The shell puts something in here.
    fn dynamic(&mut self, double: bool) {
        if self.prefix.is_none() {
            self.prefix = Some(self.text.clone());
        }
        self.found.splits |= !double;
    }

    fn run(&mut self, document: bool) -> Result<(), &'static str> {
        let mut double = document;
        // A tilde expands at the start, and in what looks like an assignment or a search path.
        let mut tilde_expands = !document;
        while let Some(c) = self.next() {
            let expands = std::mem::replace(&mut tilde_expands, !document && matches!(c, ':' | '='));
            match c {
                '\\' => self.escape(double)?,
                '$' => self.dollar(double)?,
                '`' => self.backquotes(double)?,
                '"' if !document => double = !double,
                c if double => self.text.push(c),
                '\'' => {
                    let (quoted, rest) = self.rest.split_once('\'').ok_or(NOT_UNDERSTOOD)?;
                    self.text.push_str(quoted);
                    self.rest = rest;
                }
                ' ' | '\t' | '\n' | '(' | ')' | '<' | '>' | '|' | '&' | ';' => return Err(NOT_UNDERSTOOD),
                c => self.bare(c, expands),
            }
        }
        if double && !document { Err(NOT_UNDERSTOOD) } else { Ok(()) }
    }

    fn bare(&mut self, c: char, tilde_expands: bool) {
        self.brace |= c == '{';
        let pattern = match c {
            '*' | '?' => true,
            // Without its end it is a character like any other: the program `[`.
            '[' => self.rest.contains(']'),
            _ => false,
        };
        if pattern {
            // A pattern becomes several words, but each begins with what stands before it.
            let splits = self.found.splits;
            self.dynamic(false);
            self.found.splits = splits;
            self.found.pattern = true;
        } else if c == '~' && tilde_expands {
            self.dynamic(true);
            if self.prefix.as_deref() == Some("") {
                self.prefix = Some("~".to_owned());
            }
        }
        self.text.push(c);
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

    fn backquotes(&mut self, double: bool) -> Result<(), &'static str> {
        let (command, rest) = self.rest.split_once('`').ok_or(NOT_UNDERSTOOD)?;
        if command.contains('\\') {
            return Err("a command substitution with an escape");
        }
        self.commands.push(command.to_owned());
        self.rest = rest;
        self.dynamic(double);
        self.found.computed = true;
        Ok(())
    }

    /// After a dollar sign.
    fn dollar(&mut self, double: bool) -> Result<(), &'static str> {
        match self.rest.chars().next() {
            Some('(') => self.parentheses(double)?,
            Some('[') => return Err("an arithmetic expansion in brackets"),
            Some('{') => self.braces(double)?,
            Some('\'') if !double => {
                self.next();
                self.dynamic(true);
                self.found.computed = true;
                loop {
                    match self.next().ok_or(NOT_UNDERSTOOD)? {
                        '\\' => drop(self.next()),
                        '\'' => break,
                        _ => {}
                    }
                }
            }
            Some('"') if !double => {
                self.dynamic(true);
                self.found.computed = true;
            }
            Some(c @ ('@' | '*' | '#' | '?' | '-' | '$' | '!')) => {
                self.next();
                self.dynamic(double && c != '@');
                self.found.variables.push(c.to_string());
            }
            Some(c) if c.is_ascii_digit() => {
                self.next();
                self.dynamic(double);
                self.found.variables.push(c.to_string());
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name: String =
                    self.rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                self.rest = self.rest.get(name.len()..).unwrap_or_default();
                self.dynamic(double);
                self.found.variables.push(name);
            }
            Some(c) if !c.is_ascii() => {
                self.dynamic(double);
                self.found.computed = true;
            }
            // A dollar sign before anything else, and at the end, is one.
            Some(_) | None => self.text.push('$'),
        }
        Ok(())
    }

    /// `$(…)` and `$((…))`.
    fn parentheses(&mut self, double: bool) -> Result<(), &'static str> {
        let inner = self.rest.get(1..).unwrap_or_default();
        let end = end_of_substitution(inner)?;
        let command = inner.get(..end).unwrap_or_default();
        match command.strip_prefix('(') {
            Some(expression) => {
                let expression =
                    expression.strip_suffix(')').ok_or("a command substitution that begins with a group")?;
                self.arithmetic.push(expression.to_owned());
            }
            None => self.commands.push(command.to_owned()),
        }
        self.rest = inner.get(end + 1..).unwrap_or_default();
        self.dynamic(double);
        self.found.computed = true;
        Ok(())
    }

    /// `${…}`: a plain name, or one of the forms that change text and run nothing.
    fn braces(&mut self, double: bool) -> Result<(), &'static str> {
        let (inside, rest) =
            self.rest.get(1..).and_then(|rest| rest.split_once('}')).ok_or(NOT_UNDERSTOOD)?;
        self.rest = rest;
        let counted = inside.len() > 1 && inside.starts_with('#');
        let inside = if counted { inside.get(1..).unwrap_or_default() } else { inside };
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let mut name: String = inside.chars().take_while(plain).collect();
        if name.is_empty() && inside.len() == 1 && inside.starts_with(['@', '*', '#', '?', '$', '!']) {
            inside.clone_into(&mut name);
        }
        if name.is_empty() {
            return Err(COMPUTES);
        }
        let after = inside.get(name.len()..).unwrap_or_default();
        // `"${x[@]}"` is as many words as there are elements, also within quotes.
        let elements = name == "@" || after.starts_with("[@]");
        let after = ["[@]", "[*]"].iter().find_map(|all| after.strip_prefix(all)).unwrap_or(after);
        let dangerous = |c: char| "$`\\\"'(<>[]~{".contains(c);
        if after.contains(dangerous) {
            return Err(COMPUTES);
        }
        self.dynamic(double && !elements);
        match after.chars().next() {
            None => {}
            Some('#' | '%' | '/' | '^' | ',') => self.found.computed = true,
            Some('-' | '+' | '=' | '?') => self.other_value(&name, after),
            Some(':') => match after.chars().nth(1) {
                Some('-' | '+' | '=' | '?') => self.other_value(&name, after),
                Some(c) if c.is_ascii_digit() || c == ' ' => {
                    if !after.chars().all(|c| c.is_ascii_digit() || " :-".contains(c)) {
                        return Err(COMPUTES);
                    }
                    self.found.computed = true;
                }
                _ => return Err(COMPUTES),
            },
            Some(_) => return Err(COMPUTES),
        }
        if counted {
            // A number, whatever the value is.
            return Ok(());
        }
        self.found.variables.push(name);
        Ok(())
    }

    fn other_value(&mut self, name: &str, after: &str) {
        self.found.computed = true;
        if after.trim_start_matches(':').starts_with('=') {
            self.sets.push(name.to_owned());
        }
    }
}

/// Where the parenthesis that ends a substitution stands. What makes that hard to tell is refused.
fn end_of_substitution(text: &str) -> Result<usize, &'static str> {
    const HARD: &str = "a command substitution that is not understood";
    let mut depth = 0usize;
    let mut single = false;
    // Whether the text is within double quotes, for each depth that began within them.
    let mut quotes: Vec<(bool, usize)> = vec![(false, 0)];
    let mut before = ' ';
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let double = quotes.last().is_some_and(|(double, _)| *double);
        match c {
            '\'' if single => single = false,
            _ if single => {}
            '\\' => drop(chars.next()),
            '"' => {
                if let Some((double, _)) = quotes.last_mut() {
                    *double = !*double;
                }
            }
            '`' => return Err(HARD),
            '(' if before == '$' => {
                depth += 1;
                quotes.push((false, depth));
            }
            _ if double && c != ')' => {}
            '\'' => single = true,
            '#' if before.is_whitespace() || "();|&".contains(before) => return Err(HARD),
            '<' if before == '<' => return Err(HARD),
            '(' => depth += 1,
            ')' if double => {}
            ')' if depth == 0 => {
                let inner = text.get(..at).unwrap_or_default();
                let word = |word| inner.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == word);
                return if word("case") || word("esac") { Err(HARD) } else { Ok(at) };
            }
            ')' => {
                if quotes.last().is_some_and(|(_, began)| *began == depth) && quotes.len() > 1 {
                    quotes.pop();
                }
                depth -= 1;
            }
            _ => {}
        }
        before = c;
    }
    Err(HARD)
}
