//! Who the command is: the host's own user, or, where the host is root, nobody on this machine.
//!
//! Root mapped to root would still own root's files. So a root host's commands run as an id that
//! owns nothing, and the paths that the policy grants are mounted with their owner mapped to it.

use super::launch;
use super::sys::{self, MOUNT_ATTR_IDMAP, MountAttr};
use crate::sandbox::{Layer, SandboxError};
use crate::view::{Kind, View};
use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Outside: above what distributions, subordinate ids and systemd hand out.
const NOBODY_OUTSIDE: u32 = 2_000_000_001;
/// Inside: what the first ordinary user of a machine usually is.
const NOBODY_INSIDE: u32 = 1000;

/// The ids of a sandbox's only user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid_inside: u32,
    pub(super) uid_outside: u32,
    pub(super) gid_inside: u32,
    pub(super) gid_outside: u32,
    /// The host is root, and the ids are not its own.
    pub(super) dropped: bool,
}

impl Identity {
    pub(super) fn of_host() -> Self {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        if uid == 0 {
            return Self {
                uid_inside: NOBODY_INSIDE,
                uid_outside: NOBODY_OUTSIDE,
                gid_inside: NOBODY_INSIDE,
                gid_outside: NOBODY_OUTSIDE,
                dropped: true,
            };
        }
        Self { uid_inside: uid, uid_outside: uid, gid_inside: gid, gid_outside: gid, dropped: false }
    }

    pub(super) fn uid_map(&self) -> String {
        format!("{} {} 1\n", self.uid_inside, self.uid_outside)
    }

    pub(super) fn gid_map(&self) -> String {
        format!("{} {} 1\n", self.gid_inside, self.gid_outside)
    }
}

/// User namespaces that map the owner of a granted path to the sandbox's user; one per owner.
#[derive(Debug, Default)]
pub(super) struct OwnerMaps(Mutex<HashMap<(u32, u32), Arc<OwnedFd>>>);

impl OwnerMaps {
    fn get(&self, owner: (u32, u32), identity: &Identity) -> io::Result<Arc<OwnedFd>> {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = maps.get(&owner) {
            return Ok(Arc::clone(known));
        }
        let namespace = launch::user_namespace(
            &owner_map(owner.0, identity.uid_outside),
            &owner_map(owner.1, identity.gid_outside),
        )?;
        let namespace = Arc::new(namespace);
        maps.insert(owner, Arc::clone(&namespace));
        Ok(namespace)
    }

    /// Copies of the mounts of every granted path, restricted and with their owner mapped. Nothing
    /// where the host's own user runs the command.
    pub(super) fn prepare(
        &self,
        view: &View,
        identity: &Identity,
    ) -> Result<Vec<(PathBuf, OwnedFd)>, SandboxError> {
        let mut prepared = Vec::new();
        if !identity.dropped {
            return Ok(prepared);
        }
        for entry in view.entries.iter().filter(|entry| entry.granted) {
            match &entry.kind {
                Kind::Bind { writable, .. } => {
                    prepared.push(self.prepare_one(&entry.path, *writable, identity)?);
                }
                Kind::Overlay { layers, .. } => {
                    prepared.push(self.prepare_one(&entry.path, false, identity)?);
                    prepared.push(self.prepare_one(layers, true, identity)?);
                }
                _ => {}
            }
        }
        Ok(prepared)
    }

    fn prepare_one(
        &self,
        path: &Path,
        writable: bool,
        identity: &Identity,
    ) -> Result<(PathBuf, OwnedFd), SandboxError> {
        let shown = path.display();
        let unavailable = |stage: String, error: io::Error| {
            SandboxError::layer_unavailable(
                Layer::UserNamespace,
                &stage,
                &error,
                "as root, granted paths and what is mounted below them must lie on file systems with id-mapped mounts \
                 (ext4, xfs, btrfs, tmpfs since Linux 6.3; not overlayfs, which containers have) and hold no symbolic \
                 link on the way; or run the host as an ordinary user",
            )
        };
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| SandboxError::invalid_policy(format!("{shown}: a path cannot hold a NUL byte")))?;
        // One look at the path: the owner that is mapped is the owner of what is mounted.
        let place =
            sys::open_without_links(&name).map_err(|error| unavailable(format!("open {shown}"), error))?;
        let map = owner_of(&place)
            .and_then(|owner| self.get(owner, identity))
            .map_err(|error| unavailable(format!("map the owner of {shown}"), error))?;
        let tree = sys::open_tree_clone(place.as_fd())
            .and_then(sys::above_init_range)
            .map_err(|error| unavailable(format!("copy the mount of {shown}"), error))?;
        let restricted = super::mounts::attributes(writable);
        let attr = MountAttr {
            attr_set: restricted.attr_set | MOUNT_ATTR_IDMAP,
            userns_fd: map.as_raw_fd() as u64,
            ..MountAttr::default()
        };
        sys::mount_setattr(tree.as_fd(), &attr)
            .map_err(|error| unavailable(format!("id-map the mount of {shown}"), error))?;
        Ok((path.to_path_buf(), tree))
    }
}

fn owner_of(place: &OwnedFd) -> io::Result<(u32, u32)> {
    let stat = nix::sys::stat::fstat(place)?;
    Ok((stat.st_uid, stat.st_gid))
}

/// On disk `owner`, in the mount `user`; every other id stays what it is, so that files of third
/// parties are neither readable nor writable beyond their mode for others.
fn owner_map(owner: u32, user: u32) -> String {
    let mut map = format!("{owner} {user} 1\n");
    if owner > 0 {
        map.push_str(&format!("0 0 {owner}\n"));
    }
    let above = owner.saturating_add(1);
    if above < user {
        map.push_str(&format!("{above} {above} {}\n", user - above));
    }
    map
}
