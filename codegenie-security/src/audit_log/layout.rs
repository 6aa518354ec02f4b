//! The names of the files in the directory of a log, and in that of its keys.

/// Who the log is: a note that its identity signed.
pub(super) const LOG: &str = "log";
/// The last checkpoint, as `c2sp.org/tlog-tiles` has it.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// Which segments retention removed: a note that an epoch signed.
pub(super) const PRUNED: &str = "pruned";
/// Held by the one process that writes.
pub(super) const LOCK: &str = "lock";
pub(super) const SEGMENTS: &str = "segments";
pub(super) const INDEXES: &str = "index";

/// In the directory of keys.
pub(super) const IDENTITY: &str = "identity";
pub(super) const READER: &str = "reader";
pub(super) const EPOCH: &str = "epoch";
/// A subject that is being shredded.
pub(super) const SHREDDING: &str = "shredding";

const DIGITS: usize = 10;
const SUBJECTS: &str = ".subjects";

pub(super) fn segment(number: u64) -> String {
    format!("{SEGMENTS}/{number:0DIGITS$}")
}

/// The keys of the subjects of a segment.
pub(super) fn subjects(number: u64) -> String {
    format!("{SEGMENTS}/{number:0DIGITS$}{SUBJECTS}")
}

pub(super) fn index(number: u64) -> String {
    format!("{INDEXES}/{number:0DIGITS$}")
}

/// What a name in the directory of segments is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentFile {
    Segment(u64),
    Subjects(u64),
}

/// `None` for a name that the log never gives.
pub(super) fn parse_segment_file(name: &str) -> Option<SegmentFile> {
    let (digits, is_subjects) = match name.strip_suffix(SUBJECTS) {
        Some(digits) => (digits, true),
        None => (name, false),
    };
    let number = parse_number(digits)?;
    Some(if is_subjects { SegmentFile::Subjects(number) } else { SegmentFile::Segment(number) })
}

/// The number of a segment as its file is named.
pub(super) fn parse_number(digits: &str) -> Option<u64> {
    let number = digits.parse().ok()?;
    (format!("{number:0DIGITS$}") == digits).then_some(number)
}
