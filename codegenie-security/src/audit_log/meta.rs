//! Who a log is: a note that its identity signed, for everybody to read.

use std::path::Path;

use super::error::AuditLogError;
use super::frame::LogId;
use super::keys::{LogIdentity, identity_name};
use crate::tlog::{Note, NoteVerifier};

const FIRST_LINE: &str = "codegenie-audit-log v2";

/// Text: first line, origin, log id in hexadecimal digits, verifier key of the identity.
#[derive(Clone)]
pub(super) struct LogMeta {
    pub(super) origin: String,
    pub(super) log_id: LogId,
    pub(super) identity: NoteVerifier,
}

impl LogMeta {
    pub(super) fn of(identity: &LogIdentity) -> Result<Self, AuditLogError> {
        let verifier = identity.verifier()?;
        Ok(Self { origin: identity.origin.clone(), log_id: identity.log_id, identity: verifier })
    }

    fn text(&self) -> String {
        let id: String = self.log_id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{FIRST_LINE}\n{}\n{id}\n{}\n", self.origin, self.identity)
    }

    pub(super) fn sign(&self, identity: &LogIdentity) -> Result<Vec<u8>, AuditLogError> {
        let note = Note::sign(self.text(), &identity.signer()?)
            .map_err(|_| AuditLogError::BadOrigin { origin: self.origin.clone() })?;
        Ok(note.to_string().into_bytes())
    }

    /// `None` when it is not signed by the key that it names, or names it as no log does.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let note = Note::parse(bytes).ok()?;
        let mut lines = note.unverified_text().strip_suffix('\n')?.split('\n');
        let (first, origin, id, key) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
        if first != FIRST_LINE || id.len() != 64 || lines.next().is_some() {
            return None;
        }
        let mut log_id = [0; 32];
        for (byte, place) in log_id.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(id.get(place..place + 2)?, 16).ok()?;
        }
        let meta = Self { origin: origin.to_owned(), log_id, identity: key.parse().ok()? };
        note.open(std::slice::from_ref(&meta.identity)).ok()?;
        let as_written = meta.text() == note.unverified_text();
        (as_written && meta.identity.name() == identity_name(origin)).then_some(meta)
    }

    /// As [`parse`](Self::parse); tells a newer version apart.
    pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Option<Self>, AuditLogError> {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let newer = first.starts_with(b"codegenie-audit-log v") && first != FIRST_LINE.as_bytes();
        match newer {
            // A flipped bit in the version breaks the signature as well; only what is signed is a version.
            true if Note::parse(bytes).is_ok_and(|note| signed_by_its_own_key(&note)) => {
                let what = String::from_utf8_lossy(first).into_owned();
                Err(AuditLogError::UnknownVersion { path: path.to_owned(), what })
            }
            _ => Ok(Self::parse(bytes)),
        }
    }
}

fn signed_by_its_own_key(note: &Note) -> bool {
    let key = note.unverified_text().lines().nth(3).and_then(|line| line.parse::<NoteVerifier>().ok());
    key.is_some_and(|key| note.open(&[key]).is_ok())
}
