//! What a policy's rules say about a host, and about the addresses that its name led to.

use super::address::AddressKind;
use crate::sandbox::{DomainRule, HostName, HostPattern};
use std::net::IpAddr;

/// Rules that were read.
#[derive(Clone, Debug)]
pub(super) struct Rules(Vec<(DomainRule, HostPattern)>);

impl Rules {
    pub(super) fn read(rules: Vec<DomainRule>) -> Result<Self, String> {
        let read = rules.into_iter().map(|rule| rule.parse().map(|pattern| (rule, pattern)));
        read.collect::<Result<_, _>>().map(Self)
    }

    /// A rule that permits this host and port: one that permits more of its addresses before one that
    /// permits less.
    pub(super) fn permitting(&self, host: &HostName, port: u16) -> Option<&DomainRule> {
        let permitting =
            || self.0.iter().filter(|(_, pattern)| pattern.permits(host, port)).map(|(rule, _)| rule);
        permitting().find(|rule| rule.permits_private_addresses()).or_else(|| permitting().next())
    }

    /// Whether the host is named with other ports.
    pub(super) fn name(&self, host: &HostName) -> bool {
        self.0.iter().any(|(_, pattern)| pattern.is_about(host))
    }

    /// Why a connection under `rule` may not go to this address.
    pub(super) fn refused(&self, rule: &DomainRule, address: IpAddr, port: u16) -> Option<AddressKind> {
        let address = address.to_canonical();
        let mut kind = AddressKind::of(address);
        if kind.is_public() && is_own(address) {
            kind = AddressKind::Loopback;
        }
        let named = || self.permitting(&HostName::Address(address), port).is_some();
        let permitted = match kind {
            AddressKind::Public => true,
            AddressKind::NoHost => false,
            kind => (kind.is_private() && rule.permits_private_addresses()) || named(),
        };
        (!permitted).then_some(kind)
    }
}

/// Whether the address is the host's own, found out without sending anything: the way from the host to
/// itself begins at the address that it ends at.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let probe = std::net::UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    probe.is_ok_and(|local| local.ip() == address)
}
