//! Stored events in the formats that collectors read: OCSF JSON lines, CEF, RFC 5424 syslog, and (feature `otlp`)
//! OTLP logs.
//!
//! ```
//! use codegenie_security::export::{Exporter, Origin};
//! use codegenie_security::{AuditEvent, EventClass, StoredEvent};
//!
//! let event = AuditEvent::new(EventClass::Command, "execute", "git status").actor("alice");
//! let mut lines = Vec::new();
//! Exporter::OcsfJson(Origin::new().hostname("build-7")).write(&StoredEvent::new(0, event), &mut lines)?;
//! assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The encoders are pure, and cut nothing: a collector that has a limit of its own applies it. One event is
//! one line. What could break a line, or turn it around on a screen, is written as an escape: control
//! characters, the line separators U+0085, U+2028 and U+2029, and the marks that change the direction of
//! writing. In JSON that is JSON's own escape; in CEF and syslog it is `\n`, `\r`, or a backslash, `u` and four
//! hexadecimal digits, where a backslash of the text itself is written twice.

mod activity;
mod cef;
mod finding;
mod ocsf;
mod octets;
mod origin;
#[cfg(feature = "otlp")]
mod otlp;
mod syslog;
pub(crate) mod text;

use std::io;

pub use cef::cef;
pub(crate) use ocsf::escape as escape_json;
pub use ocsf::ocsf_json;
pub use octets::SyslogTcp;
pub use origin::Origin;
#[cfg(feature = "otlp")]
pub use otlp::otlp_logs;
pub use syslog::Syslog;

use crate::StoredEvent;

/// A format, and what it says about where the events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exporter {
    /// JSON lines by [`ocsf_json`].
    OcsfJson(Origin),
    /// Lines by [`cef`].
    Cef(Origin),
    /// Lines by [`Syslog`]. Over TCP, [`SyslogTcp`] frames them by their length instead.
    Syslog(Syslog),
    /// JSON lines by [`otlp_logs`], each a whole request of one event: what a collector reads from a file.
    #[cfg(feature = "otlp")]
    Otlp(Origin),
}

impl Exporter {
    /// The event as one line, without its end.
    #[must_use]
    pub fn encode(&self, stored: &StoredEvent) -> String {
        match self {
            Self::OcsfJson(origin) => ocsf_json(origin, stored),
            Self::Cef(origin) => cef(origin, stored),
            Self::Syslog(syslog) => syslog.encode(stored),
            #[cfg(feature = "otlp")]
            Self::Otlp(origin) => otlp_logs(origin, std::slice::from_ref(stored)),
        }
    }

    /// Writes the event as one line, with its end, by one `write_all`.
    pub fn write(&self, stored: &StoredEvent, out: &mut impl io::Write) -> io::Result<()> {
        let mut line = self.encode(stored);
        line.push('\n');
        out.write_all(line.as_bytes())
    }
}
