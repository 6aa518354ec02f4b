//! What an expansion makes of a value that is known: `${x%.txt}`, `${x/a/b}`, `${x:2}`, `${x^^}`, `${x:-y}`.

use super::shape::{self, Piece, Shape};

/// Longer values are not computed with.
const MAX_LENGTH: usize = 128;

/// What each of a variable's values becomes by what stands behind its name.
pub(super) fn expanded(values: &[Shape], operation: &str) -> Vec<Shape> {
    let mut made = Vec::new();
    let mut add = |shape: Shape| {
        if !made.contains(&shape) {
            made.push(shape);
        }
    };
    let other = operation.strip_prefix(':').unwrap_or(operation);
    match other.chars().next() {
        // The value, or the other one.
        Some('-' | '=' | '+') => {
            add(shape::literal(other.get(1..).unwrap_or_default()));
            if other.starts_with('+') {
                add(Vec::new());
            } else {
                values.iter().cloned().for_each(add);
            }
        }
        Some('?') => values.iter().cloned().for_each(add),
        _ => {
            for value in values {
                let text = shape::text(value).filter(|text| text.len() <= MAX_LENGTH);
                let computed = text.and_then(|text| computed(&text, operation));
                add(computed.map_or_else(|| vec![Piece::Unknown], |text| shape::literal(&text)));
            }
        }
    }
    made
}

fn computed(value: &str, operation: &str) -> Option<String> {
    let chars: Vec<char> = value.chars().collect();
    let begin = |at: usize| chars.get(..at).unwrap_or_default();
    let end = |at: usize| chars.get(at..).unwrap_or_default();
    let text = |chars: &[char]| chars.iter().collect::<String>();
    let doubled = |sign: char| operation.strip_prefix(sign).and_then(|rest| rest.strip_prefix(sign));
    match operation.chars().next()? {
        '%' => {
            let longest = doubled('%');
            let pattern = longest.or_else(|| operation.strip_prefix('%'))?;
            let mut places: Vec<usize> = (0..=chars.len()).collect();
            if longest.is_none() {
                places.reverse();
            }
            let cut = places.into_iter().find(|at| matches(pattern, end(*at)));
            Some(text(begin(cut.unwrap_or(chars.len()))))
        }
        '#' => {
            let longest = doubled('#');
            let pattern = longest.or_else(|| operation.strip_prefix('#'))?;
            let mut places: Vec<usize> = (0..=chars.len()).collect();
            if longest.is_some() {
                places.reverse();
            }
            let cut = places.into_iter().find(|at| matches(pattern, begin(*at)));
            Some(text(end(cut.unwrap_or_default())))
        }
        '/' => replaced(&chars, operation.get(1..)?),
        '^' if doubled('^') == Some("") => Some(value.to_uppercase()),
        ',' if doubled(',') == Some("") => Some(value.to_lowercase()),
        sign @ ('^' | ',') if operation.len() == 1 => {
            let first = chars.first()?;
            let first =
                if sign == '^' { first.to_uppercase().to_string() } else { first.to_lowercase().to_string() };
            Some(first + &text(end(1)))
        }
        ':' => {
            let (from, length) = operation
                .get(1..)?
                .split_once(':')
                .map_or((operation.get(1..)?, None), |(a, b)| (a, Some(b)));
            // A negative number counts from the end.
            let place = |text: &str| -> Option<usize> {
                let number: i64 = text.trim().parse().ok()?;
                let counted = if number < 0 { i64::try_from(chars.len()).ok()? + number } else { number };
                usize::try_from(counted).ok().map(|at| at.min(chars.len()))
            };
            let from = place(from)?;
            let to = match length {
                None => chars.len(),
                Some(length) if length.trim().starts_with('-') => place(length)?,
                Some(length) => (from + place(length)?).min(chars.len()),
            };
            chars.get(from..to).map(text)
        }
        _ => None,
    }
}

/// `a/b`, `/a/b`, `#a/b` and `%a/b` behind the first slash.
fn replaced(chars: &[char], operation: &str) -> Option<String> {
    let (all, rest) = operation.strip_prefix('/').map_or((false, operation), |rest| (true, rest));
    let (pattern, by) = rest.split_once('/').unwrap_or((rest, ""));
    let (at_begin, at_end) = (pattern.starts_with('#'), pattern.starts_with('%'));
    let anchored = !all && (at_begin || at_end);
    let pattern = if anchored { pattern.get(1..)? } else { pattern };
    // To newer shells it stands for what is replaced.
    if by.contains('&') {
        return None;
    }
    if pattern.is_empty() {
        return (!anchored).then(|| chars.iter().collect());
    }
    let mut made = String::new();
    let (mut at, mut done) = (0, false);
    while at <= chars.len() {
        let mut ends = (at + 1..=chars.len()).rev();
        let fits = |end: &usize| {
            let placed = !anchored || if at_begin { at == 0 } else { *end == chars.len() };
            placed && chars.get(at..*end).is_some_and(|part| matches(pattern, part))
        };
        match ends.find(fits).filter(|_| all || !done) {
            Some(end) => {
                made.push_str(by);
                (at, done) = (end, true);
            }
            None => {
                made.extend(chars.get(at));
                at += 1;
            }
        }
    }
    Some(made)
}

/// `*` stands for any text, `?` for one character.
fn matches(pattern: &str, text: &[char]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for sign in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        let mut open = false;
        for (at, cell) in next.iter_mut().enumerate() {
            let here = reached.get(at).copied().unwrap_or_default();
            open |= here;
            let before = at.checked_sub(1);
            let moved = before.is_some_and(|before| {
                reached.get(before).copied().unwrap_or_default()
                    && (sign == '?' || text.get(before) == Some(&sign))
            });
            *cell = if sign == '*' { open } else { moved };
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}
