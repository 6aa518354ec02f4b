//! The pattern language for resources.

use std::fmt;

/// A pattern over resource names, which are paths (`/src/main.rs`) or colon names (`command:git`), or
/// both (`file:/src/main.rs`).
///
/// `/` and `:` are **separators**; what stands between them is a segment. A pattern matches a whole
/// name, never a part of one, and every character not listed here stands for itself, case and all:
///
/// | pattern | matches |
/// |---|---|
/// | `?` | one character that is not a separator |
/// | `*` | any number of characters, also none, that are not separators |
/// | `**` as the last segment | any text, also none: `/src/**` matches `/src/`, `/src/a`, `/src/a/b`, but not `/src` |
/// | `**` and a separator, as an earlier segment | nothing, or any text that ends in that separator: `/src/**/mod.rs` matches `/src/mod.rs` and `/src/a/b/mod.rs` |
/// | `\` and a character | that character, whatever it means elsewhere: `\*`, `\?`, `\\` |
///
/// `**` alone matches every name. `**` inside a segment (`a**`) is an error, and so is whatever could
/// never match a [canonical](Self::is_canonical) name.
///
/// ```
/// use codegenie_security::Pattern;
///
/// let sources: Pattern = "/src/**/*.rs".parse()?;
/// assert!(sources.matches("/src/main.rs") && sources.matches("/src/a/b/mod.rs"));
/// assert!(!sources.matches("/src/a.txt"));
///
/// let git: Pattern = "command:git*".parse()?;
/// assert!(git.matches("command:git") && git.matches("command:git-lfs"));
/// assert!(!git.matches("command:git/../rm"));
/// # Ok::<(), codegenie_security::BadPattern>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// The characters before the first wildcard.
    prefix: String,
    /// What follows them.
    rest: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Segment,
    /// `**` at the end.
    Everything,
    /// `**` and this separator.
    Through(char),
}

/// Why a text is not a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad resource pattern {pattern:?}: {why}")]
pub struct BadPattern {
    pattern: String,
    why: &'static str,
}

fn is_separator(character: char) -> bool {
    matches!(character, '/' | ':')
}

impl Pattern {
    /// Is this the one way to write the name? Only canonical names are ever permitted, since
    /// `/src/../etc` would slip through a rule for `/src/**`.
    ///
    /// A name is canonical unless it is empty, holds a NUL character, has a segment `.` or `..`, two
    /// slashes in a row, or a slash at its end other than the root's. Symbolic links, letter case and the like are the caller's to resolve.
    #[must_use]
    pub fn is_canonical(resource: &str) -> bool {
        !resource.is_empty()
            && !resource.contains('\0')
            && !resource.contains("//")
            && (!resource.ends_with('/') || resource == "/" || resource.ends_with(":/"))
            && resource.split(is_separator).all(|segment| segment != "." && segment != "..")
    }

    /// The text that the pattern was made from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does the pattern match the whole of `resource`?
    #[must_use]
    pub fn matches(&self, resource: &str) -> bool {
        let Some(rest) = resource.strip_prefix(self.prefix.as_str()) else {
            return false;
        };
        match self.rest.as_slice() {
            [] => rest.is_empty(),
            [Token::Everything] => true,
            tokens => matches_tokens(tokens, rest),
        }
    }
}

/// Follows all ways through the tokens at once, so the time is bounded by tokens × characters.
fn matches_tokens(tokens: &[Token], text: &str) -> bool {
    // `alive[i]`: the text so far can be matched by the first `i` tokens. For `Through`, which ends only
    // at a separator, being inside it is kept apart.
    let mut alive = vec![false; tokens.len() + 1];
    let mut inside = vec![false; tokens.len()];
    if let Some(start) = alive.first_mut() {
        *start = true;
    }
    skip_empty(tokens, &mut alive);
    for character in text.chars() {
        let mut next = vec![false; tokens.len() + 1];
        let mut next_inside = vec![false; tokens.len()];
        let here = alive.iter().zip(&inside).zip(tokens).enumerate();
        for (index, ((&alive, &inside), token)) in here {
            let (mut stay, mut go, mut enter) = (false, false, false);
            match *token {
                Token::Literal(literal) => go = alive && literal == character,
                Token::One => go = alive && !is_separator(character),
                Token::Segment => stay = alive && !is_separator(character),
                Token::Everything => stay = alive,
                Token::Through(separator) => {
                    enter = alive || inside;
                    go = enter && character == separator;
                }
            }
            if let Some(place) = next.get_mut(index) {
                *place |= stay;
            }
            if let Some(place) = next.get_mut(index + 1) {
                *place |= go;
            }
            if let Some(place) = next_inside.get_mut(index) {
                *place |= enter;
            }
        }
        skip_empty(tokens, &mut next);
        (alive, inside) = (next, next_inside);
    }
    alive.last() == Some(&true)
}

/// Tokens that can match nothing are passed over.
fn skip_empty(tokens: &[Token], alive: &mut [bool]) {
    let mut reached = false;
    for (place, before) in alive.iter_mut().zip(std::iter::once(None).chain(tokens.iter().map(Some))) {
        let optional = matches!(before, Some(Token::Segment | Token::Everything | Token::Through(_)));
        *place |= reached && optional;
        reached = *place;
    }
}

impl std::str::FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = |why| BadPattern { pattern: text.to_owned(), why };
        if text.is_empty() {
            return Err(bad("it is empty; write `**` for every resource"));
        }
        if !Self::is_canonical(text) {
            return Err(bad("no canonical name has `//`, a NUL, or a segment `.` or `..`; leave it out"));
        }
        let mut tokens = Vec::new();
        let mut segment_start = true;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let token = match character {
                '\\' => Token::Literal(
                    characters.next().ok_or_else(|| bad("it ends in a backslash; write `\\\\` for one"))?,
                ),
                '?' => Token::One,
                '*' if characters.next_if_eq(&'*').is_none() => Token::Segment,
                '*' => match characters.next() {
                    None if segment_start => Token::Everything,
                    Some(separator) if segment_start && is_separator(separator) => Token::Through(separator),
                    _ => {
                        return Err(bad("`**` stands for whole segments only; put a separator on each side"));
                    }
                },
                literal => Token::Literal(literal),
            };
            segment_start = match token {
                Token::Literal(literal) => is_separator(literal),
                Token::Through(_) => true,
                Token::One | Token::Segment | Token::Everything => false,
            };
            tokens.push(token);
        }
        let literals = tokens.iter().map_while(|token| match token {
            Token::Literal(literal) => Some(*literal),
            _ => None,
        });
        let prefix: String = literals.collect();
        let rest = tokens.split_off(prefix.chars().count());
        Ok(Self { text: text.to_owned(), prefix, rest })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
