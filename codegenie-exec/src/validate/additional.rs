//! Folders beside the workspace that the host's rules let agents work in: `additionalDirectories`.

use super::place;
use super::policy::CommandPolicy;
use super::reach::Reach;
use crate::sandbox::defaults;
use std::path::{Path, PathBuf};

/// What a host's own programs and their data lie in, with all that is below.
const OF_THE_SYSTEM: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/cache",
    "/var/db",
    "/var/lib",
    "/var/log",
    "/var/mail",
    "/var/run",
    "/var/spool",
];

/// What folders of many lie in.
const OF_MANY: &[&str] =
    &["/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var", "/var/tmp"];

/// The folders of a policy, by the paths that words may lead to.
#[derive(Clone, Debug, Default)]
pub(super) struct Additional {
    folders: Vec<String>,
}

impl Additional {
    pub(super) fn new(policy: &CommandPolicy, reach: &Reach) -> Self {
        let folders = policy.permissions.additional_directories.iter();
        let folders = folders.filter(|folder| problem(folder).is_none()).flat_map(|folder| {
            let named = reach.rooted(folder).map(|path| normalized(&path));
            named.into_iter().chain(at_home(folder))
        });
        Self { folders: folders.filter(|folder| !folder.is_empty()).collect() }
    }

    /// Whether a path lies in one of the folders, wherever the command may run, and holds no secrets; then, whether other
    /// programs run or trust it.
    pub(super) fn holds(&self, path: &str, reach: &Reach) -> Option<bool> {
        if self.folders.is_empty() {
            return None;
        }
        let paths: Vec<String> = reach.led_to(path)?.iter().map(|path| normalized(path)).collect();
        let inside = paths.iter().all(|path| is_own(path) || self.holds_all_of(path));
        let beside = paths.iter().any(|path| !is_own(path));
        (inside && beside).then(|| paths.iter().any(|path| defaults::is_protected(path)))
    }

    /// Whether a directory that a command runs in, by its path from the workspace, is one to work in.
    pub(super) fn may_work_in(&self, directory: &str, reach: &Reach) -> bool {
        let path = normalized(directory);
        if place::sensitive(&path).is_some() || defaults::is_protected(&path) {
            return false;
        }
        let named = || reach.rooted(directory).map(|path| normalized(&path));
        is_own(&path) || named().is_some_and(|path| self.holds_all_of(&path))
    }

    fn holds_all_of(&self, path: &str) -> bool {
        let below = |folder: &String| {
            path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.folders.iter().any(below) && place::sensitive(&shown(path)).is_none()
    }
}

/// Why a folder is none to work in.
pub(super) fn problem(folder: &str) -> Option<&'static str> {
    let path = normalized(folder);
    let system =
        |dir: &&str| path.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let absolute = folder.starts_with('/');
    let of_another = folder.starts_with('~') && folder != "~" && !folder.starts_with("~/");
    if folder.trim().is_empty() || of_another || folder.contains(['\0', '\n']) {
        return Some("is no folder that can be named here, and is not given");
    }
    if absolute
        && (OF_MANY.contains(&path.as_str()) || OF_THE_SYSTEM.iter().any(system))
        && !shown(&path).starts_with('~')
    {
        return Some("belongs to the system, and is not given");
    }
    if defaults::is_protected(&path) {
        return Some("is run or trusted by other programs, and is not given");
    }
    place::sensitive(&shown(&path)).map(|_| "is where secrets or accounts are kept, and is not given")
}

/// The folders that are there, by their real paths, for a sandbox to give: none of the system, of other programs' settings,
/// or of secrets.
pub(crate) fn folders(policy: &CommandPolicy, workspace: &Path) -> Vec<PathBuf> {
    let named = policy.permissions.additional_directories.iter().filter(|folder| problem(folder).is_none());
    let mut real: Vec<PathBuf> = named
        .filter_map(|folder| {
            let path = at_home(folder).map_or_else(|| workspace.join(folder), PathBuf::from);
            let real = path.canonicalize().ok().filter(|real| real.is_dir())?;
            // A link may lead anywhere.
            real.to_str().filter(|text| problem(text).is_none())?;
            Some(real)
        })
        .collect();
    real.sort();
    real.dedup();
    real
}

/// What `~` stands for on the host.
fn at_home(folder: &str) -> Option<String> {
    let below = folder.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    let home = std::env::home_dir()?;
    Some(normalized(&format!("{}{below}", home.to_str()?)))
}

/// A path of the own home as people write it.
fn shown(path: &str) -> String {
    let home = std::env::home_dir();
    let below = home.as_deref().and_then(Path::to_str).filter(|home| home.len() > 1);
    match below
        .and_then(|home| path.strip_prefix(home))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    {
        Some(rest) => format!("~{rest}"),
        None => path.to_owned(),
    }
}

/// Whether a path that is relative to the workspace stays in it.
fn is_own(path: &str) -> bool {
    !path.starts_with(['/', '~']) && path.split('/').next() != Some("..")
}

/// The path without `.` and empty parts, and without `..` but at its beginning.
fn normalized(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| !matches!(*last, ".." | "~")) => drop(kept.pop()),
            ".." if path.starts_with('/') => {}
            part => kept.push(part),
        }
    }
    let joined = kept.join("/");
    if path.starts_with('/') { format!("/{joined}") } else { joined }
}
