//! The abuse suite's attempts in containers: each succeeds without a sandbox, and fails in one.

use crate::attempts::{Attacker, EPERM, Outcome, outcomes, words};
use crate::host::{Host, SECRET, client, image, socket, text};
use codegenie_exec::{DangerousNoSandbox, Network, Sandbox, SandboxErrorKind, Stdio, TerminalSize};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

/// Attempts of the suite that are not made in containers, and why.
const NOT_HERE: &[(&[u32], &str)] = &[
    (
        &[2, 5, 6],
        "bounded by the settings that 1, 4 and 7 try, and a disk by what the host's file system has",
    ),
    (&[8, 9, 10, 20, 22], "the kit's laws on time, output and paths: conformance.rs"),
    (&[16], "the daemon's process spawns, and no thread of the host"),
    (&[21, 23], "granted paths are mount points, which a command cannot replace"),
    (&[28, 64], "a container is no child of the host: neither its environment nor its descriptors are there"),
    (&[30, 67], "what a command leaves behind or prints is read by the host, whatever the sandbox"),
    (&[31], "overlays are refused: confinement.rs"),
    (&[56, 57], "there is no interface to reach a resolver or an address by: 54"),
    (&[58, 59], "policies with domains are refused: confinement.rs"),
    (&[63], "descriptors come over sockets, which 60 and 61 do not reach"),
    (&[66], "nothing but named variables arrives: 65"),
];

/// Every attempt of the suite is named above a test, or above with the reason why not.
#[test]
fn every_attempt_is_here_or_has_a_reason_why_not() {
    let sources = [
        include_str!("abuse.rs"),
        include_str!("confinement.rs"),
        include_str!("groups.rs"),
        include_str!("lifetime.rs"),
    ]
    .concat();
    let lines: Vec<&str> = sources.lines().collect();
    let mut named = std::collections::BTreeSet::new();
    for (place, line) in lines.iter().enumerate() {
        let Some((numbers, _)) = line.strip_prefix("/// ").and_then(|text| text.split_once(": ")) else {
            continue;
        };
        let numbers: Result<Vec<u32>, _> = numbers.split(", ").map(str::parse).collect();
        let test = lines.get(place + 1).is_some_and(|next| next.starts_with("#[tokio::test"));
        named.extend(numbers.into_iter().flatten().filter(|_| test));
    }
    let left_out: Vec<u32> = NOT_HERE.iter().flat_map(|(numbers, _)| numbers.iter().copied()).collect();
    let both: Vec<&u32> = left_out.iter().filter(|number| named.contains(number)).collect();
    assert!(both.is_empty(), "tried, and left out: {both:?}");
    named.extend(left_out);
    let missing: Vec<u32> = (1..=67).filter(|number| !named.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// 37, 38, 39, 40, 43, 44, 46, 47, 48, 49, 50, 51: what the profile refuses, whatever the kernel would say.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn the_profile_refuses_what_commands_never_need() {
    let host = Host::new();
    for names in [
        "io_uring,load_bpf,key_control,key_add,key_request,user_faults",
        "perf,kexec,load_module,unload_module,set_clock,restart,kernel_log,notify_files,set_personality",
        "push_input,push_input_high_bits,console_paste,line_discipline",
        "mount_tmpfs,remount,mount_bind,unmount,fs_open,fs_config,fs_mount,fs_pick,clone_tree,attach_tree,\
         set_mount_attributes,pivot_root",
        "open_by_handle,name_to_handle,change_root",
        "unshare_user,clone_user,clone_user_high_bits",
        "set_namespace,set_namespace_by_pidfd,unshare_time",
        "trace_child,trace_me",
        "read_memory,write_memory,take_descriptor,compare",
    ] {
        host.all_fail(names, &[]).await.all_fail(names, Some(EPERM));
    }
    let terminal = "push_input,push_input_high_bits,console_paste,line_discipline";
    let attacker = Attacker::get();
    let request = host.attack(&attacker, host.policy(), terminal, &[]);
    let output = host.launcher.run(&request.stdio(Stdio::Terminal(TerminalSize::default()))).await.unwrap();
    for name in terminal.split(',') {
        assert_eq!(outcomes(&output)[name], Outcome::Errno(EPERM), "{name}");
    }
}

/// 11, 24, 29, 35, 36, 42, 52, 53: refused in one way or another.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn what_gains_privileges_fails() {
    let host = Host::new();
    host.all_fail("x32,x32_keyctl,int_80", &[]).await;
    host.all_fail("set_uid,ambient_capability,clone3_user,mknod_char,mknod_block", &[]).await;
    host.all_fail("realtime,deadline,nice_up", &[]).await;
    let precious = host.path("other/precious");
    host.all_fail("chroot_breakout", &words([&precious])).await;
    host.all_fail("openat2_read", &words([&precious])).await;
    // Not for the memory file's sake, from which a container executes too: for what it reads then.
    let tried = host.attempts("memfd_exec", &words([&precious])).await;
    assert!(text(&tried.output).contains("memory executes"), "{}", text(&tried.output));
    tried.all_fail("read", Some(2));
}

/// The attempts above are stopped by our profile, not by the daemon's other settings.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn without_the_profile_some_succeed_in_a_container() {
    let host = Host::new();
    let attacker = Attacker::get();
    let mount = format!("{0}:{0}:ro", attacker.path().display());
    let program = attacker.path();
    let program = program.to_str().unwrap();
    let names = "trace_me,trace_child,read_memory";
    let run = ["run", "--rm", "--network", "none", "--cap-drop", "ALL", "-u", "65534:65534", "-v", &mount];
    let free =
        client(&[&run[..], &["--security-opt", "seccomp=unconfined", &image(), program, names]].concat());
    for name in names.split(',') {
        assert!(free.contains(&format!("{name} done")), "{free}");
    }
    let request = host.attack(&attacker, host.policy(), names, &[]);
    let confined = outcomes(&host.launcher.run(&request).await.unwrap());
    for name in names.split(',') {
        assert_eq!(confined[name], Outcome::Errno(EPERM), "{name}");
    }
}

/// 54, 55, 62: the network.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn nothing_of_the_network_is_reached() {
    let host = Host::new();
    let (listener, receiver) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    listener.set_nonblocking(true).unwrap();
    receiver.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    host.attempts("tcp", &words([&"127.0.0.1", &port])).await.all_fail("tcp", None);
    assert!(listener.accept().is_ok(), "the attempt without a sandbox");
    assert!(listener.accept().is_err(), "a connection came out of the container");
    let udp_port = receiver.local_addr().unwrap().port().to_string();
    let tried = host.attempts("udp", &words([&"127.0.0.1", &udp_port])).await;
    assert_eq!(tried.unconfined["udp"], Outcome::Done);
    let mut bytes = [0; 16];
    assert!(receiver.recv(&mut bytes).is_ok());
    assert!(receiver.recv(&mut bytes).is_err(), "a datagram came out of the container");
    host.all_fail("raw,raw_ip,packet,sctp", &[]).await;
    let families = "vsock,alg,bluetooth,netlink_audit,netlink_events,netlink_filter,netlink_generic,packet";
    host.all_fail(families, &[]).await;
    let tried = host.attempts("vsock,netlink_audit", &[]).await;
    assert_eq!(tried.confined["vsock"], Outcome::Errno(97), "the profile's answer");
    assert_eq!(tried.confined["netlink_audit"], Outcome::Errno(93), "the profile's answer");

    // What a policy grants under a name that alarms is granted.
    let policy = host.policy().dangerous_full_network();
    assert_eq!(policy.network, Network::DangerousFull);
    let attacker = Attacker::get();
    let request = host.attack(&attacker, policy, "tcp", &words([&"127.0.0.1", &port]));
    let output = host.launcher.run(&request).await;
    if crate::GRANTS_THE_NETWORK {
        assert_eq!(outcomes(&output.unwrap())["tcp"], Outcome::Done);
    } else {
        assert_eq!(output.unwrap_err().kind(), SandboxErrorKind::InvalidPolicy);
    }
}

/// 19, 33: what may be read only, or not at all.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn nothing_outside_is_changed() {
    let names = "truncate_file,open_truncate,chmod_file,utime_file,write";
    for granted in [false, true] {
        let host = Host::new();
        let file = host.path("other/precious");
        let policy = if granted { host.policy().read(host.path("other")) } else { host.policy() };
        host.attempts_under(policy.clone(), names, &words([&file])).await.all_fail(names, None);
        std::fs::write(&file, SECRET).unwrap();
        let script =
            format!("for f in {0}; do : > $f; rm -f $f; mv $f x; truncate -s 0 $f; done", file.display());
        host.launcher.run(&host.shell_under(policy, &script)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), SECRET);
    }
}

/// 34: memory, SysV and queues.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn nothing_is_shared_with_the_host() {
    let host = Host::new();
    let key = (std::process::id() * 4 + 3).to_string();
    let name = format!("codegenie-{key}");
    let arguments = words([&key, &name]);
    host.attempts("sysv_make,message_queue_make,posix_queue_make", &arguments).await;
    let finds = "sysv_find,message_queue_find,posix_queue_find";
    let found = host.attempts(finds, &arguments).await;
    host.attempts("sysv_remove,message_queue_remove,posix_queue_remove", &arguments).await;
    found.all_fail(finds, None);
    let file = tempfile::Builder::new().prefix("codegenie").tempfile_in("/dev/shm").unwrap();
    std::fs::write(file.path(), SECRET).unwrap();
    let script = format!("cat {0}; ls /dev/shm; echo x > {0}", file.path().display());
    assert!(text(&DangerousNoSandbox.run(&host.shell(&script)).await.unwrap()).contains(SECRET));
    std::fs::write(file.path(), SECRET).unwrap();
    assert!(!text(&host.run(&script).await).contains(SECRET));
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), SECRET);
}

/// 18, 25, 26, 27, 41, 45: processes of the host, and the kernel's files.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn processes_and_settings_of_the_host_are_out_of_reach() {
    let host = Host::new();
    let attacker = Attacker::get();
    for attempt in ["kill_process", "kill_by_pidfd", "queue_signal"] {
        let start = || Command::new("sleep").arg("60").spawn().unwrap();
        let mut victim = start();
        let attack = |id: u32| host.attack(&attacker, host.policy(), attempt, &words([&id.to_string()]));
        let free = DangerousNoSandbox.run(&attack(victim.id())).await.unwrap();
        assert_eq!(outcomes(&free)[attempt], Outcome::Done);
        victim.wait().unwrap();
        let mut victim = start();
        let confined = host.launcher.run(&attack(victim.id())).await.unwrap();
        assert!(matches!(outcomes(&confined)[attempt], Outcome::Errno(_)), "{}", text(&confined));
        assert!(victim.try_wait().unwrap().is_none());
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    for file in
        ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/fs/cgroup/memory/release_agent"]
    {
        let script = format!("( : >> {file} ) && echo opened");
        if Path::new(file).exists() && crate::host::is_root() {
            let free = DangerousNoSandbox.run(&host.shell(&format!("test -w {file} && echo writable"))).await;
            assert_eq!(text(&free.unwrap()), "writable\n", "{file}");
        }
        assert!(host.run(&script).await.stdout.is_empty(), "{file}");
    }
    // Their memory. That of the command itself and of the container's init, which has the same user and no
    // privileges, is the command's to spoil.
    let mut process = Command::new("sleep").arg("60").spawn().unwrap();
    let tried = host.attempts("memory_file", &words([&process.id().to_string()])).await;
    assert!(matches!(tried.confined["memory_file"], Outcome::Errno(_)), "{}", text(&tried.output));
    assert_eq!(tried.unconfined["memory_file"], Outcome::Done);
    process.kill().unwrap();
    process.wait().unwrap();
    // The init hands other signals on to the command, which is then the one that dies.
    assert_eq!(text(&host.run("kill -9 1; echo alive").await), "alive\n");
    let output = host.run("cat /proc/1/environ; ls -l /proc/1/fd /proc/1/root/; echo $$").await;
    assert!(!text(&output).contains("CODEGENIE_"), "{}", text(&output));
}

/// 61: services of the host by their sockets.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn no_service_is_there() {
    let host = Host::new();
    let attacker = Attacker::get();
    let name = format!("codegenie-container-{}", std::process::id());
    let mut confederate = Command::new(attacker.path())
        .arg("confederate")
        .arg(&name)
        .args([host.path("other/docker.sock"), host.path("other/precious")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(confederate.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let arguments = words([&name, &host.path("other/docker.sock")]);
    let tried = host.attempts("unix_path,unix_abstract", &arguments).await;
    confederate.kill().unwrap();
    confederate.wait().unwrap();
    tried.all_fail("unix_path,unix_abstract", None);

    let find = "find / -xdev -type s; env | grep -E 'SSH_AUTH_SOCK|DBUS|DOCKER|XDG_RUNTIME'; ls /run /var/run | grep -v -e podman-init -e '^/run:$'";
    let free = DangerousNoSandbox.run(&host.shell(&format!("ls {}", socket().display()))).await.unwrap();
    assert!(free.status.reason.is_success());
    assert!(host.run(find).await.stdout.is_empty());
}
