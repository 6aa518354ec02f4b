//! What must hold for any bytes that are read as a diff and applied to any text. Shared by the fuzz target and by a
//! bounded test that runs with the others.

use codegenie_exec::{Patch, PatchLimits};

/// Reads what follows the first zero byte as a diff, and applies it to what precedes it.
pub(crate) fn patch(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (text, diff) = (&bytes[..at], &bytes[at..]);
    let Ok(patch) = Patch::parse(diff.strip_prefix(b"\0").unwrap_or(diff)) else { return };
    assert!(!patch.files().is_empty());
    let _ = patch.edits(0);
    let _ = patch.edits(1);
    for file in patch.files() {
        assert!(file.old_name().is_some() || file.new_name().is_some());
        let exact = file.apply(text, &PatchLimits::exact());
        let inexact = file.apply(text, &PatchLimits::default());
        if let Ok(exact) = exact {
            assert!(exact.hunks.iter().all(|hunk| hunk.fuzz == 0 && hunk.offset == 0));
            // What fits as it says is not looked for elsewhere.
            assert_eq!(Some(exact), inexact.as_ref().ok().cloned());
        }
        if let Ok(inexact) = inexact {
            assert!(inexact.content.len() <= text.len() * 2 + diff.len() * 2);
            assert!(inexact.hunks.is_sorted_by_key(|hunk| hunk.line));
            assert!(inexact.hunks.iter().all(|hunk| hunk.fuzz <= 2 && hunk.offset.unsigned_abs() <= 1000));
            assert!(file.new_name().is_some() || inexact.content.is_empty());
        }
    }
}
