//! Texts of which the shell decides a part: what a word may become, and whether that may be a certain path.

use crate::command::Word;

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Char(char),
    /// One character of a file's name.
    One,
    /// Any characters of a file's name.
    Any,
    /// Any text.
    Unknown,
}

/// A text in pieces.
pub(super) type Shape = Vec<Piece>;

/// A piece of a word as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Piece(Piece),
    /// The value of a variable stands there.
    Variable(String),
    /// What is made of a variable's value, by what stands behind its name.
    Expansion(String, String),
}

/// A text that is known.
pub(super) fn literal(text: &str) -> Shape {
    text.chars().map(Piece::Char).collect()
}

/// The text, where all of it is known.
pub(super) fn text(shape: &[Piece]) -> Option<String> {
    shape
        .iter()
        .map(|piece| match piece {
            Piece::Char(c) => Some(*c),
            Piece::One | Piece::Any | Piece::Unknown => None,
        })
        .collect()
}

/// A text in which the signs of patterns count.
pub(super) fn pattern(text: &str) -> Shape {
    let mut pieces = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        pieces.push(match c {
            '*' => Piece::Any,
            '?' => Piece::One,
            '[' => match rest.as_str().split_once(']') {
                Some((_, after)) => {
                    rest = after.chars();
                    Piece::One
                }
                None => Piece::Char(c),
            },
            c => Piece::Char(c),
        });
    }
    pieces
}

/// Whether some text is meant by both: by a word, of which a pattern leaves hidden files out, and by a rule.
pub(super) fn meets(word: &[Piece], rule: &[Piece]) -> bool {
    const MAX_STEPS: usize = 4_000_000;
    if begin_or_end_apart(word, rule) {
        return false;
    }
    if word.len().saturating_mul(rule.len()) > MAX_STEPS {
        return true;
    }
    // Most do not even begin or end alike.
    let differ = |ends: (Option<&Piece>, Option<&Piece>)| matches!(ends, (Some(Piece::Char(a)), Some(Piece::Char(b))) if a != b);
    if differ((word.first(), rule.first())) || differ((word.last(), rule.last())) {
        return false;
    }
    let begins = |shape: &[Piece], at: usize| {
        at.checked_sub(1).is_none_or(|before| shape.get(before) == Some(&Piece::Char('/')))
    };
    let (mut row, mut below) = (vec![false; rule.len() + 1], vec![false; rule.len() + 1]);
    if let Some(first) = row.first_mut() {
        *first = true;
    }
    for at in 0..=word.len() {
        below.fill(false);
        let piece = word.get(at).copied();
        let shows = matches!(piece, Some(Piece::Any | Piece::One)) && begins(word, at);
        for other_at in 0..=rule.len() {
            if !row.get(other_at).copied().unwrap_or_default() {
                continue;
            }
            let other = rule.get(other_at).copied();
            let hidden = shows && other == Some(Piece::Char('.')) && begins(rule, other_at);
            let (stays, goes) = step(piece, other, hidden);
            let next_is_a_dot = shows && word.get(at + 1) == Some(&Piece::Char('.'));
            let skips = match piece {
                Some(Piece::Any) => !(next_is_a_dot && begins(rule, other_at)),
                Some(Piece::Unknown) => true,
                Some(Piece::Char(_) | Piece::One) | None => false,
            };
            if (stays || matches!(other, Some(Piece::Any | Piece::Unknown)))
                && let Some(cell) = row.get_mut(other_at + 1)
            {
                *cell = true;
            }
            let consumed = match other {
                Some(Piece::Any) => {
                    matches!(piece, Some(Piece::Char(c)) if c != '/') || piece == Some(Piece::One)
                }
                Some(Piece::Unknown) => matches!(piece, Some(Piece::Char(_) | Piece::One)),
                Some(Piece::Char(_) | Piece::One) | None => false,
            };
            if (skips || consumed)
                && let Some(cell) = below.get_mut(other_at)
            {
                *cell = true;
            }
            if goes && let Some(cell) = below.get_mut(other_at + 1) {
                *cell = true;
            }
        }
        if at == word.len() {
            return row.last().copied().unwrap_or_default();
        }
        if !below.contains(&true) {
            return false;
        }
        std::mem::swap(&mut row, &mut below);
    }
    false
}

/// Whether their first or last signs tell already that no text is meant by both: most of what is compared has little in
/// common.
fn begin_or_end_apart(word: &[Piece], rule: &[Piece]) -> bool {
    let differ = |one: Option<&Piece>, other: Option<&Piece>| match (one, other) {
        (Some(Piece::Char(one)), Some(Piece::Char(other))) => one != other,
        _ => false,
    };
    // A pattern at the beginning is no hidden name.
    let shown = word.first() == Some(&Piece::Any)
        && rule.first() == Some(&Piece::Char('.'))
        && matches!(word.get(1), None | Some(Piece::Char(_)));
    shown || differ(word.first(), rule.first()) || differ(word.last(), rule.last())
}

/// Whether the word's piece takes the rule's and stays, and whether both are done with.
fn step(piece: Option<Piece>, other: Option<Piece>, hidden: bool) -> (bool, bool) {
    let (Some(piece), Some(other)) = (piece, other) else { return (false, false) };
    let name = match other {
        Piece::Char(c) => c != '/',
        Piece::One => true,
        Piece::Any | Piece::Unknown => false,
    };
    let single = matches!(other, Piece::Char(_) | Piece::One);
    match piece {
        Piece::Char(c) => (false, other == Piece::Char(c) || (other == Piece::One && c != '/')),
        Piece::One => (false, name && !hidden),
        Piece::Any => (name && !hidden, false),
        Piece::Unknown => (single, false),
    }
}

/// The parts of a path between its slashes.
pub(super) fn segments(shape: &[Piece]) -> impl Iterator<Item = &[Piece]> {
    shape.split(|piece| *piece == Piece::Char('/'))
}

/// The path without `.`, `..` and empty parts. `None` where it leads above what it is relative to.
pub(super) fn normalized(shape: &[Piece]) -> Option<Shape> {
    let absolute = shape.first() == Some(&Piece::Char('/'));
    let mut kept: Vec<&[Piece]> = Vec::new();
    for segment in segments(shape) {
        match segment {
            [] | [Piece::Char('.')] => {}
            [Piece::Char('.'), Piece::Char('.')] => match kept.pop() {
                None if absolute => {}
                None => return None,
                Some([Piece::Char('~')]) => return None,
                Some(left) if left.contains(&Piece::Unknown) => return None,
                Some(_) => {}
            },
            segment => kept.push(segment),
        }
    }
    let path = kept.join(&Piece::Char('/'));
    Some(if absolute { [&[Piece::Char('/')], path.as_slice()].concat() } else { path })
}

/// The texts within an argument that may be a path: itself, and what follows an option, a name or a revision.
pub(super) fn values(argument: &[Piece]) -> impl Iterator<Item = &[Piece]> {
    let sign = |c: char| {
        let at = argument.iter().position(|piece| *piece == Piece::Char(c))?;
        argument.get(at + 1..)
    };
    let attached = argument.strip_prefix(&[Piece::Char('-')]).and_then(|rest| rest.get(1..));
    [Some(argument), sign('='), sign(':'), sign('@'), attached]
        .into_iter()
        .flatten()
        .filter(|value| !value.is_empty())
}

/// The words that braces make of one, where they hold nothing but text and patterns: `a{b,c}`.
pub(super) fn braced(word: &Word) -> Option<Vec<String>> {
    const MOST: usize = 16;
    let Word::Dynamic(word) = word else { return None };
    let plain =
        word.computed && word.variables.is_empty() && !word.written.contains(['$', '`', '\'', '"', '\\']);
    if !plain || !word.written.contains('{') {
        return None;
    }
    let mut made = vec![String::new()];
    let mut rest = word.written.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, behind) = after.split_once('}')?;
        let choices = choices(inside, MOST)?;
        if inside.contains('{') || choices.len() < 2 || made.len() * choices.len() > MOST {
            return None;
        }
        made = made
            .iter()
            .flat_map(|begun| choices.iter().map(move |choice| format!("{begun}{before}{choice}")))
            .collect();
        rest = behind;
    }
    made.iter_mut().for_each(|begun| begun.push_str(rest));
    Some(made)
}

/// What stands between braces: `a,b` or `1..3`.
fn choices(inside: &str, most: usize) -> Option<Vec<String>> {
    let Some((first, last)) = inside.split_once("..").filter(|_| !inside.contains(',')) else {
        return Some(inside.split(',').map(str::to_owned).collect());
    };
    // Zeros in front make the numbers as long.
    let plain = |text: &str| !text.is_empty() && !text.starts_with('0') && text.len() < 6;
    let (first, last): (u32, u32) =
        if plain(first) && plain(last) { (first.parse().ok()?, last.parse().ok()?) } else { return None };
    let up = first <= last;
    let numbers = if up { first..=last } else { last..=first };
    let mut made: Vec<String> = numbers.take(most + 1).map(|number| number.to_string()).collect();
    if !up {
        made.reverse();
    }
    (made.len() <= most).then_some(made)
}

/// The parts of a word.
pub(super) fn parts(word: &Word) -> Vec<Part> {
    match word {
        Word::Literal(text) => text.chars().map(|c| Part::Piece(Piece::Char(c))).collect(),
        Word::Dynamic(word) if word.written.is_empty() => vec![Part::Piece(Piece::Unknown)],
        Word::Dynamic(word) => Writing { rest: &word.written, parts: Vec::new() }.read(),
    }
}

/// A word as it is written, which was understood before.
struct Writing<'w> {
    rest: &'w str,
    parts: Vec<Part>,
}

impl Writing<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn piece(&mut self, piece: Piece) {
        self.parts.push(Part::Piece(piece));
    }

    fn read(mut self) -> Vec<Part> {
        let mut double = false;
        while let Some(c) = self.next() {
            match c {
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) if !double || matches!(c, '$' | '`' | '"' | '\\') => self.piece(Piece::Char(c)),
                    Some(c) => [Piece::Char('\\'), Piece::Char(c)].into_iter().for_each(|c| self.piece(c)),
                },
                '$' => self.dollar(double),
                '`' => {
                    self.after("`");
                    self.piece(Piece::Unknown);
                }
                '"' => double = !double,
                c if double => self.piece(Piece::Char(c)),
                '\'' => {
                    let (quoted, rest) = self.rest.split_once('\'').unwrap_or((self.rest, ""));
                    self.rest = rest;
                    quoted.chars().for_each(|c| self.piece(Piece::Char(c)));
                }
                '*' => self.piece(Piece::Any),
                '?' => self.piece(Piece::One),
                '[' if self.rest.contains(']') => {
                    self.after("]");
                    self.piece(Piece::One);
                }
                '{' if self.rest.contains('}') && self.rest.contains([',', '.']) => {
                    self.closed('{', '}');
                    self.piece(Piece::Unknown);
                }
                c => self.piece(Piece::Char(c)),
            }
        }
        self.parts
    }

    /// Goes on behind `end`.
    fn after(&mut self, end: &str) {
        self.rest = self.rest.split_once(end).map(|(_, rest)| rest).unwrap_or_default();
    }

    /// Goes on behind what closes a bracket that was opened.
    fn closed(&mut self, opens: char, closes: char) {
        let mut depth = 1usize;
        while depth > 0 {
            match self.next() {
                Some(c) if c == opens => depth += 1,
                Some(c) if c == closes => depth -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }

    fn dollar(&mut self, double: bool) {
        let name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        match self.rest.chars().next() {
            Some('(') => {
                self.next();
                self.closed('(', ')');
                self.piece(Piece::Unknown);
            }
            Some('{') => {
                let (inside, rest) = self.rest.split_once('}').unwrap_or((self.rest, ""));
                let inside = inside.get(1..).unwrap_or_default();
                self.rest = rest;
                let end = inside.find(|c| !name(&c)).unwrap_or(inside.len());
                let end = if end == 0 && inside.starts_with(['@', '*']) { 1 } else { end };
                let (variable, behind) = inside.split_at(end);
                let behind = ["[@]", "[*]"].iter().find_map(|all| behind.strip_prefix(all)).unwrap_or(behind);
                let later = variable.len() > 1 && variable.starts_with(|c: char| c.is_ascii_digit());
                let variable = if later { "@" } else { variable }.to_owned();
                match behind {
                    _ if variable.is_empty() => self.piece(Piece::Unknown),
                    "" => self.parts.push(Part::Variable(variable)),
                    // Some of the parameters.
                    _ if matches!(variable.as_str(), "@" | "*") => self.parts.push(Part::Variable(variable)),
                    behind => self.parts.push(Part::Expansion(variable, behind.to_owned())),
                }
            }
            Some('\'') if !double => {
                self.next();
                self.escaped();
            }
            // The quotes begin as others do.
            Some('"') if !double => {}
            Some(c) if c.is_ascii_digit() || "@*".contains(c) => {
                self.next();
                self.parts.push(Part::Variable(c.to_string()));
            }
            Some(c) if "#?-$!".contains(c) => {
                self.next();
                self.piece(Piece::Unknown);
            }
            Some(c) if name(&c) => {
                let variable: String = self.rest.chars().take_while(name).collect();
                self.rest = self.rest.get(variable.len()..).unwrap_or_default();
                self.parts.push(Part::Variable(variable));
            }
            _ => self.piece(Piece::Char('$')),
        }
    }

    /// `$'…'`, in which escapes stand for characters.
    fn escaped(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\'' => return,
                '\\' => {
                    let piece = self.escape().map_or(Piece::Unknown, Piece::Char);
                    self.piece(piece);
                }
                c => self.piece(Piece::Char(c)),
            }
        }
    }

    /// Behind the backslash. `None`: a part of a character, or none at all.
    fn escape(&mut self) -> Option<char> {
        let number = |reader: &mut Self, radix: u32, most: usize| {
            let digits = reader.rest.chars().take(most).take_while(|c| c.is_digit(radix)).count();
            let (number, rest) = reader.rest.split_at(digits);
            reader.rest = rest;
            u32::from_str_radix(number, radix).ok().filter(|number| *number > 0)
        };
        let byte = |number: Option<u32>| number.filter(|number| *number < 128).and_then(char::from_u32);
        Some(match self.next()? {
            'x' => return byte(number(self, 16, 2)),
            'u' => return number(self, 16, 4).and_then(char::from_u32),
            'U' => return number(self, 16, 8).and_then(char::from_u32),
            c @ '0'..='7' => {
                // Up to three digits.
                let mut value = c.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
                    self.next();
                    value = value * 8 + digit;
                }
                return byte(Some(value).filter(|value| *value > 0));
            }
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' | 'E' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'c' => {
                self.next();
                return None;
            }
            c @ ('\\' | '\'' | '"' | '?') => c,
            // The backslash stays.
            _ => return None,
        })
    }
}
