//! Where a witness is.

use std::net::IpAddr;

/// Why a witness was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadWitness {
    /// No address of a witness.
    #[error(
        "{url:?} is not the address of a witness: `https://`, a host, and a path without `?`, `#` and `@`; correct it"
    )]
    #[non_exhaustive]
    Address {
        /// What was given.
        url: String,
    },
    /// HTTP without TLS to another machine.
    #[error("{url:?} is another machine without TLS, where anybody on the way can answer; use `https://`")]
    #[non_exhaustive]
    Plain {
        /// What was given.
        url: String,
    },
    /// Roots of trust that cannot be read.
    #[error("the certificates for the witness cannot be read: {reason}; give them in PEM")]
    #[non_exhaustive]
    Roots {
        /// Why.
        reason: String,
    },
}

/// The prefix under which a witness takes requests.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    prefix: String,
    pub(super) is_tls: bool,
}

impl Address {
    /// So strict that no client understands another host than this.
    pub(super) fn parse(url: &str, plain_anywhere: bool) -> Result<Self, BadWitness> {
        let bad = || BadWitness::Address { url: url.to_owned() };
        let (is_tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(bad()),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = split_port(authority).ok_or_else(bad)?;
        let may_stand = |char: char| char.is_ascii_alphanumeric() || "-._~/%:[]".contains(char);
        if port.is_some_and(|port| port.parse::<u16>().is_err()) || !rest.chars().all(may_stand) {
            return Err(bad());
        }
        let ip = host.parse::<IpAddr>();
        let named = || host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_of_name));
        if ip.is_err() && !named() {
            return Err(bad());
        }
        // A name is looked up, and may be anywhere.
        if !is_tls && !plain_anywhere && !ip.is_ok_and(|ip| ip.is_loopback()) {
            return Err(BadWitness::Plain { url: url.to_owned() });
        }
        Ok(Self { prefix: url.trim_end_matches('/').to_owned(), is_tls })
    }

    /// The prefix, for messages.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn add_checkpoint(&self) -> String {
        format!("{}/add-checkpoint", self.prefix)
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// The host, without the brackets of an address of IPv6, and what stands behind its colon.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
        return host.contains(':').then_some((host, port));
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}
