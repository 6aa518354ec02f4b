//! Containers as sandboxes, with a real Docker daemon: `.ci/dockerd cargo test -p codegenie-exec --features
//! container,testing --test container -- --ignored`. The same tests are Podman's: podman.rs, podman_rootless.rs.
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

use codegenie_exec::{ContainerSandbox, EndReason, Layer, LayerStatus, Sandbox};

pub(crate) const ENGINE: host::Engine = host::Engine {
    variables: "CODEGENIE_DOCKER",
    script: ".ci/dockerd",
    client: ["docker", "--host"],
    owners: "{{.Names}} {{.Label \"dev.codegenie.owner\"}}",
    many: 200,
};
/// Whether a policy that grants the host's network is not refused.
pub(crate) const GRANTS_THE_NETWORK: bool = true;
/// What the engine sets where nobody does.
pub(crate) const ADDED_VARIABLES: &[(&str, &str)] = &[];
/// How the end of a command is told that took more memory than it may.
pub(crate) const ENDS_BY_MEMORY: &[EndReason] = &[EndReason::OutOfMemory];

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd"]
async fn the_report_tells_what_docker_cannot() {
    let host = host::Host::new();
    let report = host::sandbox().await.enforcement(&host.policy()).await.unwrap();
    assert!(report.launcher.starts_with("Docker "), "{report:?}");
    assert!(report.enforces(Layer::Environment) && report.enforces(Layer::ResourceLimits), "{report:?}");
    assert!(matches!(report.status(Layer::UserNamespace), LayerStatus::Partial { .. }), "{report:?}");
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd"]
async fn a_runtime_that_is_named_is_the_one_that_runs_and_the_report_names_it() {
    let host = host::Host::new();
    // A second OCI runtime of the daemon, by its name, and the file in which it notes how it is called.
    let (name, calls) = (host::variable("RUNTIME"), host::variable("RUNTIME_CALLS"));
    // Other tests run beside this one, none of them by this runtime.
    assert_eq!(std::fs::read_to_string(&calls).unwrap(), "");
    let named = ContainerSandbox::builder(host::image())
        .socket(host::socket())
        .runtime(&name)
        .connect()
        .await
        .unwrap();
    let output = named.run(&host.shell("touch ran; grep Seccomp: /proc/self/status")).await.unwrap();
    assert!(
        host.path("workspace/ran").exists() && host::text(&output).contains("Seccomp:\t2"),
        "{}",
        host::text(&output)
    );
    assert!(output.report.launcher.contains(&name), "{}", output.report.launcher);
    let calls = std::fs::read_to_string(&calls).unwrap();
    assert!(calls.contains(" create ") && calls.contains(" start "), "{calls}");
}
