//! Where daemons listen, and what of that no command may reach.

use super::Daemon;
use crate::sandbox::SandboxError;
use std::io;
use std::path::{Path, PathBuf};

/// Whose access is as good as root's. None of them is ever shown to a command.
const KNOWN_SOCKETS: [&str; 8] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/dbus/system_bus_socket",
];

/// Where the daemon listens: `DOCKER_HOST` or `CONTAINER_HOST`, then Docker's places, then Podman's: the machine's, the user's.
pub(in crate::container) fn default_socket() -> Result<PathBuf, SandboxError> {
    for variable in ["DOCKER_HOST", "CONTAINER_HOST"] {
        let Some(host) = std::env::var_os(variable).filter(|host| !host.is_empty()) else { continue };
        let host = host.to_string_lossy().into_owned();
        return match host.strip_prefix("unix://") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Err(SandboxError::invalid_request(format!(
                "{variable} is {host:?}: only a Unix socket of this machine is used (unix:///path), since granted paths \
                 are mounted from here; nothing was run"
            ))),
        };
    }
    let mut places = vec![PathBuf::from("/var/run/docker.sock")];
    places.extend(of_user("docker.sock"));
    places.push(PathBuf::from("/run/podman/podman.sock"));
    places.extend(of_user("podman/podman.sock"));
    places.into_iter().find(|path| path.exists()).ok_or_else(|| {
        SandboxError::system(
            "no daemon's socket at /var/run/docker.sock, at /run/podman/podman.sock or in XDG_RUNTIME_DIR; start one, or \
             name its socket",
            io::Error::from(io::ErrorKind::NotFound),
        )
    })
}

/// Where a daemon of this user's listens.
fn of_user(name: &str) -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join(name))
}

impl Daemon {
    /// Sockets that make whoever reaches them root of this machine, where they are now or would come.
    pub(in crate::container) fn sockets(&self) -> Vec<PathBuf> {
        let of_user = ["docker.sock", "podman/podman.sock"].into_iter().filter_map(of_user);
        let known = KNOWN_SOCKETS.iter().map(PathBuf::from).chain(of_user);
        let known = known.map(|path| real(&path));
        let mut sockets: Vec<PathBuf> = known.chain([self.socket.clone()]).collect();
        sockets.sort();
        sockets.dedup();
        sockets
    }
}

/// Where a path leads as far as it exists, and what would come there.
fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let Some((ancestor, real)) = there else { return path.to_path_buf() };
    // What is there itself has nothing to come, and would end with a slash.
    let coming = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
    if coming.as_os_str().is_empty() { real } else { real.join(coming) }
}
