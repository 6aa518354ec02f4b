//! Which hosts a command may reach: rules about domains and addresses, and the names they are about.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ports that a rule permits when it names none: HTTP and HTTPS.
const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// A host as a request or a rule names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostName {
    /// A DNS name: lowercase, without a trailing dot.
    Domain(String),
    /// An address literal.
    Address(IpAddr),
}

impl HostName {
    /// Reads a name or an address, IPv6 without brackets. `None` for what is neither: control characters,
    /// user names, zones, letters outside of ASCII (an international name is written in its `xn--`
    /// form), and numbers in the old spellings of addresses (`0x7f.1`, `2130706433`), which resolvers
    /// would take for an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        if text.contains(':') {
            return text.parse::<Ipv6Addr>().ok().map(|address| Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let mut labels = name.split('.');
        let valid = (1..=253).contains(&name.len()) && labels.clone().all(is_label);
        let ends_in_a_number = labels.next_back().is_none_or(is_number);
        (valid && !ends_in_a_number).then(|| Self::Domain(name.to_ascii_lowercase()))
    }

    /// Reads `host` or `host:port` as a URL has it, IPv6 in brackets.
    pub(crate) fn parse_with_port(text: &str) -> Option<(Self, Option<u16>)> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
            (Self::Address(IpAddr::V6(address).to_canonical()), port)
        } else {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            (Self::parse(host)?, port)
        };
        match port {
            None => Some((host, None)),
            Some(port) => Some((host, Some(parse_port(port)?))),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// As the `inet_aton` family reads numbers, which resolvers take for addresses.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    let is_hex = hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_hex || label.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// One host, or the sub-domains of one, that a command may reach.
///
/// `example.org` is that name alone, `*.example.org` its sub-domains at any depth and not itself,
/// `192.0.2.7` or `[2001:db8::7]` an address. Ports 80 and 443 are permitted, or with
/// `example.org:8443` that port alone. Upper and lower case and a trailing dot make no difference.
///
/// A name is reached only where all its addresses are public: a name of the network outside must not
/// lead to a service of the host or of its own network. A private address is permitted by
/// a rule that names the address itself, or by
/// [`dangerous_private_addresses`](Self::dangerous_private_addresses).
///
/// What cannot be read is an error of [`SandboxPolicy::resolve`](super::SandboxPolicy::resolve), and
/// permits nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(from = "serialized::Rule", into = "serialized::Rule")
)]
pub struct DomainRule {
    text: String,
    private_addresses: bool,
}

impl DomainRule {
    /// A rule as it is written in a policy.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), private_addresses: false }
    }

    /// The name may lead to loopback and private addresses: to services of the host itself and of the
    /// network that it is in. Link-local addresses and those of cloud metadata stay refused: only
    /// a rule that names such an address permits it.
    #[must_use]
    pub fn dangerous_private_addresses(mut self) -> Self {
        self.private_addresses = true;
        self
    }

    /// The rule as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the rule's names may lead to private addresses.
    #[must_use]
    pub fn permits_private_addresses(&self) -> bool {
        self.private_addresses
    }

    /// Whether the rule is about this host and permits this port.
    #[must_use]
    pub fn permits(&self, host: &HostName, port: u16) -> bool {
        self.parse().is_ok_and(|pattern| pattern.permits(host, port))
    }

    /// What is wrong with the rule as it is written, if anything.
    pub(crate) fn parse(&self) -> Result<HostPattern, String> {
        let text = self.text.as_str();
        let problem = |problem: &str| Err(format!("domain rule {text:?}: {problem}"));
        if text.contains("://") || text.contains('/') {
            return problem("a rule is a host and maybe a port, without scheme and path: \"example.org\"");
        }
        if text == "*" || text.starts_with("*:") {
            return problem("it names no domain; the network as a whole is dangerous_full_network()");
        }
        if !text.is_ascii() {
            return problem("write an international name in its ASCII form, which begins with xn--");
        }
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        // An IPv6 address needs no brackets where no port follows.
        let bare = rest.parse::<Ipv6Addr>().ok().map(|a| (HostName::Address(a.to_canonical()), None));
        let Some((host, port)) = bare.or_else(|| HostName::parse_with_port(rest)) else {
            return problem(
                "wants a name such as example.org, *.example.org or example.org:8443, or an address",
            );
        };
        let host = match (below, host) {
            (false, host) => Hosts::This(host),
            (true, HostName::Address(_)) => return problem("an address has no sub-domains"),
            (true, HostName::Domain(name)) if !name.contains('.') => {
                return problem("a whole top-level domain is too wide: name the domains in it");
            }
            (true, HostName::Domain(name)) => Hosts::Below(name),
        };
        Ok(HostPattern { host, port })
    }
}

impl From<&str> for DomainRule {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for DomainRule {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for DomainRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A rule that was read.
#[derive(Clone, Debug)]
pub(crate) struct HostPattern {
    host: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Hosts {
    This(HostName),
    Below(String),
}

impl HostPattern {
    pub(crate) fn permits(&self, host: &HostName, port: u16) -> bool {
        self.permits_port(port) && self.is_about(host)
    }

    pub(crate) fn is_about(&self, host: &HostName) -> bool {
        match (&self.host, host) {
            (Hosts::This(this), host) => this == host,
            (Hosts::Below(domain), HostName::Domain(name)) => {
                name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Hosts::Below(_), HostName::Address(_)) => false,
        }
    }

    fn permits_port(&self, port: u16) -> bool {
        self.port.map_or_else(|| DEFAULT_PORTS.contains(&port), |only| only == port)
    }
}

/// How the rule would be written that permits this, for messages.
#[cfg(feature = "proxy")]
pub(crate) fn rule_for(host: &HostName, port: u16) -> String {
    if DEFAULT_PORTS.contains(&port) { host.to_string() } else { format!("{host}:{port}") }
}

#[cfg(feature = "serde")]
mod serialized {
    /// As a rule stands in a file: its text, or a table where it permits more than that.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(untagged)]
    pub(super) enum Rule {
        Text(String),
        Table(Table),
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Table {
        domain: String,
        #[serde(default)]
        dangerous_private_addresses: bool,
    }

    impl From<Rule> for super::DomainRule {
        fn from(rule: Rule) -> Self {
            match rule {
                Rule::Text(text) => Self::new(text),
                Rule::Table(table) => {
                    Self { text: table.domain, private_addresses: table.dangerous_private_addresses }
                }
            }
        }
    }

    impl From<super::DomainRule> for Rule {
        fn from(rule: super::DomainRule) -> Self {
            if rule.private_addresses {
                Self::Table(Table { domain: rule.text, dangerous_private_addresses: true })
            } else {
                Self::Text(rule.text)
            }
        }
    }
}
