//! Unified diffs of bytes, written.

use super::text;
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};
use std::time::{Duration, Instant};

/// After this long a file's differences are shown coarser than they could be; they stay right.
const DIFF_TIME: Duration = Duration::from_millis(500);
const CONTEXT: usize = 3;

/// Writes the hunks that lead from `old` to `new`. Gives the numbers of lines that came and went.
pub(super) fn hunks(old: &[u8], new: &[u8], out: &mut Vec<u8>) -> (usize, usize) {
    let (old, new) = (text::lines(old), text::lines(new));
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(Instant::now() + DIFF_TIME));
    let (mut added, mut removed) = (0, 0);
    for group in group_diff_ops(in_sequence(ops), CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let old_range = first.old_range().start..last.old_range().end;
        let new_range = first.new_range().start..last.new_range().end;
        out.extend_from_slice(
            format!("@@ -{} +{} @@\n", numbers(&old_range), numbers(&new_range)).as_bytes(),
        );
        for op in group {
            let (gone, come) = (op.old_range(), op.new_range());
            if matches!(op, DiffOp::Equal { .. }) {
                put(out, b' ', old.get(gone));
                continue;
            }
            removed += gone.len();
            added += come.len();
            put(out, b'-', old.get(gone));
            put(out, b'+', new.get(come));
        }
    }
    (added, removed)
}

/// The same, each beginning where the one before it ends: on the side on which nothing happens the algorithm does
/// not always say so.
fn in_sequence(ops: Vec<DiffOp>) -> Vec<DiffOp> {
    let (mut old_index, mut new_index) = (0, 0);
    let mut sequence = Vec::with_capacity(ops.len());
    for op in ops {
        let (old_len, new_len) = (op.old_range().len(), op.new_range().len());
        sequence.push(match op {
            DiffOp::Equal { len, .. } => DiffOp::Equal { old_index, new_index, len },
            DiffOp::Delete { .. } => DiffOp::Delete { old_index, old_len, new_index },
            DiffOp::Insert { .. } => DiffOp::Insert { old_index, new_index, new_len },
            DiffOp::Replace { .. } => DiffOp::Replace { old_index, old_len, new_index, new_len },
        });
        old_index += old_len;
        new_index += new_len;
    }
    sequence
}

fn numbers(range: &std::ops::Range<usize>) -> String {
    match range.len() {
        1 => (range.start + 1).to_string(),
        0 => format!("{},0", range.start),
        length => format!("{},{length}", range.start + 1),
    }
}

fn put(out: &mut Vec<u8>, mark: u8, lines: Option<&[&[u8]]>) {
    for line in lines.unwrap_or_default() {
        out.push(mark);
        out.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            out.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}
