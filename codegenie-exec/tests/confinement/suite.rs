//! The suite for one launcher; see `confinement.rs` and `confinement_pool.rs`.
//!
//! What an injected agent would try: each attempt is shown to succeed without the sandbox, in a
//! process made for it, and to fail with it, the host unharmed.
use codegenie_exec::{
    DangerousNoSandbox, EndReason, Layer, Limits, NativeSandbox, RunOutput, Sandbox, SandboxError,
    SandboxPolicy, SandboxRequest,
};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A piece of a host: a workspace, and beside it what the agent must not touch.
struct Host {
    root: tempfile::TempDir,
}

const SECRET: &str = "the-host-s-secret-8c1f";

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["workspace", "home/.ssh", "other"] {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let key = root.path().join("home/.ssh/id_ed25519");
        std::fs::write(&key, SECRET).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(root.path().join("other/precious"), SECRET).unwrap();
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn policy(&self) -> SandboxPolicy {
        SandboxPolicy::workspace_write(self.path("workspace")).timeout(Duration::from_secs(20))
    }

    async fn confined(&self, script: &str) -> RunOutput {
        self.confined_under(self.policy(), script).await
    }

    async fn confined_under(&self, policy: SandboxPolicy, script: &str) -> RunOutput {
        let request = SandboxRequest::new("bash", policy).arg("-c").arg(script);
        run(&request).await.unwrap()
    }

    /// The same without the sandbox. Bounded by the script itself and the timeout.
    async fn unconfined(&self, script: &str) -> RunOutput {
        let request = SandboxRequest::new("bash", self.policy()).arg("-c").arg(script);
        DangerousNoSandbox.run(&request).await.unwrap()
    }
}

/// The helper program of that name in this very executable.
fn helper(name: &str) -> [String; 4] {
    ["--exact".into(), format!("suite::{name}"), "--nocapture".into(), "--include-ignored".into()]
}

fn sandbox() -> NativeSandbox {
    NativeSandbox::new().unwrap().pooled(super::POOL)
}

/// Runs a command by the launcher that this suite is for.
async fn run(request: &SandboxRequest) -> Result<RunOutput, SandboxError> {
    let sandbox = sandbox();
    // What the policy lacks is told when the command is started.
    let warm = sandbox.prewarm(&request.policy).await.is_ok();
    let output = sandbox.run(request).await?;
    assert!(warm);
    assert_eq!(output.report.launcher, super::LAUNCHER);
    Ok(output)
}

fn text(output: &RunOutput) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Waits until `condition` holds; false after a bounded time.
fn eventually(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    condition()
}

/// Processes of this machine whose command line holds `marker`.
fn processes_with(marker: &str) -> Vec<i32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            *pid != i32::try_from(std::process::id()).unwrap()
                && String::from_utf8_lossy(&line).contains(marker)
        })
        .collect()
}

#[tokio::test]
async fn reads_no_ssh_keys() {
    let host = Host::new();
    let script = format!("cat {}", host.path("home/.ssh/id_ed25519").display());
    assert!(text(&host.unconfined(&script).await).contains(SECRET));
    let confined = host.confined(&script).await;
    assert!(!text(&confined).contains(SECRET));
    assert!(!confined.status.reason.is_success());
}

#[tokio::test]
async fn reads_no_shadow_file() {
    let host = Host::new();
    let unconfined = host.unconfined("cat /etc/shadow").await;
    // Only root can show the success; an ordinary user's own files are the test above.
    let is_root =
        std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0).unwrap();
    assert_eq!(unconfined.status.reason.is_success(), is_root);
    let confined = host.confined("cat /etc/shadow; cat /proc/1/root/etc/shadow; ls /.host").await;
    assert!(confined.stdout.is_empty(), "{}", text(&confined));
    assert!(!confined.status.reason.is_success());
}

#[tokio::test]
async fn follows_no_link_and_no_climb_out_of_the_workspace() {
    let host = Host::new();
    let secret = host.path("other/precious");
    let script = format!(
        "ln -s {0} link; cat link; cat ../other/precious; cat /proc/self/root{0}; cat /proc/self/cwd/../other/precious",
        secret.display()
    );
    assert_eq!(text(&host.unconfined(&script).await).matches(SECRET).count(), 4);
    std::fs::remove_file(host.path("workspace/link")).unwrap();
    assert_eq!(text(&host.confined(&script).await).matches(SECRET).count(), 0);
}

#[tokio::test]
async fn makes_no_hard_link_to_what_is_outside() {
    let host = Host::new();
    let script = format!("ln {} hard && cat hard", host.path("other/precious").display());
    assert!(text(&host.unconfined(&script).await).contains(SECRET));
    std::fs::remove_file(host.path("workspace/hard")).unwrap();
    assert!(!text(&host.confined(&script).await).contains(SECRET));
}

#[tokio::test]
async fn reaches_no_network() {
    let host = Host::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("echo stolen > /dev/tcp/127.0.0.1/{port}");

    assert!(host.unconfined(&script).await.status.reason.is_success());
    assert!(eventually(|| listener.accept().is_ok()));

    let confined = host.confined(&script).await;
    assert!(!confined.status.reason.is_success());
    assert!(listener.accept().is_err(), "a connection came out of the sandbox");
}

#[tokio::test]
async fn reaches_no_abstract_socket_and_no_socket_file() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let host = Host::new();
    let exe = std::env::current_exe().unwrap();
    let name = format!("codegenie-{}", std::process::id());
    let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
    let listeners = [
        UnixListener::bind_addr(&abstract_address).unwrap(),
        UnixListener::bind(host.path("other/socket")).unwrap(),
    ];
    for listener in &listeners {
        listener.set_nonblocking(true).unwrap();
    }
    let request = |policy: SandboxPolicy| {
        SandboxRequest::new(&exe, policy.read(&exe))
            .args(helper("helper_connects"))
            .env("CODEGENIE_ABSTRACT", &name)
            .env("CODEGENIE_SOCKET", host.path("other/socket"))
    };
    DangerousNoSandbox.run(&request(host.policy())).await.unwrap();
    for listener in &listeners {
        assert!(eventually(|| listener.accept().is_ok()));
    }
    let output = NativeSandbox::new().unwrap().run(&request(host.policy())).await.unwrap();
    assert!(text(&output).contains("1 passed"), "{}", text(&output));
    for listener in &listeners {
        assert!(listener.accept().is_err(), "a connection came out of the sandbox");
    }
}

/// Not a test: what the test above runs inside and outside of the sandbox.
#[test]
#[ignore = "a helper program of reaches_no_abstract_socket_and_no_socket_file, which runs it"]
fn helper_connects() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let (Ok(name), Ok(path)) = (std::env::var("CODEGENIE_ABSTRACT"), std::env::var("CODEGENIE_SOCKET"))
    else {
        return;
    };
    drop(SocketAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address)));
    drop(UnixStream::connect(path));
}

#[tokio::test]
async fn deletes_nothing_but_its_own() {
    let host = Host::new();
    let script = format!("rm -rf {}/other {}/home", host.root.path().display(), host.root.path().display());
    assert!(host.unconfined(&script).await.status.reason.is_success());
    assert!(!host.path("other/precious").exists());

    let host = Host::new();
    std::fs::write(host.path("workspace/mine"), "x").unwrap();
    let script = format!("rm -rf {}; rm -rf mine", host.root.path().display());
    host.confined(&script).await;
    assert!(host.path("other/precious").exists());
    assert!(host.path("home/.ssh/id_ed25519").exists());
    assert!(!host.path("workspace/mine").exists(), "its own files are the agent's to delete");
}

#[tokio::test]
async fn a_fork_bomb_is_bounded_and_leaves_nothing() {
    let host = Host::new();
    // Bounded by itself: 200 processes that end after some seconds.
    let bomb = |marker: &str| {
        format!(
            "n=0; for i in $(seq 200); do sleep 7.{marker} >/dev/null 2>&1 & n=$((n+1)); done; echo started $n"
        )
    };
    let marker = format!("{:05}1", std::process::id());
    assert!(text(&host.unconfined(&bomb(&marker)).await).contains("started 200"));
    assert!(processes_with(&format!("7.{marker}")).len() > 150);

    let marker = format!("{:05}2", std::process::id());
    let mut limits = Limits::default();
    limits.processes = 32;
    limits.timeout = Duration::from_secs(5);
    let policy = host.policy().limits(limits);
    let confined = host.confined_under(policy, &bomb(&marker)).await;
    assert!(!text(&confined).contains("started 200"), "{}", text(&confined));
    assert!(text(&confined).contains("fork"), "{}", text(&confined));
    assert!(eventually(|| processes_with(&format!("7.{marker}")).is_empty()));
}

#[tokio::test]
async fn a_daemon_ends_with_the_command() {
    let host = Host::new();
    let daemon = |marker: &str| format!("(setsid nohup sleep 8.{marker} >/dev/null 2>&1 &) ; echo left");
    let marker = format!("{:05}3", std::process::id());
    assert!(text(&host.unconfined(&daemon(&marker)).await).contains("left"));
    assert!(eventually(|| processes_with(&format!("8.{marker}")).len() == 1));

    let marker = format!("{:05}4", std::process::id());
    assert!(text(&host.confined(&daemon(&marker)).await).contains("left"));
    assert!(eventually(|| processes_with(&format!("8.{marker}")).is_empty()));
}

#[tokio::test]
async fn a_timeout_ends_the_whole_tree_and_gives_the_output_so_far() {
    let host = Host::new();
    let marker = format!("{:05}5", std::process::id());
    let script = format!(
        "trap '' TERM INT HUP; echo before; (trap '' TERM; setsid sleep 9.{marker}) & kill -STOP $! ; sleep 9.{marker}; echo after"
    );
    let policy = host.policy().timeout(Duration::from_millis(700));
    let output = host.confined_under(policy, &script).await;
    assert_eq!(output.status.reason, EndReason::TimedOut);
    assert_eq!(text(&output), "before\n");
    assert!(eventually(|| processes_with(&format!("9.{marker}")).is_empty()));
}

#[tokio::test]
async fn dropping_the_run_ends_the_tree() {
    let host = Host::new();
    let marker = format!("{:05}6", std::process::id());
    let request = SandboxRequest::new("bash", host.policy())
        .arg("-c")
        .arg(format!("sleep 9.{marker} & sleep 9.{marker}"));
    let running = sandbox().start(&request).await.unwrap();
    assert!(eventually(|| processes_with(&format!("9.{marker}")).len() >= 2));
    drop(running);
    assert!(eventually(|| processes_with(&format!("9.{marker}")).is_empty()));
}

/// Also in the middle of starting: the host is killed at another moment each time.
#[tokio::test]
async fn nothing_outlives_a_killed_host() {
    let host = Host::new();
    for round in 0..20u64 {
        let marker = format!("{:05}{round:02}7", std::process::id());
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(helper("helper_is_a_host"))
            .env("CODEGENIE_WORKSPACE", host.path("workspace"))
            .env("CODEGENIE_MARKER", &marker)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        if round % 2 == 0 {
            assert!(eventually(|| processes_with(&format!("sleep\09.{marker}")).len() >= 4));
        } else {
            std::thread::sleep(Duration::from_millis(round));
        }
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(eventually(|| processes_with(&format!("9.{marker}")).is_empty()));
    }
    let inits = || processes_with("codegenie-init");
    // Those of other tests have hosts that live.
    assert!(eventually(|| inits().iter().all(|pid| parent_of(*pid) != Some(1))));
}

fn parent_of(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:\t")?.parse().ok())
}

/// Not a test: a host that runs several commands at once until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper program of nothing_outlives_a_killed_host, which runs and kills it"]
async fn helper_is_a_host() {
    let (Ok(workspace), Ok(marker)) =
        (std::env::var("CODEGENIE_WORKSPACE"), std::env::var("CODEGENIE_MARKER"))
    else {
        return;
    };
    let sandbox = sandbox();
    let mut running = Vec::new();
    for _ in 0..4 {
        let policy = SandboxPolicy::workspace_write(&workspace).timeout(Duration::from_secs(20));
        let request = SandboxRequest::new("sleep", policy).arg(format!("9.{marker}"));
        let sandbox = sandbox.clone();
        running.push(tokio::spawn(async move { sandbox.run(&request).await }));
    }
    for run in running {
        let _ = run.await;
    }
}

#[tokio::test]
async fn sees_no_environment_of_the_host() {
    let host = Host::new();
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
async fn signals_no_process_of_the_host() {
    let host = Host::new();
    for confine in [false, true] {
        let mut victim = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let script = format!("kill -9 {}; kill -9 -1; kill -9 1; echo alive", victim.id());
        // Without the sandbox only the first: the second would end this very test.
        let first = format!("kill -9 {}", victim.id());
        let output = if confine { host.confined(&script).await } else { host.unconfined(&first).await };
        if confine {
            assert!(victim.try_wait().unwrap().is_none(), "{}", text(&output));
            victim.kill().unwrap();
        }
        let status = victim.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}

#[tokio::test]
async fn writes_nowhere_else() {
    let host = Host::new();
    let outside = host.path("other/written");
    let script = format!("echo x > {}", outside.display());
    host.unconfined(&script).await;
    assert!(outside.exists());
    std::fs::remove_file(&outside).unwrap();
    let confined = host
        .confined(&format!(
            "{script}; touch /usr/x /etc/x /x /dev/x /proc/sys/kernel/core_pattern; mkdir /usr/y; echo done"
        ))
        .await;
    assert!(!outside.exists());
    for path in ["/usr/x", "/etc/x", "/x", "/dev/x", "/usr/y"] {
        assert!(!Path::new(path).exists(), "{path}: {}", text(&confined));
    }
}

#[tokio::test]
async fn gains_no_privilege() {
    let host = Host::new();
    let output = host
        .confined(
            "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; unshare -U true; mount -t tmpfs x /tmp; \
             chroot / true; id -u; cat /proc/self/uid_map",
        )
        .await;
    let text = text(&output);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(text.contains(&format!("{set}:\t0000000000000000")), "{text}");
    }
    assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2"), "{text}");
    assert!(!text.lines().any(|line| line == "0"), "the command must not be root: {text}");
}

/// What it makes belongs to the workspace's owner: a set-user-id program would outlast the sandbox.
#[tokio::test]
async fn makes_no_set_id_program() {
    let host = Host::new();
    let script = "cp /bin/true a; chmod 4755 a; cp a b; chmod u+s b; chmod g+s b; mkdir -m 2755 d; install -m 6755 /bin/true c; \
                  chmod 755 b && echo ordinary";
    let set_id = |name: &str| {
        let path = host.path("workspace").join(name);
        std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o6000 != 0)
    };
    host.unconfined(script).await;
    assert!(set_id("a") && set_id("c"));
    for name in ["a", "b", "c"] {
        std::fs::remove_file(host.path("workspace").join(name)).unwrap();
    }
    std::fs::remove_dir(host.path("workspace/d")).unwrap();
    let output = host.confined(script).await;
    assert!(text(&output).contains("ordinary"), "{}", text(&output));
    assert!(!set_id("a") && !set_id("b") && !set_id("c") && !set_id("d"), "{}", text(&output));

    // By the mode of a new file, with every call that makes one.
    let exe = std::env::current_exe().unwrap();
    let request = SandboxRequest::new(&exe, host.policy().read(&exe))
        .args(helper("helper_makes_set_id_files"))
        .env("CODEGENIE_SET_ID", "1");
    DangerousNoSandbox.run(&request).await.unwrap();
    assert!(set_id("opened"));
    std::fs::remove_file(host.path("workspace/opened")).unwrap();
    let output = run(&request).await.unwrap();
    assert!(text(&output).contains("1 passed"), "{}", text(&output));
    assert!(!set_id("opened"));
    assert!(host.path("workspace/plain").exists());
}

/// Not a test: what the test above runs inside and outside of the sandbox.
#[test]
#[ignore = "a helper program of makes_no_set_id_program, which runs it"]
fn helper_makes_set_id_files() {
    use std::os::unix::fs::OpenOptionsExt;
    if std::env::var_os("CODEGENIE_SET_ID").is_some() {
        let make =
            |name: &str, mode| std::fs::OpenOptions::new().write(true).create(true).mode(mode).open(name);
        drop(make("opened", 0o4755));
        drop(make("plain", 0o644));
    }
}

#[tokio::test]
async fn floods_fill_neither_the_host_s_memory_nor_its_disk() {
    let host = Host::new();
    let mut limits = Limits::default();
    limits.output_bytes = 100_000;
    limits.tmp_bytes = 4 << 20;
    limits.file_bytes = 1 << 20;
    limits.memory_bytes = 64 << 20;
    let policy = host.policy().limits(limits);
    let flood = host.confined_under(policy.clone(), "while :; do echo flood; done").await;
    assert_eq!(flood.status.reason, EndReason::OutputLimit);
    assert_eq!(flood.stdout.len() + flood.stderr.len(), 100_000);

    let file = host.confined_under(policy.clone(), "head -c 10M /dev/zero > big; ls -l big").await;
    assert!(std::fs::metadata(host.path("workspace/big")).unwrap().len() <= 1 << 20, "{}", text(&file));
    let tmp = host
        .confined_under(
            policy.clone(),
            "for i in 1 2 3 4 5 6 7 8; do head -c 1M /dev/zero > /tmp/$i; done; du -sk /tmp",
        )
        .await;
    assert!(text(&tmp).contains("No space left"), "{}", text(&tmp));
    let memory = host.confined_under(policy, "x=$(head -c 200M /dev/zero | tr '\\0' x); echo ${#x}").await;
    assert!(!text(&memory).contains("209715200"), "{}", text(&memory));
}

#[tokio::test]
async fn leaves_git_hooks_and_configuration_alone() {
    let host = Host::new();
    let git = host.path("workspace/.git");
    std::fs::create_dir_all(git.join("hooks")).unwrap();
    std::fs::write(git.join("config"), "[core]\n").unwrap();
    let script = "echo evil > .git/hooks/pre-commit; echo evil >> .git/config; mv .git/hooks .git/old; \
                  mv .git gone; rm -rf .git; mkdir -p .git/hooks && echo evil > .git/hooks/pre-commit; \
                  echo ../evil > .git/commondir; echo evil > .git/config.worktree; echo x > file";
    let before = std::fs::read_dir(&git).unwrap().count();
    host.confined(script).await;
    assert!(!git.join("hooks/pre-commit").exists());
    assert_eq!(std::fs::read_dir(&git).unwrap().count(), before);
    assert_eq!(std::fs::read_to_string(git.join("config")).unwrap(), "[core]\n");
    assert!(host.path("workspace/file").exists(), "the rest of the workspace is the agent's to work with");

    // A host that wants commits made names it.
    let policy = host.policy().write(&git);
    host.confined_under(policy, "echo x > .git/HEAD").await;
    assert!(git.join("HEAD").exists());

    // A linked work tree has a file there, and a link cannot be protected.
    std::fs::remove_dir_all(&git).unwrap();
    std::fs::write(&git, "gitdir: elsewhere").unwrap();
    host.confined("echo 'gitdir: evil' > .git; mv .git x; rm -f .git").await;
    assert_eq!(std::fs::read_to_string(&git).unwrap(), "gitdir: elsewhere");
    std::fs::remove_file(&git).unwrap();
    std::os::unix::fs::symlink(host.path("other"), &git).unwrap();
    let request = SandboxRequest::new("true", host.policy());
    let error = run(&request).await.unwrap_err().to_string();
    assert!(error.contains("symbolic link in a writable directory"), "{error}");
}

/// A command that may write where another's policy leads through puts a link there.
#[tokio::test]
async fn a_resolved_policy_is_not_redirected() {
    let host = Host::new();
    let nested = host.path("workspace/a/b");
    std::fs::create_dir_all(&nested).unwrap();
    let inner = SandboxPolicy::workspace_write(&nested).resolve().unwrap();
    let redirect = format!("mv a aside; ln -s {} a", host.path("other").display());
    std::fs::create_dir_all(host.path("other/b")).unwrap();
    std::fs::write(host.path("other/b/key"), SECRET).unwrap();
    host.confined(&redirect).await;
    let request = SandboxRequest::new("cat", inner).arg("key").cwd("/tmp").arg(nested.join("key"));
    let error = run(&request).await.unwrap_err().to_string();
    assert!(error.contains("symbolic link"), "{error}");
}

/// The same, while the policy is being resolved and opened.
#[tokio::test]
async fn a_link_that_is_swapped_in_meanwhile_grants_nothing() {
    let host = Host::new();
    let secret = host.path("other/b");
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::write(secret.join("key"), SECRET).unwrap();
    std::fs::create_dir_all(host.path("workspace/a/b")).unwrap();
    std::os::unix::fs::symlink(host.path("other"), host.path("workspace/link")).unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, at) = (std::sync::Arc::clone(&stop), host.path("workspace"));
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for (from, to) in [("a", "x"), ("link", "a"), ("a", "link"), ("x", "a")] {
                    std::fs::rename(at.join(from), at.join(to)).unwrap();
                }
            }
        }
    });
    let sandbox = sandbox();
    for _ in 0..300 {
        let policy = SandboxPolicy::workspace_write(host.path("workspace/a/b"));
        // Where it was resolved while the link was there, that was what was granted; never a mix.
        let Ok(policy) = policy.resolve() else { continue };
        let granted = policy.write[0].clone();
        let request = SandboxRequest::new("cat", policy).cwd("/tmp").arg(host.path("workspace/a/b/key"));
        if let Ok(output) = sandbox.run(&request).await {
            assert!(
                granted.starts_with(host.path("other")) || !text(&output).contains(SECRET),
                "{granted:?}"
            );
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().unwrap();
    // With nobody swapping, the same policy runs: it was the swapping that was refused.
    let policy = SandboxPolicy::workspace_write(host.path("workspace/a/b"));
    let output = sandbox.run(&SandboxRequest::new("true", policy)).await.unwrap();
    assert!(output.status.reason.is_success());
}

#[tokio::test]
async fn a_cancelled_start_leaves_no_zombie() {
    let host = Host::new();
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
    let host = Host::new();
    let request = |name: &str| {
        let mut command = std::process::Command::new("env");
        command.args(["--ignore-signal=CHLD"]).arg(std::env::current_exe().unwrap());
        command.args(helper(name));
        command.env("CODEGENIE_WORKSPACE", host.path("workspace"));
        command.output().unwrap()
    };
    let output = request("helper_reports_an_end");
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
    let host = Host::new();
    let output = host
        .confined(
            "prlimit --pid 1 --nofile=1:1; taskset -p 1 1; renice -n 19 -p 1; ionice -c 3 -p 1; chrt -i -p 0 1; \
             grep 'open files' /proc/1/limits; ps -o ni= -p 1 2>/dev/null; prlimit --nofile=100:100 true && echo own",
        )
        .await;
    let text = text(&output);
    assert!(text.contains("own"), "its own limits are the command's: {text}");
    assert!(!text.contains("new priority") && !text.contains("new affinity"), "{text}");
}

#[tokio::test]
async fn odd_policies_hold() {
    let host = Host::new();
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
    let host = Host::new();
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
    let host = Host::new();
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
    let host = Host::new();
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
    let host = Host::new();
    let exe = std::env::current_exe().unwrap();
    let request = SandboxRequest::new(&exe, host.policy().read(&exe)).args(helper("helper_nests"));
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
    let host = Host::new();
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

/// Descriptors, children and threads of this process: the same before and after many runs.
#[tokio::test]
async fn many_runs_leave_nothing_behind() {
    let host = Host::new();
    let sandbox = sandbox();
    let request = SandboxRequest::new("true", host.policy());
    sandbox.run(&request).await.unwrap();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap().lines().count();
    let before = mounts();
    let mut counts = Vec::new();
    for _ in 0..4 {
        for _ in 0..10 {
            assert!(sandbox.run(&request).await.unwrap().status.reason.is_success());
        }
        counts.push(descriptors());
    }
    // Other tests of this program open and close theirs at the same time; a leak would add 10 a round.
    assert!(counts[3] < counts[0] + 20, "{counts:?}");
    assert_eq!(mounts(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_side_by_side() {
    let host = Host::new();
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
