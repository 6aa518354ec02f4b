//! SOCKS5 (RFC 1928) as far as the proxy speaks it: no authentication, CONNECT only. Pure functions on bytes.

use crate::sandbox::HostName;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;

/// What a SOCKS5 request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocksRequest {
    /// The host.
    pub host: HostName,
    /// The port.
    pub port: u16,
}

/// Why bytes are not a greeting or a request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocksError {
    /// Another version, or a reserved byte that is not zero.
    Malformed,
    /// The client insists on authentication.
    Authentication,
    /// BIND or UDP.
    Command,
    /// An unknown type of address.
    AddressType,
    /// A name that no host has, or port 0.
    Host,
}

impl SocksError {
    /// The reply's code, as RFC 1928 numbers them.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Malformed | Self::Authentication | Self::Host => 1,
            Self::Command => 7,
            Self::AddressType => 8,
        }
    }
}

impl fmt::Display for SocksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not SOCKS5 as RFC 1928 has it",
            Self::Authentication => "the client offers no way without authentication",
            Self::Command => "only CONNECT is there, neither BIND nor UDP",
            Self::AddressType => "the type of address is unknown",
            Self::Host => "the host is neither a name nor an address, or the port is 0",
        })
    }
}

/// Reads a greeting: `None` while it is incomplete, then its length.
pub fn parse_greeting(bytes: &[u8]) -> Result<Option<usize>, SocksError> {
    match bytes {
        [] | [VERSION] => Ok(None),
        [VERSION, 0, ..] => Err(SocksError::Authentication),
        [VERSION, count, rest @ ..] => match rest.get(..usize::from(*count)) {
            None => Ok(None),
            Some(methods) if methods.contains(&NO_AUTHENTICATION) => Ok(Some(2 + methods.len())),
            Some(_) => Err(SocksError::Authentication),
        },
        _ => Err(SocksError::Malformed),
    }
}

/// Reads a request: `None` while it is incomplete, then what it asks for and its length.
pub fn parse_request(bytes: &[u8]) -> Result<Option<(SocksRequest, usize)>, SocksError> {
    let (kind, rest) = match bytes {
        [VERSION, CONNECT, 0, kind, rest @ ..] => (*kind, rest),
        [] | [VERSION] | [VERSION, CONNECT] | [VERSION, CONNECT, 0] => return Ok(None),
        [VERSION, CONNECT, ..] => return Err(SocksError::Malformed),
        [VERSION, ..] => return Err(SocksError::Command),
        _ => return Err(SocksError::Malformed),
    };
    let (host, port, used) = match (kind, rest) {
        (1, [a, b, c, d, high, low, ..]) => {
            (HostName::Address(Ipv4Addr::new(*a, *b, *c, *d).into()), [*high, *low], 4 + 6)
        }
        (4, rest) if rest.len() >= 18 => {
            let octets: Option<[u8; 16]> = rest.first_chunk().copied();
            let (Some(octets), Some([high, low])) = (octets, rest.get(16..18)) else { return Ok(None) };
            let address = IpAddr::V6(Ipv6Addr::from(octets)).to_canonical();
            (HostName::Address(address), [*high, *low], 4 + 18)
        }
        (3, [len, rest @ ..]) => {
            let len = usize::from(*len);
            let (Some(name), Some([high, low])) = (rest.get(..len), rest.get(len..len + 2)) else {
                return Ok(None);
            };
            let name = std::str::from_utf8(name).ok().and_then(HostName::parse).ok_or(SocksError::Host)?;
            (name, [*high, *low], 4 + 1 + len + 2)
        }
        (1 | 3 | 4, _) => return Ok(None),
        _ => return Err(SocksError::AddressType),
    };
    match u16::from_be_bytes(port) {
        0 => Err(SocksError::Host),
        port => Ok(Some((SocksRequest { host, port }, used))),
    }
}

/// A reply with this code and no address of interest.
pub(super) fn reply(code: u8) -> [u8; 10] {
    [VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

/// The answer to a greeting.
pub(super) fn greeting_reply(accepted: bool) -> [u8; 2] {
    [VERSION, if accepted { NO_AUTHENTICATION } else { 0xff }]
}
