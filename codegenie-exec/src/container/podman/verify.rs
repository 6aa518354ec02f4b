//! Compares the configuration that Podman gave to the OCI runtime with what it was asked for: Podman drops what it does
//! not know without a word, and its own configuration files add to what was asked for. Nothing of that may run.

#[cfg(test)]
mod tests;

use super::spec::{EMPTY, INIT, OWNED, UMASK};
use crate::container::comparison::{difference, differs};
use crate::container::confinement::HOST_NAME;
use crate::sandbox::SandboxError;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What a process of a container must not read, and what it must not write.
const MASKED: [&str; 4] = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// File systems of the kernel's that a container has, by their places.
const OF_THE_KERNEL: [(&str, &str); 6] = [
    ("/proc", "proc"),
    ("/dev", "tmpfs"),
    ("/dev/pts", "devpts"),
    ("/dev/mqueue", "mqueue"),
    ("/sys", "sysfs"),
    ("/sys/fs/cgroup", "cgroup"),
];
/// What Podman makes for each container, in a directory that has the container's number.
const OF_PODMAN: [&str; 7] = [
    "/dev/shm",
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/run/.containerenv",
];

/// Fails with the name of the first setting that is not as asked. `told`: what Podman tells of the container;
/// `made`: the runtime's configuration.
pub(super) fn verify(
    asked: &Value,
    profile: Option<&str>,
    told: &Value,
    made: &Value,
) -> Result<(), SandboxError> {
    let problem = of_podman(asked, told)
        .or_else(|| of_process(asked, made))
        .or_else(|| of_namespaces(asked, at(made, &["linux", "namespaces"])))
        .or_else(|| of_kernel(asked, profile, made))
        .or_else(|| of_mounts(asked, told, at(made, &["mounts"])));
    problem.map_or(Ok(()), |what| Err(differs(&what)))
}

const NULL: &Value = &Value::Null;

fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, name| value.get(name).unwrap_or(NULL))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn unless(holds: bool, what: &str) -> Option<String> {
    (!holds).then(|| what.to_owned())
}

/// What the runtime is not told.
fn of_podman(asked: &Value, told: &Value) -> Option<String> {
    let expected = json!({
        "HostConfig": { "LogConfig": { "Type": "none" }, "ShmSize": at(asked, &["shm_size"]), "Privileged": false },
        "Config": { "OpenStdin": at(asked, &["stdin"]) },
    });
    let runtime = at(asked, &["oci_runtime"]);
    difference("inspect", &expected, told)
        .or_else(|| {
            let used = at(told, &["OCIRuntime"]);
            unless(is_empty(runtime) || runtime == used, &format!("its runtime is {used}, not {runtime}"))
        })
        .or_else(|| {
            let check = at(told, &["Config", "Healthcheck", "Test"]);
            unless(is_empty(check) || *check == json!(["NONE"]), "a health check that nobody asked for")
        })
}

fn of_process(asked: &Value, made: &Value) -> Option<String> {
    let process = at(made, &["process"]);
    let user = at(asked, &["user"]).as_str().and_then(|user| user.split_once(':'));
    let user = user.and_then(|(uid, gid)| Some((uid.parse::<u32>().ok()?, gid.parse::<u32>().ok()?)));
    let Some((uid, gid)) = user else { return Some("process.user".to_owned()) };
    let expected = json!({
        "terminal": at(asked, &["terminal"]),
        "user": { "uid": uid, "gid": gid, "umask": UMASK },
        "cwd": at(asked, &["work_dir"]),
        "noNewPrivileges": true,
    });
    let args = [&[json!(INIT), json!("--")], list(at(asked, &["entrypoint"])), list(at(asked, &["command"]))]
        .concat();
    let capabilities = at(process, &["capabilities"]).as_object();
    difference("process", &expected, process)
        .or_else(|| unless(list(at(process, &["args"])) == args, "process.args"))
        .or_else(|| {
            let groups = list(at(process, &["user", "additionalGids"]));
            unless(groups.iter().all(|group| *group == gid), "groups that nobody asked for")
        })
        .or_else(|| {
            unless(capabilities.is_none_or(|sets| sets.values().all(is_empty)), "process.capabilities")
        })
        .or_else(|| of_environment(asked, list(at(process, &["env"]))))
        .or_else(|| of_limits(asked, list(at(process, &["rlimits"]))))
        .or_else(|| unless(at(made, &["root", "readonly"]) == true, "root.readonly"))
        .or_else(|| unless(at(made, &["hostname"]) == HOST_NAME, "hostname"))
        .or_else(|| unless(is_empty(at(made, &["hooks"])), "hooks that nobody asked for"))
        .or_else(|| of_annotations(at(made, &["annotations"])))
}

/// Some of them are settings of the runtime's, such as one by which the command keeps the service's groups.
fn of_annotations(made: &Value) -> Option<String> {
    let of_runtime = |name: &&String| name.starts_with("run.oci.") || name.starts_with("io.crun");
    let found = made.as_object().and_then(|made| made.keys().find(of_runtime));
    found.map(|name| format!("the annotation {name}, which nobody asked for"))
}

/// Podman sets two variables where nobody else does.
fn of_environment(asked: &Value, made: &[Value]) -> Option<String> {
    let none = Map::new();
    let asked = at(asked, &["env"]).as_object().unwrap_or(&none);
    let pairs: Vec<(&str, &str)> =
        made.iter().filter_map(|pair| pair.as_str().and_then(|pair| pair.split_once('='))).collect();
    let arrived = |(name, value): &(&String, &Value)| {
        pairs.iter().any(|(known, given)| known == name && Some(*given) == value.as_str())
    };
    if let Some((name, _)) = asked.iter().find(|pair| !arrived(pair)) {
        return Some(format!("the variable {name}"));
    }
    let own = |name: &str, value: &str| match name {
        "HOSTNAME" => value == HOST_NAME,
        name => name == "HOME",
    };
    let extra = pairs.iter().find(|(name, value)| !asked.contains_key(*name) && !own(name, value));
    let extra = extra.map(|(name, _)| format!("the variable {name}, which nobody asked for"));
    extra.or_else(|| unless(pairs.len() == made.len(), "variables that are none"))
}

fn of_limits(asked: &Value, made: &[Value]) -> Option<String> {
    list(at(asked, &["r_limits"])).iter().find_map(|limit| {
        let kind = at(limit, &["type"]).as_str().unwrap_or_default().to_uppercase();
        let kind = json!(format!("RLIMIT_{kind}"));
        let of_kind: Vec<&Value> = made.iter().filter(|made| *at(made, &["type"]) == kind).collect();
        let same = |made: &&Value| ["soft", "hard"].iter().all(|of| at(made, &[of]) == at(limit, &[of]));
        unless(!of_kind.is_empty() && of_kind.iter().all(same), &format!("process.rlimits {kind}"))
    })
}

fn of_namespaces(asked: &Value, made: &Value) -> Option<String> {
    let mut wanted = vec!["cgroup", "ipc", "mount", "pid", "uts"];
    let mode = |name: &str| at(asked, &[name, "nsmode"]).as_str().unwrap_or_default();
    if mode("netns") != "host" {
        wanted.push("network");
    }
    if mode("userns") != "host" {
        wanted.push("user");
    }
    let made = list(made);
    let is_new = |wanted: &str| {
        made.iter().any(|made| *at(made, &["type"]) == wanted && is_empty(at(made, &["path"])))
    };
    let missing = wanted.iter().find(|wanted| !is_new(wanted));
    missing
        .map(|missing| format!("a {missing} namespace of its own"))
        .or_else(|| unless(made.len() == wanted.len(), "namespaces that nobody asked for"))
}

fn of_kernel(asked: &Value, profile: Option<&str>, made: &Value) -> Option<String> {
    let linux = at(made, &["linux"]);
    let resources = at(asked, &["resource_limits"]);
    let names = |place: &str, all: &[&str]| {
        let made = list(at(linux, &[place]));
        all.iter()
            .find(|path| !made.iter().any(|made| made == *path))
            .map(|path| format!("linux.{place} {path}"))
    };
    difference("linux.resources", resources, at(linux, &["resources"]))
        .or_else(|| unless(is_empty(resources) || !is_empty(at(linux, &["cgroupsPath"])), "control groups"))
        .or_else(|| unless(is_empty(at(linux, &["devices"])), "devices that nobody asked for"))
        .or_else(|| of_parameters(at(linux, &["sysctl"])))
        .or_else(|| names("maskedPaths", &MASKED))
        .or_else(|| names("readonlyPaths", &READ_ONLY))
        .or_else(|| of_seccomp(asked, profile, at(linux, &["seccomp"])))
}

/// Of the kernel's parameters, Podman's own default is known: a group may send echo requests, in the network namespace
/// that is the container's.
fn of_parameters(made: &Value) -> Option<String> {
    let is_known = |(name, value): (&String, &Value)| name == "net.ipv4.ping_group_range" && *value == "0 0";
    let extra = made.as_object().into_iter().flatten().find(|parameter| !is_known(*parameter));
    let what = extra.map(|(name, _)| format!("the kernel parameter {name}, which nobody asked for"));
    what.or_else(|| unless(is_empty(made) || made.is_object(), "linux.sysctl"))
}

fn of_seccomp(asked: &Value, profile: Option<&str>, made: &Value) -> Option<String> {
    let what = "linux.seccomp";
    let Some(profile) = profile else {
        let is_off = *at(asked, &["seccomp_profile_path"]) == "unconfined";
        return unless(is_off || !is_empty(made), what);
    };
    let profile = serde_json::from_str(profile).unwrap_or(Value::Null);
    let rules = |of: &Value| -> Vec<Value> {
        let mut rules = list(at(of, &["syscalls"])).to_vec();
        // What is empty, and a second value of zero, are left out by some.
        for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
            rule.retain(|_, value| !is_empty(value));
            let args = rule.get_mut("args").and_then(Value::as_array_mut).into_iter().flatten();
            for arg in args.filter_map(Value::as_object_mut) {
                arg.retain(|name, value| name != "valueTwo" || *value != 0);
            }
        }
        rules
    };
    let same = |name: &str| at(&profile, &[name]) == at(made, &[name]);
    // Another process that decides in the kernel's place.
    let alone = is_empty(at(made, &["listenerPath"]));
    // Flags log less, or allow speculation that the kernel's defence against it forbids.
    let plain = is_empty(at(made, &["flags"])) && same("defaultErrnoRet");
    unless(
        alone && plain && same("defaultAction") && same("architectures") && rules(&profile) == rules(made),
        what,
    )
}

fn of_mounts(asked: &Value, told: &Value, made: &Value) -> Option<String> {
    let owner = at(asked, &["user"]).as_str().unwrap_or_default();
    let asked = list(at(asked, &["mounts"]));
    let made = list(made);
    let place = |mount: &Value| at(mount, &["destination"]).as_str().unwrap_or_default().to_owned();
    let is_there = |asked: &Value| {
        let there: Vec<&Value> = made.iter().filter(|made| place(made) == place(asked)).collect();
        matches!(there.as_slice(), [made] if is_as_asked(asked, made, owner))
    };
    if let Some(missing) = asked.iter().find(|asked| !is_there(asked)) {
        return Some(format!("the mount at {}", place(missing)));
    }
    // What comes later lies over what it contains, and would show what is hidden there.
    let covered = made.iter().enumerate().find(|(count, later)| {
        made.iter().take(*count).any(|earlier| Path::new(&place(earlier)).starts_with(place(later)))
    });
    if let Some((_, later)) = covered {
        return Some(format!("a mount at {} that covers others", place(later)));
    }
    let number = at(told, &["Id"]).as_str().unwrap_or_default();
    let extra = made.iter().find(|made| {
        !asked.iter().any(|asked| place(asked) == place(made)) && !is_of_every_container(made, number)
    });
    extra.map(|extra| format!("a mount at {} that nobody asked for", place(extra)))
}

fn is_as_asked(asked: &Value, made: &Value, owner: &str) -> bool {
    let same = ["type", "source"].iter().all(|name| at(asked, &[name]) == at(made, &[name]));
    let mut wanted = Vec::new();
    for option in list(at(asked, &["options"])).iter().filter_map(Value::as_str) {
        match (option, owner.split_once(':')) {
            (EMPTY, _) => {}
            (OWNED, Some((uid, gid))) => wanted.extend([format!("uid={uid}"), format!("gid={gid}")]),
            (option, _) => wanted.push(option.to_owned()),
        }
    }
    let options = list(at(made, &["options"]));
    let is_there = |wanted: &String| options.iter().any(|option| option == wanted);
    let is_known = |option: &Value| option == "rprivate" || wanted.iter().any(|wanted| option == wanted);
    same && wanted.iter().all(is_there) && options.iter().all(is_known)
}

/// Whether it is one of those that Podman puts into every container, and nothing of the host's.
fn is_of_every_container(made: &Value, number: &str) -> bool {
    let text = |name: &str| at(made, &[name]).as_str().unwrap_or_default();
    let (place, source) = (text("destination"), text("source"));
    let is_read_only = list(at(made, &["options"])).iter().any(|option| option == "ro");
    if text("type") == "bind" {
        let is_own = !number.is_empty() && source.split('/').any(|part| part == number);
        return (place == INIT && is_read_only) || (OF_PODMAN.contains(&place) && is_own);
    }
    OF_THE_KERNEL.contains(&(place, text("type"))) && (is_read_only || !place.starts_with("/sys"))
}
