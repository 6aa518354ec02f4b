//! awk: everything but what writes files and runs programs.

use super::super::class::Class;
use super::super::context::Context;
use super::super::place::{self, Place};
use super::super::shape::{self, Piece, Shape};
use super::Script;

/// What a program does beyond reading its input and printing.
pub(super) fn read(program: &str, context: &Context<'_>) -> Script {
    let Script { mut found, mut files } = Script::default();
    // Whatever they stand in: text may be put together to hide them from a reader of tokens.
    for (word, class, why) in [
        ("system", Class::ExecutesCode, "awk's system runs a program"),
        ("getline", Class::ExecutesCode, "awk's getline reads from files and programs that the script names"),
        // Files, and what some awks take for connections, that no operand names.
        ("ARGV", Class::Unknown, "awk's ARGV makes the script name what is read"),
        ("ENVIRON", Class::Escalates, "awk's ENVIRON tells what the environment holds"),
        ("@", Class::ExecutesCode, "awk's @ loads code or calls what a variable names"),
    ] {
        if program.contains(word) && !(word == "@" && only_in_text(program)) {
            found.push((class, why.to_owned()));
        }
    }
    match tokens(program) {
        None => found.push((Class::Unknown, "an awk program that is not understood".to_owned())),
        Some(tokens) => output(&tokens, context, &mut found, &mut files),
    }
    Script { found, files }
}

/// Whether every `@` stands between quotes or slashes with no other code: addresses, mostly.
fn only_in_text(program: &str) -> bool {
    tokens(program).is_some_and(|tokens| !tokens.contains(&Token::Other('@')))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Number,
    Pattern,
    Other(char),
}

fn tokens(program: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = program.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' => {}
            '\\' => match chars.next() {
                Some('\n') => {}
                _ => return None,
            },
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' => {
                let mut text = String::new();
                loop {
                    match chars.next()? {
                        '\\' => {
                            // What an escape makes is not the text that is read here.
                            text.push('\u{fffd}');
                            chars.next()?;
                        }
                        '"' => break,
                        '\n' => return None,
                        c => text.push(c),
                    }
                }
                tokens.push(Token::Text(text));
            }
            '/' if begins_pattern(tokens.last())? => {
                let mut bracket = false;
                loop {
                    match chars.next()? {
                        '\\' => drop(chars.next()?),
                        '\n' => return None,
                        // Whether a slash in brackets ends it differs between awks.
                        '/' if bracket => return None,
                        '/' => break,
                        '[' => bracket = true,
                        ']' => bracket = false,
                        _ => {}
                    }
                }
                tokens.push(Token::Pattern);
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                tokens.push(Token::Name(name));
            }
            c if c.is_ascii_digit() => {
                while chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '.').is_some() {}
                tokens.push(Token::Number);
            }
            c => tokens.push(Token::Other(c)),
        }
    }
    Some(tokens)
}

/// Whether a slash begins a pattern or divides; `None` where that depends on more than the last token.
fn begins_pattern(last: Option<&Token>) -> Option<bool> {
    match last {
        None => Some(true),
        Some(Token::Other(')')) => None,
        Some(Token::Name(name)) => Some(matches!(
            name.as_str(),
            "print" | "printf" | "return" | "in" | "else" | "do" | "case" | "delete" | "exit"
        )),
        Some(Token::Text(_) | Token::Number | Token::Pattern | Token::Other(']' | '$' | '.')) => Some(false),
        // `i++ / 2` divides, `x + /y/` matches.
        Some(Token::Other('+' | '-')) => None,
        Some(Token::Other(_)) => Some(true),
    }
}

/// Where it prints to.
fn output(
    tokens: &[Token],
    context: &Context<'_>,
    found: &mut Vec<(Class, String)>,
    files: &mut Vec<(Shape, bool)>,
) {
    let mut printing = false;
    let mut depth = 0usize;
    let mut rest = tokens.iter().peekable();
    while let Some(token) = rest.next() {
        match token {
            Token::Name(name) if name == "print" || name == "printf" => (printing, depth) = (true, 0),
            Token::Other(';' | '\n' | '}' | '{') => printing = false,
            Token::Other('(') => depth += 1,
            Token::Other(')') => depth = depth.saturating_sub(1),
            Token::Other('|') if rest.next_if_eq(&&Token::Other('|')).is_none() => {
                found.push((Class::ExecutesCode, "awk's pipe runs a program".to_owned()));
            }
            Token::Other('>') if printing && depth == 0 => {
                rest.next_if_eq(&&Token::Other('>'));
                let target = match rest.next() {
                    Some(Token::Text(path)) => {
                        let joined =
                            rest.peek().is_some_and(|next| !matches!(next, Token::Other(';' | '\n' | '}')));
                        // An escape makes another text than stands here.
                        let unread = joined || path.contains('\u{fffd}');
                        files.push((if unread { vec![Piece::Unknown] } else { shape::literal(path) }, true));
                        if unread { Place::Outside } else { place::of(path, context) }
                    }
                    _ => {
                        files.push((vec![Piece::Unknown], true));
                        Place::Outside
                    }
                };
                match target {
                    Place::Nowhere => {}
                    Place::Inside => {
                        found.push((Class::WritesWorkspace, "awk writes within the workspace".to_owned()))
                    }
                    Place::Protected | Place::Outside => {
                        found.push((
                            Class::WritesOutside,
                            "awk writes to a place outside of the workspace, or not known before it runs"
                                .to_owned(),
                        ));
                    }
                }
            }
            _ => {}
        }
    }
}
