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
/// never match a [canonical](Self::is_canonical) name. So that a check has a bounded cost, a pattern has at most
/// 64 wildcards, and 512 characters from the first of them on.
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
    /// slashes in a row, or a slash at its end; or it is longer than 4,096 bytes. The roots `/` and `file:/`, which
    /// are a slash alone or one after the first segment, may end in it. Symbolic links, letter case and the like
    /// are the caller's to resolve.
    #[must_use]
    pub fn is_canonical(resource: &str) -> bool {
        // One pass: this stands before every decision.
        let bytes = resource.as_bytes();
        if bytes.len() > MAX_NAME {
            return false;
        }
        let mut segment = 0;
        let mut dots = true;
        let mut previous = 0;
        let mut separators = 0;
        for &byte in bytes {
            if byte == b'/' || byte == b':' {
                if (dots && (segment == 1 || segment == 2)) || (byte == b'/' && previous == b'/') {
                    return false;
                }
                separators += 1;
                (segment, dots) = (0, true);
            } else {
                if byte == 0 {
                    return false;
                }
                segment += 1;
                dots &= byte == b'.';
            }
            previous = byte;
        }
        let ends_in_dots = dots && (segment == 1 || segment == 2);
        // `/` alone, and `c:/`: in `/data/c:/` the slash would be a second way to write `/data/c:`.
        let is_root = bytes == b"/" || (separators == 2 && bytes.len() > 2 && bytes.ends_with(b":/"));
        let ends_in_slash = previous == b'/' && !is_root;
        !bytes.is_empty() && !ends_in_dots && !ends_in_slash
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

impl Pattern {
    /// The one name that it matches, where it has no wildcard.
    pub(super) fn literal(&self) -> Option<&str> {
        self.rest.is_empty().then_some(self.prefix.as_str())
    }

    /// Does it match all that `other` matches? False also where that is not easily seen.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self == other || (self.rest == [Token::Everything] && other.prefix.starts_with(&self.prefix))
    }

    /// Cuts the pattern after each separator, as far as it is literal or a `*` between separators, and
    /// says what is left.
    pub(super) fn pieces(&self) -> (Vec<Piece>, Tail) {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut prefix = self.prefix.as_str();
        while let Some(place) = prefix.find(is_separator) {
            let (piece, rest) = prefix.split_at(place + 1);
            if pieces.len() >= MAX_PIECES {
                return (pieces, Tail::General);
            }
            pieces.push(Piece::Literal(piece.to_owned()));
            prefix = rest;
        }
        literal.push_str(prefix);
        let mut rest = self.rest.as_slice();
        loop {
            match rest {
                [] => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(literal));
                    }
                    return (pieces, Tail::Nothing);
                }
                [Token::Everything] if literal.is_empty() => return (pieces, Tail::Everything),
                [Token::Segment] if literal.is_empty() => return (pieces, Tail::Segment),
                [Token::Segment, Token::Literal(separator), after @ ..]
                    if literal.is_empty() && is_separator(*separator) && pieces.len() < MAX_PIECES =>
                {
                    pieces.push(Piece::Star(*separator));
                    rest = after;
                }
                [Token::Literal(character), after @ ..] if pieces.len() < MAX_PIECES => {
                    literal.push(*character);
                    if is_separator(*character) {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    rest = after;
                }
                _ => return (pieces, Tail::General),
            }
        }
    }
}

/// Patterns with more pieces than this are matched by themselves from there on.
const MAX_PIECES: usize = 64;

/// A part of a pattern that a name can be followed along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text, with the separator at its end unless it is the last.
    Literal(String),
    /// `*` and a separator.
    Star(char),
}

/// What is left of a pattern after its pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing: the name ends here.
    Nothing,
    /// `*`: one segment, which may be empty.
    Segment,
    /// `**`: any text.
    Everything,
    /// Something else: the whole pattern decides.
    General,
}

/// No canonical name is longer, in bytes: as long as a path may be.
pub(super) const MAX_NAME: usize = 4096;
/// A pattern has no more tokens from its first wildcard on, so that what is known of them fits on the stack.
const MAX_TOKENS: usize = 512;
/// A pattern has no more of these.
const MAX_WILDCARDS: usize = 64;

fn matches_tokens(tokens: &[Token], text: &str) -> bool {
    match tokens.len() {
        0..64 => follow::<1>(tokens, text),
        _ => follow::<WORDS>(tokens, text),
    }
}

/// A bit for each place between tokens, before the first and after the last.
const WORDS: usize = MAX_TOKENS / 64 + 1;

/// Follows all ways through the tokens at once, so the time is bounded by tokens × characters. Places have to fit
/// into so many words.
fn follow<const WORDS: usize>(tokens: &[Token], text: &str) -> bool {
    // `alive` has `i`: the text so far can be matched by the first `i` tokens. For `Through`, which ends only
    // at a separator, being inside it is kept apart.
    let (mut alive, mut inside) = ([0; WORDS], [0; WORDS]);
    reach(tokens, &mut alive, 0);
    for character in text.chars() {
        let (mut next_alive, mut next_inside) = ([0; WORDS], [0; WORDS]);
        let mut any = false;
        for (word, (here, here_inside)) in alive.iter().zip(&inside).enumerate() {
            let mut places = here | here_inside;
            while places != 0 {
                let bit = places.trailing_zeros();
                let index = word * 64 + bit as usize;
                places &= places - 1;
                let (is_alive, is_inside) = (here >> bit & 1 == 1, here_inside >> bit & 1 == 1);
                let (stay, go, enter) = match tokens.get(index) {
                    None => (false, false, false),
                    Some(Token::Literal(literal)) => (false, is_alive && *literal == character, false),
                    Some(Token::One) => (false, is_alive && !is_separator(character), false),
                    Some(Token::Segment) => (is_alive && !is_separator(character), false, false),
                    Some(Token::Everything) => (is_alive, false, false),
                    Some(Token::Through(separator)) => {
                        (false, *separator == character, is_alive || is_inside)
                    }
                };
                if stay {
                    reach(tokens, &mut next_alive, index);
                }
                if go {
                    reach(tokens, &mut next_alive, index + 1);
                }
                if enter {
                    insert(&mut next_inside, index);
                }
                any |= stay || go || enter;
            }
        }
        if !any {
            return false;
        }
        (alive, inside) = (next_alive, next_inside);
    }
    contains(&alive, tokens.len())
}

fn contains(set: &[u64], index: usize) -> bool {
    set.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

fn insert(set: &mut [u64], index: usize) {
    if let Some(word) = set.get_mut(index / 64) {
        *word |= 1 << (index % 64);
    }
}

/// The place, and those after it that are reached by passing over tokens that can match nothing.
fn reach(tokens: &[Token], alive: &mut [u64], mut index: usize) {
    // From a place that is there already, its successors are too.
    while !contains(alive, index) {
        insert(alive, index);
        match tokens.get(index) {
            Some(Token::Segment | Token::Everything | Token::Through(_)) => index += 1,
            _ => return,
        }
    }
}

/// A name that the tokens match, and a canonical one if they match any: whatever a wildcard stands for, an `x`
/// can stand there.
fn example(tokens: &[Token]) -> String {
    let mut name = String::new();
    for token in tokens {
        match token {
            Token::Literal(character) => name.push(*character),
            Token::One | Token::Segment | Token::Everything => name.push('x'),
            Token::Through(separator) => name.extend(['x', *separator]),
        }
    }
    name
}

/// A text as an error shows it, not at any length.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl std::str::FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = |why| BadPattern { pattern: shown(text), why };
        if text.is_empty() {
            return Err(bad("it is empty; write `**` for every resource"));
        }
        if text.len() > MAX_NAME {
            return Err(bad("it is longer than 4096 bytes; shorten it"));
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
        if !Self::is_canonical(&example(&tokens)) {
            return Err(bad(
                "no canonical name has `//`, a NUL, a segment `.` or `..`, or a `/` at its end; leave it out",
            ));
        }
        let literals = tokens.iter().map_while(|token| match token {
            Token::Literal(literal) => Some(*literal),
            _ => None,
        });
        let prefix: String = literals.collect();
        let rest = tokens.split_off(prefix.chars().count());
        if rest.iter().filter(|token| !matches!(token, Token::Literal(_))).count() > MAX_WILDCARDS {
            return Err(bad("it has more than 64 wildcards; use fewer"));
        }
        if rest.len() > MAX_TOKENS {
            return Err(bad("more than 512 characters stand from its first wildcard on; shorten it"));
        }
        Ok(Self { text: text.to_owned(), prefix, rest })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
