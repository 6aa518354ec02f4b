//! Signatures of witnesses under checkpoints.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::note::{Note, NoteSignature};
use super::note_error::{BadNoteKey, NoteError};
use super::note_key::{id_of, read_key, write_key};
use crate::crypto::{Signature, VerifyingKey};

/// The type byte of an Ed25519 cosignature with a time.
const COSIGNATURE: u8 = 4;

/// The key of a witness (`c2sp.org/tlog-cosignature`, Ed25519): it signs checkpoints of logs of others, with the time, once
/// it has seen that they go on from what it signed before.
///
/// Its text is the verifier key of signed-note: `name+id+key`, with the type byte 4 before the key.
#[derive(Clone, PartialEq, Eq)]
pub struct CosignatureVerifier {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl CosignatureVerifier {
    /// The key with the name of the witness, usually a URL without its scheme.
    pub fn new(name: impl Into<String>, key: VerifyingKey) -> Result<Self, BadNoteKey> {
        let name = name.into();
        let id = id_of(&name, COSIGNATURE, &key)?;
        Ok(Self { name, id, key })
    }

    /// The name of the witness.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key. It tells keys apart, and proves nothing.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// When the witness signed the text of a note, as it says. Of several times the last.
    ///
    /// That the log itself signed it is for [`Note::open`].
    pub fn open(&self, note: &Note) -> Result<SystemTime, NoteError> {
        let mut last = None;
        for line in note.signatures().iter().filter(|line| self.is_by(line)) {
            let bad = || NoteError::BadSignature { name: self.name.clone(), id: self.id };
            let seconds = self.seconds(note.unverified_text(), line.signature()).ok_or_else(bad)?;
            let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or_else(bad)?;
            last = last.max(Some(time));
        }
        last.ok_or(NoteError::Unsigned)
    }

    /// A note with the signatures that this witness answered, as lines, and when it signed. Lines of others are left out.
    pub fn cosigned(&self, note: &Note, lines: &str) -> Result<(Note, SystemTime), NoteError> {
        let answered = Note::parse(format!("{note}{lines}").as_bytes())?;
        if answered.unverified_text() != note.unverified_text() {
            let line = note.to_string().split('\n').count();
            return Err(NoteError::Malformed { line, what: "is not a signature" });
        }
        let of_others = note.signatures().iter().filter(|line| !self.is_by(line));
        let own = answered.signatures().iter().skip(note.signatures().len()).filter(|line| self.is_by(line));
        let text = note.unverified_text();
        let lines: String = of_others.chain(own).map(|line| format!("{line}\n")).collect();
        let cosigned = Note::parse(format!("{text}\n{lines}").as_bytes())?;
        let time = self.open(&cosigned)?;
        Ok((cosigned, time))
    }

    fn is_by(&self, line: &NoteSignature) -> bool {
        line.id() == self.id && line.name() == self.name
    }

    /// The time in a signature that holds.
    fn seconds(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk::<8>()?;
        let seconds = Some(u64::from_be_bytes(*time)).filter(|seconds| *seconds <= i64::MAX as u64)?;
        let signature = Signature::from_bytes(signature.try_into().ok()?);
        let message = format!("cosignature/v1\ntime {seconds}\n{text}");
        self.key.verify_bare(message.as_bytes(), &signature).ok()?;
        Some(seconds)
    }
}

impl fmt::Display for CosignatureVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_key(f, &self.name, self.id, COSIGNATURE, &self.key)
    }
}

impl fmt::Debug for CosignatureVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignatureVerifier({self})")
    }
}

impl FromStr for CosignatureVerifier {
    type Err = BadNoteKey;

    fn from_str(text: &str) -> Result<Self, BadNoteKey> {
        let (name, id, key) = read_key(text, COSIGNATURE)?;
        Ok(Self { name: name.to_owned(), id, key })
    }
}
