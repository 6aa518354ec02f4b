//! Where values end that begin in quotes, in brackets or in neither.

use crate::audit::redaction::REDACTED;

pub(super) fn quotes(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

/// What stands after a closing quote, and not after one that opens.
fn ends_a_word(c: char) -> bool {
    c.is_whitespace() || quotes(c) || matches!(c, ',' | ';' | ':' | ')' | '}' | ']' | '|' | '&' | '<' | '>')
}

fn first(text: &str, from: usize) -> Option<char> {
    text.get(from..)?.chars().next()
}

/// A quote that opens something, with the backslashes before it: text within text escapes its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    quote: char,
    depth: usize,
    /// Whether backslashes escape in it.
    escapes: bool,
}

impl Quote {
    /// The quote at the beginning of a text, and what comes after it. Within single quotes a shell knows no escapes.
    pub(super) fn open(text: &str, in_shell: bool) -> Option<(Self, usize)> {
        let dollar = usize::from(text.starts_with('$'));
        let depth = text.bytes().skip(dollar).take_while(|byte| *byte == b'\\').count();
        let quote = first(text, dollar + depth).filter(|c| quotes(*c))?;
        let escapes = !(in_shell && quote == '\'' && dollar == 0 && depth == 0);
        Some((Self { quote, depth, escapes }, dollar + depth + 1))
    }

    /// The quote that ends a text.
    pub(super) fn before(text: &str) -> Option<Self> {
        let quote = text.chars().next_back().filter(|c| quotes(*c))?;
        let depth = text.bytes().rev().skip(1).take_while(|byte| *byte == b'\\').count();
        Some(Self { quote, depth, escapes: true })
    }

    /// Where what it opened ends, and where what comes after begins.
    pub(super) fn close(self, text: &str) -> Option<(usize, usize)> {
        let mut slashes = 0_usize;
        for (at, byte) in text.bytes().enumerate() {
            if char::from(byte) == self.quote {
                let escaped = slashes >= self.depth && slashes % (2 * self.depth + 2) != self.depth;
                if !self.escapes || !escaped {
                    let own = if self.escapes { slashes.min(self.depth) } else { 0 };
                    return Some((at - own, at + 1));
                }
            }
            slashes = if byte == b'\\' { slashes + 1 } else { 0 };
        }
        None
    }
}

pub(super) fn line(text: &str) -> &str {
    text.get(..text.find('\n').unwrap_or(text.len())).unwrap_or(text)
}

/// The end of a word as a shell, an address or a list of fields has it, with quoted parts and escapes in it.
pub(super) fn word_end(text: &str) -> usize {
    let mut at = 0;
    while let Some(c) = first(text, at) {
        let next = at + c.len_utf8();
        match c {
            _ if c.is_whitespace() || matches!(c, ';' | '|' | '&') => break,
            ')' | '}' if first(text, next).is_none_or(ends_a_word) => break,
            ',' if first(text, next).is_none_or(|c| quotes(c) || c.is_whitespace()) => break,
            '\\' => {
                let rest = text.get(at..).unwrap_or_default();
                let slashes = rest.bytes().take_while(|byte| *byte == b'\\').count();
                let escaped = first(rest, slashes);
                if escaped.is_none_or(|c| c == '\n') {
                    break;
                }
                // Of a text within a text, whose end this is.
                if escaped.is_some_and(quotes) && first(rest, slashes + 1).is_none_or(ends_a_word) {
                    break;
                }
                let skipped = if slashes % 2 == 1 { escaped.map_or(0, char::len_utf8) } else { 0 };
                at += slashes + skipped;
                continue;
            }
            _ if quotes(c) => match quoted(text, at, c) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => break,
            },
            _ => {}
        }
        at = next;
    }
    at
}

/// The end of a quoted part of a word; `None` where the quote ends what is around the word.
fn quoted(text: &str, at: usize, quote: char) -> Option<usize> {
    let inside = at + 1;
    if first(text, inside) == Some(quote) && first(text, inside + 1).is_some_and(|c| !ends_a_word(c)) {
        return Some(inside + 1);
    }
    if first(text, inside).is_none_or(ends_a_word) {
        return None;
    }
    let rest = line(text.get(inside..)?);
    let (opened, _) = Quote::open(text.get(at..)?, true)?;
    // Without another one it is an apostrophe.
    Some(opened.close(rest).map_or(inside, |(_, after)| inside + after))
}

/// The content of brackets that a text begins with: where it ends.
pub(super) fn brackets(text: &str) -> Option<usize> {
    if !text.starts_with(['{', '[']) || text.starts_with(REDACTED) {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return Some(at),
            b'}' | b']' => depth -= 1,
            b'"' | b'\'' => {
                let inside = text.get(at + 1..).unwrap_or_default();
                let closed =
                    Quote::before(text.get(..=at).unwrap_or_default()).and_then(|open| open.close(inside));
                at += closed.map_or(inside.len(), |(_, after)| after);
            }
            _ => {}
        }
        at += 1;
    }
    Some(text.len())
}

/// A block of lines as YAML has it, `|` or `>` and what is further in than the name's own line: where it begins and ends.
pub(super) fn block(text: &str, indent: usize) -> Option<(usize, usize)> {
    let sign = line(text);
    let rest = sign
        .strip_prefix(['|', '>'])?
        .trim_start_matches(['-', '+', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    if !(rest.trim().is_empty() || rest.trim_start().starts_with('#')) {
        return None;
    }
    let (mut from, mut to, mut at) = (None, sign.len(), sign.len() + 1);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let line = line(rest);
        let blanks = line.len() - line.trim_start().len();
        if !line.trim().is_empty() {
            if blanks <= indent {
                break;
            }
            from = from.or(Some(at + blanks));
            to = at + line.trim_end().len();
        }
        at += line.len() + 1;
    }
    from.map(|from| (from, to))
}
