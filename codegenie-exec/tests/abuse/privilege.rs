//! Getting more rights than the command was given.

use super::attempts::{Attacker, ENOSYS, EPERM, Outcome, compile, outcomes, words};
use crate::LAUNCHER;
use crate::host::{Host, is_root, text};
use codegenie_exec::{DangerousNoSandbox, Sandbox, SandboxRequest};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// 35: setuid
///
/// What it makes belongs to the workspace's owner: a set-user-id program would outlast the sandbox.
#[tokio::test]
async fn makes_no_set_id_program() {
    let host = Host::new(LAUNCHER);
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
    // By the mode of a new file, with the calls that make one.
    let source = "#include <fcntl.h>\n#include <sys/stat.h>\n\
                  int main(void) { open(\"opened\", O_CREAT | O_WRONLY, 04755); creat(\"created\", 06755); \
                  mknod(\"noded\", S_IFREG | 04755, 0); open(\"plain\", O_CREAT | O_WRONLY, 0644); return 0; }";
    let program = host.path("makes");
    compile(source, &[], &program);
    let request = SandboxRequest::new(&program, host.policy().read(&program));
    DangerousNoSandbox.run(&request).await.unwrap();
    for name in ["opened", "created", "noded"] {
        assert!(set_id(name));
        std::fs::remove_file(host.path("workspace").join(name)).unwrap();
    }
    assert!(LAUNCHER.run(&request).await.unwrap().status.reason.is_success());
    assert!(!set_id("opened") && !set_id("created") && !set_id("noded"));
    assert!(host.path("workspace/plain").exists());
    let tried = host.attempts("openat2_set_id", &words([&"", &host.path("workspace/second")])).await;
    tried.all_fail("openat2_set_id", Some(ENOSYS));
}

/// 35: setuid
#[tokio::test]
async fn becomes_no_other_user() {
    let host = Host::new(LAUNCHER);
    let tried = host.attempts("set_uid", &[]).await;
    tried.all_fail("set_uid", None);
    if !is_root() {
        println!("not shown without the sandbox: a set-user-id program of root, which only root can make");
        return;
    }
    // Not in the temporary directory, which may be mounted without such programs.
    let attacker = Attacker::get();
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let program = place.path().join("set-uid");
    std::fs::copy(attacker.path(), &program).unwrap();
    for (path, mode) in [(place.path(), 0o755), (&program, 0o4755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let unconfined = Command::new(attacker.path())
        .args(["as_user", "54321"])
        .arg(&program)
        .arg("effective_root")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&unconfined.stdout), "effective_root done\n");
    let request = SandboxRequest::new(&program, host.policy().read(&program)).arg("effective_root,set_uid");
    let confined = outcomes(&LAUNCHER.run(&request).await.unwrap());
    assert_eq!(confined["effective_root"], Outcome::Errno(EPERM));
    assert_ne!(confined["set_uid"], Outcome::Done);
}

/// 36: retained capabilities
#[tokio::test]
async fn has_no_capabilities() {
    let host = Host::new(LAUNCHER);
    host.all_fail("ambient_capability", &[]).await;
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

/// 37: mount/umount
#[tokio::test]
async fn changes_no_mounts() {
    let names = "mount_tmpfs,remount,mount_bind,unmount,fs_open,fs_config,fs_mount,fs_pick,clone_tree,attach_tree,\
                 set_mount_attributes,pivot_root";
    Host::new(LAUNCHER).all_fail(names, &[]).await.all_fail(names, Some(EPERM));
}

/// 38: chroot breakout
#[tokio::test]
async fn breaks_out_by_no_root_of_its_own() {
    let host = Host::new(LAUNCHER);
    let tried = host.all_fail("chroot_breakout", &words([&host.path("other/precious")])).await;
    tried.all_fail("chroot_breakout", Some(2));
    host.all_fail("change_root", &[]).await.all_fail("change_root", Some(EPERM));
    let names = "open_by_handle,name_to_handle";
    host.all_fail(names, &[]).await.all_fail(names, Some(EPERM));
}

/// 39: nested user namespace
#[tokio::test]
async fn makes_no_user_namespace() {
    let names = "unshare_user,clone_user,clone_user_high_bits";
    Host::new(LAUNCHER).all_fail(names, &[]).await.all_fail(names, Some(EPERM));
}

/// 40: setns/clone3 flags
#[tokio::test]
async fn enters_no_namespace() {
    let host = Host::new(LAUNCHER);
    let names = "set_namespace,set_namespace_by_pidfd,unshare_time";
    host.all_fail(names, &[]).await.all_fail(names, Some(EPERM));
    host.all_fail("clone3_user", &[]).await.all_fail("clone3_user", Some(ENOSYS));
}

/// 41: cgroup migration, release_agent
#[tokio::test]
async fn leaves_no_control_group() {
    let host = Host::new(LAUNCHER);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut files = Vec::new();
    for mount in mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()) {
        if mount[2].starts_with("cgroup") {
            files.extend(["cgroup.procs", "release_agent"].map(|file| Path::new(mount[1]).join(file)));
        }
    }
    files.retain(|file| file.exists());
    let mut shown = 0;
    for file in &files {
        let tried = host.attempts("write", &words([file])).await;
        if tried.unconfined["write"] == Outcome::Done {
            shown += 1;
        }
        assert_eq!(tried.confined["write"], Outcome::Errno(2), "{}", file.display());
    }
    if is_root() && !files.is_empty() {
        assert!(shown > 0, "root may write none of {files:?}");
    } else {
        println!(
            "not shown without the sandbox: writing to control groups, which needs root and mounted groups"
        );
    }
    // Its own group is the root of what it sees.
    let own =
        host.confined("cat /proc/self/cgroup; ls -d /sys /sys/fs/cgroup; mount -t cgroup2 x /tmp").await;
    let paths = String::from_utf8_lossy(&own.stdout).into_owned();
    assert!(
        paths.lines().filter(|line| line.contains(':')).all(|line| !line.contains("codegenie")),
        "{paths}"
    );
    assert!(!paths.lines().any(|line| line.starts_with("/sys")), "{paths}");
}

/// 42: memfd exec
///
/// A program in memory, where no path rule reaches, runs: `/tmp` would serve it as well. But it runs with
/// no more than its command had.
#[tokio::test]
async fn a_program_in_memory_has_no_more_rights() {
    let host = Host::new(LAUNCHER);
    let tried = host.attempts("memfd_exec", &words([&host.path("other/precious")])).await;
    assert!(text(&tried.output).contains("memory executes"), "{}", text(&tried.output));
    tried.all_fail("read", Some(2));
}
