//! Edits of text, on bytes: line endings, the byte order mark and the end of the last line stay as they are.

/// The UTF-8 byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A text's lines, each with its line feed; the last one may be without.
pub(crate) fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Splits the byte order mark off.
pub(super) fn split_mark(text: &[u8]) -> (&[u8], &[u8]) {
    match text.strip_prefix(MARK) {
        Some(rest) => (MARK, rest),
        None => (b"", text),
    }
}

/// Whether every line of `text` that ends does so with CRLF, and there is one.
pub(super) fn is_crlf(text: &[u8]) -> bool {
    let mut ended = lines(text).into_iter().filter(|line| line.ends_with(b"\n")).peekable();
    ended.peek().is_some() && ended.all(|line| line.ends_with(b"\r\n"))
}

/// Line feeds that no carriage return precedes become CRLF.
pub(super) fn to_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 16);
    let mut last = 0;
    for byte in text {
        if *byte == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(*byte);
        last = *byte;
    }
    out
}

/// The text that is to go into `file`, with its line endings; whether that changed it.
pub(super) fn adapted(file: &[u8], text: &[u8]) -> (Vec<u8>, bool) {
    let out = if is_crlf(file) { to_crlf(text) } else { text.to_vec() };
    let changed = out != text;
    (out, changed)
}

/// Where `needle` begins in `text`, also where two of them overlap.
fn find(text: &[u8], needle: &[u8]) -> Vec<usize> {
    // By the failure function of Knuth, Morris and Pratt: linear, whatever the texts are.
    let mut failure = vec![0usize; needle.len()];
    let mut matched = 0;
    for (index, byte) in needle.iter().enumerate().skip(1) {
        while matched > 0 && needle.get(matched) != Some(byte) {
            matched = failure.get(matched - 1).copied().unwrap_or(0);
        }
        if needle.get(matched) == Some(byte) {
            matched += 1;
        }
        if let Some(slot) = failure.get_mut(index) {
            *slot = matched;
        }
    }
    let mut found = Vec::new();
    matched = 0;
    for (index, byte) in text.iter().enumerate() {
        while matched > 0 && needle.get(matched) != Some(byte) {
            matched = failure.get(matched - 1).copied().unwrap_or(0);
        }
        if needle.get(matched) == Some(byte) {
            matched += 1;
        }
        if matched == needle.len() {
            found.push(index + 1 - matched);
            matched = failure.get(matched - 1).copied().unwrap_or(0);
        }
    }
    found
}

/// `new` for `old`, which must stand in `file` exactly `count` times.
pub(super) fn replace(file: &[u8], old: &[u8], new: &[u8], count: usize) -> Result<(Vec<u8>, bool), String> {
    if old.is_empty() {
        return Err("the old text is empty: give the text that is to be replaced".to_owned());
    }
    if count == 0 {
        return Err("no occurrences are to be replaced: give at least one".to_owned());
    }
    let ((old, old_adapted), (new, new_adapted)) = (adapted(file, old), adapted(file, new));
    if old == new {
        return Err("the old and the new text are the same".to_owned());
    }
    let found = find(file, &old);
    if found.is_empty() {
        return Err("the old text does not stand in the file: read it again".to_owned());
    }
    let overlap = found.windows(2).any(|pair| matches!(pair, [a, b] if b - a < old.len()));
    if overlap {
        return Err("occurrences of the old text overlap: give more of what surrounds it".to_owned());
    }
    if found.len() != count {
        return Err(format!(
            "the old text stands in the file {} times, not {count}: give more of what surrounds it, or the exact count",
            found.len()
        ));
    }
    let mut out = Vec::with_capacity(file.len());
    let mut rest = 0;
    for at in found {
        out.extend_from_slice(file.get(rest..at).unwrap_or_default());
        out.extend_from_slice(&new);
        rest = at + old.len();
    }
    out.extend_from_slice(file.get(rest..).unwrap_or_default());
    Ok((out, old_adapted || new_adapted))
}

/// `text` for the lines from `first` to `last`, from 1, both included; inserted where `last` is one less.
pub(super) fn replace_lines(
    file: &[u8],
    first: usize,
    last: usize,
    text: &[u8],
) -> Result<(Vec<u8>, bool), String> {
    let (mark, body) = split_mark(file);
    let there = lines(body);
    let inserts = last.checked_add(1) == Some(first);
    let fits = first >= 1 && if inserts { last <= there.len() } else { first <= last && last <= there.len() };
    if !fits {
        return Err(format!("there are no lines {first} to {last}: the file has {}", there.len()));
    }
    let (text, adapted) = adapted(file, split_mark(text).1);
    let unended = body.last().is_some_and(|byte| *byte != b'\n');
    let ending: &[u8] = if is_crlf(file) { b"\r\n" } else { b"\n" };
    let mut out = mark.to_vec();
    let mut put = |part: &[u8]| {
        out.extend_from_slice(part);
        if !part.is_empty() && !part.ends_with(b"\n") {
            out.extend_from_slice(ending);
        }
    };
    there.iter().take(first - 1).for_each(|line| put(line));
    put(&text);
    there.iter().skip(last).for_each(|line| put(line));
    if unended && out.len() > mark.len() && out.ends_with(ending) {
        out.truncate(out.len() - ending.len());
    }
    Ok((out, adapted))
}
