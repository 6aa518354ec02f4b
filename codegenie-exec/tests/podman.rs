//! Containers as sandboxes, with a real Podman service of root's: `.ci/podman cargo test -p codegenie-exec --features
//! container,testing --test podman -- --ignored`. The tests are those of container.rs.
#![cfg(all(
    target_os = "linux",
    feature = "container",
    feature = "native",
    feature = "executor",
    feature = "testing"
))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "container/abuse.rs"]
mod abuse;
#[path = "abuse/attempts.rs"]
mod attempts;
#[path = "container/confinement.rs"]
mod confinement;
#[path = "container/conformance.rs"]
mod conformance;
#[path = "container/executor.rs"]
mod executor;
#[path = "container/groups.rs"]
mod groups;
#[path = "container/host.rs"]
mod host;
#[path = "container/lifetime.rs"]
mod lifetime;
#[path = "container/lost.rs"]
mod lost;

use codegenie_exec::{ContainerSandbox, EndReason, Layer, LayerStatus, Sandbox, Stdio, TerminalSize};

pub(crate) const ENGINE: host::Engine = host::Engine {
    variables: "CODEGENIE_PODMAN",
    script: ".ci/podman",
    client: ["podman", "--url"],
    owners: "{{.Names}} {{index .Labels \"dev.codegenie.owner\"}}",
    many: 40,
};
/// Whether a policy that grants the host's network is not refused.
pub(crate) const GRANTS_THE_NETWORK: bool = true;
/// What the engine sets where nobody does.
pub(crate) const ADDED_VARIABLES: &[(&str, &str)] = &[("HOSTNAME", "sandbox")];
/// How the end of a command is told that took more memory than it may: Podman 4 does not always learn why the kernel
/// ended it.
pub(crate) const ENDS_BY_MEMORY: &[EndReason] = &[EndReason::OutOfMemory, EndReason::Signaled(9)];

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/podman"]
async fn the_report_tells_what_podman_cannot() {
    let host = host::Host::new();
    let report = host::sandbox().await.enforcement(&host.policy()).await.unwrap();
    assert!(report.launcher.starts_with("Podman "), "{report:?}");
    for (layer, missing) in [
        (Layer::Environment, "HOSTNAME"),
        (Layer::ResourceLimits, "number of files in /tmp"),
        (Layer::UserNamespace, "is the host's"),
    ] {
        let LayerStatus::Partial { missing: told } = report.status(layer) else { panic!("{report:?}") };
        assert!(told.len() == 1 && told[0].contains(missing), "{told:?}");
    }
}

/// Podman 4 does not take a container's own runtime.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/podman"]
async fn a_runtime_is_the_services_or_is_refused() {
    let host = host::Host::new();
    let with = async |runtime: &str| {
        let sandbox =
            ContainerSandbox::builder(host::image()).socket(host::socket()).runtime(runtime).connect();
        sandbox.await.unwrap().run(&host.shell("touch ran; echo ran")).await
    };
    let output = with("runc").await.unwrap();
    assert_eq!(host::text(&output), "ran\n");
    assert!(output.report.launcher.ends_with("runtime runc"), "{}", output.report.launcher);
    std::fs::remove_file(host.path("workspace/ran")).unwrap();
    let error = with("crun").await.unwrap_err();
    assert!(error.to_string().contains("its runtime is"), "{error}");
    assert!(!host.path("workspace/ran").exists());
}

/// The keys by which Podman's own client leaves a terminal are the command's.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/podman"]
async fn no_keys_leave_a_terminal() {
    let host = host::Host::new();
    let script = "stty raw -echo; echo ready; head -c 3 | od -An -tx1";
    let request = host.shell(script).stdio(Stdio::Terminal(TerminalSize::default()));
    let mut running = host::sandbox().await.start(&request).await.unwrap();
    let mut seen = running.next_output().await.unwrap().bytes;
    running.write_input(b"\x10\x11x").await.unwrap();
    while let Some(chunk) = running.next_output().await {
        seen.extend(chunk.bytes);
    }
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(seen.contains("10 11 78"), "{seen:?}");
}

/// A host that is killed while it makes a container leaves its profile; the next one removes it.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/podman"]
async fn profiles_of_killed_hosts_are_swept_and_others_are_not() {
    let host = host::Host::new();
    let sandbox = host::sandbox().await;
    let mut running = sandbox.start(&host.shell("echo up; exec sleep 300")).await.unwrap();
    running.next_output().await.unwrap();
    // This process, as the label of its containers names it, and one that has ended.
    let listed = host::containers_of(std::process::id());
    let own = listed[0].split(' ').nth(1).unwrap().to_owned();
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let mut fields: Vec<String> = own.split(':').map(str::to_owned).collect();
    fields[3] = ended.id().to_string();
    let [left, kept] = [fields.join(":"), own].map(|label| {
        let name = format!("codegenie-profile:{label}:{}.json", ended.id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "{}").unwrap();
        path
    });
    sandbox.sweep().await.unwrap();
    let found = (left.exists(), kept.exists());
    std::fs::remove_file(kept).unwrap();
    assert_eq!(found, (false, true));
}
