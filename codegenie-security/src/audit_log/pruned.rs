//! The note that says which segments retention removed, so that nobody else can remove any.

use super::header::Header;
use crate::tlog::{Hash, Note, NoteError, NoteSigner, NoteVerifier, TreeHead};

const FIRST_LINE: &str = "codegenie-audit-pruned v1";

pub(super) struct Pruned {
    /// The first segment that is kept.
    pub(super) first: u64,
    /// The tree before it.
    pub(super) head: TreeHead,
    /// Its first record.
    pub(super) sequence: u64,
    note: Note,
}

impl Pruned {
    /// Signs that all before a segment may be gone.
    pub(super) fn sign(origin: &str, kept: &Header, signer: &NoteSigner) -> Result<Vec<u8>, NoteError> {
        let TreeHead { size, root } = kept.tree.head();
        let text = format!("{FIRST_LINE}\n{origin}\n{}\n{size}\n{root}\n{}\n", kept.segment, kept.first);
        Ok(Note::sign(text, signer)?.to_string().into_bytes())
    }

    /// Who signed it is not asked yet: the keys are in the segments.
    pub(super) fn parse(bytes: &[u8], origin: &str) -> Option<Self> {
        let note = Note::parse(bytes).ok()?;
        let mut lines = note.unverified_text().strip_suffix('\n')?.split('\n');
        let as_expected = lines.next()? == FIRST_LINE && lines.next()? == origin;
        let first = lines.next()?.parse().ok()?;
        let (size, root) = (lines.next()?.parse().ok()?, lines.next()?.parse::<Hash>().ok()?);
        let sequence = lines.next()?.parse().ok()?;
        let whole = as_expected && lines.next().is_none();
        whole.then_some(Self { first, head: TreeHead { size, root }, sequence, note })
    }

    /// Did one of these keys sign it?
    pub(super) fn is_signed_by(&self, signers: &[(u64, NoteVerifier)]) -> bool {
        signers.iter().any(|(_, signer)| self.note.open(std::slice::from_ref(signer)).is_ok())
    }
}
