//! What kind of address an address is: whether a name of the network outside may lead there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressKind {
    /// Of the network outside.
    Public,
    /// The host itself.
    Loopback,
    /// Of a private network: RFC 1918, unique local, site-local, carrier-grade NAT.
    Private,
    /// For documentation and measurements: whoever uses one does so in a network of his own.
    Documentation,
    /// Of this link only.
    LinkLocal,
    /// Where a cloud gives its machines their credentials.
    Metadata,
    /// Reserved, deprecated, or leading to an address that cannot be seen from it.
    Reserved,
    /// No single machine's: unspecified, multicast, broadcast. Never reached.
    NoHost,
}

impl AddressKind {
    /// The kind of an address. An address that embeds one of IPv4 (mapped, 6to4, NAT64, ISATAP) is what the
    /// embedded one is.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// Whether a name may lead there without any further permission.
    #[must_use]
    pub fn is_public(self) -> bool {
        self == Self::Public
    }

    /// Whether it is what [`DomainRule::dangerous_private_addresses`](crate::DomainRule) permits.
    pub(super) fn is_private(self) -> bool {
        matches!(self, Self::Loopback | Self::Private | Self::Documentation)
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "the host itself",
            Self::Private => "a private address",
            Self::Documentation => "an address for documentation",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud's metadata service",
            Self::Reserved => "a reserved address",
            Self::NoHost => "no host's address",
        })
    }
}

/// Services of clouds that answer every process of a machine. Not all are in a private block.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

fn of_v4(address: Ipv4Addr) -> AddressKind {
    if METADATA_V4.contains(&address) {
        return AddressKind::Metadata;
    }
    match address.octets() {
        // 0/8 is "this host": connecting there reaches the host itself.
        [0, ..] | [224..=239, ..] | [255, 255, 255, 255] => AddressKind::NoHost,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressKind::Private,
        [169, 254, ..] => AddressKind::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => {
            AddressKind::Documentation
        }
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressKind {
    if METADATA_V6.contains(&address) {
        return AddressKind::Metadata;
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff, ..] => AddressKind::NoHost,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => AddressKind::Private,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] | [0x2001, 2, 0, ..] => AddressKind::Documentation,
        // Teredo, ORCHID and other protocol assignments.
        [0x2001, 0..=0x01ff, ..] => AddressKind::Reserved,
        [0x2000..=0x3fff, _, _, _, 0 | 0x0200, 0x5efe, high, low] => embedded(high, low),
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

fn embedded(high: u16, low: u16) -> AddressKind {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    of_v4(Ipv4Addr::new(a, b, c, d))
}
