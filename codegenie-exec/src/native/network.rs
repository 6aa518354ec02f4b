//! The way out to named hosts: a listener inside, whose clients the proxy in the host serves.

use super::plan::{Arg, Plan, Purpose};
use crate::proxy::{HostResolver, Proxy, ProxyHandle, ProxyLimits, Resolve};
use crate::sandbox::{ConnectionObserver, DomainRule, HostName, Layer, Network};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The number under which the listener is passed to the host.
pub(super) const LISTENER: u32 = 2;
/// Where the proxy is, on the sandbox's own loopback. The usual port of proxies.
pub(super) const PORT: u16 = 3128;
const BACKLOG: i32 = 128;

/// Listens on the sandbox's loopback, and passes the listener to the host. Init keeps nothing of it.
pub(super) fn listen(plan: &mut Plan) {
    plan.section(Purpose::Layer(Layer::NetworkNamespace), false);
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    plan.call("open the proxy's socket", libc::SYS_socket, &[libc::AF_INET.into(), kind.into(), 0.into()])
        .store(0);
    // struct sockaddr_in: family, port and address in network order, padding.
    let family = u16::try_from(libc::AF_INET).unwrap_or(2).to_ne_bytes();
    let mut address = [family, PORT.to_be_bytes()].concat();
    address.extend(Ipv4Addr::LOCALHOST.octets());
    address.extend([0; 8]);
    let address = plan.bytes(&address);
    plan.call("bind the proxy's socket", libc::SYS_bind, &[Arg::Slot(0), address.into(), 16.into()]);
    plan.call("listen for the proxy", libc::SYS_listen, &[Arg::Slot(0), BACKLOG.into()]);
    plan.pass_fd(LISTENER, 0);
    plan.call("close the proxy's socket", libc::SYS_close, &[Arg::Slot(0)]);
}

/// What tells programs of the proxy. Weaker than what a policy or a request names itself.
pub(super) fn environment(network: &Network) -> Vec<(OsString, OsString)> {
    let Network::Domains(rules) = network else { return Vec::new() };
    let http = format!("http://127.0.0.1:{PORT}");
    let socks = format!("socks5h://127.0.0.1:{PORT}");
    // Servers of the command's own are reached directly, but not where the policy names the host's.
    let direct = if names_loopback(rules) { "" } else { "localhost,127.0.0.1,::1" };
    let pairs = [
        ("HTTP_PROXY", http.as_str()),
        ("http_proxy", &http),
        ("HTTPS_PROXY", &http),
        ("https_proxy", &http),
        ("ALL_PROXY", &socks),
        ("all_proxy", &socks),
        ("NO_PROXY", direct),
        ("no_proxy", direct),
        ("CARGO_HTTP_PROXY", &http),
        // Node reads the variables above only where this is set.
        ("NODE_USE_ENV_PROXY", "1"),
    ];
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn names_loopback(rules: &[DomainRule]) -> bool {
    let hosts = [
        HostName::Domain("localhost".to_owned()),
        HostName::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        HostName::Address(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    let patterns = || rules.iter().filter_map(|rule| rule.parse().ok());
    hosts.iter().any(|host| patterns().any(|pattern| pattern.is_about(host)))
}

/// How a sandbox's proxies resolve, and what they may cost.
#[derive(Clone, Debug)]
pub(super) struct Wiring {
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) limits: ProxyLimits,
}

impl Default for Wiring {
    fn default() -> Self {
        Self { resolver: Arc::new(HostResolver::default()), limits: ProxyLimits::default() }
    }
}

impl Wiring {
    /// Serves the listener that was passed out, where the policy names hosts.
    pub(super) fn serve(
        &self,
        network: &Network,
        passed: Option<OwnedFd>,
        observer: Option<Arc<dyn ConnectionObserver>>,
    ) -> io::Result<Option<ProxyHandle>> {
        let Network::Domains(rules) = network else { return Ok(None) };
        let listener = passed.ok_or_else(|| io::Error::other("init passed no listener"))?;
        let mut proxy = Proxy::new(rules.clone())
            .map_err(io::Error::other)?
            .resolver(Arc::clone(&self.resolver))
            .limits(self.limits.clone());
        if let Some(observer) = observer {
            proxy = proxy.observer(observer);
        }
        proxy.serve(TcpListener::from(listener)).map(Some)
    }
}
