//! Answers of the daemon that are lost on the way.

use crate::host::{Host, client, eventually, image, socket};
use codegenie_exec::{ContainerSandbox, Sandbox};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Stands before the daemon, and swallows the answers to requests that make a container.
struct Between {
    directory: tempfile::TempDir,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What was asked for, and the status of what was answered.
    made: Mutex<Vec<(String, String)>>,
}

impl Between {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("daemon.sock")).unwrap();
        let seen = Arc::new(Seen::default());
        let kept = Arc::clone(&seen);
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for host in listener.incoming() {
                let (host, daemon) = (host.unwrap(), UnixStream::connect(socket()).unwrap());
                pass_on(host, daemon, &kept);
            }
        });
        Self { directory, seen }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("daemon.sock")
    }
}

fn pass_on(host: UnixStream, daemon: UnixStream, seen: &Arc<Seen>) {
    let asked = Arc::new(Mutex::new(String::new()));
    let making = Arc::new(AtomicBool::new(false));
    let (mut from_host, mut to_daemon) = (host.try_clone().unwrap(), daemon.try_clone().unwrap());
    let (request, is_making) = (Arc::clone(&asked), Arc::clone(&making));
    std::thread::spawn(move || {
        let passed = each(&mut from_host, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if text.starts_with("POST ") && text.contains("/containers/create") {
                is_making.store(true, Ordering::SeqCst);
            }
            request.lock().unwrap().push_str(&text);
            to_daemon.write_all(bytes)
        });
        let _ = (passed, to_daemon.shutdown(Shutdown::Write));
    });
    let seen = Arc::clone(seen);
    let (mut from_daemon, mut to_host) = (daemon, host);
    std::thread::spawn(move || {
        let _ = each(&mut from_daemon, |bytes| {
            if !making.load(Ordering::SeqCst) {
                return to_host.write_all(bytes);
            }
            let status = String::from_utf8_lossy(bytes).split(' ').nth(1).unwrap_or_default().to_owned();
            seen.made.lock().unwrap().push((asked.lock().unwrap().clone(), status));
            to_host.shutdown(Shutdown::Both)?;
            Err(io::Error::other("lost"))
        });
        let _ = to_host.shutdown(Shutdown::Both);
    });
}

fn each(from: &mut UnixStream, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        take(&bytes[..read])?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_container_whose_making_was_not_answered_is_removed() {
    let (host, between) = (Host::new(), Between::new());
    let sandbox = ContainerSandbox::builder(image()).socket(between.socket()).connect().await.unwrap();
    let error = sandbox.run(&host.shell("touch ran")).await.unwrap_err();
    let made = between.seen.made.lock().unwrap().clone();
    let [(asked, status)] = made.as_slice() else { panic!("{error}: {made:?}") };
    assert_eq!(status, "201", "it was made, which the host does not know: {error}");
    let named = asked.match_indices("codegenie-").filter_map(|(start, _)| asked.get(start..start + 42));
    let name = named.filter(|name| name[10..].bytes().all(|b| b.is_ascii_hexdigit())).last().unwrap();
    let filter = format!("name={name}");
    let left = || client(&["ps", "-a", "-q", "--filter", &filter]);
    assert!(eventually(|| left().trim().is_empty()), "{}", left());
    assert!(!host.path("workspace/ran").exists());
}
