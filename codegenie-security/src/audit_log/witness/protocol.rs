//! What is said to a witness, and what its answers mean (`c2sp.org/tlog-witness`).

use crate::tlog::{ConsistencyProof, Note, decimal};

/// The type of an answer that is the size of a tree.
const SIZE_TYPE: &str = "text/x.tlog.size";
/// Hashes that a request may have.
const MAX_PROOF: usize = 63;

/// What came back, before anything of it is believed.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// What it means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Lines that should be signatures.
    Signatures(String),
    /// The witness has signed a tree of another size last, or another tree of this size.
    Size(u64),
    /// As before, and it does not say which.
    Conflict,
    /// The proof leads elsewhere than to what the witness signed last.
    ProofRefused,
    /// It does not know the log.
    UnknownLog,
    /// It does not know the key of the log.
    UnknownKey,
    /// It says nothing that this protocol has.
    Other(u16),
}

/// The body of the request to sign a checkpoint. `None` with a longer proof than any tree has.
pub(super) fn request(old: u64, proof: &ConsistencyProof, checkpoint: &Note) -> Option<String> {
    let hashes = proof.hashes();
    let lines: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
    (hashes.len() <= MAX_PROOF).then(|| format!("old {old}\n{lines}\n{checkpoint}"))
}

pub(super) fn answer(response: Response) -> Answer {
    let Response { status, content_type, body } = response;
    let text = String::from_utf8(body).ok();
    match status {
        200 => text.map_or(Answer::Other(status), Answer::Signatures),
        403 => Answer::UnknownKey,
        404 => Answer::UnknownLog,
        409 => {
            let kind = content_type.split(';').next().unwrap_or_default().trim();
            let text = text.filter(|_| kind.eq_ignore_ascii_case(SIZE_TYPE));
            let size = text.as_deref().and_then(|text| decimal(text.strip_suffix('\n')?));
            size.map_or(Answer::Conflict, Answer::Size)
        }
        422 => Answer::ProofRefused,
        _ => Answer::Other(status),
    }
}
