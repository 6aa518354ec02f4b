//! Secrets in a text such as a command line, a header or a file's content.

use super::REDACTED;
use super::names::is_secret;
use std::borrow::Cow;
use std::sync::LazyLock;

const PEM_BEGIN: &str = "-----BEGIN";
const PEM_KEY: &str = "PRIVATE KEY";
const PEM_END: &str = "-----END";
const DASHES: &str = "-----";

/// Takes secrets out of a text, each of which becomes `[redacted]`. What has none is given back as it is, and so is what
/// this gave. It takes time that is proportional to the text.
///
/// They are found by where they stand (`PASSWORD=…`, `--token …`, `Authorization: Bearer …`, `scheme://user:…@host`,
/// `curl -u user:…`, private keys in PEM) and by how tokens of well-known services begin.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut scan = Scan { text, at: 0, copied: 0, changed: None, expected: Expected::Nothing };
    while scan.at < text.len() {
        let rest = text.get(scan.at..).unwrap_or_default();
        match rest.find(|c| !separates(c)) {
            Some(0) => scan.word(rest.get(..rest.find(separates).unwrap_or(rest.len())).unwrap_or_default()),
            between => scan.between(rest.get(..between.unwrap_or(rest.len())).unwrap_or_default()),
        }
    }
    scan.finish()
}

/// What a byte may be part of, as [`is_plain`] sees it.
const MARK: u8 = 1;
const DASH: u8 = 2;
const TOKEN: u8 = 4;

static KINDS: LazyLock<[u8; 256]> = LazyLock::new(|| {
    let kind = |byte: u8| match byte {
        // Names with values, addresses, headers, logins, keys and quoted values.
        b'=' | b':' | b'"' | b'\'' | b'`' => MARK,
        b'-' => DASH | TOKEN,
        _ if of_token(char::from(byte)) => TOKEN,
        _ => 0,
    };
    std::array::from_fn(|byte| u8::try_from(byte).map_or(MARK, kind))
});

/// Has a text nothing in it that any rule below looks for? Most have not, and this is told in one look over their bytes.
fn is_plain(text: &str) -> bool {
    /// The shortest token that is known by how it begins.
    const SHORTEST: usize = 20;
    let kinds: &[u8; 256] = &KINDS;
    let (mut run, mut longest, mut dashes, mut option) = (0_usize, 0, 0_usize, None);
    for (at, byte) in text.bytes().enumerate() {
        let kind = kinds.get(usize::from(byte)).copied().unwrap_or(MARK);
        if kind == MARK {
            return false;
        }
        dashes = if kind & DASH == 0 { 0 } else { dashes + 1 };
        run = if kind & TOKEN == 0 { 0 } else { run + 1 };
        longest = run.max(longest);
        match dashes {
            2 if option.is_none() => option = at.checked_sub(1),
            // A private key in PEM.
            3.. => return false,
            _ => {}
        }
    }
    let names_a_secret = |from: usize| {
        let words = text.get(from..).unwrap_or_default().split(separates);
        words.filter(|word| word.starts_with("--")).any(is_secret)
    };
    let has_a_token = || text.split(separates).any(|word| known_token(word).is_some());
    !option.is_some_and(names_a_secret) && (longest < SHORTEST || !has_a_token())
}

/// What separates words: blanks, what parts commands, and quotes, which often stand around a whole header.
fn separates(c: char) -> bool {
    c.is_whitespace() || quotes(c) || matches!(c, ',' | ';' | '(' | ')' | '{' | '}' | '|' | '<' | '>')
}

fn quotes(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

/// What the words before tell about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Nothing,
    /// The value of a name that says that it is secret.
    Secret,
    /// What follows a header's name, up to the end of the line or the quote around it: a scheme and what it takes, or one
    /// value. Whether some of it was there.
    Header(bool),
    /// `user:password`.
    Login,
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Up to here it is in the new text.
    copied: usize,
    changed: Option<String>,
    expected: Expected,
}

impl<'t> Scan<'t> {
    fn rest(&self, from: usize) -> &'t str {
        self.text.get(from..).unwrap_or_default()
    }

    /// Puts `[redacted]` in the place of a part, and goes on after it.
    fn replace(&mut self, start: usize, end: usize) {
        self.at = self.at.max(end);
        let part = self.text.get(start..end).unwrap_or_default();
        if part.is_empty() || part.trim() == REDACTED {
            return;
        }
        let before = self.text.get(self.copied..start).unwrap_or_default();
        let changed = self.changed.get_or_insert_default();
        changed.push_str(before);
        changed.push_str(REDACTED);
        self.copied = end;
    }

    fn finish(self) -> Cow<'t, str> {
        match self.changed {
            None => Cow::Borrowed(self.text),
            Some(mut changed) => {
                changed.push_str(self.text.get(self.copied..).unwrap_or_default());
                Cow::Owned(changed)
            }
        }
    }

    fn between(&mut self, piece: &str) {
        self.at += piece.len();
        let quote = piece.chars().next_back().filter(|c| quotes(*c));
        match (self.expected, quote) {
            _ if piece.contains(['\n', ';', '|']) => self.expected = Expected::Nothing,
            (Expected::Header(true), _) if piece.contains(quotes) => self.expected = Expected::Nothing,
            // A value in quotes may have blanks in it. What follows a name's own closing quote is no value.
            (Expected::Secret, Some(quote)) if !self.rest(self.at).trim_start().starts_with([':', '=']) => {
                let value = self.rest(self.at);
                let end = value.find(quote).unwrap_or(value.len());
                self.expected = Expected::Nothing;
                self.replace(self.at, self.at + end);
            }
            _ => {}
        }
    }

    /// A secret that begins here, up to what ends it in a command, an environment or an address.
    fn secret(&mut self, start: usize) {
        let value = self.rest(start);
        // `$'…'`: the quote that follows opens the value. Signs between a name and its value are not the value.
        let value = value.strip_prefix('$').unwrap_or(value);
        let ends = |c: char| c.is_whitespace() || quotes(c) || matches!(c, ';' | '|' | '&' | ')' | '}');
        let end = value.find(ends).unwrap_or(value.len());
        let start = self.text.len() - value.len();
        if end == 0 {
            self.expected = Expected::Secret;
            self.at = self.at.max(start);
        } else {
            self.replace(start, start + end);
        }
    }

    fn word(&mut self, word: &str) {
        let start = self.at;
        let end = start + word.len();
        self.at = end;
        if let Some(begin) = find(word, PEM_BEGIN)
            && let Some((from, to)) = private_key(self.rest(start + begin))
        {
            self.expected = Expected::Nothing;
            return self.replace(start + begin + from, start + begin + to);
        }
        // The sign between a name and its value in JSON and YAML.
        if matches!(word, ":" | "=" | "=>" | ":=") {
            return;
        }
        match std::mem::replace(&mut self.expected, Expected::Nothing) {
            Expected::Secret if !word.starts_with('-') => {
                let signs = word.len() - word.trim_start_matches([':', '=']).len();
                return self.secret(start + signs);
            }
            Expected::Header(_) => {
                const SCHEMES: &[&str] = &["bearer", "basic", "token", "digest", "negotiate", "apikey"];
                self.expected = Expected::Header(true);
                if !SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) {
                    self.replace(start, end);
                }
                return;
            }
            Expected::Login => {
                if let Some((user, _)) = word.split_once(':') {
                    return self.secret(start + user.len() + 1);
                }
            }
            Expected::Secret | Expected::Nothing => {}
        }
        if let Some((from, to)) = password_in_address(word) {
            return self.replace(start + from, start + to);
        }
        let value = word.find(['=', ':']).filter(|sign| *sign > 0);
        if let Some(sign) = value {
            let name = word.get(..sign).unwrap_or_default();
            if is_header(name) && word.get(sign..).is_some_and(|rest| rest.starts_with(':')) {
                self.expected = Expected::Header(end > start + sign + 1);
                if end > start + sign + 1 {
                    self.replace(start + sign + 1, end);
                }
                return;
            }
            if is_secret(name) {
                return self.secret(start + sign + 1);
            }
            // `https://host/?token=…`
            if let Some(sign) = word.find('=').filter(|other| *other > sign)
                && is_secret(word.get(..sign).unwrap_or_default())
            {
                return self.secret(start + sign + 1);
            }
        } else if self.is_a_key(end) {
            if is_header(word) {
                self.expected = Expected::Header(false);
            } else if is_secret(word) {
                self.expected = Expected::Secret;
            }
        } else if word.starts_with("--") && is_secret(word) {
            self.expected = Expected::Secret;
        } else if matches!(word, "-u" | "--user" | "--proxy-user") {
            self.expected = Expected::Login;
        }
        if let Some((from, length)) = known_token(word) {
            self.replace(start + from, start + from + length);
        }
    }

    /// Whether a quote and a sign follow, as after a key of JSON: `"key": …`.
    fn is_a_key(&self, end: usize) -> bool {
        let mut after = self.rest(end).chars();
        after.next().is_some_and(quotes) && after.find(|c| *c != ' ').is_some_and(|c| matches!(c, ':' | '='))
    }
}

/// The content of a private key that begins here, from its first line's end on.
fn private_key(rest: &str) -> Option<(usize, usize)> {
    const LONGEST: usize = 64;
    let label = rest.get(PEM_BEGIN.len()..)?;
    let line: usize = label.chars().take(LONGEST).take_while(|c| *c != '\n').map(char::len_utf8).sum();
    let named = label.get(..line)?;
    let label_end = named.find(DASHES)?;
    let start =
        named.get(..label_end)?.contains(PEM_KEY).then_some(PEM_BEGIN.len() + label_end + DASHES.len())?;
    let body = rest.get(start..)?;
    let end = body.find(PEM_END).map_or(rest.len(), |end| start + end);
    (end > start).then_some((start, end))
}

/// Where a short part begins in a short text. `str::find` prepares for long ones, which takes longer than to look.
fn find(text: &str, part: &str) -> Option<usize> {
    text.as_bytes().windows(part.len()).position(|window| window == part.as_bytes())
}

fn is_header(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "x-auth-token",
        "cookie",
        "set-cookie",
        "x-vault-token",
    ];
    NAMES.iter().any(|header| name.eq_ignore_ascii_case(header))
}

/// `scheme://user:password@host`: where the password stands.
fn password_in_address(word: &str) -> Option<(usize, usize)> {
    let start = find(word, "://")? + 3;
    let rest = word.get(start..)?;
    let authority = rest.get(..rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    let login = authority.get(..authority.rfind('@')?)?;
    let colon = login.find(':')?;
    (colon + 1 < login.len()).then_some((start + colon + 1, start + login.len()))
}

/// Whether a token may have this in it.
fn of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '+' | '/')
}

/// Tokens that are known by how they begin: where one stands in a word, and how long it is.
fn known_token(word: &str) -> Option<(usize, usize)> {
    /// How it begins, and how many characters follow at the least.
    const BEGINNINGS: &[(&str, usize)] = &[
        ("ghp_", 30),
        ("gho_", 30),
        ("ghu_", 30),
        ("ghs_", 30),
        ("ghr_", 30),
        ("github_pat_", 40),
        ("glpat-", 20),
        ("xoxb-", 20),
        ("xoxp-", 20),
        ("xoxa-", 20),
        ("xapp-", 20),
        ("sk-", 20),
        ("sk_live_", 16),
        ("rk_live_", 16),
        ("AKIA", 16),
        ("ASIA", 16),
        ("AIza", 30),
        ("ya29.", 20),
        ("npm_", 30),
        ("pypi-", 40),
        ("hf_", 30),
        ("dop_v1_", 40),
        ("SG.", 30),
        ("AGE-SECRET-KEY-1", 40),
        ("eyJ", 40),
    ];
    // The shortest has 20 characters, and most words of a command are shorter.
    if word.len() < 20 {
        return None;
    }
    // Which bytes there are at all: most beginnings are thereby out of question.
    let there = word.bytes().fold(0_u128, |set, byte| set | 1_u128.checked_shl(byte.into()).unwrap_or(0));
    let possible = |beginning: &str| beginning.bytes().all(|byte| there >> byte & 1 == 1);
    BEGINNINGS.iter().filter(|(beginning, _)| possible(beginning)).find_map(|(beginning, least)| {
        // Of each the first alone, so that it takes time that is proportional to the word.
        let start = find(word, beginning)?;
        let inside = word.get(..start)?.ends_with(|c: char| c.is_ascii_alphanumeric());
        let rest = word.get(start + beginning.len()..)?;
        let length = rest.find(|c| !of_token(c)).unwrap_or(rest.len());
        let is_token = match *beginning {
            // A token of JSON in three parts.
            "eyJ" => rest.get(..length)?.matches('.').count() == 2,
            "AKIA" | "ASIA" => {
                length == 16 && rest.get(..16)?.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            }
            _ => true,
        };
        (!inside && length >= *least && is_token).then_some((start, beginning.len() + length))
    })
}
