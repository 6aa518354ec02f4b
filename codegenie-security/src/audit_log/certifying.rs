//! More certificates for a log that is written for long.

use super::epoch::Certificates;
use super::keys::KeyStore;
use super::{AuditLog, AuditLogError};
use crate::crypto::SealingKey;

impl AuditLog {
    /// Has the identity certify as many epochs as at the opening, the current one the first: a log need not be opened again
    /// when those are [used up](Self::epochs).
    ///
    /// `key` is what the log was opened with. The identity is read from the directory of keys and wiped again before this
    /// returns.
    pub fn certify(&self, key: &SealingKey) -> Result<(), AuditLogError> {
        let (keys, epoch) = {
            let writer = self.shared.commits.writer();
            (writer.base().keys.path().to_owned(), writer.epoch_to_certify())
        };
        let refused = || AuditLogError::BadKeys { path: keys.join(super::layout::IDENTITY) };
        let identity = KeyStore::at(&keys, key).identity()?.ok_or_else(refused)?;
        let signer = identity.signer()?;
        // Of another log, or of the one that somebody put in this one's place.
        if identity.origin != self.origin || signer.verifier() != self.identity {
            return Err(refused());
        }
        let certificates = Certificates::ahead(&signer, &self.origin, &epoch, self.certify_ahead);
        let certificates = certificates.ok_or_else(refused)?;
        self.shared.commits.writer().certify(certificates);
        Ok(())
    }
}
