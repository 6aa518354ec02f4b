//! What can go wrong in the wiring.

use std::io;
use std::path::{Path, PathBuf};

use crate::access::{Decision, OpenSessionError, PersistenceError, SessionError, Throttled, TotpError};
use crate::audit::AuditError;
use crate::audit_log::AuditLogError;
use crate::crypto::{KeyFileError, KeysetError, NoRandomness, PasswordError};

/// Why the framework was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameworkError {
    /// The master key's file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The keys.
    #[error(transparent)]
    Keyset(#[from] KeysetError),
    /// The record.
    #[error(transparent)]
    AuditLog(#[from] AuditLogError),
    /// The sessions.
    #[error(transparent)]
    Sessions(#[from] PersistenceError),
    /// No random key could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The directory.
    #[error("cannot {action} directory {path:?}: {source}; check the path, its owner and its permissions")]
    #[non_exhaustive]
    Io {
        /// What was tried.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl FrameworkError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The password is not the user's, or there is no such user. Opaque on purpose.
    #[error("user or password refused; check both")]
    Refused,
    /// Too many attempts.
    #[error(transparent)]
    Throttled(Throttled),
    /// The password was not verified.
    #[error(transparent)]
    Password(PasswordError),
    /// The session was not opened.
    #[error(transparent)]
    Session(OpenSessionError),
    /// The session does not count, or could not be ended for good.
    #[error(transparent)]
    Token(SessionError),
    /// The one-time code was not taken.
    #[error(transparent)]
    Code(TotpError),
    /// It could not be recorded, so it was not done.
    #[error("not recorded, so not done: {0}")]
    NotRecorded(AuditError),
}

/// Why an operation has no result, or why what it did is not on record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError<T, E> {
    /// It may not be done. It did not run.
    #[error("{0}")]
    Denied(Decision),
    /// That it would begin could not be recorded. It did not run.
    #[error("not recorded, so not begun: {0}")]
    NotRecorded(AuditError),
    /// The operation's own error, untouched.
    #[error(transparent)]
    Operation(E),
    /// It ran, and how it ended could not be recorded.
    #[error("ran, and its end is not on record: {error}")]
    #[non_exhaustive]
    EndNotRecorded {
        /// Why.
        error: AuditError,
        /// What it returned.
        result: Result<T, E>,
    },
}
