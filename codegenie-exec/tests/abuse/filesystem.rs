//! Reaching files of the host.

use super::attempts::{ENOSYS, Outcome, words};
use crate::LAUNCHER;
use crate::host::{Bystander, Host, SECRET, eventually, is_root, text};
use codegenie_exec::{Sandbox, SandboxPolicy, SandboxRequest};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// 19: write outside
#[tokio::test]
async fn writes_nowhere_else() {
    let host = Host::new(LAUNCHER);
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

/// 19: write outside
#[tokio::test]
async fn deletes_nothing_but_its_own() {
    let host = Host::new(LAUNCHER);
    let script = format!("rm -rf {}/other {}/home", host.root.path().display(), host.root.path().display());
    assert!(host.unconfined(&script).await.status.reason.is_success());
    assert!(!host.path("other/precious").exists());

    let host = Host::new(LAUNCHER);
    std::fs::write(host.path("workspace/mine"), "x").unwrap();
    let script = format!("rm -rf {}; rm -rf mine", host.root.path().display());
    host.confined(&script).await;
    assert!(host.path("other/precious").exists());
    assert!(host.path("home/.ssh/id_ed25519").exists());
    assert!(!host.path("workspace/mine").exists(), "its own files are the agent's to delete");
}

/// 20: symlink
#[tokio::test]
async fn follows_no_link_and_no_climb_out_of_the_workspace() {
    let host = Host::new(LAUNCHER);
    let secret = host.path("other/precious");
    let script = format!(
        "ln -s {0} link; cat link; cat ../other/precious; cat /proc/self/root{0}; cat /proc/self/cwd/../other/precious",
        secret.display()
    );
    assert_eq!(text(&host.unconfined(&script).await).matches(SECRET).count(), 4);
    std::fs::remove_file(host.path("workspace/link")).unwrap();
    assert_eq!(text(&host.confined(&script).await).matches(SECRET).count(), 0);
}

/// 21: symlink-swap race
///
/// While the policy is being resolved and opened.
#[tokio::test]
async fn a_link_that_is_swapped_in_meanwhile_grants_nothing() {
    let host = Host::new(LAUNCHER);
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
    let sandbox = LAUNCHER.sandbox();
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

/// 21: symlink-swap race
///
/// A command that may write where another's policy leads through puts a link there.
#[tokio::test]
async fn a_resolved_policy_is_not_redirected() {
    let host = Host::new(LAUNCHER);
    let nested = host.path("workspace/a/b");
    std::fs::create_dir_all(&nested).unwrap();
    let inner = SandboxPolicy::workspace_write(&nested).resolve().unwrap();
    let redirect = format!("mv a aside; ln -s {} a", host.path("other").display());
    std::fs::create_dir_all(host.path("other/b")).unwrap();
    std::fs::write(host.path("other/b/key"), SECRET).unwrap();
    host.confined(&redirect).await;
    let request = SandboxRequest::new("cat", inner).arg("key").cwd("/tmp").arg(nested.join("key"));
    let error = LAUNCHER.run(&request).await.unwrap_err().to_string();
    assert!(error.contains("symbolic link"), "{error}");
}

/// 22: hardlink
#[tokio::test]
async fn makes_no_hard_link_to_what_is_outside() {
    let host = Host::new(LAUNCHER);
    let script = format!("ln {} hard && cat hard", host.path("other/precious").display());
    assert!(text(&host.unconfined(&script).await).contains(SECRET));
    std::fs::remove_file(host.path("workspace/hard")).unwrap();
    assert!(!text(&host.confined(&script).await).contains(SECRET));
}

/// 23: rename/RENAME_EXCHANGE
#[tokio::test]
async fn exchanges_nothing_with_what_is_outside() {
    let host = Host::new(LAUNCHER);
    std::fs::write(host.path("workspace/mine"), "mine").unwrap();
    let (mine, outside) = (host.path("workspace/mine"), host.path("other/precious"));
    host.all_fail("exchange", &words([&mine, &outside])).await;
    // The exchange without the sandbox is the last that there was.
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "mine");

    let protected = host.path("workspace/.git");
    let trap = host.path("workspace/trap");
    for dir in [&protected, &trap] {
        std::fs::create_dir(dir).unwrap();
    }
    std::fs::write(protected.join("config"), "honest").unwrap();
    let policy = SandboxPolicy::workspace_write(host.path("workspace"));
    let tried = host.attempts_under(policy, "exchange,rename_over", &words([&trap, &protected])).await;
    assert_eq!(tried.unconfined["exchange"], Outcome::Done);
    assert!(matches!(tried.confined["exchange"], Outcome::Errno(_)));
    assert!(matches!(tried.confined["rename_over"], Outcome::Errno(_)));
}

/// 24: openat2
#[tokio::test]
async fn opens_nothing_by_the_newer_call() {
    let host = Host::new(LAUNCHER);
    let tried = host.all_fail("openat2_read", &words([&host.path("other/precious")])).await;
    // Its flags are in memory, where no filter looks: programs fall back to the older call.
    tried.all_fail("openat2_read", Some(ENOSYS));
}

/// 25: /proc/PID/root, cwd, fd
#[tokio::test]
async fn reaches_no_file_through_a_process() {
    let host = Host::new(LAUNCHER);
    let secret = std::fs::File::open(host.path("other/precious")).unwrap();
    let process = Bystander::spawn(
        Command::new("sleep").arg("60").current_dir(host.path("other")).stdin(Stdio::from(secret)),
    );
    let ways = |pid: &str| {
        format!(
            "cat /proc/{pid}/root{}; cat /proc/{pid}/cwd/precious; cat /proc/{pid}/fd/0",
            host.path("other/precious").display()
        )
    };
    let script = ways(&process.id().to_string());
    assert_eq!(text(&host.unconfined(&script).await).matches(SECRET).count(), 3);
    let every = "for pid in self thread-self 1 $PPID $$ $(seq 2 50); do for way in root cwd fd/0 fd/3 fd/4 fd/5; do \
                 cat /proc/$pid/$way/precious /proc/$pid/$way/other/precious /proc/$pid/$way; done; done";
    for script in [script.as_str(), &ways("1"), &ways("*"), &ways("self"), every] {
        assert!(!text(&host.confined(script).await).contains(SECRET));
    }
}

/// 26: /proc/self/mem
#[tokio::test]
async fn opens_no_process_s_memory_for_writing() {
    let host = Host::new(LAUNCHER);
    host.all_fail("own_memory_file", &[]).await;
    let process = Bystander::sleeping();
    let tried = host.attempts("memory_file", &words([&process.id().to_string()])).await;
    if tried.unconfined["memory_file"] != Outcome::Done {
        // Yama restricts an ordinary user to descendants.
        assert!(!is_root() && Path::new("/proc/sys/kernel/yama/ptrace_scope").exists());
        println!("not shown without the sandbox: another process's memory");
    }
    assert_eq!(tried.confined["memory_file"], Outcome::Errno(2));
    let init = host.attempts("memory_file", &words([&"1"])).await;
    assert!(matches!(init.confined["memory_file"], Outcome::Errno(_)));
}

/// 27: core_pattern, sysrq
///
/// That they open for writing is enough: nothing is written.
#[tokio::test]
async fn opens_no_switch_of_the_kernel() {
    let host = Host::new(LAUNCHER);
    let files = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/kernel/hostname",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/self/oom_score_adj",
        "/proc/self/uid_map",
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
    ];
    for file in files.into_iter().filter(|file| Path::new(file).exists()) {
        let tried = host.attempts("write", &words([&file])).await;
        assert!(matches!(tried.confined["write"], Outcome::Errno(_)), "{file}");
        // As root at least those of the kernel's own.
        if tried.unconfined["write"] != Outcome::Done {
            let of_kernel = file.starts_with("/proc/sys");
            let writable = nix::unistd::access(file, nix::unistd::AccessFlags::W_OK).is_ok();
            assert!(!(is_root() && of_kernel && writable), "{file}");
            println!("not shown without the sandbox: writing to {file}");
        }
    }
}

/// 28: host environ
#[tokio::test]
async fn reads_no_environment_of_the_host() {
    let host = Host::new(LAUNCHER);
    let process = Bystander::spawn(Command::new("sleep").arg("60").env("CODEGENIE_SECRET", SECRET));
    let script = format!("cat /proc/{}/environ | tr '\\0' ' '", process.id());
    // The process has executed its program once its own environment is there.
    let environment = format!("/proc/{}/environ", process.id());
    assert!(eventually(|| std::fs::read_to_string(&environment).is_ok_and(|text| text.contains(SECRET))));
    assert!(text(&host.unconfined(&script).await).contains(SECRET));
    for script in [script.as_str(), "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' ' '"] {
        assert!(!text(&host.confined(script).await).contains(SECRET));
    }
    let init = host.confined("cat /proc/1/environ /proc/1/maps /proc/1/cmdline; ls -l /proc/1/fd").await;
    assert!(!text(&init).contains("CARGO") && !text(&init).contains(&*host.root.path().to_string_lossy()));
}

/// 29: mknod
#[tokio::test]
async fn makes_no_device() {
    let host = Host::new(LAUNCHER);
    let names = "mknod_char,mknod_block";
    let outcomes = host.attempts(names, &[]).await;
    outcomes.all_fail(names, None);
    // One that is there already is none inside.
    if is_root() {
        let device = host.path("workspace/device");
        assert!(device.exists(), "made without the sandbox");
        assert!(
            host.unconfined("head -c 1 < device && echo read; echo x > device")
                .await
                .status
                .reason
                .is_success()
        );
        std::fs::remove_file(&device).unwrap();
        let made = Command::new("mknod").arg(&device).args(["-m", "666", "c", "1", "5"]).status().unwrap();
        assert!(made.success());
        assert!(host.unconfined("head -c 1 device | wc -c").await.status.reason.is_success());
        let confined = host.confined("head -c 1 device; head -c 1 disk").await;
        assert!(confined.stdout.is_empty() && !confined.status.reason.is_success(), "{}", text(&confined));
    }
}

/// 30: FIFO trap for the host
///
/// Where the host would look for a file; commits of a transaction are in tests/overlay.rs.
#[tokio::test]
async fn a_pipe_in_a_file_s_place_does_not_hold_up_the_host() {
    let host = Host::new(LAUNCHER);
    let script = "mkfifo .envrc .git .vscode key; ls";
    host.confined(script).await;
    // A host that opens one waits.
    let mut reader =
        Bystander::spawn(Command::new("cat").arg(host.path("workspace/.envrc")).stdout(Stdio::null()));
    std::thread::sleep(Duration::from_millis(200));
    assert!(reader.is_alive(), "without care the host waits for a writer");
    drop(reader);
    let policy = host.policy().read(host.path("workspace/key")).hide(host.path("workspace/.vscode"));
    let again = tokio::time::timeout(Duration::from_secs(15), host.confined_under(policy, "echo ran"));
    assert!(text(&again.await.unwrap()).contains("ran"));
}

/// 32: .git/hooks, .bashrc
#[tokio::test]
async fn leaves_git_hooks_and_configuration_alone() {
    let host = Host::new(LAUNCHER);
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
    let error = LAUNCHER.run(&request).await.unwrap_err().to_string();
    assert!(error.contains("symbolic link in a writable directory"), "{error}");
}

/// 32: .git/hooks, .bashrc
#[tokio::test]
async fn leaves_the_host_s_shell_alone() {
    let host = Host::new(LAUNCHER);
    let profile = host.path("home/.bashrc");
    let script = format!(
        "echo evil >> {0}; mkdir -p {1}; echo evil >> {1}/authorized_keys",
        profile.display(),
        host.path("home/.ssh").display()
    );
    host.unconfined(&script).await;
    for file in [profile.clone(), host.path("home/.ssh/authorized_keys")] {
        std::fs::remove_file(file).unwrap();
    }
    host.confined(&script).await;
    assert!(!profile.exists() && !host.path("home/.ssh/authorized_keys").exists());
}

/// 33: truncate
#[tokio::test]
async fn truncates_and_changes_nothing_that_it_may_only_read() {
    let names = "truncate_file,open_truncate,chmod_file,utime_file,write";
    for granted in [false, true] {
        let host = Host::new(LAUNCHER);
        let file = host.path("other/precious");
        let policy = if granted { host.policy().read(host.path("other")) } else { host.policy() };
        let tried = host.attempts_under(policy.clone(), names, &words([&file])).await;
        tried.all_fail(names, None);
        std::fs::write(&file, SECRET).unwrap();
        host.launcher
            .run(&host.shell(
                policy,
                &format!(
                    "for f in {0}; do : > $f; rm -f $f; mv $f x; truncate -s 0 $f; done",
                    file.display()
                ),
            ))
            .await
            .unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), SECRET);
    }
}

/// 34: /dev/shm, SysV
#[tokio::test]
async fn shares_no_memory_and_no_queue_with_the_host() {
    let host = Host::new(LAUNCHER);
    let key = (std::process::id() * 4 + u32::try_from(LAUNCHER.pool).unwrap()).to_string();
    let name = format!("codegenie-{key}");
    let arguments = words([&key, &name]);
    let made = host.attempts("sysv_make,message_queue_make,posix_queue_make", &arguments).await;
    let finds = "sysv_find,message_queue_find,posix_queue_find";
    let found = host.attempts(finds, &arguments).await;
    let removed = host.attempts("sysv_remove,message_queue_remove,posix_queue_remove", &arguments).await;
    found.all_fail(finds, None);
    assert_eq!(made.unconfined["sysv_make"], removed.unconfined["sysv_remove"]);

    let file = tempfile::Builder::new().prefix("codegenie").tempfile_in("/dev/shm").unwrap();
    std::fs::write(file.path(), SECRET).unwrap();
    let script = format!("cat {0}; ls /dev/shm; echo x > {0}", file.path().display());
    assert!(text(&host.unconfined(&script).await).contains(SECRET));
    std::fs::write(file.path(), SECRET).unwrap();
    let confined = text(&host.confined(&script).await);
    assert!(!confined.contains(SECRET), "{confined}");
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), SECRET);
}
