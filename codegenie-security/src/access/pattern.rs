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
        // One pass: this stands before every decision.
        let bytes = resource.as_bytes();
        let mut segment = 0;
        let mut dots = true;
        let mut previous = 0;
        for &byte in bytes {
            if byte == b'/' || byte == b':' {
                if (dots && (segment == 1 || segment == 2)) || (byte == b'/' && previous == b'/') {
                    return false;
                }
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
        let ends_in_slash = previous == b'/' && bytes != b"/" && !bytes.ends_with(b":/");
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

/// Patterns with at most this many tokens after their literal beginning are matched without allocating.
const ON_STACK: usize = 512;

fn matches_tokens(tokens: &[Token], text: &str) -> bool {
    match tokens.len() {
        0..64 => follow(tokens, text, [0; 4], [0; 1]),
        64..ON_STACK => follow(tokens, text, [0; 32], [0; 8]),
        _ => {
            let words = tokens.len() / 64 + 1;
            follow(tokens, text, vec![0; 4 * words], vec![0; words])
        }
    }
}

/// Follows all ways through the tokens at once, so the time is bounded by tokens × characters. `sets` has room
/// for four sets of places between tokens, and `one` the size of one of them.
fn follow(tokens: &[Token], text: &str, mut sets: impl AsMut<[u64]>, one: impl AsRef<[u64]>) -> bool {
    let words = one.as_ref().len();
    let (now, next) = sets.as_mut().split_at_mut(2 * words);
    // `alive` has `i`: the text so far can be matched by the first `i` tokens. For `Through`, which ends only
    // at a separator, being inside it is kept apart.
    let ((mut alive, mut inside), (mut next_alive, mut next_inside)) =
        (now.split_at_mut(words), next.split_at_mut(words));
    insert(alive, 0);
    skip_empty(tokens, alive);
    for character in text.chars() {
        next_alive.fill(0);
        next_inside.fill(0);
        let mut any = false;
        for word in 0..words {
            let here = |set: &[u64]| set.get(word).copied().unwrap_or(0);
            let mut places = here(alive) | here(inside);
            while places != 0 {
                let index = word * 64 + places.trailing_zeros() as usize;
                places &= places - 1;
                let (is_alive, is_inside) = (contains(alive, index), contains(inside, index));
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
                    insert(next_alive, index);
                }
                if go {
                    insert(next_alive, index + 1);
                }
                if enter {
                    insert(next_inside, index);
                }
                any |= stay || go || enter;
            }
        }
        if !any {
            return false;
        }
        skip_empty(tokens, next_alive);
        std::mem::swap(&mut alive, &mut next_alive);
        std::mem::swap(&mut inside, &mut next_inside);
    }
    contains(alive, tokens.len())
}

fn contains(set: &[u64], index: usize) -> bool {
    set.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

fn insert(set: &mut [u64], index: usize) {
    if let Some(word) = set.get_mut(index / 64) {
        *word |= 1 << (index % 64);
    }
}

/// Tokens that can match nothing are passed over.
fn skip_empty(tokens: &[Token], alive: &mut [u64]) {
    for (index, token) in tokens.iter().enumerate() {
        let optional = matches!(token, Token::Segment | Token::Everything | Token::Through(_));
        if optional && contains(alive, index) {
            insert(alive, index + 1);
        }
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
