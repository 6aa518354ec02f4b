//! Podman's containers, by its own API: the one that it has in common with Docker lacks options of temporary file
//! systems and cannot take an image's variables away.
//!
//! A container is made, and set up without its command being started. Then Podman has written the configuration that
//! the OCI runtime was given, which is what is compared with what was asked for (`verify.rs`).

mod profile;
mod spec;
mod verify;

use self::profile::ProfileFile;
pub(super) use self::profile::sweep as sweep_profiles;
pub(super) use self::spec::spec;
use super::daemon::{Daemon, End, Engine, Facts};
use super::http;
use super::owned::NotMade;
use super::owner::LABEL;
use crate::sandbox::SandboxError;
use bollard::models::SystemInfo;
use serde_json::Value;
use std::io;
use std::path::Path;

/// How paths of Podman's own API start. Its number is the oldest that is understood.
const API: &str = "/v4.0.0/libpod";
/// The first version that takes away all of an image's variables.
const OLDEST: (u32, u32) = (4, 3);
/// The longest configuration that is read.
const CONFIGURATION_BYTES: u64 = 8 << 20;

/// What a Podman service of this version says of itself, beside what it tells as Docker does.
pub(super) async fn facts(socket: &Path, number: &str, shared: &SystemInfo) -> Result<Facts, SandboxError> {
    if version(number).is_none_or(|version| version < OLDEST) {
        let (major, minor) = OLDEST;
        return Err(SandboxError::invalid_request(format!(
            "the daemon is Podman {number}, of which is asked what it learnt later: use {major}.{minor} or newer, or Docker"
        )));
    }
    let info = ask(socket, "GET", &format!("{API}/info"), None)
        .await
        .and_then(|answer| answer.json())
        .map_err(|error| SandboxError::system("the daemon does not tell what it can do", error))?;
    let host = info.get("host").unwrap_or(&Value::Null);
    let security = host.get("security").unwrap_or(&Value::Null);
    let is = |name: &str| security.get(name).and_then(Value::as_bool) == Some(true);
    let user = match is("rootless") {
        false => None,
        true => Some(root_of(host.get("idMappings")).ok_or_else(|| {
            let error = io::Error::other("it has no mapping of root");
            SandboxError::system("the daemon does not tell whose it is", error)
        })?),
    };
    let controllers = host.get("cgroupControllers").and_then(Value::as_array);
    // Those that it may use. What it tells as Docker does is what the kernel has.
    let has = |name: &str| controllers.is_some_and(|all| all.iter().any(|one| one == name));
    let text = |name: &str| host.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(Facts {
        engine: Engine::Podman,
        launcher: format!("Podman {number}"),
        maps_users: is("rootless"),
        user,
        seccomp: is("seccompEnabled"),
        machine: match text("arch") {
            "amd64" => "x86_64".to_owned(),
            "arm64" => "aarch64".to_owned(),
            other => other.to_owned(),
        },
        limits_memory: has("memory"),
        limits_swap: has("memory") && shared.swap_limit == Some(true),
        limits_processes: has("pids"),
        limits_processors: has("cpu"),
        cgroup_version: text("cgroupVersion").trim_start_matches('v').to_owned(),
    })
}

/// The user who is root in a rootless service's containers: its own.
fn root_of(mappings: Option<&Value>) -> Option<u32> {
    let ranges = mappings?.get("uidmap")?.as_array()?;
    let root = ranges.iter().find(|range| range.get("container_id").is_some_and(|first| *first == 0))?;
    root.get("host_id")?.as_u64()?.try_into().ok()
}

fn version(number: &str) -> Option<(u32, u32)> {
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The containers that have a label: their numbers, and the label's values.
pub(super) async fn labelled(socket: &Path, label: &str) -> io::Result<Vec<(String, String)>> {
    let listed = ask(socket, "GET", &format!("{API}/containers/json?all=true"), None).await?.json()?;
    let labelled = |container: &Value| {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        Some((text(container.get("Id"))?, text(container.get("Labels")?.get(label))?))
    };
    Ok(listed.as_array().into_iter().flatten().filter_map(labelled).collect())
}

/// How a container ended.
pub(super) async fn end(socket: &Path, name: &str) -> io::Result<End> {
    let told = ask(socket, "GET", &format!("{API}/containers/{name}/json"), None).await?.json()?;
    let state = told.get("State").unwrap_or(&Value::Null);
    Ok(End {
        code: state.get("ExitCode").and_then(Value::as_i64),
        out_of_memory: state.get("OOMKilled").and_then(Value::as_bool) == Some(true),
    })
}

/// Makes a container. The seccomp profile, where there is one, is put into its specification.
pub(super) async fn create(daemon: Daemon, mut spec: Value, profile: Option<String>) -> Result<(), NotMade> {
    // Podman takes a profile by its file's name, and reads the file before it answers.
    let failed = |what: &str, error| SandboxError::system(&format!("{what}; nothing was run"), error);
    let owner = spec.get("labels").and_then(|labels| labels.get(LABEL)).and_then(Value::as_str);
    let owner = owner.unwrap_or_default().to_owned();
    let file = profile.map(|profile| ProfileFile::new(&profile, &owner)).transpose().map_err(|error| {
        NotMade { error: failed("cannot write the seccomp profile for the daemon", error), is_certain: true }
    })?;
    if let (Some(file), Some(fields)) = (&file, spec.as_object_mut()) {
        fields.insert("seccomp_profile_path".to_owned(), Value::from(file.path()));
    }
    let not_made =
        |error, status| NotMade::answered(failed("the daemon did not make the container", error), status);
    let answer =
        http::exchange(&daemon.socket, "POST", &format!("{API}/containers/create"), Some(&spec)).await;
    let answer = answer.map_err(|error| not_made(error, None))?;
    let status = answer.status;
    answer.success().map(drop).map_err(|error| not_made(error, Some(status)))
}

/// Sets a container up, and fails where it is not the one that was asked for.
pub(super) async fn check(
    daemon: &Daemon,
    name: &str,
    asked: &Value,
    profile: Option<&str>,
) -> Result<(), SandboxError> {
    ask(&daemon.socket, "POST", &format!("{API}/containers/{name}/init"), None).await.map_err(|error| {
        SandboxError::system("the daemon did not set the container up; nothing was run", error)
    })?;
    let told = ask(&daemon.socket, "GET", &format!("{API}/containers/{name}/json"), None)
        .await
        .and_then(|answer| answer.json())
        .map_err(|error| {
            SandboxError::system("the daemon does not show the container; nothing was run", error)
        })?;
    let configuration = told
        .get("OCIConfigPath")
        .and_then(Value::as_str)
        .ok_or_else(|| io::Error::other("the daemon does not say where it is"))
        .and_then(|path| read(Path::new(path)))
        .map_err(|error| {
            SandboxError::system(
                "cannot read the container's OCI configuration, by which is known what Podman enforces: be root or the user \
                 of its service; nothing was run",
                error,
            )
        })?;
    verify::verify(asked, profile, &told, &configuration)
}

fn read(path: &Path) -> io::Result<Value> {
    let file = std::fs::File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let limited = io::Read::take(file, CONFIGURATION_BYTES);
    serde_json::from_reader(io::BufReader::new(limited)).map_err(io::Error::other)
}

async fn ask(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> io::Result<http::Answer> {
    http::exchange(socket, method, path, body).await?.success()
}
