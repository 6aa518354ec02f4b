//! A configuration as Podman writes it is taken, and each way in which it could be another one is not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use super::verify;
use serde_json::{Value, json};

const NUMBER: &str = "57b3d3aa546ac0f5b0e3cbd0f288f7278d2161b15820d813eb741cc4aa686cf9";
const PROFILE: &str = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
    { "names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [] },
    { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
      "args": [{ "index": 0, "value": 4294967295, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }] }"#;

fn asked() -> Value {
    json!({
        "entrypoint": ["/run/podman-init", "-g", "--"], "command": ["echo", "a", "b"],
        "env": { "A": "b=c" }, "work_dir": "/project", "user": "65534:65533", "terminal": false, "stdin": true,
        "netns": { "nsmode": "none" }, "userns": { "nsmode": "host" }, "shm_size": 4096, "oci_runtime": "",
        "seccomp_profile_path": "",
        "mounts": [
            { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
              "options": ["rw", "exec", "U", "nosuid", "nodev", "notmpcopyup", "mode=1777", "size=4096"] },
            { "destination": "/project", "type": "bind", "source": "/project",
              "options": ["bind", "rprivate", "ro", "nosuid", "nodev"] },
        ],
        "resource_limits": { "memory": { "limit": 64, "swap": 64 }, "pids": { "limit": 30 } },
        "r_limits": [{ "type": "nofile", "soft": 100, "hard": 100 }],
    })
}

fn told() -> Value {
    json!({
        "Id": NUMBER, "OCIRuntime": "runc",
        "HostConfig": { "LogConfig": { "Type": "none" }, "ShmSize": 4096, "Privileged": false },
        "Config": { "OpenStdin": true, "Healthcheck": { "Test": ["NONE"] } },
    })
}

fn made() -> Value {
    let own = |place: &str, name: &str| json!({ "destination": place, "type": "bind", "source": format!("/run/{NUMBER}/userdata/{name}"), "options": ["bind"] });
    json!({
        "process": {
            "user": { "uid": 65534, "gid": 65533, "umask": 18, "additionalGids": [65533] },
            "args": ["/run/podman-init", "--", "/run/podman-init", "-g", "--", "echo", "a", "b"],
            "env": ["A=b=c", "HOSTNAME=sandbox", "HOME=/"], "cwd": "/project", "capabilities": {},
            "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 100 }], "noNewPrivileges": true,
        },
        "root": { "path": "/merged", "readonly": true }, "hostname": "sandbox",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] },
            own("/dev/shm", "shm"), own("/run/.containerenv", ".containerenv"),
            { "destination": "/run/podman-init", "type": "bind", "source": "/usr/bin/catatonit", "options": ["bind", "ro"] },
            { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options":
              ["rw", "exec", "uid=65534", "gid=65533", "nosuid", "nodev", "mode=1777", "size=4096", "rprivate"] },
            { "destination": "/project", "type": "bind", "source": "/project",
              "options": ["bind", "rprivate", "ro", "nosuid", "nodev"] },
        ],
        "linux": {
            "resources": { "memory": { "limit": 64, "swap": 64 }, "pids": { "limit": 30 } }, "cgroupsPath": "/a",
            "namespaces": [{ "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "mount" }, { "type": "cgroup" }],
            "seccomp": { "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
                { "names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 },
                { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
                  "args": [{ "index": 0, "value": 4_294_967_295u32, "op": "SCMP_CMP_MASKED_EQ" }] }] },
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// The place with another value; `-` as the last name adds to a list.
fn with(mut value: Value, place: &str, other: Value) -> Value {
    let (parent, name) = place.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(list) if name == "-" => list.push(other),
        Value::Array(list) => *list.get_mut(name.parse::<usize>().unwrap()).unwrap() = other,
        Value::Object(fields) => {
            fields.insert(name.to_owned(), other);
        }
        _ => panic!("{place}"),
    }
    value
}

#[test]
fn what_was_asked_for_is_taken() {
    verify(&asked(), Some(PROFILE), &told(), &made()).unwrap();
    let default = with(made(), "/linux/sysctl", json!({ "net.ipv4.ping_group_range": "0 0" }));
    verify(&asked(), Some(PROFILE), &told(), &default).unwrap();
}

#[test]
fn what_the_runtime_was_told_otherwise_is_refused() {
    let mount = |place: &str, source: &str, options: &[&str]| json!({ "destination": place, "type": "bind", "source": source, "options": options });
    let others = [
        ("/process/user/uid", json!(0)),
        ("/process/user/gid", json!(0)),
        ("/process/user/umask", json!(0)),
        ("/process/user/additionalGids/-", json!(6)),
        (
            "/process/args",
            json!(["/run/podman-init", "--", "/run/podman-init", "-g", "--", "echo", "b", "a"]),
        ),
        ("/process/env/-", json!("OF_THE_IMAGE=1")),
        ("/process/env/-", json!("no variable")),
        ("/process/env/0", json!("A=other")),
        ("/process/env/1", json!("HOSTNAME=the-machine-s")),
        ("/process/cwd", json!("/")),
        ("/process/terminal", json!(true)),
        ("/process/capabilities", json!({ "bounding": ["CAP_CHOWN"] })),
        ("/process/noNewPrivileges", json!(false)),
        ("/process/rlimits", json!([])),
        ("/process/rlimits/-", json!({ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 1000 })),
        ("/root/readonly", json!(false)),
        ("/hostname", json!("the-machine-s")),
        ("/hooks", json!({ "prestart": [{ "path": "/bin/true" }] })),
        ("/linux/namespaces/0", json!({ "type": "pid", "path": "/proc/1/ns/pid" })),
        ("/linux/namespaces/1", json!({ "type": "user" })),
        ("/linux/namespaces/-", json!({ "type": "time" })),
        ("/linux/resources/memory", json!({ "limit": 65, "swap": 64 })),
        ("/linux/resources", json!({})),
        ("/linux/cgroupsPath", json!("")),
        ("/linux/devices", json!([{ "path": "/dev/sda" }])),
        ("/linux/maskedPaths", json!([])),
        ("/linux/readonlyPaths", json!(["/proc/sys"])),
        ("/linux/seccomp", Value::Null),
        ("/linux/seccomp/defaultAction", json!("SCMP_ACT_LOG")),
        ("/linux/seccomp/architectures/-", json!("SCMP_ARCH_X32")),
        ("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])),
        ("/linux/seccomp/defaultErrnoRet", json!(38)),
        ("/linux/seccomp/listenerPath", json!("/run/listener")),
        ("/linux/sysctl", json!({ "kernel.msgmax": "65536" })),
        ("/linux/sysctl", json!({ "net.ipv4.ping_group_range": "0 2147483647" })),
        ("/linux/sysctl", json!("kernel.msgmax")),
        ("/linux/seccomp/syscalls/0/errnoRet", json!(2)),
        ("/linux/seccomp/syscalls/1/args", json!([])),
        ("/linux/seccomp/syscalls/-", json!({ "names": ["ptrace"], "action": "SCMP_ACT_ALLOW" })),
        ("/mounts/1/options", json!(["rw"])),
        ("/mounts/2/source", json!("/dev/shm")),
        ("/mounts/4/options", json!(["bind", "rw"])),
        ("/mounts/5/options/-", json!("size=8192")),
        ("/mounts/5/options", json!(["rw", "exec", "mode=1777", "size=4096"])),
        ("/mounts/6/source", json!("/home")),
        ("/mounts/6/options/-", json!("rw")),
        ("/mounts/6/options", json!(["rbind", "rprivate", "ro", "nosuid", "nodev"])),
        ("/mounts/-", mount("/project", "/home", &["bind", "ro"])),
        ("/mounts/-", mount("/run/secrets", "/usr/share/secrets", &["bind", "ro"])),
        ("/mounts/-", mount("/etc/hosts", "/etc/hosts", &["bind", "ro"])),
        ("/mounts/-", json!({ "destination": "/run", "type": "tmpfs", "source": "tmpfs" })),
        ("/mounts", json!([])),
    ];
    for (place, other) in others {
        let made = with(made(), place, other.clone());
        assert!(verify(&asked(), Some(PROFILE), &told(), &made).is_err(), "{place}: {other}");
    }
}

#[test]
fn mounts_that_cover_others_are_refused() {
    let mask = json!({ "destination": "/project/private", "type": "bind", "source": "/dev/null", "options": ["bind", "ro"] });
    let asked = with(asked(), "/mounts/-", mask.clone());
    verify(&asked, Some(PROFILE), &told(), &with(made(), "/mounts/-", mask.clone())).unwrap();
    let mut made = made();
    made.pointer_mut("/mounts").unwrap().as_array_mut().unwrap().insert(0, mask);
    let error = verify(&asked, Some(PROFILE), &told(), &made).unwrap_err();
    assert!(error.to_string().contains("covers"), "{error}");
}

#[test]
fn what_podman_tells_otherwise_is_refused() {
    for (place, other) in [
        ("/Id", json!("")),
        ("/HostConfig/LogConfig", json!({ "Type": "k8s-file" })),
        ("/HostConfig/ShmSize", json!(65536)),
        ("/HostConfig/Privileged", json!(true)),
        ("/Config/OpenStdin", json!(false)),
        ("/Config/Healthcheck", json!({ "Test": ["CMD-SHELL", "true"] })),
    ] {
        let told = with(told(), place, other.clone());
        assert!(verify(&asked(), Some(PROFILE), &told, &made()).is_err(), "{place}: {other}");
    }
    let asked = with(asked(), "/oci_runtime", json!("runsc"));
    let error = verify(&asked, Some(PROFILE), &told(), &made()).unwrap_err();
    assert!(error.to_string().contains("runsc"), "{error}");
}

#[test]
fn namespaces_are_what_the_policy_says() {
    let host = with(asked(), "/netns", json!({ "nsmode": "host" }));
    assert!(
        verify(&host, Some(PROFILE), &told(), &made()).is_err(),
        "a network that nobody asked to take away"
    );
    let mapped = with(asked(), "/userns", json!({ "nsmode": "keep-id" }));
    assert!(verify(&mapped, Some(PROFILE), &told(), &made()).is_err());
    let made = with(made(), "/linux/namespaces/-", json!({ "type": "user" }));
    verify(&mapped, Some(PROFILE), &told(), &made).unwrap();
}

/// Without a profile of ours there is Podman's own, unless the layer is off.
#[test]
fn some_profile_is_there_unless_it_is_off() {
    let bare = with(made(), "/linux/seccomp", Value::Null);
    verify(&asked(), None, &told(), &made()).unwrap();
    assert!(verify(&asked(), None, &told(), &bare).is_err());
    let off = with(asked(), "/seccomp_profile_path", json!("unconfined"));
    verify(&off, None, &told(), &bare).unwrap();
}
