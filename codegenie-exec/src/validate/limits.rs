//! What keeps the parser within its stack and near linear time.
//!
//! The parser recurses at every construct that nests, and it tries alternatives anew at each level
//! of some: hostile text would exhaust the stack, or double the time with every level. Text that
//! comes near is refused before it is parsed. Openers are counted and closers are not, wherever a
//! closer could be forged by quoting.

use super::shell::ParseError;
use brush_parser::Token;

/// Longer than what a person would approve.
const MAX_BYTES: usize = 64 << 10;
/// `$(`, `${` and `$[`: one level of the tokenizer each.
pub(super) const MAX_EXPANSIONS: usize = 128;
/// `if`, `while`, `{`, …: one level of the parser each.
const MAX_COMPOUNDS: usize = 48;
/// Each may double the time.
const MAX_CASES: usize = 8;
/// Nested parentheses: each level may double the time.
const MAX_PARENTHESES: usize = 6;
/// Tokens, doubled for every `case` and every level of parentheses.
const MAX_WORK: usize = 1 << 18;
/// `&&`, `||` and `!` in text that also holds `[[`: one level of the tree each.
const MAX_TEST_OPERATORS: usize = 128;
/// Brackets and expansions in a word that begins like an array element.
const MAX_SUBSCRIPT_PARTS: usize = 6;
/// What ends a here-document is compared at every line, unless there are few.
const MAX_DELIMITER_BYTES: usize = 256;
const FEW_LINES: usize = 64;
/// The parser turns descriptor numbers into 32 bits.
const MAX_DESCRIPTOR_DIGITS: usize = 9;

fn too_many(what: &str, most: usize) -> ParseError {
    ParseError::new(format!(
        "it holds {what} than the {most} that are read; put longer work into a file, or split it up"
    ))
}

/// Before the text is cut into tokens.
pub(super) fn check_text(text: &str) -> Result<(), ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError::new(format!("it has {} bytes, at most {MAX_BYTES} are read", text.len())));
    }
    if text.contains('\0') {
        return Err(ParseError::new("it holds a NUL byte"));
    }
    let backslashes = text.bytes().rev().take_while(|b| *b == b'\\').count();
    if backslashes % 2 == 1 {
        return Err(ParseError::new("it ends with a backslash"));
    }
    let expands = |pair: &&[u8]| matches!(pair, [b'$', b'(' | b'{' | b'[']);
    if text.as_bytes().windows(2).filter(expands).count() > MAX_EXPANSIONS {
        return Err(too_many("more expansions", MAX_EXPANSIONS));
    }
    let long = || text.match_indices("<<").any(|(at, _)| delimiter_is_long(text.as_bytes().get(at..)));
    if text.matches('\n').count() > FEW_LINES && long() {
        let most = MAX_DELIMITER_BYTES;
        return Err(ParseError::new(format!(
            "a here-document ends with more than the {most} bytes that are read"
        )));
    }
    Ok(())
}

/// Whether the word after `<<` may be longer than what is compared in good time. Too often is safe.
fn delimiter_is_long(text: Option<&[u8]>) -> bool {
    let word = text.unwrap_or_default().iter().skip_while(|b| matches!(b, b'<' | b'-' | b' ' | b'\t'));
    let (mut quote, mut escaped) = (None, false);
    for (length, byte) in word.enumerate() {
        if length > MAX_DELIMITER_BYTES || matches!(byte, b'$' | b'`') {
            return true;
        }
        match (quote, byte) {
            _ if escaped => escaped = false,
            (None | Some(b'"'), b'\\') => escaped = true,
            (Some(open), _) if open == *byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(*byte),
            (None, b' ' | b'\t' | b'\n' | b';' | b'|' | b'&' | b'<' | b'>' | b'(' | b')') => return false,
            (None, _) => {}
        }
    }
    false
}

/// Before the tokens are parsed.
pub(super) fn check_tokens(tokens: &[Token]) -> Result<(), ParseError> {
    let (mut compounds, mut cases, mut parentheses) = (0usize, 0usize, 0usize);
    let mut deepest = 0usize;
    let (mut tests, mut test_operators) = (false, 0usize);
    let mut following = tokens.iter().skip(1);
    let mut previous = None;
    for token in tokens {
        let next = following.next();
        check_number(previous.replace(token), token, next)?;
        match token {
            Token::Operator(operator, _) => match operator.as_str() {
                "(" => parentheses += 1,
                ")" => parentheses = parentheses.saturating_sub(1),
                "&&" | "||" => test_operators += 1,
                _ => {}
            },
            Token::Word(word, _) => match word.as_str() {
                "case" => cases += 1,
                "if" | "while" | "until" | "for" | "select" | "function" | "coproc" | "{" | "!" => {
                    compounds += 1;
                }
                "[[" => {
                    compounds += 1;
                    tests = true;
                }
                word => check_subscript(word)?,
            },
        }
        deepest = deepest.max(parentheses);
    }
    if deepest > MAX_PARENTHESES {
        return Err(too_many("parentheses nested deeper", MAX_PARENTHESES));
    }
    if compounds > MAX_COMPOUNDS {
        return Err(too_many("more compound commands", MAX_COMPOUNDS));
    }
    if cases > MAX_CASES {
        return Err(too_many("more case commands", MAX_CASES));
    }
    if tokens.len() << (cases + deepest) > MAX_WORK {
        return Err(ParseError::new(
            "it is too long for the parentheses and case commands in it; split it up",
        ));
    }
    if tests && test_operators > MAX_TEST_OPERATORS {
        return Err(too_many("more conditions", MAX_TEST_OPERATORS));
    }
    Ok(())
}

/// A number right before a redirection is its descriptor: too large a one stops the parser, and bash
/// takes none for the file of another redirection.
fn check_number(before: Option<&Token>, token: &Token, next: Option<&Token>) -> Result<(), ParseError> {
    let redirects = |token: &Token| matches!(token, Token::Operator(text, _) if text.contains(['<', '>']));
    let (Token::Word(word, place), Some(next)) = (token, next) else { return Ok(()) };
    if !redirects(next) || !word.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    let touches = place.end.index == next.location().start.index;
    let of_another = before.is_some_and(redirects);
    if !(1..=MAX_DESCRIPTOR_DIGITS).contains(&word.len()) || (touches && of_another) {
        return Err(ParseError::new(format!("{word:?} before a redirection is no file descriptor")));
    }
    Ok(())
}

fn check_subscript(word: &str) -> Result<(), ParseError> {
    let name = word.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    if let Some(subscript) = word.get(name..).filter(|rest| name > 0 && rest.starts_with('[')) {
        let parts = subscript.matches(['[', '(', '$', '`', '"', '{']).count();
        if parts > MAX_SUBSCRIPT_PARTS {
            return Err(too_many("more parts of a subscript", MAX_SUBSCRIPT_PARTS));
        }
    }
    Ok(())
}
