//! Laws about what a command must not reach.

use super::place::{Place, run, text};
use super::{ConformanceError, ensure};
use crate::sandbox::{Sandbox, SandboxRequest};
use std::fs;
use std::io;
use std::net::TcpListener;

const SECRET: &str = "the-secret-of-the-host";

pub(super) async fn check(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    place.file(&place.outside.join("secret"), SECRET)?;
    read(sandbox, place).await?;
    write(sandbox, place).await?;
    deepest(sandbox, place).await?;
    refused(sandbox, place).await?;
    network(sandbox, place).await?;
    witness(sandbox, place).await
}

async fn read(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let secret = place.outside.join("secret");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&secret, place.workspace.join("link"))
        .map_err(|error| ConformanceError::new("setup", format!("cannot make a link: {error}")))?;
    let script = r#"cat "$1"; cat link; cat "../outside/secret"; cat < "$1"; exit 0"#;
    let output = run("read", sandbox, &place.script(script).arg("name").arg(&secret)).await?;
    ensure("read", !String::from_utf8_lossy(&output.stdout).contains(SECRET), || {
        format!("a command read {}, which its policy does not grant", secret.display())
    })
}

async fn write(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let script = r#"echo x > "$1/new"; echo x >> "$1/secret"; mkdir "$1/dir"; rm -f "$1/secret"; mv "$1" "$1-away"
        echo x >> link; exit 0"#;
    run("write", sandbox, &place.script(script).arg("name").arg(&place.outside)).await?;
    let untouched = fs::read_to_string(place.outside.join("secret")).is_ok_and(|text| text == SECRET);
    ensure("write", untouched, || "a command changed a file that its policy does not grant".to_owned())?;
    let entries = fs::read_dir(&place.outside).map_or(0, Iterator::count);
    ensure("write", entries == 1, || "a command made a file outside of its policy".to_owned())
}

async fn deepest(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let (fixed, hidden) = (place.workspace.join("fixed"), place.workspace.join("hidden"));
    for directory in [&fixed, &hidden] {
        fs::create_dir(directory)
            .map_err(|error| ConformanceError::new("setup", format!("cannot make a directory: {error}")))?;
        place.file(&directory.join("file"), SECRET)?;
    }
    let policy = place.policy().read(&fixed).hide(&hidden);
    let script = "cat hidden/file; echo x >> fixed/file; rm -f fixed/file; echo x > fixed/new; echo x > made; cat made";
    let output = run("deepest", sandbox, &SandboxRequest::new("sh", policy).args(["-c", script])).await?;
    ensure("deepest", output.stdout == b"x\n", || {
        format!("what is hidden can be read, or the workspace not written: {}", text(&output.stdout))
    })?;
    let untouched = fs::read_to_string(fixed.join("file")).is_ok_and(|text| text == SECRET)
        && !fixed.join("new").exists();
    ensure("deepest", untouched, || "a read-only path below a writable one was changed".to_owned())
}

async fn refused(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let elsewhere = place.script("exit 0").cwd(&place.outside);
    ensure("refused", sandbox.run(&elsewhere).await.is_err(), || {
        "a command ran in a directory that its policy does not grant".to_owned()
    })?;
    let policy = place.policy().write(place.workspace.join("missing"));
    let missing = SandboxRequest::new("sh", policy).args(["-c", "exit 0"]);
    ensure("refused", sandbox.run(&missing).await.is_err(), || {
        "a command ran although its policy grants a directory that is missing".to_owned()
    })
}

async fn network(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let setup = |error: io::Error| ConformanceError::new("setup", format!("cannot listen: {error}"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(setup)?;
    listener.set_nonblocking(true).map_err(setup)?;
    let port = listener.local_addr().map_err(setup)?.port().to_string();
    // Whichever of them is there tries.
    let script = r#"
        bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$1"
        nc -w 2 127.0.0.1 "$1" </dev/null
        python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)' "$1"
        perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]", Timeout => 2)' "$1"
        exit 0"#;
    run("network", sandbox, &place.script(script).arg("name").arg(port)).await?;
    let reached = listener.accept().is_ok();
    ensure("network", !reached, || "a command without network reached the host's loopback".to_owned())
}

async fn witness(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let report = sandbox
        .enforcement(&place.policy())
        .await
        .map_err(|error| ConformanceError::new("witness", format!("enforcement is not told: {error}")))?;
    for attempt in &report.witness {
        ensure("witness", attempt.stopped, || {
            format!("the witness of {} was not stopped: {}", attempt.layer, attempt.what)
        })?;
    }
    ensure("witness", !report.enforced().is_empty(), || {
        "a sandbox that confines reports no layer that is enforced".to_owned()
    })
}
