//! The filtering proxy by itself, over loopback: what it lets through, what it refuses, what it costs.
#![cfg(feature = "proxy")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use codegenie_exec::proxy::{Proxy, ProxyHandle, ProxyLimits, Resolve, Resolving};
use codegenie_exec::{ConnectionEvent, ConnectionObserver, ConnectionStage, DomainRule, Observed};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Waits of this length end a test that would hang; nothing is expected to take it.
const LONG: Duration = Duration::from_secs(30);

/// Names and the addresses that they lead to: one answer after the other, the last one for ever.
#[derive(Debug, Default)]
struct Names {
    answers: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn of(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let answers = names.iter().map(|(name, answers)| {
            let parse = |answer: &&[&str]| answer.iter().map(|a| a.parse().unwrap()).collect();
            ((*name).to_owned(), answers.iter().map(parse).collect())
        });
        Arc::new(Self { answers: Mutex::new(answers.collect()), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(name.to_owned());
            let mut answers = self.answers.lock().unwrap();
            let Some(answers) = answers.get_mut(name) else { return Err(io::ErrorKind::NotFound.into()) };
            Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
        })
    }
}

/// Keeps every event; consents as it is told.
#[derive(Debug, Default)]
struct Record {
    events: Mutex<Vec<ConnectionEvent>>,
    refuses: AtomicBool,
}

impl Record {
    fn stages(&self) -> Vec<(String, ConnectionStage)> {
        self.events.lock().unwrap().iter().map(|e| (e.target_text(), e.stage.clone())).collect()
    }
}

impl ConnectionObserver for Record {
    fn observe<'a>(&'a self, event: &'a ConnectionEvent) -> Observed<'a> {
        Box::pin(async move {
            self.events.lock().unwrap().push(event.clone());
            !self.refuses.load(Ordering::Relaxed)
        })
    }
}

/// A server that answers what `reply` makes of the request's first bytes, up to an empty line, and then says
/// everything that comes after them back until the end.
async fn server(reply: &'static str) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let index = {
                let mut all = all.lock().unwrap();
                all.push(Vec::new());
                all.len() - 1
            };
            let all = Arc::clone(&all);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let mut answered = false;
                while let Ok(read @ 1..) = client.read(&mut buffer).await {
                    let whole = {
                        let mut all = all.lock().unwrap();
                        all[index].extend_from_slice(&buffer[..read]);
                        all[index].windows(4).any(|window| window == b"\r\n\r\n")
                    };
                    if whole && !answered {
                        answered = true;
                        client.write_all(reply.as_bytes()).await.unwrap();
                        if reply.contains("Connection: close") {
                            return;
                        }
                    }
                }
                let _ = client.write_all(b"heard the end").await;
            });
        }
    });
    (address, heard)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

struct Served {
    address: SocketAddr,
    handle: ProxyHandle,
    record: Arc<Record>,
}

fn serve_with(rules: Vec<DomainRule>, names: &Arc<Names>, limits: ProxyLimits) -> Served {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let record = Arc::new(Record::default());
    let observer: Arc<dyn ConnectionObserver> = record.clone();
    let proxy = Proxy::new(rules).unwrap().resolver(Arc::clone(names)).observer(observer).limits(limits);
    Served { address, handle: proxy.serve(listener).unwrap(), record }
}

fn serve(rules: &[String], names: &Arc<Names>) -> Served {
    serve_with(rules.iter().map(DomainRule::new).collect(), names, ProxyLimits::default())
}

fn private(rule: String) -> Vec<DomainRule> {
    vec![DomainRule::new(rule).dangerous_private_addresses()]
}

/// Sends bytes, says that this is all, and reads everything that comes back.
async fn ask(proxy: SocketAddr, bytes: &[u8]) -> String {
    let mut client = TcpStream::connect(proxy).await.unwrap();
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, client.read_to_end(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(host: &str) -> Vec<u8> {
    format!("GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\nProxy-Connection: keep-alive\r\n\r\n")
        .into_bytes()
}

fn connect(host: &str) -> Vec<u8> {
    format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

fn socks(name: &str, port: u16) -> Vec<u8> {
    let mut bytes = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes
}

#[tokio::test]
async fn hands_on_http_to_an_allowed_name_and_to_no_other() {
    let (server, heard) = server(OK).await;
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])]);
    let port = server.port();
    let served = serve_with(private(format!("allowed.test:{port}")), &names, ProxyLimits::default());
    let answer = ask(served.address, &get(&format!("Allowed.TEST.:{port}"))).await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    let request = String::from_utf8(heard.lock().unwrap()[0].clone()).unwrap();
    assert_eq!(request, format!("GET /x HTTP/1.1\r\nHost: allowed.test:{port}\r\nConnection: close\r\n\r\n"));

    let answer = ask(served.address, &get(&format!("other.test:{port}"))).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("other.test"), "{answer}");
    assert_eq!(heard.lock().unwrap().len(), 1);
    assert_eq!(names.asked(), ["allowed.test"], "a name that is refused is not resolved");
    let denials = served.handle.refused();
    assert_eq!(denials.len(), 1);
    assert_eq!(
        denials[0].to_string(),
        format!(
            "connect to other.test:{port}: the policy's domains do not name it (network namespace); to allow it: \
             .domains([\"other.test:{port}\"])"
        )
    );
    let stages = served.record.stages();
    assert!(matches!(stages[0].1, ConnectionStage::Opening));
    assert!(matches!(stages[1].1, ConnectionStage::Closed { received, .. } if received == OK.len() as u64));
    assert!(matches!(stages[2].1, ConnectionStage::Denied { .. }));
}

#[tokio::test]
async fn tunnels_with_half_closed_ends_by_connect_and_socks() {
    let (server, heard) = server("echo: ").await;
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]])]);
    let port = server.port();
    let served = serve_with(private(format!("allowed.test:{port}")), &names, ProxyLimits::default());
    let mut request = connect(&format!("allowed.test:{port}"));
    request.extend_from_slice(b"early\r\n\r\n");
    let answer = ask(served.address, &request).await;
    assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\necho: heard the end");
    let mut request = socks("allowed.test", port);
    request.extend_from_slice(b"early\r\n\r\n");
    let answer = ask(served.address, &request).await;
    assert!(answer.ends_with("echo: heard the end"), "{answer:?}");
    assert_eq!(*heard.lock().unwrap(), [b"early\r\n\r\n", b"early\r\n\r\n"]);

    let refused = ask(served.address, &socks("other.test", port)).await;
    assert_eq!(refused.as_bytes()[..4], [5, 0, 5, 2], "not allowed by the rule set");
    let refused = ask(served.address, &socks("127.0.0.1", port)).await;
    assert_eq!(refused.as_bytes()[..4], [5, 0, 5, 2], "an address that is spelt as a name is an address");
}

#[tokio::test]
async fn takes_addresses_only_where_they_are_named() {
    let (server, heard) = server(OK).await;
    let names = Names::of(&[]);
    let port = server.port();
    let served = serve(&["allowed.test".to_owned()], &names);
    for host in
        ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "[::]", "2130706433", "0x7f.1", "127.1"]
    {
        let answer = ask(served.address, &get(&format!("{host}:{port}"))).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{host}: {answer}");
    }
    assert!(heard.lock().unwrap().is_empty() && names.asked().is_empty());

    let served = serve(&[format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")], &names);
    let answer = ask(served.address, &get(&format!("127.0.0.1:{port}"))).await;
    assert!(answer.ends_with("hello"), "{answer}");
    let answer = ask(served.address, &get(&format!("[::ffff:127.0.0.1]:{port}"))).await;
    assert!(answer.ends_with("hello"), "the same address in another spelling: {answer}");
    let answer = ask(served.address, &get(&format!("0.0.0.0:{port}"))).await;
    assert!(
        answer.starts_with("HTTP/1.1 403"),
        "no host's address is reached even where it is named: {answer}"
    );
}

#[tokio::test]
async fn a_name_leads_to_no_private_address() {
    let (server, heard) = server(OK).await;
    let port = server.port();
    let rules = |named: &str| [format!("allowed.test:{port}"), named.to_owned()];
    // The server answers there, so that a connection would be seen.
    for address in ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"] {
        let names = Names::of(&[("allowed.test", &[&[address]])]);
        let served = serve(&rules("unrelated.test"), &names);
        let answer = ask(served.address, &get(&format!("allowed.test:{port}"))).await;
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("127.0"), "{address}: {answer}");
        let denial = &served.handle.refused()[0];
        assert!(denial.why.contains("leads to"), "{denial}");
    }
    assert!(heard.lock().unwrap().is_empty());
    // One bad address spoils the good ones.
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1", "169.254.169.254"]])]);
    let served = serve_with(private(format!("allowed.test:{port}")), &names, ProxyLimits::default());
    let answer = ask(served.address, &get(&format!("allowed.test:{port}"))).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(served.handle.refused()[0].why.contains("metadata"));
    assert!(heard.lock().unwrap().is_empty());
    // An address that is named is permission for names that lead there.
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]])]);
    let served = serve(&rules(&format!("127.0.0.1:{port}")), &names);
    let answer = ask(served.address, &get(&format!("allowed.test:{port}"))).await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_name_that_is_bound_again_reaches_nothing() {
    let (server, heard) = server(OK).await;
    let port = server.port();
    // Public to whoever looks first, private to whoever connects. Nothing is sent to the public one: the
    // observer, who is asked with the address, refuses.
    let public: &[&str] = &["93.184.215.14"];
    let names = Names::of(&[("allowed.test", &[public, &["127.0.0.1"]])]);
    let served = serve(&[format!("allowed.test:{port}")], &names);
    served.record.refuses.store(true, Ordering::Relaxed);
    let request = get(&format!("allowed.test:{port}"));
    ask(served.address, &request).await;
    assert_eq!(names.asked().len(), 1, "a name is resolved once for a connection");
    let opening = served.record.events.lock().unwrap()[0].clone();
    assert_eq!(opening.address.unwrap().to_string(), format!("93.184.215.14:{port}"));
    served.record.refuses.store(false, Ordering::Relaxed);
    let answer = ask(served.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn opens_nothing_that_cannot_be_recorded() {
    let (server, heard) = server(OK).await;
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]])]);
    let port = server.port();
    let served = serve_with(private(format!("allowed.test:{port}")), &names, ProxyLimits::default());
    served.record.refuses.store(true, Ordering::Relaxed);
    for request in [get(&format!("allowed.test:{port}")), connect(&format!("allowed.test:{port}"))] {
        let answer = ask(served.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("recorded"), "{answer}");
    }
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn relays_to_named_ports_only() {
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]])]);
    let served = serve_with(private("allowed.test".to_owned()), &names, ProxyLimits::default());
    for port in [22, 25, 8080] {
        let answer = ask(served.address, &connect(&format!("allowed.test:{port}"))).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        let answer = ask(served.address, &socks("allowed.test", port)).await;
        assert_eq!(answer.as_bytes()[..4], [5, 0, 5, 2]);
    }
    assert!(names.asked().is_empty());
    let denials = served.handle.refused();
    assert_eq!(denials.len(), 3, "what is refused again is listed once");
    assert_eq!(denials[0].rule, ".domains([\"allowed.test:22\"])");
}

#[tokio::test]
async fn smuggles_no_second_request() {
    let (server, heard) = server(OK).await;
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]])]);
    let port = server.port();
    let served = serve_with(private(format!("allowed.test:{port}")), &names, ProxyLimits::default());
    let host = format!("allowed.test:{port}");
    let smuggled = "GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n";
    let head = |method: &str, headers: &str| {
        format!("{method} http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").into_bytes()
    };
    // A second request behind the first one is not handed on.
    let mut pipelined = get(&host);
    pipelined.extend_from_slice(smuggled.as_bytes());
    let answer = ask(served.address, &pipelined).await;
    assert!(answer.ends_with("hello"), "{answer}");
    // Nor behind a body, whichever way its length is given; the server reads what the proxy read.
    for (headers, body) in [
        ("Content-Length: 3\r\n", "abc"),
        ("Transfer-Encoding: chunked\r\n", "3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"),
    ] {
        let mut request = head("POST", headers);
        request.extend_from_slice(body.as_bytes());
        request.extend_from_slice(smuggled.as_bytes());
        ask(served.address, &request).await;
    }
    for request in heard.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(request);
        assert!(!text.contains("other.test") && !text.contains("x=y") && !text.contains("A: b"), "{text}");
        assert!(
            text.starts_with("GET")
                || text.ends_with("abc")
                || text.ends_with("3\r\nabc\r\n0\r\n\r\n")
                || text.ends_with("\r\n\r\n"),
            "{text}"
        );
    }
    let before = heard.lock().unwrap().len();
    // What two readers would understand differently is refused.
    for headers in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: other.test\r\n",
        " folded: yes\r\n",
        "X: a\nHost: other.test\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "No colon\r\n",
    ] {
        let mut request = head("POST", headers);
        request.extend_from_slice(b"3\r\nabc\r\n0\r\n\r\n");
        let answer = ask(served.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
    }
    for request in [
        format!("GET http://{host}/ HTTP/1.1\r\nHost: other.test\r\n\r\n"),
        format!("GET http://{host}/ HTTP/1.1\r\n\r\n"),
        format!("GET http://other.test@{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("GET http://{host}\\@other.test/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("GET http://{host}/a b HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("GET https://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("GET http://{host}/ HTTP/1.1\nHost: {host}\n\r\n\r\n"),
        format!("GET http://{host}/ HTTP/2.0\r\nHost: {host}\r\n\r\n"),
        format!("CONNECT {host} HTTP/1.1\r\nHost: other.test:{port}\r\n\r\n"),
        format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\n"),
        format!("CONNECT http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("CONNECT allowed.test HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("connect {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("CONNECT {host}\0 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ] {
        let answer = ask(served.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request:?}: {answer}");
    }
    assert_eq!(heard.lock().unwrap().len(), before, "nothing of it came to the server");
}

#[tokio::test]
async fn a_flood_is_bounded_in_connections_and_in_record() {
    let names = Names::of(&[]);
    let mut limits = ProxyLimits::default();
    limits.connections = 4;
    limits.attempts = 20;
    let served = serve_with(vec!["allowed.test".into()], &names, limits);
    // Clients that hold their connections without saying anything take up the room; further ones wait.
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut client = TcpStream::connect(served.address).await.unwrap();
        client.write_all(b"G").await.unwrap();
        idle.push(client);
    }
    let mut waiting = TcpStream::connect(served.address).await.unwrap();
    waiting.write_all(&get("other.test")).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(300), waiting.read(&mut byte)).await;
    assert!(early.is_err(), "it was served beyond the limit");
    drop(idle);
    assert_eq!(tokio::time::timeout(LONG, waiting.read(&mut byte)).await.unwrap().unwrap(), 1);
    drop(waiting);
    for i in 0..200 {
        ask(served.address, &get(&format!("host{i}.test"))).await;
    }
    assert!(served.record.stages().len() <= 21, "{}", served.record.stages().len());
    assert!(served.handle.refused().len() <= 65);
}

#[tokio::test]
async fn time_and_size_are_bounded() {
    let (server, _) = server("silence").await;
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]])]);
    let port = server.port();
    let mut limits = ProxyLimits::default();
    limits.head_bytes = 2048;
    limits.head_time = Duration::from_secs(2);
    limits.idle_time = Duration::from_millis(500);
    let served = serve_with(private(format!("allowed.test:{port}")), &names, limits.clone());
    let answer = ask(served.address, &[b"GET http://allowed.test/".as_slice(), &[b'a'; 4000]].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    // A head that never ends, and a tunnel in which nobody speaks, are given up.
    for request in [b"GET http".to_vec(), connect(&format!("allowed.test:{port}"))] {
        let mut client = TcpStream::connect(served.address).await.unwrap();
        client.write_all(&request).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(LONG, client.read_to_end(&mut rest)).await.expect("given up").ok();
    }
    limits.idle_time = LONG;
    limits.total_bytes = Some(10_000);
    let served = serve_with(private(format!("allowed.test:{port}")), &names, limits);
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(&connect(&format!("allowed.test:{port}"))).await.unwrap();
    let mut sent = 0;
    let flood = async {
        while client.write_all(&[b'x'; 1000]).await.is_ok() {
            sent += 1000;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, flood).await.expect("cut off");
}

#[tokio::test]
async fn ends_with_its_handle() {
    let (server, _) = server("tunnel").await;
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]])]);
    let port = server.port();
    let served = serve_with(private(format!("allowed.test:{port}")), &names, ProxyLimits::default());
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(&connect(&format!("allowed.test:{port}"))).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let Served { address, handle, .. } = served;
    drop(handle);
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, client.read_to_end(&mut rest)).await.expect("closed").ok();
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, closed).await.expect("the listener is closed");
}

#[tokio::test]
async fn a_flood_of_bytes_waits_for_its_reader() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        while client.write_all(&[0; 65536]).await.is_ok() {
            counted.fetch_add(65536, Ordering::Relaxed);
        }
    });
    let names = Names::of(&[("allowed.test", &[&["127.0.0.1"]])]);
    let served = serve_with(private(format!("allowed.test:{port}")), &names, ProxyLimits::default());
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(&connect(&format!("allowed.test:{port}"))).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    // Until it stands still: the kernel's buffers are full, and the proxy holds no more than its own.
    let still = async {
        let mut last = u64::MAX;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = sent.load(Ordering::Relaxed);
            if now == last && now > 0 {
                return now;
            }
            last = now;
        }
    };
    let sent = tokio::time::timeout(LONG, still).await.expect("the sender was held up");
    assert!(sent < 64 << 20, "{sent} bytes were taken for a client that reads none");
}
