//! What of the host's file system a command sees: computed from the policy, before anything is mounted.
//!
//! The native sandbox and containers share it, so that one policy shows the same in both.

use crate::sandbox::{SandboxError, SandboxPolicy};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The read-only system. Links (`/bin` → `usr/bin`) are kept as links.
const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/run/current-system"];

/// A file of `/etc` up to this size is copied, and a directory with a few of them: a mount of its own
/// costs as much as copying that.
const COPIED_BYTES: u64 = 16 << 10;
const COPIED_ENTRIES: usize = 8;

/// What programs need of `/etc` and what holds no secrets.
const ETC: [&str; 23] = [
    "alternatives",
    "bash.bashrc",
    "debian_version",
    "default/locale",
    "group",
    "gai.conf",
    "host.conf",
    "hosts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.conf",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
];

/// One thing that is put into the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is: the same path in the host and in the view.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// Whether the policy names it. The rest is the system's.
    pub(crate) granted: bool,
    /// Device and number of what is there, where the policy names it: tells it from what may come into
    /// its place later.
    pub(crate) id: Option<(u64, u64)>,
}

impl Entry {
    fn granted(path: &Path, kind: Kind, meta: &std::fs::Metadata) -> Self {
        Self { path: path.to_path_buf(), kind, granted: true, id: Some((meta.dev(), meta.ino())) }
    }
}

/// What kind of thing it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The host's directory or file.
    Bind { writable: bool, dir: bool },
    /// A read-only copy of a small file of the system.
    Copy(Arc<[u8]>),
    /// A symbolic link with this target.
    Link(PathBuf),
    /// The host's directory with these layers' directory, which takes the writes, over it.
    Overlay { layers: PathBuf, writable: bool },
    /// A directory of an overlay as a mount of its own, so that it cannot be renamed.
    Pin,
    /// Something empty over what would be seen.
    Mask { dir: bool },
}

impl Kind {
    /// A directory of the host's tree, in whichever way it is shown.
    fn is_host_directory(&self) -> bool {
        matches!(self, Self::Bind { dir: true, .. } | Self::Overlay { .. })
    }

    /// Something that a command can write to.
    fn is_writable(&self) -> bool {
        matches!(self, Self::Bind { writable: true, .. } | Self::Overlay { writable: true, .. } | Self::Pin)
    }
}

/// The part of the view that no policy changes, as it was when it was looked at.
#[derive(Debug, Default)]
pub(crate) struct System(Vec<Entry>);

impl System {
    pub(crate) fn look() -> Self {
        let etc = ETC.iter().map(|name| Path::new("/etc").join(name));
        let paths = SYSTEM.iter().map(PathBuf::from).chain(etc);
        let of_path = |path: PathBuf| few_files(&path).unwrap_or_else(|| entry(path).into_iter().collect());
        Self(paths.flat_map(of_path).collect())
    }
}

/// The view: entries from the root downwards, so that the deepest is put on top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) entries: Vec<Entry>,
}

impl View {
    /// The view that a resolved policy asks for.
    pub(crate) fn of(policy: &SandboxPolicy, system: &System) -> Result<Self, SandboxError> {
        let mut entries: BTreeMap<PathBuf, Entry> =
            system.0.iter().map(|entry| (entry.path.clone(), entry.clone())).collect();
        for (paths, writable) in [(&policy.write, true), (&policy.read, false)] {
            for path in paths {
                let meta = std::fs::symlink_metadata(path).map_err(|error| {
                    SandboxError::invalid_policy(format!(
                        "{} cannot be granted: {error}; create it or leave it out",
                        path.display()
                    ))
                })?;
                let kind = Kind::Bind { writable, dir: meta.is_dir() };
                entries.insert(path.clone(), Entry::granted(path, kind, &meta));
            }
        }
        for overlay in &policy.overlays {
            // What other grants show of the layers is not for the command.
            let kinds = [
                (
                    &overlay.workspace,
                    Kind::Overlay { layers: overlay.layers(), writable: !overlay.read_only },
                ),
                (&overlay.state, Kind::Mask { dir: true }),
            ];
            for (path, kind) in kinds {
                let meta = std::fs::symlink_metadata(path).map_err(|error| {
                    SandboxError::invalid_policy(format!(
                        "{} cannot be copy-on-write: {error}; begin a transaction on what is there",
                        path.display()
                    ))
                })?;
                entries.insert(path.clone(), Entry::granted(path, kind, &meta));
            }
        }
        for path in policy.hide.iter().chain(&policy.hidden_by_default()) {
            if let Ok(meta) = std::fs::symlink_metadata(path) {
                let kind = Kind::Mask { dir: meta.is_dir() };
                entries.insert(path.clone(), Entry::granted(path, kind, &meta));
            }
        }
        pin_ways(&mut entries);
        // What a policy shows as a whole is shown as it is: the system's own entries are not put into it.
        let granted: Vec<PathBuf> = entries
            .values()
            .filter(|entry| entry.granted && entry.kind.is_host_directory())
            .map(|entry| entry.path.clone())
            .collect();
        entries.retain(|path, entry| {
            entry.granted || !granted.iter().any(|root| path != root && path.starts_with(root))
        });
        let mut entries: Vec<Entry> = entries.into_values().collect();
        entries.sort_by_key(|entry| entry.path.components().count());
        let mut view = Self { entries };
        // What no other entry shows needs no mask. A mask of a copied file has taken its place above.
        let shown = view.clone();
        view.entries
            .retain(|entry| !matches!(entry.kind, Kind::Mask { .. }) || shown.under_bind(&entry.path));
        Ok(view)
    }

    /// Whether `path` lies below something of the host's that is in the view.
    pub(crate) fn under_bind(&self, path: &Path) -> bool {
        self.entries.iter().any(|entry| {
            entry.kind.is_host_directory() && path != entry.path && path.starts_with(&entry.path)
        })
    }

    /// Whether a command may have `path` as its working directory.
    pub(crate) fn shows(&self, path: &Path) -> bool {
        path.starts_with("/tmp")
            || self.entries.iter().any(|e| {
                matches!(e.kind, Kind::Bind { .. } | Kind::Overlay { .. }) && path.starts_with(&e.path)
            })
    }

    /// Whether `path` lies below an overlay, where commands may have changed what is on the way.
    pub(crate) fn under_overlay(&self, path: &Path) -> bool {
        self.entries.iter().any(|entry| {
            matches!(entry.kind, Kind::Overlay { .. }) && path != entry.path && path.starts_with(&entry.path)
        })
    }
}

fn entry(path: PathBuf) -> Option<Entry> {
    system_entry(&path).map(|kind| Entry { path, kind, granted: false, id: None })
}

/// What is in a directory of a few small files and links; `None` for any other.
fn few_files(dir: &Path) -> Option<Vec<Entry>> {
    if !dir.starts_with("/etc") || !std::fs::symlink_metadata(dir).ok()?.is_dir() {
        return None;
    }
    let paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .ok()?
        .take(COPIED_ENTRIES + 1)
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .ok()?;
    let entries: Vec<Entry> = paths.iter().cloned().filter_map(entry).collect();
    let is_small = (1..=COPIED_ENTRIES).contains(&paths.len())
        && entries.iter().all(|entry| matches!(entry.kind, Kind::Copy(_) | Kind::Link(_)));
    is_small.then_some(entries)
}

fn system_entry(path: &Path) -> Option<Kind> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    if meta.is_symlink() {
        return Some(Kind::Link(std::fs::read_link(path).ok()?));
    }
    // A root host reads everything; a copy must not give away what the file's mode does not.
    if meta.is_file() && meta.mode() & 0o004 == 0 {
        return None;
    }
    if meta.is_file() && meta.len() <= COPIED_BYTES {
        return std::fs::read(path).ok().map(|content| Kind::Copy(content.into()));
    }
    Some(Kind::Bind { writable: false, dir: meta.is_dir() })
}

/// A directory on the way from a writable path down to a read-only or hidden one could be renamed,
/// protection and all, and a fresh one put into its place. Mount points cannot be renamed, so
/// every such directory becomes one.
fn pin_ways(entries: &mut BTreeMap<PathBuf, Entry>) {
    let protected: Vec<PathBuf> = entries
        .values()
        .filter(|entry| entry.granted && !entry.kind.is_writable())
        .map(|entry| entry.path.clone())
        .collect();
    for path in protected {
        let mut way = Vec::new();
        for ancestor in path.ancestors().skip(1) {
            if let Some(entry) = entries.get(ancestor) {
                if entry.kind.is_writable() {
                    let kind = match entry.kind {
                        Kind::Overlay { .. } | Kind::Pin => Kind::Pin,
                        _ => Kind::Bind { writable: true, dir: true },
                    };
                    for dir in way {
                        let (dir, kind): (PathBuf, _) = (dir, kind.clone());
                        if let Ok(meta) = std::fs::symlink_metadata(&dir) {
                            entries.insert(dir.clone(), Entry::granted(&dir, kind, &meta));
                        }
                    }
                }
                break;
            }
            way.push(ancestor.to_path_buf());
        }
    }
}
