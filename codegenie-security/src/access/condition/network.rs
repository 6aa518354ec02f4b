//! Networks that a session may come from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::BadCondition;

/// The tag that holds the address a session was opened from.
pub(in crate::access) const ADDRESS: &str = "address";

/// Addresses with the same beginning: `10.0.0.0/8`, `2001:db8::/32`; one address without a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::access) struct Network {
    base: IpAddr,
    prefix: u32,
}

impl Network {
    pub(in crate::access) fn contains(&self, address: IpAddr) -> bool {
        let masked =
            |bits: u128, width: u32| if self.prefix == 0 { 0 } else { bits >> (width - self.prefix) };
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                masked(base.to_bits().into(), 32) == masked(address.to_bits().into(), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                masked(base.to_bits(), 128) == masked(address.to_bits(), 128)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = BadCondition;

    fn from_str(text: &str) -> Result<Self, BadCondition> {
        let bad = || BadCondition {
            why: format!(
                "{text:?} is no network; write an address and a length, such as 10.0.0.0/8 or 2001:db8::/32"
            ),
        };
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let base = address.parse::<IpAddr>().map_err(|_| bad())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match length {
            None => width,
            Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map_err(|_| bad())?
            }
            Some(_) => return Err(bad()),
        };
        let network = Self { base, prefix };
        let is_rest_empty = match base {
            _ if prefix > width => return Err(bad()),
            IpAddr::V4(base) => u64::from(base.to_bits()) << prefix & 0xffff_ffff == 0,
            IpAddr::V6(base) => base.to_bits().checked_shl(prefix).unwrap_or(0) == 0,
        };
        if base.to_canonical() != base || !is_rest_empty {
            return Err(BadCondition {
                why: format!(
                    "{text:?} names an address within a network; write the network's first address, as IPv4 where it is that"
                ),
            });
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}
