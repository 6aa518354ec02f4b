//! The suite for one launcher; see `confinement.rs` and `confinement_pool.rs`.
//!
//! What confinement promises beside the numbered attempts, which are in `abuse`.
use crate::LAUNCHER;
use crate::host::{Host, SECRET, eventually, helper, is_root, parent_of, text};
use codegenie_exec::{
    EndReason, Layer, Limits, NativeSandbox, RunOutput, Sandbox, SandboxError, SandboxPolicy, SandboxRequest,
};
use std::time::Duration;

fn sandbox() -> NativeSandbox {
    LAUNCHER.sandbox()
}

async fn run(request: &SandboxRequest) -> Result<RunOutput, SandboxError> {
    LAUNCHER.run(request).await
}

#[tokio::test]
async fn reads_no_ssh_keys() {
    let host = Host::new(LAUNCHER);
    let script = format!("cat {}", host.path("home/.ssh/id_ed25519").display());
    assert!(text(&host.unconfined(&script).await).contains(SECRET));
    let confined = host.confined(&script).await;
    assert!(!text(&confined).contains(SECRET));
    assert!(!confined.status.reason.is_success());
}

#[tokio::test]
async fn reads_no_shadow_file() {
    let host = Host::new(LAUNCHER);
    let unconfined = host.unconfined("cat /etc/shadow").await;
    // Only root can show the success; an ordinary user's own files are the test above.
    assert_eq!(unconfined.status.reason.is_success(), is_root());
    let confined = host.confined("cat /etc/shadow; cat /proc/1/root/etc/shadow; ls /.host").await;
    assert!(confined.stdout.is_empty(), "{}", text(&confined));
    assert!(!confined.status.reason.is_success());
}

#[tokio::test]
async fn sees_no_environment_of_the_host() {
    let host = Host::new(LAUNCHER);
    // The host of this test is a process of its own, with a secret in its environment.
    let mut other = std::process::Command::new("sleep").arg("30").env("API_TOKEN", SECRET).spawn().unwrap();
    let environ = format!("/proc/{}/environ", other.id());
    assert!(eventually(
        || std::fs::read(&environ).is_ok_and(|e| String::from_utf8_lossy(&e).contains(SECRET))
    ));
    let script = format!("cat {environ}; cat /proc/*/environ; env; cat /proc/$PPID/environ");
    let unconfined = text(&host.unconfined(&script).await);
    let confined = text(&host.confined(&script).await);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(unconfined.contains(SECRET));
    assert!(!confined.contains(SECRET));
    assert!(!confined.contains("CARGO"), "cargo sets variables for every test: {confined}");
}

#[tokio::test]
async fn a_cancelled_start_leaves_no_zombie() {
    let host = Host::new(LAUNCHER);
    let sandbox = sandbox();
    let zombies = || {
        let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            entry
                .ok()?
                .file_name()
                .to_str()?
                .parse::<i32>()
                .ok()
                .filter(|pid| parent_of(*pid) == Some(std::process::id()))
        });
        children
            .filter(|pid| {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                status.contains("State:\tZ") && status.contains("codegenie-init")
            })
            .collect::<Vec<_>>()
    };
    for round in 0..60u64 {
        let request = SandboxRequest::new("true", host.policy());
        let _ =
            tokio::time::timeout(Duration::from_micros(100 * (round % 30)), sandbox.start(&request)).await;
    }
    // A zombie of another test is reaped in a moment; one that nobody reaps stays.
    let first = zombies();
    assert!(eventually(|| zombies().iter().all(|pid| !first.contains(pid))));
}

/// Such a host reaps what is ours, or lets the kernel do it.
#[tokio::test]
async fn a_host_that_ignores_its_children_learns_how_they_ended() {
    let host = Host::new(LAUNCHER);
    let request = |name: &str| {
        let mut command = std::process::Command::new("env");
        command.args(["--ignore-signal=CHLD"]).arg(std::env::current_exe().unwrap());
        command.args(helper(name));
        command.env("CODEGENIE_WORKSPACE", host.path("workspace"));
        command.output().unwrap()
    };
    let output = request("suite::helper_reports_an_end");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("ended: exit 7"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Not a test: a host whose parent made it ignore SIGCHLD.
#[tokio::test]
#[ignore = "a helper program of a_host_that_ignores_its_children_learns_how_they_ended, which runs it"]
async fn helper_reports_an_end() {
    let Ok(workspace) = std::env::var("CODEGENIE_WORKSPACE") else { return };
    let request = SandboxRequest::new("sh", SandboxPolicy::workspace_write(workspace)).args(["-c", "exit 7"]);
    match run(&request).await {
        Ok(output) => println!("ended: {}", output.status.reason),
        Err(error) => println!("error: {error}"),
    }
}

#[tokio::test]
async fn init_is_left_alone() {
    let host = Host::new(LAUNCHER);
    let output = host
        .confined(
            "prlimit --pid 1 --nofile=1:1; taskset -p 1 1; renice -n 19 -p 1; ionice -c 3 -p 1; chrt -i -p 0 1; \
             renice -n 19 -u $(id -u); ionice -c 3 -u $(id -u); cut -d ' ' -f 19 /proc/1/stat | sed 's/^/nice of init: /'; \
             grep 'open files' /proc/1/limits; ps -o ni= -p 1 2>/dev/null; prlimit --nofile=100:100 true && echo own",
        )
        .await;
    let text = text(&output);
    assert!(text.contains("nice of init: 0\n"), "{text}");
    assert!(text.contains("own"), "its own limits are the command's: {text}");
    assert!(!text.contains("new priority") && !text.contains("new affinity"), "{text}");
}

#[tokio::test]
async fn odd_policies_hold() {
    let host = Host::new(LAUNCHER);
    let mut limits = Limits::default();
    limits.tmp_bytes = 0;
    let full =
        host.confined_under(host.policy().limits(limits), "head -c 1M /dev/zero > /tmp/x && echo all").await;
    assert!(!text(&full).contains("all"), "no room is not unlimited room: {}", text(&full));

    let etc = host.confined_under(host.policy().read("/etc"), "test -e /etc/hostname && echo there").await;
    assert_eq!(text(&etc), "there\n");

    let nowhere = SandboxRequest::new("true", host.policy()).env("PATH", "");
    let error = run(&nowhere).await.unwrap_err().to_string();
    assert!(error.contains("true was not run"), "{error}");

    let misread = SandboxRequest::new("env", host.policy()).env("A=B", "C");
    assert!(run(&misread).await.is_err());

    std::fs::write(host.path("workspace/.env"), SECRET).unwrap();
    let masked = host.policy().hide(host.path("workspace/.env"));
    let output = host.confined_under(masked, "chmod 600 .env; echo lost > .env; cat .env").await;
    assert!(!text(&output).contains("lost\n"), "{}", text(&output));
}

#[tokio::test]
async fn hides_what_the_policy_hides() {
    let host = Host::new(LAUNCHER);
    std::fs::write(host.path("workspace/.env"), SECRET).unwrap();
    std::fs::create_dir(host.path("workspace/private")).unwrap();
    std::fs::write(host.path("workspace/private/key"), SECRET).unwrap();
    let script = "cat .env private/key; mv private elsewhere; cat elsewhere/key; rm -f .env; cat .env";
    let policy = host
        .policy()
        .hide(host.path("workspace/.env"))
        .hide(host.path("workspace/private"))
        .hide("/nonexistent");
    let hidden = host.confined_under(policy, script).await;
    assert!(!text(&hidden).contains(SECRET), "{}", text(&hidden));
    assert!(text(&host.confined(script).await).contains(SECRET));
}

#[tokio::test]
async fn honest_work_succeeds() {
    let host = Host::new(LAUNCHER);
    let script = "echo 'int main(void){return 7;}' > a.c && mkdir -p d/e && cp a.c d/e/ && mv d/e/a.c d/b.c && ln -s d/b.c l && \
                  wc -c < l && echo out && echo err > /dev/stderr && echo again > /dev/stdout && test -w . && \
                  cat <(echo sub) && (sleep 0.01 & wait) && echo tmp > /tmp/t && cat /tmp/t && echo $HOME && test -w $HOME && \
                  test -c /dev/null && head -c 4 /dev/urandom | wc -c && kill -TERM $$";
    let output = host.confined(script).await;
    assert_eq!(output.status.reason, EndReason::Signaled(15), "{}", text(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "26\nout\nagain\nsub\ntmp\n/tmp/home\n4\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(host.path("workspace/a.c")).unwrap());
    let mine = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(host.path("workspace")).unwrap());
    assert_eq!(owner, mine, "what the command makes belongs to the workspace's owner");
}

#[tokio::test]
async fn the_report_is_proved_by_a_witness() {
    let host = Host::new(LAUNCHER);
    let sandbox = sandbox();
    let report = sandbox.enforcement(&host.policy()).await.unwrap();
    assert!(report.witness.len() >= 10);
    for attempt in &report.witness {
        assert!(attempt.stopped, "{attempt:?}");
    }
    for layer in Layer::ALL {
        assert_ne!(report.status(layer), &codegenie_exec::LayerStatus::Off, "{layer}");
    }
    // What is relaxed is reported, and the witness no longer counts on it.
    let relaxed = host
        .policy()
        .dangerous_relax(Layer::Landlock, codegenie_exec::Requirement::Off)
        .dangerous_full_network();
    let report = sandbox.enforcement(&relaxed).await.unwrap();
    assert!(!report.enforces(Layer::Landlock) && !report.enforces(Layer::NetworkNamespace));
    assert!(report.enforces(Layer::Capabilities));
}

/// Inside a sandbox no further user namespace can be made: a kernel that lacks a needed layer.
#[tokio::test]
async fn a_kernel_without_a_needed_layer_is_an_error_that_says_what_to_do() {
    let host = Host::new(LAUNCHER);
    let exe = std::env::current_exe().unwrap();
    let request = SandboxRequest::new(&exe, host.policy().read(&exe)).args(helper("suite::helper_nests"));
    let output = text(&run(&request).await.unwrap());
    assert!(output.contains("refused: user namespace cannot be enforced"), "{output}");
    assert!(output.contains("nothing was run"), "{output}");
    assert!(!output.contains("it ran"), "{output}");
}

/// Not a test: what the test above runs in the sandbox.
#[tokio::test]
#[ignore = "a helper program of a_kernel_without_a_needed_layer_is_an_error_that_says_what_to_do, which runs it"]
async fn helper_nests() {
    let request = SandboxRequest::new("echo", SandboxPolicy::default()).arg("it ran");
    let output = match NativeSandbox::new() {
        Ok(sandbox) => sandbox.run(&request).await,
        Err(error) => Err(error),
    };
    match output {
        Ok(output) => println!("{}", text(&output)),
        Err(error) => println!("refused: {error}"),
    }
}

#[tokio::test]
async fn bad_policies_and_requests_run_nothing() {
    let host = Host::new(LAUNCHER);
    let sandbox = sandbox();
    std::fs::write(host.path("file"), "").unwrap();
    let cases = [
        (SandboxPolicy::workspace_write(host.path("missing")), "cannot be granted"),
        (SandboxPolicy::workspace_write(host.path("file")), "is not a directory"),
        (SandboxPolicy::workspace_write("relative"), "is not absolute"),
        (SandboxPolicy::workspace_write("/"), "cannot be granted"),
        (SandboxPolicy::default().read("/proc/self"), "cannot be granted"),
        (
            host.policy().dangerous_relax(Layer::UserNamespace, codegenie_exec::Requirement::Off),
            "does not work without",
        ),
        (host.policy().env("A=B", "c"), "environment variable"),
    ];
    for (policy, expected) in cases {
        let error = sandbox.run(&SandboxRequest::new("true", policy)).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
    let requests = [
        (SandboxRequest::new("no-such-program", host.policy()), "no-such-program was not run"),
        (SandboxRequest::new("tr\0ue", host.policy()), "NUL"),
        (SandboxRequest::new("true", host.policy()).cwd("/var"), "not in the sandbox"),
        (SandboxRequest::new("true", host.policy()).cwd(host.path("other")), "cannot be entered"),
        (SandboxRequest::new("true", host.policy()).cwd("relative"), "not absolute"),
        (SandboxRequest::new("true", host.policy()).cwd(host.path("workspace/missing")), "cannot be entered"),
        (SandboxRequest::new("true", host.policy()).arg("x".repeat(200_000)), "was not run"),
    ];
    for (request, expected) in requests {
        let error = sandbox.run(&request).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

/// Descriptors and mounts of a host: the same before and after many runs. In a process of its own, whose
/// descriptors are no other test's.
#[test]
fn many_runs_leave_nothing_behind() {
    let host = Host::new(LAUNCHER);
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(helper("suite::helper_runs_many"))
        .env("CODEGENIE_WORKSPACE", host.path("workspace"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("nothing is left"), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

/// Not a test: a host that runs many commands and counts.
#[tokio::test]
#[ignore = "a helper program of many_runs_leave_nothing_behind, which runs it"]
async fn helper_runs_many() {
    let Ok(workspace) = std::env::var("CODEGENIE_WORKSPACE") else { return };
    let sandbox = sandbox();
    let request = SandboxRequest::new("true", SandboxPolicy::workspace_write(workspace));
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap().lines().count();
    let before = mounts();
    let mut counts = Vec::new();
    for _ in 0..5 {
        for _ in 0..10 {
            assert!(sandbox.run(&request).await.unwrap().status.reason.is_success());
        }
        counts.push(descriptors());
    }
    // What waits in a pool has a few; a leak would add 10 a round.
    assert!(counts[4] < counts[0] + 20, "{counts:?}");
    assert_eq!(mounts(), before);
    println!("nothing is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_side_by_side() {
    let host = Host::new(LAUNCHER);
    let sandbox = sandbox();
    let mut runs = Vec::new();
    for i in 0..16 {
        let (sandbox, policy) = (sandbox.clone(), host.policy());
        runs.push(tokio::spawn(async move {
            let request = SandboxRequest::new("sh", policy)
                .arg("-c")
                .arg(format!("cat; exit {i}"))
                .stdin(vec![b'x'; 1 << 20]);
            sandbox.run(&request).await.unwrap()
        }));
    }
    for (i, run) in runs.into_iter().enumerate() {
        let output = run.await.unwrap();
        assert_eq!(output.status.reason, EndReason::Exited(i32::try_from(i).unwrap()));
        assert_eq!(output.stdout.len(), 1 << 20);
    }
}

/// A helper program: a server and a client of its own on the loopback, and what each step said.
#[test]
#[ignore = "a helper program of servers_on_the_loopback_are_granted_or_not, which runs it in the sandbox"]
fn helper_serves_itself() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    println!("bind: {}", listener.is_ok());
    // Where nobody may bind, connecting is refused all the same: not by who would answer.
    let address = listener.as_ref().map_or_else(|_| ([127, 0, 0, 1], 9).into(), |l| l.local_addr().unwrap());
    match std::net::TcpStream::connect(address) {
        Ok(mut client) => {
            let mut server = listener.unwrap().accept().unwrap().0;
            server.write_all(b"hello").unwrap();
            drop(server);
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            println!("connect: {text}");
        }
        Err(error) => println!("connect: {}", error.raw_os_error().unwrap_or(0)),
    }
    let datagram = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
        socket.connect(socket.local_addr()?)?;
        socket.send(b"x")
    });
    println!("datagram: {}", datagram.is_ok());
}

#[tokio::test]
async fn servers_on_the_loopback_are_granted_or_not() {
    let host = Host::new(LAUNCHER);
    let program = host.path("workspace/program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let shown = async |policy: SandboxPolicy| {
        let request = SandboxRequest::new(&program, policy).args(helper("suite::helper_serves_itself"));
        let output = run(&request).await.unwrap();
        let detail = |layer| {
            let of = output.report.layers.iter().find(|report| report.layer == layer).unwrap();
            of.detail.clone()
        };
        let report = [detail(Layer::Landlock), detail(Layer::NetworkNamespace)].join("; ");
        let partial = output.report.status(Layer::Landlock).to_string();
        (text(&output), report, partial)
    };
    let (output, report, partial) = shown(host.policy()).await;
    assert!(output.contains("bind: true\nconnect: hello\ndatagram: true\n"), "{output}");
    assert!(report.contains("TCP not restricted: the policy grants the sandbox's own loopback"), "{report}");
    assert!(report.contains("; own loopback"), "{report}");
    assert!(!partial.contains("TCP"), "{partial}");

    let (output, report, partial) = shown(host.policy().loopback(false)).await;
    assert!(output.contains("connect: ") && output.contains("datagram: false\n"), "{output}");
    assert!(!output.contains("hello"), "{output}");
    assert!(report.contains("TCP refused; no loopback"), "{report}");
    // By Landlock where it can, or else by there being no loopback.
    let by_landlock = !partial.contains("TCP ports (needs Landlock ABI 4");
    assert_eq!(output.contains("bind: false\nconnect: 13\n"), by_landlock, "{output} {partial}");

    // With a proxy the loopback is up, and the way to the proxy is the only one.
    let (output, report, partial) = shown(host.policy().loopback(false).domains(["nowhere.test"])).await;
    let by_landlock = !partial.contains("TCP ports (needs Landlock ABI 4");
    assert!(report.contains("TCP refused but for connecting to the proxy's port"), "{report}");
    assert_eq!(output.contains("bind: false\nconnect: 13\n"), by_landlock, "{output} {partial}");
    let script = "exec 3<>/dev/tcp/127.0.0.1/3128 && echo reached; echo x > /dev/tcp/127.0.0.1/3129";
    let policy = host.policy().loopback(false).domains(["nowhere.test"]);
    let output = host.confined_under(policy.clone(), script).await;
    assert!(text(&output).contains("reached"), "{}", text(&output));
    if by_landlock {
        let denials = output.denials(&policy, &host.path("workspace"));
        assert!(denials.iter().any(|denial| denial.rule == ".loopback(true)"), "{}", text(&output));
    }
    // The profiles.
    assert!(!SandboxPolicy::read_only("/").loopback && !SandboxPolicy::default().loopback);
    assert!(SandboxPolicy::workspace_write("/").loopback);
}
