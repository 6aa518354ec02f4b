//! What a container confines, and what is refused.

use crate::host::{Host, SECRET, client, image, sandbox, socket, text, without_landlock};
use codegenie_exec::{
    ContainerSandbox, DangerousNoSandbox, Layer, LayerStatus, Requirement, Sandbox, SandboxErrorKind,
    SandboxPolicy, SandboxRequest,
};
use std::path::Path;

/// What the same script prints in a container that has nothing of a sandbox's settings.
fn unprotected(host: &Host, script: &str) -> String {
    let mount = format!("{0}:{0}", host.root.path().display());
    client(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--security-opt",
        "seccomp=unconfined",
        "-v",
        &mount,
        &image(),
        "sh",
        "-c",
        script,
    ])
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn what_is_required_is_enforced_and_the_kernel_says_so() {
    let host = Host::new();
    let sandbox = sandbox().await;
    let script =
        "grep -E '^(Uid|CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; hostname; ulimit -n";
    let free = unprotected(&host, script);
    assert!(free.contains("Uid:\t0\t") && free.contains("Seccomp:\t0"), "{free}");
    assert!(!free.contains("CapEff:\t0000000000000000"), "{free}");

    let output = sandbox.run(&host.shell(script)).await.unwrap();
    let told = text(&output);
    for line in [
        "Uid:\t65534\t65534",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "\nsandbox\n",
        "\n1024\n",
    ] {
        assert!(told.contains(line), "{line:?}: {told}");
    }
    let report = sandbox.enforcement(&host.policy()).await.unwrap();
    assert!(report.witness.len() >= 8, "{report:?}");
    assert!(report.witness.iter().all(|attempt| attempt.stopped), "{report:?}");
    for layer in [
        Layer::PidNamespace,
        Layer::MountNamespace,
        Layer::NetworkNamespace,
        Layer::IpcNamespace,
        Layer::Seccomp,
        Layer::NoNewPrivileges,
        Layer::Capabilities,
    ] {
        assert!(report.enforces(layer), "{layer}: {}", report.status(layer));
    }
    assert_eq!(*report.status(Layer::Landlock), LayerStatus::Off);
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn the_daemons_own_profile_is_told_as_partial() {
    let host = Host::new();
    let script = "cd \"$0\" && : > program && chmod 4755 program && ls -l program | cut -c1-10";
    let request = host.shell(script).arg(host.path("workspace"));
    let theirs = ContainerSandbox::builder(image()).socket(socket()).daemon_seccomp(true);
    let output = theirs.connect().await.unwrap().run(&request).await.unwrap();
    assert_eq!(text(&output).trim(), "-rwsr-xr-x");
    assert!(matches!(output.report.status(Layer::Seccomp), LayerStatus::Partial { .. }));

    let output = sandbox().await.run(&request).await.unwrap();
    assert!(text(&output).contains("Operation not permitted"), "{}", text(&output));
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_policy_that_requires_landlock_is_refused() {
    let host = Host::new();
    let policy = SandboxPolicy::workspace_write(host.path("workspace"));
    let sandbox = sandbox().await;
    let error = sandbox.run(&host.shell_under(policy.clone(), "touch ran")).await.unwrap_err();
    assert_eq!((error.kind(), error.layer()), (SandboxErrorKind::LayerUnavailable, Some(Layer::Landlock)));
    let error = sandbox.enforcement(&policy).await.unwrap_err();
    assert_eq!(error.layer(), Some(Layer::Landlock));
    let lenient = policy.dangerous_relax(Layer::Landlock, Requirement::BestEffort);
    let output = sandbox.run(&host.shell_under(lenient, "exit 0")).await.unwrap();
    assert!(matches!(output.report.status(Layer::Landlock), LayerStatus::Unavailable { .. }));
    assert!(!host.path("workspace/ran").exists());
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn what_a_container_cannot_do_is_refused() {
    let host = Host::new();
    let sandbox = sandbox().await;
    let state = tempfile::tempdir().unwrap();
    let overlay = codegenie_exec::Overlay::new(host.path("workspace"), state.path());
    let refused = [
        host.policy().domains(["example.org"]),
        host.policy().overlay(overlay),
        host.policy().dangerous_relax(Layer::Capabilities, Requirement::Off),
        host.policy().dangerous_relax(Layer::MountNamespace, Requirement::BestEffort),
        host.policy().dangerous_relax(Layer::ResourceLimits, Requirement::Off),
    ];
    for policy in refused {
        let error = sandbox.run(&host.shell_under(policy, "exit 0").cwd("/tmp")).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::InvalidPolicy, "{error}");
    }
}

/// 60: docker.sock.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn the_daemons_socket_is_never_shown() {
    let host = Host::new();
    let sandbox = sandbox().await;
    let directory = socket().parent().unwrap().canonicalize().unwrap();
    // Without the refusal the socket would be there.
    let mount = format!("{0}:{0}:ro", directory.display());
    let check = format!("test -S {} && echo there", socket().display());
    assert_eq!(
        client(&["run", "--rm", "--network", "none", "-v", &mount, &image(), "sh", "-c", &check]),
        "there\n"
    );

    for policy in
        [host.policy().read(socket()), host.policy().read(&directory), host.policy().write(&directory)]
    {
        let error = sandbox.run(&host.shell_under(policy, &check)).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::InvalidPolicy, "{error}");
        assert!(error.to_string().contains("root of this machine"), "{error}");
    }
    // By another name, too.
    std::os::unix::fs::symlink(&directory, host.path("alias")).unwrap();
    let policy = host.policy().read(host.path("alias"));
    assert!(sandbox.run(&host.shell_under(policy, &check)).await.is_err());
    // Where one of a known daemon comes, if there is none yet.
    let error = sandbox.run(&host.shell_under(host.policy().read("/run"), &check)).await.unwrap_err();
    assert!(error.to_string().contains(".sock"), "{error}");
    let hidden = host.policy().read(&directory).hide(socket());
    let output = sandbox.run(&host.shell_under(hidden, &check)).await.unwrap();
    assert_eq!(text(&output), "");
}

/// 32: .git/hooks and .bashrc.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn host_executed_files_of_a_workspace_are_read_only() {
    let host = Host::new();
    let hooks = host.path("workspace/.git/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    std::fs::write(host.path("workspace/.bashrc"), "alias a=b\n").unwrap();
    let script = "echo evil > .git/hooks/pre-commit; echo evil >> .bashrc; mv .git moved; rm -rf .git .bashrc; echo ok > made";
    let free = Host::new();
    std::fs::create_dir_all(free.path("workspace/.git/hooks")).unwrap();
    unprotected(&free, &format!("cd {}; {script}", free.path("workspace").display()));
    assert!(free.path("workspace/moved/hooks/pre-commit").exists());

    host.run(script).await;
    assert_eq!(std::fs::read_dir(&hooks).unwrap().count(), 0);
    assert_eq!(std::fs::read_to_string(host.path("workspace/.bashrc")).unwrap(), "alias a=b\n");
    assert_eq!(std::fs::read_to_string(host.path("workspace/made")).unwrap(), "ok\n");
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn hidden_paths_are_masked() {
    let host = Host::new();
    std::fs::create_dir(host.path("workspace/private")).unwrap();
    std::fs::write(host.path("workspace/private/key"), SECRET).unwrap();
    std::fs::write(host.path("workspace/token"), SECRET).unwrap();
    let script = "cat private/key token; ls private; echo x > private/new; echo x > token; mv private away; cat away/key";
    assert!(text(&host.run(script).await).contains(SECRET));

    std::fs::rename(host.path("workspace/away"), host.path("workspace/private")).unwrap();
    std::fs::write(host.path("workspace/token"), SECRET).unwrap();
    let policy = host.policy().hide(host.path("workspace/private")).hide(host.path("workspace/token"));
    let output = sandbox().await.run(&host.shell_under(policy, script)).await.unwrap();
    assert!(!text(&output).contains(SECRET) && !text(&output).contains("key\n"), "{}", text(&output));
    assert_eq!(std::fs::read_to_string(host.path("workspace/token")).unwrap(), SECRET);
}

/// A link that came into a granted path after the policy was resolved.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_link_in_a_granted_path_is_not_followed() {
    let host = Host::new();
    let data = host.path("workspace/data");
    std::fs::create_dir(&data).unwrap();
    let policy = host.policy().read(&data).resolve().unwrap();
    std::fs::remove_dir(&data).unwrap();
    std::os::unix::fs::symlink(host.path("other"), &data).unwrap();
    let request = host.shell_under(policy, "cat data/precious");
    let free = DangerousNoSandbox.run(&request).await.unwrap();
    assert!(text(&free).contains(SECRET));
    let error = sandbox().await.run(&request).await.unwrap_err();
    assert_eq!(error.kind(), SandboxErrorKind::InvalidPolicy, "{error}");
}

/// 65: variables.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn nothing_of_the_images_environment_arrives() {
    let free = client(&["run", "--rm", "--network", "none", &image(), "env"]);
    assert!(free.contains("OF_THE_IMAGE=1") && free.contains("HOSTNAME="), "{free}");
    let mut policy = without_landlock(SandboxPolicy::default());
    policy.environment = [("HOME".to_owned(), "/tmp/home".to_owned())].into();
    let request = SandboxRequest::new("/bin/env", policy).env("A", "b c");
    let output = sandbox().await.run(&request).await.unwrap();
    let mut lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    // What an engine sets is constant, and is in the report.
    let adds = crate::ADDED_VARIABLES.iter().map(|(name, value)| format!("{name}={value}"));
    let told = output.report.status(Layer::Environment).to_string();
    assert!(crate::ADDED_VARIABLES.iter().all(|(name, _)| told.contains(name)), "{told}");
    let expected: Vec<String> =
        ["A=b c", "HOME=/tmp/home"].map(str::to_owned).into_iter().chain(adds).collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn arguments_are_never_a_shells() {
    let host = Host::new();
    let words = ["$(touch /tmp/x)", "; echo more", "`id`", "-c", "--", "| cat"];
    let request = SandboxRequest::new("printf", host.policy()).arg("%s\\n").args(words);
    let output = sandbox().await.run(&request).await.unwrap();
    assert_eq!(text(&output), words.map(|word| format!("{word}\n")).concat());
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn images_are_named_well_and_not_fetched() {
    for name in ["", "../info", "a b", "a?x=1", "/etc", "a//b", "a/../b", "-x", "a\nb"] {
        let error = ContainerSandbox::builder(name).socket(socket()).connect().await.unwrap_err();
        assert!(error.to_string().contains("no image name"), "{name:?}: {error}");
    }
    let error =
        ContainerSandbox::builder("codegenie-missing:none").socket(socket()).connect().await.unwrap_err();
    assert!(error.to_string().contains("has no image"), "{error}");
    let missing = ContainerSandbox::builder(image()).socket("/nowhere/docker.sock").connect().await;
    assert_eq!(missing.unwrap_err().kind(), SandboxErrorKind::System);
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn an_image_with_volumes_is_refused() {
    let container = client(&["create", "--network", "none", &image(), "true"]);
    client(&["commit", "--change", "VOLUME /data", container.trim(), "codegenie-volume:test"]);
    client(&["rm", container.trim()]);
    // Without the refusal it is writable, although the root is not.
    let free = ["run", "--rm", "--network", "none", "--read-only", "codegenie-volume:test"];
    let free = client(&[&free[..], &["sh", "-c", "echo x > /data/x && cat /data/x"]].concat());
    assert_eq!(free, "x\n");
    let error = ContainerSandbox::builder("codegenie-volume:test").socket(socket()).connect().await;
    assert!(error.unwrap_err().to_string().contains("declares volumes"));
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_runtime_that_is_missing_is_an_error_and_nothing_is_left() {
    let host = Host::new();
    let strange = ContainerSandbox::builder(image()).socket(socket()).runtime("codegenie-no-runtime");
    let error = strange.connect().await.unwrap().run(&host.shell("touch ran")).await.unwrap_err();
    assert!(error.to_string().contains("codegenie-no-runtime"), "{error}");
    assert!(!host.path("workspace/ran").exists());
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_working_directory_is_not_made() {
    let host = Host::new();
    let sandbox = sandbox().await;
    for cwd in
        [host.path("workspace/missing"), host.path("other"), Path::new("/root").into(), "relative".into()]
    {
        let error = sandbox.run(&host.shell("exit 0").cwd(&cwd)).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::InvalidRequest, "{error}");
    }
    assert!(!host.path("workspace/missing").exists());
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn commands_run_as_the_owner_of_the_workspace() {
    let host = Host::new();
    std::os::unix::fs::chown(host.path("workspace"), Some(54_321), Some(54_322)).unwrap();
    let output = host.run("id -u; id -g; touch made").await;
    assert_eq!(text(&output), "54321\n54322\n");
    let made = std::fs::metadata(host.path("workspace/made")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 54_321);
    let root = ContainerSandbox::builder(image()).socket(socket()).user(0, 0).connect().await;
    assert_eq!(root.unwrap_err().kind(), SandboxErrorKind::InvalidRequest);
}
