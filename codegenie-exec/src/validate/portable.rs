//! Lines that mean the same to every POSIX shell as they do to bash, as which they are judged.
//!
//! That is much less than what both accept: pipelines, `&&`, `||`, `;` and lines of simple commands, words with quotes in
//! which nothing is expanded, the pattern `*`, redirections to and from files that are named, and of builtins the few
//! forms that are the same everywhere. Whatever is not listed here is told as a difference.

use crate::command::{CommandLine, CommandRequest};
use std::iter::Peekable;
use std::str::Chars;

/// What is no program to one shell or another: builtins, and words that begin a construct.
const OF_SHELLS: &[&str] = &[
    "!",
    ".",
    ":",
    "[[",
    "alias",
    "autoload",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "export",
    "fc",
    "fg",
    "fi",
    "float",
    "for",
    "function",
    "functions",
    "getopts",
    "global",
    "hash",
    "help",
    "hist",
    "history",
    "if",
    "integer",
    "jobs",
    "kill",
    "let",
    "local",
    "login",
    "logout",
    "mapfile",
    "nameref",
    "namespace",
    "newgrp",
    "popd",
    "print",
    "pushd",
    "r",
    "read",
    "readarray",
    "readonly",
    "redirect",
    "rename",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "stop",
    "suspend",
    "then",
    "time",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "whence",
    "while",
];
/// Variables of a command that change how bash, or only bash, reads or orders words.
const READING: &[&str] = &[
    "BASH",
    "CDPATH",
    "ENV",
    "EXECIGNORE",
    "FIGNORE",
    "FUNCNEST",
    "GLOB",
    "IFS",
    "LANG",
    "LC_",
    "POSIXLY_CORRECT",
    "SHELLOPTS",
];
/// Operators of `test` that are the same everywhere.
const OF_TEST: &[&str] = &[
    "-d", "-e", "-eq", "-f", "-ge", "-gt", "-h", "-L", "-le", "-lt", "-n", "-ne", "-r", "-s", "-w", "-x",
    "-z", "=", "!=",
];

/// The first thing in the line that may mean something else to a POSIX shell than it does to bash.
pub(crate) fn difference(request: &CommandRequest) -> Option<String> {
    let CommandLine::Shell(text) = &request.line else { return Some("what is no text".to_owned()) };
    if let Some(name) = request.env.keys().find(|name| READING.iter().any(|start| name.starts_with(start))) {
        return Some(format!("a line with the variable {name}"));
    }
    let mut line = Line { rest: text.chars().peekable(), commands: vec![Simple::default()], is_piped: false };
    line.read().and_then(|()| line.check()).err()
}

/// A word, quotes removed.
#[derive(Default)]
struct Plain {
    text: String,
    /// Something in it is quoted, so that it begins no construct and is no number of a descriptor.
    quoted: bool,
    pattern: bool,
}

#[derive(Default)]
struct Simple {
    words: Vec<Plain>,
    redirected: bool,
}

struct Line<'t> {
    rest: Peekable<Chars<'t>>,
    commands: Vec<Simple>,
    is_piped: bool,
}

fn differs(what: &str) -> Result<(), String> {
    Err(what.to_owned())
}

impl Line<'_> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.peek().copied() {
            match c {
                ' ' | '\t' => drop(self.rest.next()),
                '\n' | ';' => {
                    self.rest.next();
                    self.commands.push(Simple::default());
                }
                '|' | '&' => self.join()?,
                '<' | '>' => self.redirect()?,
                '#' => return differs("a comment"),
                _ => {
                    let word = self.word()?;
                    let is_number = !word.quoted && word.text.bytes().all(|b| b.is_ascii_digit());
                    if is_number && matches!(self.rest.peek(), Some('<' | '>')) {
                        if !matches!(word.text.as_str(), "0" | "1" | "2") {
                            return differs("a redirection of another descriptor than 0, 1 and 2");
                        }
                        self.redirect()?;
                    } else if let Some(command) = self.commands.last_mut() {
                        command.words.push(word);
                    }
                }
            }
        }
        Ok(())
    }

    /// `|`, `||` and `&&`.
    fn join(&mut self) -> Result<(), String> {
        let first = self.rest.next();
        match (first, self.rest.peek()) {
            (Some('|'), Some('|')) | (Some('&'), Some('&')) => drop(self.rest.next()),
            (Some('|'), Some('&')) => return differs("|&"),
            (Some('|'), _) => self.is_piped = true,
            _ => return differs("a single &"),
        }
        self.commands.push(Simple::default());
        Ok(())
    }

    fn redirect(&mut self) -> Result<(), String> {
        if let Some(command) = self.commands.last_mut() {
            command.redirected = true;
        }
        let writes = self.rest.next() == Some('>');
        match self.rest.peek() {
            Some('&') if writes => {
                self.rest.next();
                let known = matches!(self.rest.next(), Some('1' | '2'));
                let ends = self.rest.peek().is_none_or(|c| " \t\n;|".contains(*c));
                return if known && ends { Ok(()) } else { differs("a redirection to what is not 1 or 2") };
            }
            Some('>') if writes => drop(self.rest.next()),
            Some('<' | '>' | '&' | '|' | '(') => return differs("a redirection other than <, > and >>"),
            _ => {}
        }
        while matches!(self.rest.peek(), Some(' ' | '\t')) {
            self.rest.next();
        }
        if self.rest.peek() == Some(&'#') {
            return differs("a comment");
        }
        let target = self.word()?;
        if target.text.is_empty() || target.pattern {
            return differs("a redirection to a file that is not named");
        }
        if target.text.contains("/dev/") && target.text != "/dev/null" {
            return differs("a redirection below /dev");
        }
        Ok(())
    }

    /// A word from here on, up to what ends it.
    fn word(&mut self) -> Result<Plain, String> {
        let mut word = Plain::default();
        let mut bare = String::new();
        while let Some(c) = self.rest.peek().copied() {
            match c {
                ' ' | '\t' | '\n' | ';' | '|' | '&' | '<' | '>' => break,
                '\'' | '"' => {
                    self.rest.next();
                    word.quoted = true;
                    self.quoted(c, &mut word.text)?;
                    continue;
                }
                '\\' => {
                    self.rest.next();
                    word.quoted = true;
                    match self.rest.next() {
                        Some(c) if c == ' ' || c.is_ascii_punctuation() => word.text.push(c),
                        _ => return Err("a backslash before what needs none".to_owned()),
                    }
                    continue;
                }
                '*' => word.pattern = true,
                '[' | ']' | '{' | '}' => {}
                c if c.is_ascii_alphanumeric() || "_-./:,@%+=#".contains(c) => {}
                c => return Err(format!("the character {c:?} outside of quotes")),
            }
            self.rest.next();
            word.text.push(c);
            bare.push(c);
        }
        let is_bracket = !word.quoted && matches!(bare.as_str(), "[" | "]" | "{}");
        if bare.contains(['[', ']', '{', '}']) && !is_bracket {
            return Err("a bracket or brace in a word".to_owned());
        }
        Ok(word)
    }

    /// The rest of a quotation.
    fn quoted(&mut self, end: char, text: &mut String) -> Result<(), String> {
        for c in self.rest.by_ref() {
            match c {
                c if c == end => return Ok(()),
                '$' | '`' | '\\' if end == '"' => {
                    return Err(format!("the character {c:?} in double quotes"));
                }
                ' '..='~' | '\t' | '\n' => text.push(c),
                c => return Err(format!("the character {c:?}")),
            }
        }
        differs("a quotation without an end")
    }

    fn check(&self) -> Result<(), String> {
        self.commands.iter().try_for_each(|command| self.check_command(command))
    }

    fn check_command(&self, command: &Simple) -> Result<(), String> {
        let Some((program, rest)) = command.words.split_first() else {
            return if command.redirected { differs("a redirection without a program") } else { Ok(()) };
        };
        // What changes the shell itself: elsewhere it may be one of its own that a pipeline's last part runs in.
        let in_this_shell = !self.is_piped && !command.redirected;
        let literal = rest.iter().all(|word| !word.pattern);
        let texts: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
        let same = match program.text.as_str() {
            "true" | "false" => true,
            "pwd" => texts.is_empty(),
            "cd" => {
                in_this_shell
                    && literal
                    && matches!(texts.as_slice(), [to] if !to.is_empty() && !to.starts_with('-'))
            }
            "exit" => {
                let is_status = |text: &&str| text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
                in_this_shell
                    && texts.len() <= 1
                    && texts.iter().all(|text| !text.is_empty() && is_status(text))
            }
            "echo" => {
                let is_option = texts.first().is_some_and(|text| text.starts_with('-'));
                literal && !is_option && texts.iter().all(|text| !text.contains('\\'))
            }
            "printf" => literal && texts.first().is_some_and(|format| is_same_format(format)),
            "test" => literal && is_same_test(&texts),
            "[" => {
                literal && texts.split_last().is_some_and(|(last, rest)| *last == "]" && is_same_test(rest))
            }
            name if OF_SHELLS.contains(&name) => false,
            name => {
                let known = |c: char| c.is_ascii_alphanumeric() || "_-./+".contains(c);
                !program.pattern
                    && !name.is_empty()
                    && !name.starts_with(['-', '+'])
                    && name.chars().all(known)
            }
        };
        if same { Ok(()) } else { Err(format!("{:?} as it is used", program.text)) }
    }
}

/// Texts and percent signs, line ends and tabs.
fn is_same_format(format: &str) -> bool {
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        let known = match c {
            '%' => matches!(rest.next(), Some('s' | '%')),
            '\\' => matches!(rest.next(), Some('n' | 't' | '\\')),
            _ => true,
        };
        if !known {
            return false;
        }
    }
    !format.starts_with('-')
}

/// One operator with what it is about.
fn is_same_test(words: &[&str]) -> bool {
    match words {
        [operator, operand] => OF_TEST.contains(operator) && operator.starts_with('-') && !operand.is_empty(),
        [left, operator, right] => {
            let plain = |word: &&str| !word.starts_with(['-', '!', '(', ')']);
            OF_TEST.contains(operator) && plain(left) && plain(right)
        }
        _ => false,
    }
}
