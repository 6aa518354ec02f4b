//! Finds where hunks belong, and applies them.

use super::{FilePatch, Hunk, PatchError, Side};
use crate::edit::text;

/// How inexactly a hunk may fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatchLimits {
    /// Lines of context at either end of a hunk that may differ.
    pub fuzz: usize,
    /// Lines by which a hunk may be away from where it says.
    pub offset: usize,
}

impl Default for PatchLimits {
    /// Two lines of context, 1,000 lines away.
    fn default() -> Self {
        Self { fuzz: 2, offset: 1000 }
    }
}

impl PatchLimits {
    /// Every hunk exactly as it says.
    #[must_use]
    pub const fn exact() -> Self {
        Self { fuzz: 0, offset: 0 }
    }

    /// Sets how many lines of context at either end may differ.
    #[must_use]
    pub const fn fuzz(mut self, lines: usize) -> Self {
        self.fuzz = lines;
        self
    }

    /// Sets how far away a hunk may be.
    #[must_use]
    pub const fn offset(mut self, lines: usize) -> Self {
        self.offset = lines;
        self
    }
}

/// Where a hunk was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HunkPlace {
    /// The line of the file, as it was before the diff, at which the hunk begins; from 1.
    pub line: usize,
    /// How many lines further down that is than the hunk says; further up where negative.
    pub offset: isize,
    /// Lines of context that were left out of account at either end.
    pub fuzz: usize,
}

/// What a diff made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patched {
    /// The new content.
    pub content: Vec<u8>,
    /// Where the hunks were applied, in their order.
    pub hunks: Vec<HunkPlace>,
    /// The file's lines end with CRLF and the diff's did not: they were given CRLF.
    pub line_endings_adapted: bool,
}

/// Comparisons of lines in one diff, after which it is too costly.
const WORK: usize = 50_000_000;

pub(super) fn apply(patch: &FilePatch, before: &[u8], limits: &PatchLimits) -> Result<Patched, PatchError> {
    let lines_of_patch = || patch.hunks.iter().flat_map(|hunk| &hunk.lines);
    let adapts = text::is_crlf(before) && !lines_of_patch().any(|line| line.text.ends_with(b"\r\n"));
    let adapted: Vec<Hunk>;
    let hunks = if adapts {
        adapted = patch.hunks.iter().map(with_crlf).collect();
        &adapted
    } else {
        &patch.hunks
    };
    let (mark, body) = text::split_mark(before);
    let marked = hunks.first().and_then(|hunk| hunk.lines.first()).is_some_and(|line| {
        let at_start = hunks.first().is_some_and(|hunk| hunk.old_start <= 1);
        at_start && !text::split_mark(&line.text).0.is_empty()
    });
    // A diff that has the mark in its first line speaks about it.
    let (mark, body) = if marked { (&b""[..], before) } else { (mark, body) };
    let file = text::lines(body);
    let mut out = mark.to_vec();
    let mut places = Vec::with_capacity(hunks.len());
    let (mut next, mut moved, mut work) = (0usize, 0isize, 0usize);
    for (index, hunk) in hunks.iter().enumerate() {
        let fail = |why: String| PatchError::DoesNotApply { hunk: index + 1, line: hunk.old_start, why };
        let said = if hunk.old_len == 0 { hunk.old_start } else { hunk.old_start.saturating_sub(1) };
        let old: Vec<&[u8]> = hunk
            .lines
            .iter()
            .filter(|line| line.side != Side::New)
            .map(|line| line.text.as_slice())
            .collect();
        let (at, fuzz) = if old.is_empty() {
            // Nothing shows where it belongs but its line.
            if moved != 0 || said < next || said > file.len() {
                return Err(fail(
                    "it has no lines to find its place by, and its line is not there".to_owned(),
                ));
            }
            (said, 0)
        } else {
            let expected = said.saturating_add_signed(moved);
            find(&file, hunk, &old, next, expected, limits, &mut work).map_err(fail)?
        };
        moved = at.cast_signed() - said.cast_signed();
        out.extend(file.get(next..at).unwrap_or_default().iter().copied().flatten());
        let mut here = at;
        for line in &hunk.lines {
            match line.side {
                // As the file has it: context that was left out of account may differ.
                Side::Both => {
                    out.extend_from_slice(file.get(here).copied().unwrap_or_default());
                    here += 1;
                }
                Side::Old => here += 1,
                Side::New => {
                    if out.last().is_some_and(|last| *last != b'\n') && out.len() > mark.len() {
                        return Err(fail("it adds lines after a last line without a line feed".to_owned()));
                    }
                    out.extend_from_slice(&line.text);
                }
            }
        }
        next = here.min(file.len());
        if out.last().is_some_and(|last| *last != b'\n') && out.len() > mark.len() && next < file.len() {
            return Err(fail("its last line has no line feed, but the file goes on".to_owned()));
        }
        places.push(HunkPlace { line: at + 1, offset: moved, fuzz });
    }
    out.extend(file.get(next..).unwrap_or_default().iter().copied().flatten());
    if patch.new.is_none() && !out.is_empty() {
        return Err(PatchError::DoesNotApply {
            hunk: hunks.len(),
            line: 1,
            why: "it deletes the file, but the file has more than it says".to_owned(),
        });
    }
    Ok(Patched { content: out, hunks: places, line_endings_adapted: adapts && !hunks.is_empty() })
}

fn with_crlf(hunk: &Hunk) -> Hunk {
    let mut hunk = hunk.clone();
    for line in &mut hunk.lines {
        line.text = text::to_crlf(&line.text);
    }
    hunk
}

/// The line at which the hunk fits, and how much of its context was left out of account.
fn find(
    file: &[&[u8]],
    hunk: &Hunk,
    old: &[&[u8]],
    from: usize,
    expected: usize,
    limits: &PatchLimits,
    work: &mut usize,
) -> Result<(usize, usize), String> {
    let context = |lines: &mut dyn Iterator<Item = &super::Line>| {
        lines.take_while(|line| line.side == Side::Both).count()
    };
    let prefix = context(&mut hunk.lines.iter());
    let suffix = context(&mut hunk.lines.iter().rev());
    let most = prefix.max(suffix);
    for fuzz in 0..=limits.fuzz.min(most) {
        // At the end that has less context than the other, less is left out.
        let head = (fuzz + prefix).saturating_sub(most).min(prefix);
        let tail = (fuzz + suffix).saturating_sub(most).min(suffix);
        let Some(wanted) = old.get(head..old.len().saturating_sub(tail)).filter(|rest| !rest.is_empty())
        else {
            break;
        };
        let mut fits = |at: usize| {
            wanted.iter().zip(file.iter().skip(at + head)).all(|(wanted, line)| {
                *work += 1;
                wanted == line
            })
        };
        // Context that is left out of account may be missing at the file's end.
        let Some(highest) = file.len().checked_sub(old.len() - tail).filter(|highest| *highest >= from)
        else {
            continue;
        };
        let low = expected.saturating_sub(limits.offset).max(from);
        let mut high = expected.saturating_add(limits.offset).min(highest);
        // With less context before than after the change it was made at the beginning of the file, and belongs there.
        if fuzz + prefix < most && hunk.old_start <= 1 {
            high = 0;
        }
        let ambiguous = |a: usize, b: usize| {
            format!(
                "it fits at lines {} and {}: give more context, or the right line",
                a.min(b) + 1,
                a.max(b) + 1
            )
        };
        if (low..=high).contains(&expected) && fits(expected) {
            // With less context after it, it was made at the end.
            if fuzz + suffix < most && highest != expected && fits(highest) {
                return Err(ambiguous(expected, highest));
            }
            return Ok((expected, fuzz));
        }
        let mut found = None;
        for at in low..=high {
            if at != expected
                && fits(at)
                && let Some(first) = found.replace(at)
            {
                return Err(ambiguous(first, at));
            }
        }
        if *work > WORK {
            return Err("finding its place takes too long: give the right lines".to_owned());
        }
        if let Some(at) = found {
            return Ok((at, fuzz));
        }
    }
    Err("its lines are not in the file near its place: read the file again, and give as much context after the change as before it".to_owned())
}
