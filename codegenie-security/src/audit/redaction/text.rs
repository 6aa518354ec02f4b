//! Secrets in a text such as a command line, a header or a file's content.

mod ends;
mod places;
mod scan;

use self::ends::quotes;
pub(super) use self::scan::Expected;
use self::scan::Scan;
use super::REDACTED;
use super::names::is_secret;
use super::tokens::{SHORTEST, has_token, of_token};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Takes secrets out of a text, each of which becomes `[redacted]`. What has none is given back as it is, and so is what
/// this gave. It takes time that is proportional to the text.
///
/// They are found by where they stand, and by how tokens of well-known services begin:
///
/// - values of names that say that they are secret: in an environment, in options, in addresses and forms
///   (`PASSWORD=…`, `--token …`, `?api_key=…`), and in JSON, YAML, TOML and INI, with what is in brackets or in a block;
/// - headers that authorize, with their names (`Authorization: Bearer …`, `Cookie: …`), up to the end of the line or of the
///   quotes around them;
/// - passwords of logins (`scheme://user:…@host`, `curl -u user:…`);
/// - private keys in PEM.
///
/// A value that is not quoted ends as a shell's word does, and where a line begins with `name: ` or `name = `, with the
/// line. What cannot be told from something else stays:
///
/// - what looks like nothing in particular, or has a name that says nothing, such as `-p…` and `X=…`;
/// - a value that looks like an option (`--token --…`, `-x`);
/// - what a shell joins to the quotes around a header (`'Authorization: Bearer '…`);
/// - what follows a blank in `NAME=…` without quotes, as a command does in a shell;
/// - a password in an address that begins with digits and has `/`, `?` or `#` after them, as a port and a path do, or that
///   has both `@` and one of these after it;
/// - lines of YAML that go on below a name without `|` or `>`, and a list below a name;
/// - names and values in an encoding, such as `%70assword=…` or Base64.
///
/// A text that still changes after some passes, as only one that is made for it may, becomes `[redacted]` as a whole.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    match scanned(text, &mut Expected::Nothing) {
        None => Cow::Borrowed(text),
        Some(text) => Cow::Owned(settled(text)),
    }
}

/// An item of a list after others, which tell what it is, as arguments of a program do. `None` where it has no secret.
pub(super) fn redact_item(text: &str, expected: &mut Expected) -> Option<String> {
    // An option may have nothing to take out, and yet say what comes next.
    if *expected == Expected::Nothing && !text.starts_with('-') && is_plain(text) {
        return None;
    }
    if text.is_empty() {
        *expected = Expected::Nothing;
        return None;
    }
    scanned(text, expected).map(settled)
}

/// One look at the whole of a text; `None` where nothing changed.
fn scanned(text: &str, expected: &mut Expected) -> Option<String> {
    Scan::new(text, expected).run()
}

/// The text when another look finds no more. What a secret stood beside may read otherwise without it.
fn settled(mut text: String) -> String {
    const PASSES: usize = 6;
    for _ in 0..PASSES {
        match scanned(&text, &mut Expected::Nothing) {
            None => return text,
            Some(next) => text = next,
        }
    }
    REDACTED.to_owned()
}

/// What a byte may be part of, as [`is_plain`] sees it.
const MARK: u8 = 1;
const DASH: u8 = 2;
const TOKEN: u8 = 4;
const SEPARATOR: u8 = 8;

static KINDS: LazyLock<[u8; 256]> = LazyLock::new(|| {
    let kind = |byte: u8| match byte {
        // Names with values, addresses, headers, logins, keys and quoted values.
        b'=' | b':' | b'"' | b'\'' | b'`' => MARK,
        b'-' => DASH | TOKEN,
        _ if of_token(byte) => TOKEN,
        _ => 0,
    };
    let separator = |byte: u8| if byte.is_ascii() && separates(char::from(byte)) { SEPARATOR } else { 0 };
    std::array::from_fn(|byte| u8::try_from(byte).map_or(MARK, |byte| kind(byte) | separator(byte)))
});

/// Has a text nothing in it that any rule below looks for? Most have not, and this is told in one look over their bytes.
fn is_plain(text: &str) -> bool {
    let kinds: &[u8; 256] = &KINDS;
    let kind = |byte: u8| kinds.get(usize::from(byte)).copied().unwrap_or(MARK);
    let all = text.bytes().fold(0, |all, byte| all | kind(byte));
    if all & MARK != 0 {
        return false;
    }
    if all & DASH == 0 && text.len() < SHORTEST {
        return true;
    }
    let of_token = |at: usize| text.as_bytes().get(at).is_some_and(|byte| kind(*byte) & TOKEN != 0);
    let mut option = None;
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| *byte == b'-') {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        // A private key in PEM.
        if rest.starts_with(b"---") {
            return false;
        }
        let begins = at.checked_sub(1).is_none_or(|before| !of_token(before));
        if begins && option.is_none() && (at..at + SHORTEST_OPTION).all(of_token) {
            option = Some(at);
        }
    }
    // Whatever is as long as a token has one of these places in it.
    let has_long = (SHORTEST - 1..text.len()).step_by(SHORTEST).any(|at| {
        let before = (1..SHORTEST).take_while(|back| of_token(at - back)).count();
        of_token(at) && before + (1..SHORTEST).take_while(|on| of_token(at + on)).count() + 1 >= SHORTEST
    });
    let is_between = |c: char| match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => kind(byte) & SEPARATOR != 0,
        _ => separates(c),
    };
    let names_a_secret = |from: usize| {
        let words = text.get(from..).unwrap_or_default().split(is_between);
        words.filter(|word| is_option(word)).any(is_secret)
    };
    let has_a_token = || text.split(is_between).any(has_token);
    let names_one = option.is_some_and(names_a_secret);
    !names_one && (!has_long || !has_a_token())
}

/// As `-pwd`.
const SHORTEST_OPTION: usize = 4;

/// Whether a word is an option with a name, which takes a value.
fn is_option(word: &str) -> bool {
    let begin = || word.bytes().take(SHORTEST_OPTION).take_while(|byte| of_token(*byte)).count();
    word.starts_with('-') && begin() == SHORTEST_OPTION
}

/// What separates words: blanks, what parts commands and fields, and quotes, which often stand around a whole header.
fn separates(c: char) -> bool {
    c.is_whitespace() || quotes(c) || matches!(c, ',' | ';' | '(' | ')' | '{' | '}' | '|' | '&' | '<' | '>')
}

#[cfg(test)]
mod tests;
