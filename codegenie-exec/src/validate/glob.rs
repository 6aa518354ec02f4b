//! Patterns in rules: what they say of commands and of paths.

use super::shape::{self, Piece, Shape};
use crate::command::Word;

pub(super) fn command_matches(pattern: &str, text: &str) -> bool {
    let trailing = pattern.strip_suffix(":*").or_else(|| pattern.strip_suffix(" *"));
    match trailing {
        // The words themselves, alone or with more behind them.
        Some(prefix) => {
            wildcard(prefix.as_bytes(), text.as_bytes())
                || wildcard(format!("{prefix} *").as_bytes(), text.as_bytes())
        }
        None => wildcard(pattern.as_bytes(), text.as_bytes()),
    }
}

/// Whether what allows speaks of these words: a space in the pattern is where one word ends, and the program is named
/// by its path only where the pattern names it so.
pub(super) fn words_match(pattern: &str, words: &[Word]) -> bool {
    /// Stands between words, and in none of them.
    const BETWEEN: char = '\u{1}';
    let by_path = pattern.split_whitespace().next().is_some_and(|program| program.contains('/'));
    let program = words.first().and_then(Word::literal).unwrap_or_default();
    let plain = !program.is_empty() && !program.contains(char::is_whitespace);
    if !plain || (program.contains('/') && !by_path) {
        return false;
    }
    let words: Vec<&str> = words.iter().map(Word::as_written).collect();
    if words.iter().any(|word| word.contains(BETWEEN)) {
        return false;
    }
    let text = words.join(&BETWEEN.to_string());
    let written = pattern.replace(' ', &BETWEEN.to_string());
    let trailing = pattern.strip_suffix(":*").or_else(|| pattern.strip_suffix(" *"));
    match trailing.and_then(|prefix| written.get(..prefix.len())) {
        Some(prefix) => {
            wildcard(prefix.as_bytes(), text.as_bytes())
                || wildcard(format!("{prefix}{BETWEEN}*").as_bytes(), text.as_bytes())
        }
        None => wildcard(written.as_bytes(), text.as_bytes()),
    }
}

/// `*` stands for any text.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star.as_mut() {
                Some((at, from)) => {
                    *from += 1;
                    (p, t) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == b'*')
}

/// A sign in the pattern of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sign {
    Any,
    One,
    Is(char),
    /// One of these, or none of these.
    Set(Vec<(char, char)>, bool),
}

/// A name's pattern as `.gitignore` has it: `*`, `?`, `[a-z]`, `[!a]`, and a backslash before a sign that stands for
/// itself. Braces are none. `None`: a bracket is not closed, which matches nothing.
fn signs(pattern: &str) -> Option<Vec<Sign>> {
    let mut signs = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        signs.push(match c {
            '*' => Sign::Any,
            '?' => Sign::One,
            '\\' => Sign::Is(rest.next()?),
            '[' => set(&mut rest)?,
            c => Sign::Is(c),
        });
    }
    Some(signs)
}

/// A set behind its bracket.
fn set(rest: &mut std::str::Chars<'_>) -> Option<Sign> {
    let negated = rest.as_str().starts_with(['!', '^']);
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        let first = match rest.next()? {
            // Right behind the bracket it is a sign of the set.
            ']' if !ranges.is_empty() => return Some(Sign::Set(ranges, negated)),
            '[' if rest.as_str().starts_with(':') => {
                let (name, after) = rest.as_str().get(1..)?.split_once(":]")?;
                ranges.extend_from_slice(named_set(name)?);
                *rest = after.chars();
                continue;
            }
            '\\' => rest.next()?,
            c => c,
        };
        let range = rest.as_str().starts_with('-') && !rest.as_str().starts_with("-]");
        let last = match range.then(|| rest.nth(1)) {
            None => first,
            Some(Some('\\')) => rest.next()?,
            Some(last) => last?,
        };
        ranges.push((first, last));
    }
}

fn named_set(name: &str) -> Option<&'static [(char, char)]> {
    Some(match name {
        "alnum" => &[('a', 'z'), ('A', 'Z'), ('0', '9')],
        "alpha" => &[('a', 'z'), ('A', 'Z')],
        "blank" => &[(' ', ' '), ('\t', '\t')],
        "cntrl" => &[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[(' ', ' '), ('\t', '\r')],
        "upper" => &[('A', 'Z')],
        "xdigit" => &[('0', '9'), ('a', 'f'), ('A', 'F')],
        _ => return None,
    })
}

/// Whether every part of a pattern about paths can match something.
pub(super) fn is_readable(pattern: &str) -> bool {
    pattern.split('/').all(|part| signs(part).is_some())
}

fn name_matches(pattern: &str, name: &str) -> bool {
    let Some(signs) = signs(pattern) else { return false };
    let name: Vec<char> = name.chars().collect();
    let is = |sign: Option<&Sign>, c: char| match sign {
        Some(Sign::One) => true,
        Some(Sign::Is(known)) => *known == c,
        Some(Sign::Set(ranges, negated)) => {
            ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated
        }
        Some(Sign::Any) | None => false,
    };
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = name.get(t) {
        if signs.get(p) == Some(&Sign::Any) {
            star = Some((p, t));
            p += 1;
        } else if is(signs.get(p), *c) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star.as_mut() {
            *from += 1;
            (p, t) = (*at + 1, *from);
        } else {
            return false;
        }
    }
    signs.get(p..).unwrap_or_default().iter().all(|sign| *sign == Sign::Any)
}

/// Paths as `.gitignore` has them: without a slash at any depth, `//` from the root, `**` over folders. What is too
/// costly to tell is `untold`: a rule that refuses or asks then matches, one that allows does not.
pub(super) fn path_matches(pattern: &str, path: &str, untold: bool) -> bool {
    let path = path.strip_prefix("./").unwrap_or(path);
    if let Some(absolute) = pattern.strip_prefix("//") {
        return path.strip_prefix('/').is_some_and(|path| segments(absolute, path, untold));
    }
    if pattern.starts_with('~') {
        return segments(pattern, path, untold);
    }
    let anchored = pattern.strip_prefix("./").or_else(|| pattern.strip_prefix('/')).unwrap_or(pattern);
    let relative = path.trim_start_matches('/');
    if !anchored.trim_end_matches('/').contains('/') && !anchored.contains("**") {
        return relative.split('/').any(|part| name_matches(anchored.trim_end_matches('/'), part));
    }
    if !path.starts_with('/') {
        return segments(anchored, relative, untold);
    }
    // Where the project lies is not known here: an absolute path may end in it.
    const MAX_DEPTH: usize = 64;
    if relative.len() > 4096 || relative.matches('/').count() > MAX_DEPTH {
        return untold;
    }
    let ends = relative.match_indices('/').filter_map(|(at, _)| relative.get(at + 1..));
    std::iter::once(relative).chain(ends).any(|candidate| segments(anchored, candidate, untold))
}

/// What a pattern about paths stands for: the files that it names, and what lies below.
pub(super) fn meanings(pattern: &str) -> Vec<Shape> {
    let absolute = pattern.strip_prefix('/').filter(|rest| rest.starts_with('/'));
    let named = absolute.or_else(|| pattern.strip_prefix("./")).unwrap_or(pattern);
    let named =
        if absolute.is_some() || pattern.starts_with('~') { named } else { named.trim_start_matches('/') };
    let mut named = named.trim_end_matches('/');
    let anywhere = !named.contains('/') || named.starts_with("**/");
    while let Some(rest) = named.strip_prefix("**/") {
        named = rest;
    }
    while let Some(rest) = named.strip_suffix("/**") {
        named = rest;
    }
    let mut itself: Shape = Vec::new();
    for (at, part) in named.split("**").enumerate() {
        if at > 0 {
            itself.push(Piece::Unknown);
        }
        // Between two folders there may be none.
        let part = if at > 0 { part.strip_prefix('/').unwrap_or(part) } else { part };
        itself.extend(pieces(part));
    }
    let below = [itself.as_slice(), &[Piece::Char('/'), Piece::Unknown]].concat();
    let mut meant = vec![itself, below];
    if anywhere && !named.starts_with('~') {
        let deeper: Vec<Shape> = meant
            .iter()
            .map(|shape| [&[Piece::Unknown, Piece::Char('/')], shape.as_slice()].concat())
            .collect();
        meant.extend(deeper);
    }
    meant
}

fn segments(pattern: &str, path: &str, untold: bool) -> bool {
    fn matched(pattern: &[&str], path: &[&str], budget: &mut u32) -> bool {
        *budget = budget.saturating_sub(1);
        if *budget == 0 {
            return false;
        }
        match pattern.split_first() {
            None => path.is_empty(),
            Some((&"**", rest)) => {
                rest.is_empty()
                    || (0..=path.len())
                        .any(|skip| matched(rest, path.get(skip..).unwrap_or_default(), budget))
            }
            Some((first, rest)) => path.split_first().is_some_and(|(name, below)| {
                name_matches(first, name)
                    && (matched(rest, below, budget) || (rest.is_empty() && !below.is_empty()))
            }),
        }
    }
    let pattern: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
    let path: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let mut budget = 10_000;
    let matched = matched(&pattern, &path, &mut budget);
    if budget == 0 { untold } else { matched }
}

/// The same signs for what a word may become: a set stands for any character.
fn pieces(part: &str) -> Shape {
    let piece = |sign: Sign| match sign {
        Sign::Any => Piece::Any,
        Sign::One | Sign::Set(..) => Piece::One,
        Sign::Is(c) => Piece::Char(c),
    };
    let read = |name: &str| {
        signs(name).map_or_else(|| shape::pattern(name), |signs| signs.into_iter().map(piece).collect())
    };
    let names: Vec<Shape> = part.split('/').map(read).collect();
    names.join(&Piece::Char('/'))
}
