//! A policy as a text: TOML or JSON of one shape.

mod locate;
mod shape;

use std::fmt;

use super::compile::{Misplaced, PolicyError, compile};
use super::{Policy, PolicyBuilder};
use locate::Place;
use sha2::{Digest, Sha256};

/// No policy text is longer.
pub(super) const MAX_LEN: usize = 64 << 20;

/// How a policy is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyFormat {
    /// TOML 1.0.
    Toml,
    /// JSON.
    Json,
}

/// Why a text is no policy, and where in it.
#[derive(Debug)]
pub struct PolicyFileError {
    place: Option<Place>,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// What the parser says, in one line.
    Text(String),
    Policy(PolicyError),
    Io(String, std::io::Error),
}

impl PolicyFileError {
    /// The line, from 1, where that is known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.place.map(|place| place.line)
    }

    /// The column in characters, from 1, where that is known.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.place.map(|place| place.column)
    }

    /// What is wrong with the policy, where the text itself is well-formed.
    #[must_use]
    pub fn policy_error(&self) -> Option<&PolicyError> {
        match &self.cause {
            Cause::Policy(error) => Some(error),
            _ => None,
        }
    }

    pub(super) fn text(text: String) -> Self {
        Self { place: None, cause: Cause::Text(text) }
    }

    pub(super) fn too_long() -> Self {
        Self::text(format!("the policy has more than {MAX_LEN} bytes; split it"))
    }

    pub(super) fn io(path: &std::path::Path, error: std::io::Error) -> Self {
        Self { place: None, cause: Cause::Io(format!("{path:?}"), error) }
    }
}

impl fmt::Display for PolicyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        match &self.cause {
            Cause::Text(text) => f.write_str(text),
            Cause::Policy(error) => error.fmt(f),
            Cause::Io(path, error) => {
                write!(f, "cannot read policy file {path}: {error}; check the path and its permissions")
            }
        }
    }
}

impl std::error::Error for PolicyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Text(_) => None,
            Cause::Policy(error) => Some(error),
            Cause::Io(_, error) => Some(error),
        }
    }
}

impl Policy {
    /// Reads a policy from a text.
    ///
    /// ```
    /// use codegenie_security::{AccessRequest, Policy, PolicyFormat};
    ///
    /// let policy = Policy::parse(r#"
    ///     actions = ["read", "write", "execute", "connect"]   # optional: all others are denied
    ///
    ///     [roles.reader]
    ///     allow = ["read:/src/**"]
    ///
    ///     [roles.agent]
    ///     inherits = ["reader"]
    ///     allow = [
    ///         "connect:**",
    ///         { permission = "write:/src/**", when = { level = 1, hours = "08:00-18:00", weekdays = "mon-fri" } },
    ///     ]
    ///     deny = [{ permission = "connect:**", when = { labels = ["untrusted-content", "private-data"] } }]
    ///
    ///     [users.alice]
    ///     roles = ["reader", { role = "agent", until = "2027-01-01T00:00:00Z" }]
    ///     allow = ["execute:command:git"]
    ///
    ///     [[separations]]
    ///     roles = ["reader", "agent"]
    ///     in_one_session = true
    /// "#, PolicyFormat::Toml)?;
    /// assert!(policy.decide(&AccessRequest::new("alice", "execute", "command:git")).is_allowed());
    /// # Ok::<(), codegenie_security::PolicyFileError>(())
    /// ```
    ///
    /// A condition has `level`, `labels`, `tags` (a table), `networks` (a list), `hours`, `weekdays` and `utc_offset` (minutes), all
    /// optional. What is not known is an error, as is a name that stands twice.
    ///
    /// # End mark
    ///
    /// A TOML text that is cut off, because it was read while it was written, may be a policy without the
    /// prohibitions at its end. One that begins with `end_marked = true` has to end with a line `[end]`, and is
    /// refused when that is missing. JSON that is cut off is no JSON; there the two keys may be written as well.
    pub fn parse(text: &str, format: PolicyFormat) -> Result<Self, PolicyFileError> {
        if text.len() > MAX_LEN {
            return Err(PolicyFileError::too_long());
        }
        let shape: shape::File = match format {
            PolicyFormat::Toml => toml::from_str(text).map_err(|error| {
                let place = error.span().map(|span| locate::place_of(text, span.start));
                PolicyFileError { place, cause: Cause::Text(one_line(error.message())) }
            })?,
            PolicyFormat::Json => serde_json::from_str(text).map_err(|error| {
                let place =
                    (error.line() > 0).then(|| Place { line: error.line(), column: error.column().max(1) });
                // The place is told apart from the message.
                let message = error.to_string();
                let end = message.rfind(" at line ").unwrap_or(message.len());
                PolicyFileError {
                    place,
                    cause: Cause::Text(one_line(message.get(..end).unwrap_or(&message))),
                }
            })?,
        };
        if let Some(why) = shape.end_is_missing(text, format) {
            return Err(PolicyFileError::text(why.to_owned()));
        }
        let builder = PolicyBuilder::from(shape);
        let compiled = compile(builder).map_err(|Misplaced { error, path }| {
            let offset = match format {
                PolicyFormat::Toml => locate::in_toml(text, &path),
                PolicyFormat::Json => locate::in_json(text, &path),
            };
            PolicyFileError {
                place: offset.map(|offset| locate::place_of(text, offset)),
                cause: Cause::Policy(error),
            }
        })?;
        Ok(Self { source: Some(fingerprint(text, format)), ..compiled })
    }
}

/// Tells whether two policies were made from the same text.
pub(super) fn fingerprint(text: &str, format: PolicyFormat) -> [u8; 32] {
    let format = match format {
        PolicyFormat::Toml => b't',
        PolicyFormat::Json => b'j',
    };
    Sha256::new().chain_update([format]).chain_update(text).finalize().into()
}

fn one_line(text: &str) -> String {
    format!("{}; correct the text", text.split_whitespace().collect::<Vec<_>>().join(" "))
}
