//! Laws about how a command ends when it does not end by itself.

use super::place::{Place, run, text};
use super::{ConformanceError, ensure};
use crate::sandbox::{EndReason, Running, Sandbox, SandboxRequest};
use std::time::Duration;

/// Writes a file ten times a second, for half a minute at the most.
fn beats(file: &str) -> String {
    format!("i=0; while [ $i -lt 300 ]; do echo beat >> {file}; sleep 0.1; i=$((i+1)); done")
}

pub(super) async fn check(
    sandbox: &impl Sandbox,
    place: &Place,
    confines: bool,
) -> Result<(), ConformanceError> {
    timeout(sandbox, place).await?;
    output_limit(sandbox, place).await?;
    kill(sandbox, place).await?;
    dropped(sandbox, place).await?;
    if confines {
        tree(sandbox, place).await?;
        daemon(sandbox, place).await?;
    }
    Ok(())
}

async fn start(
    law: &'static str,
    sandbox: &impl Sandbox,
    request: &SandboxRequest,
) -> Result<Running, ConformanceError> {
    sandbox
        .start(request)
        .await
        .map_err(|error| ConformanceError::new(law, format!("a command was not run: {error}")))
}

async fn timeout(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let policy = place.policy().timeout(Duration::from_secs(3));
    let request =
        SandboxRequest::new("sh", policy).args(["-c", "echo before; echo trouble >&2; exec sleep 15"]);
    let output = run("timeout", sandbox, &request).await?;
    ensure("timeout", output.status.reason == EndReason::TimedOut, || {
        format!("a command past its time ended by {}", output.status.reason)
    })?;
    ensure("timeout", output.stdout == b"before\n" && output.stderr == b"trouble\n", || {
        format!("the output so far is {} and {}", text(&output.stdout), text(&output.stderr))
    })
}

async fn output_limit(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let limited = |bytes, script: &str| {
        let mut policy = place.policy();
        policy.limits.output_bytes = bytes;
        SandboxRequest::new("sh", policy).args(["-c", script])
    };
    for script in ["while :; do echo flood; done", "while :; do echo flood; echo flood >&2; done"] {
        let output = run("output limit", sandbox, &limited(10_000, script)).await?;
        ensure("output limit", output.status.reason == EndReason::OutputLimit, || {
            format!("a flood ended by {}", output.status.reason)
        })?;
        let kept = output.stdout.len() + output.stderr.len();
        ensure("output limit", (1..=10_000).contains(&kept), || {
            format!("of at most 10000 bytes came {kept}")
        })?;
        ensure("output limit", output.status.usage.output_bytes <= 10_000, || {
            format!("{} bytes are told", output.status.usage.output_bytes)
        })?;
    }
    let output = run("output limit", sandbox, &limited(6, "echo exact")).await?;
    ensure("output limit", output.status.reason.is_success() && output.stdout == b"exact\n", || {
        format!("6 bytes of at most 6 are {} and {}", output.status.reason, text(&output.stdout))
    })
}

async fn kill(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let mut running = start("kill", sandbox, &place.script("exec sleep 45")).await?;
    running.kill();
    let status = running
        .wait()
        .await
        .map_err(|error| ConformanceError::new("kill", format!("the end was not told: {error}")))?;
    ensure("kill", status.reason == EndReason::Cancelled, || {
        format!("a killed command ended by {}", status.reason)
    })
}

async fn dropped(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let running = start("drop", sandbox, &place.script(&beats("dropped"))).await?;
    place.appears(sandbox, "dropped").await?;
    drop(running);
    let stopped = place.stops_growing(sandbox, "dropped").await?;
    ensure("drop", stopped, || "a dropped command goes on".to_owned())
}

async fn tree(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let script = format!("( {} ) >/dev/null 2>&1 & exec sleep 45", beats("background"));
    let running = start("tree", sandbox, &place.script(&script)).await?;
    place.appears(sandbox, "background").await?;
    drop(running);
    let stopped = place.stops_growing(sandbox, "background").await?;
    ensure("tree", stopped, || "a child of a dropped command goes on".to_owned())?;

    let script = format!("( {} ) & exec sleep 45", beats("late"));
    let policy = place.policy().timeout(Duration::from_secs(2));
    let output = run("tree", sandbox, &SandboxRequest::new("sh", policy).args(["-c", &script])).await?;
    ensure("tree", output.status.reason == EndReason::TimedOut, || {
        format!("a command with a child in the background ended by {}", output.status.reason)
    })?;
    let stopped = place.stops_growing(sandbox, "late").await?;
    ensure("tree", stopped, || "a child of a timed-out command goes on".to_owned())
}

async fn daemon(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    // Twice away from the command, deaf to hangups, and with nothing of its streams.
    let script = format!(
        "( ( trap '' HUP TERM; {} ) </dev/null >/dev/null 2>&1 & ) ; while [ ! -s daemon ]; do sleep 0.1; done",
        beats("daemon")
    );
    let output = run("daemon", sandbox, &place.script(&script)).await?;
    ensure("daemon", output.status.reason.is_success(), || {
        format!("a command that leaves a daemon behind ended by {}", output.status.reason)
    })?;
    let stopped = place.stops_growing(sandbox, "daemon").await?;
    ensure("daemon", stopped, || "a daemon outlives its command".to_owned())
}
