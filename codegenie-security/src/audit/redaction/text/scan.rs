//! One look at the whole of a text.

use super::ends::{Quote, block, brackets, line, quotes, word_end};
use super::places::{PEM_BEGIN, password_in_address, private_key};
use super::{is_option, separates};
use crate::audit::redaction::REDACTED;
use crate::audit::redaction::names::is_secret;
use crate::audit::redaction::tokens::token_at;

/// What the words before tell about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit::redaction) enum Expected {
    Nothing,
    /// The value of an option whose name says that it is secret.
    Secret,
    /// `user:password`.
    Login,
    /// The same, or the place of a file on a host.
    PerhapsLogin,
    /// What a header takes, which may be a scheme and a secret.
    Header,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Default)]
struct How {
    /// As a word of a shell, where a quote may open anywhere.
    shell: bool,
    /// Up to the end of the line, where it is not quoted: how far in the line's name is.
    line: Option<usize>,
    /// Whether `Bearer` and the like stand before it.
    scheme: bool,
    /// Whether it may be in brackets.
    brackets: bool,
}

pub(super) struct Scan<'t, 'e> {
    text: &'t str,
    at: usize,
    /// Up to here it is in the new text.
    copied: usize,
    changed: Option<String>,
    expected: &'e mut Expected,
    /// Where the line begins of which there was nothing yet but blanks and the signs before a name.
    fresh: Option<usize>,
    /// Up to here no token of JSON begins.
    no_token: usize,
}

/// Blanks, and what goes on in the next line as a shell has it.
fn blanks(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start_matches([' ', '\t']);
        let trimmed = ["\\\n", "\\\r\n"].iter().find_map(|end| trimmed.strip_prefix(end)).unwrap_or(trimmed);
        if trimmed.len() == rest.len() {
            return at;
        }
        at = text.len() - trimmed.len();
    }
}

/// The name that ends here: its letters and the signs between them.
fn name_before(text: &str) -> &str {
    const LONGEST: usize = 128;
    let text = text.trim_end_matches([']', '+', '?', '!', '\\']);
    let of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = text.bytes().rev().take(LONGEST).take_while(|byte| of_name(&byte)).count();
    text.get(text.len() - length..).unwrap_or_default()
}

/// Headers whose whole line is secret, also with something before their names (`-HAuthorization`, `X-Authorization`).
fn is_header(name: &str) -> bool {
    const NAMES: &[&str] = &["authorization", "x-api-key", "x-auth-token", "cookie", "x-vault-token"];
    NAMES.iter().any(|header| {
        let end = name.len().checked_sub(header.len()).and_then(|from| name.get(from..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(header))
    })
}

/// The scheme that a value begins with, and the blanks after it.
fn scheme(value: &str) -> usize {
    const SCHEMES: &[&str] = &["bearer", "basic", "token", "digest", "negotiate", "apikey"];
    let first = value.get(..value.find([' ', '\t']).unwrap_or(value.len())).unwrap_or_default();
    if !SCHEMES.iter().any(|scheme| first.eq_ignore_ascii_case(scheme)) {
        return 0;
    }
    value.len() - value.get(first.len()..).unwrap_or_default().trim_start_matches([' ', '\t']).len()
}

impl<'t, 'e> Scan<'t, 'e> {
    pub(super) fn new(text: &'t str, expected: &'e mut Expected) -> Self {
        Self { text, at: 0, copied: 0, changed: None, expected, fresh: Some(0), no_token: 0 }
    }

    /// The new text; `None` where it is the old one.
    pub(super) fn run(mut self) -> Option<String> {
        while self.at < self.text.len() {
            if *self.expected != Expected::Nothing {
                self.expected();
                continue;
            }
            let rest = self.rest(self.at);
            match rest.find(|c| !separates(c)) {
                Some(0) => self.word(self.at + rest.find(separates).unwrap_or(rest.len())),
                between => self.between(rest.get(..between.unwrap_or(rest.len())).unwrap_or_default()),
            }
        }
        let mut changed = self.changed?;
        changed.push_str(self.text.get(self.copied..).unwrap_or_default());
        Some(changed)
    }

    fn rest(&self, from: usize) -> &'t str {
        self.text.get(from..).unwrap_or_default()
    }

    fn part(&self, from: usize, to: usize) -> &'t str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// Puts `[redacted]` in the place of a part, and goes on after it.
    fn replace(&mut self, start: usize, end: usize) {
        self.at = self.at.max(end);
        let part = self.part(start, end);
        if part.is_empty() || part.trim() == REDACTED {
            return;
        }
        let before = self.part(self.copied, start);
        let changed = self.changed.get_or_insert_default();
        changed.push_str(before);
        changed.push_str(REDACTED);
        self.copied = end;
    }

    fn between(&mut self, piece: &str) {
        let start = self.at;
        self.at += piece.len();
        match piece.rfind('\n') {
            Some(end) => {
                self.fresh = Some(start + end + 1).filter(|from| self.part(*from, self.at).trim().is_empty())
            }
            None if piece.trim().is_empty() => {}
            None => self.fresh = None,
        }
    }

    /// What was told to come next.
    fn expected(&mut self) {
        let start = self.at + blanks(self.rest(self.at));
        self.at = start;
        let rest = self.rest(start);
        if rest.is_empty() {
            return;
        }
        self.fresh = None;
        let expected = std::mem::replace(self.expected, Expected::Nothing);
        let word = rest.get(..word_end(rest)).unwrap_or_default();
        let short_option = word.len() <= 2 && word.starts_with('-');
        match expected {
            Expected::Secret if short_option || word.starts_with("--") => {}
            // The whole of an item of a list, where it is the first in it.
            Expected::Secret if start == 0 && Quote::open(rest, true).is_none() => {
                self.replace(0, self.text.len())
            }
            Expected::Secret => self.value(start, How { shell: true, ..How::default() }),
            Expected::Header => self.replace(start + scheme(rest), self.text.len()),
            Expected::PerhapsLogin if word.contains(":/") => {}
            Expected::Login | Expected::PerhapsLogin => self.login(start, start == 0),
            Expected::Nothing => {}
        }
    }

    /// `user:password`, quoted or not.
    fn login(&mut self, start: usize, whole: bool) {
        let rest = self.rest(start);
        let (from, to) = match Quote::open(rest, true) {
            Some((quote, inside)) => {
                let content = rest.get(inside..).unwrap_or_default();
                (start + inside, start + inside + quote.close(content).map_or(content.len(), |(end, _)| end))
            }
            None if whole => (start, self.text.len()),
            None => (start, start + word_end(rest)),
        };
        if let Some((user, password)) = self.part(from, to).split_once(':')
            && !user.contains(char::is_whitespace)
            && !password.starts_with("//")
        {
            self.replace(from + user.len() + 1, to);
        }
    }

    /// A secret that begins here.
    fn value(&mut self, start: usize, how: How) {
        let rest = self.rest(start);
        if let Some((quote, inside)) = Quote::open(rest, how.shell) {
            let content = rest.get(inside..).unwrap_or_default();
            let Some((end, after)) = quote.close(content) else {
                return self.replace(start + inside, self.text.len());
            };
            let after = inside + after;
            let more = if how.shell { word_end(rest.get(after..).unwrap_or_default()) } else { 0 };
            if more > 0 {
                return self.replace(start, start + after + more);
            }
            let scheme = if how.scheme { scheme(content.get(..end).unwrap_or_default()) } else { 0 };
            self.replace(start + inside + scheme, start + inside + end);
            self.at = self.at.max(start + after);
            return;
        }
        // What it has is taken out, and its name and form stay.
        if rest.starts_with(PEM_BEGIN) {
            self.at = start;
            return;
        }
        if how.brackets
            && let Some(end) = brackets(rest)
        {
            return self.replace(start + 1, start + end);
        }
        if let Some(indent) = how.line {
            if let Some((from, to)) = block(rest, indent) {
                return self.replace(start + from, start + to);
            }
            let line = line(rest).trim_end();
            let scheme = if how.scheme { scheme(line) } else { 0 };
            return self.replace(start + scheme, start + line.len());
        }
        let scheme = if how.scheme { scheme(line(rest)) } else { 0 };
        let value = rest.get(scheme..).unwrap_or_default();
        // Without a comma that is between it and the next.
        let word = value.get(..word_end(value)).unwrap_or_default();
        let length = if word.len() > 1 { word.trim_end_matches(',').len() } else { word.len() };
        self.replace(start + scheme, start + scheme + length);
        self.at = self.at.max(start + scheme);
    }

    fn word(&mut self, end: usize) {
        let start = self.at;
        let fresh = self.fresh;
        if !matches!(self.part(start, end), "-" | "export" | "set") {
            self.fresh = None;
        }
        let (mut from, mut inside) = (start, false);
        while self.at < end {
            let at = self.at;
            let Some(byte) = self.text.as_bytes().get(at).copied() else { break };
            let begins = !std::mem::replace(&mut inside, byte.is_ascii_alphanumeric());
            match byte {
                b'[' if self.rest(at).starts_with(REDACTED) => self.at += REDACTED.len(),
                b'-' if self.rest(at).starts_with(PEM_BEGIN) => match private_key(self.rest(at)) {
                    Some((key, to)) => self.replace(at + key, at + to),
                    None => self.at += 1,
                },
                b'=' | b':' => self.sign(from, at, fresh),
                _ if begins => match token_at(self.text, at, &mut self.no_token) {
                    Some(to) => self.replace(at, to),
                    None => self.at += 1,
                },
                _ => self.at += 1,
            }
            if self.at > at + 1 {
                (from, inside) = (self.at, false);
            }
            if *self.expected != Expected::Nothing {
                return;
            }
        }
        if from == start && self.at == end {
            self.ended(start, end, fresh);
        }
    }

    /// A sign that may stand between a name and its value.
    fn sign(&mut self, from: usize, at: usize, fresh: Option<usize>) {
        self.at = at + 1;
        let rest = self.rest(at);
        if rest.starts_with("://") {
            if let Some((password, to)) = password_in_address(self.rest(at + 3)) {
                self.replace(at + 3 + password, at + 3 + to);
            }
            return;
        }
        let before = self.part(from, at);
        let name = name_before(before);
        if name.is_empty() {
            return;
        }
        let own = self.part(from, at).len() == name.len();
        if rest.starts_with(':') && is_header(name) {
            return self.header(at - name.len(), at + 1);
        }
        if name.starts_with('-') && own && matches!(name.trim_start_matches('-'), "user" | "proxy-user") {
            return self.login(at + 1, false);
        }
        if name.starts_with("-u") && rest.starts_with(':') && own {
            return self.login(at - name.len(), false);
        }
        if is_secret(name) {
            let signs = rest.len() - rest.trim_start_matches(['=', ':']).len();
            let signs = signs + usize::from(rest.get(signs - 1..).is_some_and(|rest| rest.starts_with("=>")));
            let blank = rest.get(signs..).is_some_and(|rest| rest.starts_with([' ', '\t']));
            let equals = rest.starts_with('=');
            let line = fresh.filter(|_| blank && own && !equals).map(|line| from.saturating_sub(line));
            let how = How {
                shell: equals,
                line,
                scheme: is_header(name) || name.to_ascii_lowercase().ends_with("authorization"),
                brackets: !equals || blank,
            };
            self.after_sign(at + signs, how);
        }
    }

    /// The value after a sign, or what the next item of a list is.
    fn after_sign(&mut self, signs_end: usize, how: How) {
        let start = signs_end + blanks(self.rest(signs_end));
        self.at = self.at.max(signs_end);
        match self.rest(start).chars().next() {
            None => *self.expected = if how.scheme { Expected::Header } else { Expected::Secret },
            Some('\n' | '\r') => {}
            Some(_) => self.value(start, how),
        }
    }

    /// What a header has after its name.
    fn header(&mut self, name: usize, after: usize) {
        let start = after + blanks(self.rest(after));
        let rest = self.rest(start);
        self.at = after;
        if rest.is_empty() {
            *self.expected = Expected::Header;
            return;
        }
        let around = Quote::before(self.part(0, name));
        let length = match around {
            Some(quote) => quote.close(rest).map_or(rest.len(), |(end, _)| end),
            None if start == after => {
                return self.value(start, How { shell: true, scheme: true, ..How::default() });
            }
            None => header_end(rest, self.part(name, after).to_ascii_lowercase().contains("cookie")),
        };
        let value = rest.get(..length).unwrap_or_default().trim_end();
        self.replace(start + scheme(value), start + value.len());
    }

    /// What a word that has no value of its own tells about the next.
    fn ended(&mut self, start: usize, end: usize, fresh: Option<usize>) {
        let word = self.part(start, end);
        let name = name_before(word);
        let rest = self.rest(end);
        // `"name": …`, also as a text within a text has it.
        let own_slashes = word.len() - word.trim_end_matches('\\').len();
        let quoted = rest.starts_with(quotes);
        let own = rest.get(usize::from(quoted)..).unwrap_or_default();
        let blank = own.len() - own.trim_start_matches([' ', '\t']).len();
        let signs = own.get(blank..).unwrap_or_default();
        let sign = signs.starts_with(['=', ':']) && !(signs.starts_with("==") || signs.starts_with("::"));
        if sign && (quoted || (blank > 0 && own_slashes == 0)) {
            if !is_secret(name) {
                return;
            }
            let length = signs.len() - signs.trim_start_matches(['=', ':', '>']).len();
            let sign = end + usize::from(quoted) + blank + length;
            let line =
                fresh.filter(|_| !quoted && name.len() == word.len()).map(|line| start.saturating_sub(line));
            return self
                .after_sign(sign, How { shell: false, line, scheme: is_header(name), brackets: true });
        }
        let expected =
            if is_option(word) && is_secret(word) { Expected::Secret } else { takes_a_login(word) };
        // `"--token", "…"`: the quotes of the option itself.
        if expected != Expected::Nothing && quoted && self.part(0, start).ends_with(quotes) {
            self.at = end + 1 + (own.len() - own.trim_start_matches([' ', '\t', ',']).len());
        }
        *self.expected = expected;
    }
}

/// `-u`, also after others of curl's options in one word.
fn takes_a_login(word: &str) -> Expected {
    if matches!(word, "-u" | "-U" | "--user" | "--proxy-user") {
        return Expected::Login;
    }
    let others = word.strip_prefix('-').and_then(|word| word.strip_suffix(['u', 'U']));
    let of_curl = |others: &str| others.bytes().all(|byte| b"sSkLfivgGIN0123456#".contains(&byte));
    if others.is_some_and(of_curl) { Expected::PerhapsLogin } else { Expected::Nothing }
}

/// The end of a header's value that nothing is around.
fn header_end(rest: &str, is_cookie: bool) -> usize {
    let line = line(rest);
    let (mut at, mut before) = (0, ' ');
    while let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let inside = at + c.len_utf8();
        if matches!(c, '|') || (c == ';' && !is_cookie) {
            return at;
        }
        at = inside;
        if quotes(c) {
            let content = line.get(inside..).unwrap_or_default();
            match Quote::before(line.get(..inside).unwrap_or_default()).and_then(|quote| quote.close(content))
            {
                Some((_, after)) if matches!(before, ' ' | '\t' | '=') => at = inside + after,
                _ => return inside - c.len_utf8(),
            }
        }
        before = c;
    }
    line.len()
}
