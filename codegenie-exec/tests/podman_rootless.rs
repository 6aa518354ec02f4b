//! Containers as sandboxes, with a real Podman service of an ordinary user's: `.ci/podman cargo test -p codegenie-exec
//! --features container,testing --test podman_rootless -- --ignored`. The tests are those of container.rs, but for what
//! control groups bound: the service of the tests has none, as the reports must say.
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
#[path = "container/host.rs"]
mod host;
#[path = "container/lifetime.rs"]
mod lifetime;
#[path = "container/lost.rs"]
mod lost;

use codegenie_exec::{Layer, LayerStatus, Sandbox, SandboxErrorKind, Signal};

pub(crate) const ENGINE: host::Engine = host::Engine {
    variables: "CODEGENIE_PODMAN_ROOTLESS",
    script: ".ci/podman",
    client: ["podman", "--url"],
    owners: "{{.Names}} {{index .Labels \"dev.codegenie.owner\"}}",
    many: 20,
};
/// Whether a policy that grants the host's network is not refused.
pub(crate) const GRANTS_THE_NETWORK: bool = false;
/// What the engine sets where nobody does.
pub(crate) const ADDED_VARIABLES: &[(&str, &str)] = &[("HOSTNAME", "sandbox")];

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/podman"]
async fn the_report_tells_what_podman_cannot_without_root() {
    let host = host::Host::new();
    let mut policy = host.policy();
    policy.limits.cpu = Some(std::time::Duration::from_secs(10));
    let report = host::sandbox().await.enforcement(&policy).await.unwrap();
    assert!(report.launcher.starts_with("Podman "), "{report:?}");
    assert!(report.enforces(Layer::UserNamespace), "{report:?}");
    assert!(matches!(report.status(Layer::ControlGroups), LayerStatus::Unavailable { .. }), "{report:?}");
    let LayerStatus::Partial { missing } = report.status(Layer::ResourceLimits) else { panic!("{report:?}") };
    for what in ["processes", "memory", "processor time", "files in /tmp"] {
        assert!(missing.iter().any(|missing| missing.contains(what)), "{what}: {missing:?}");
    }
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/podman"]
async fn a_policy_that_requires_control_groups_is_refused() {
    let host = host::Host::new();
    let policy = host.policy().require(Layer::ControlGroups);
    let error = host::sandbox().await.run(&host.shell_under(policy, "touch ran")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.layer()),
        (SandboxErrorKind::LayerUnavailable, Some(Layer::ControlGroups))
    );
    assert!(!host.path("workspace/ran").exists());
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/podman"]
async fn commands_are_not_stopped_without_control_groups() {
    let host = host::Host::new();
    let mut running = host::sandbox().await.start(&host.shell("sleep 100")).await.unwrap();
    assert_eq!(running.signal(Signal::Stop).unwrap_err().kind(), std::io::ErrorKind::Unsupported);
    running.kill();
    running.wait().await.unwrap();
}

/// A workspace's owner is the service's own user, or nobody of the machine's.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/podman"]
async fn users_are_mapped() {
    let host = host::Host::new();
    let owner =
        |path: &std::path::Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    assert_eq!(host::text(&host.run("id -u; touch made").await), "65534\n");
    let made = owner(&host.path("workspace/made"));
    assert!(made > 65_535, "{made}");
    let own = owner(&host::socket());
    std::os::unix::fs::chown(host.path("workspace"), Some(own), Some(own)).unwrap();
    assert_eq!(host::text(&host.run("id -u; touch own").await), format!("{own}\n"));
    assert_eq!(owner(&host.path("workspace/own")), own);
}
