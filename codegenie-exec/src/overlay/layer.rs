//! Reads the layer that commands have written to. They may have made anything of it that overlayfs
//! lets them, and a host's mistake more: every entry is judged, and what is not understood is refused.

use super::error::CowError;
use super::tree::{self, CowLimits, FileKind, Found, Stat};
use crate::native;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An extended attribute.
pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// Attributes of one entry, together.
const MAX_ATTRIBUTE_BYTES: usize = 256 << 10;

/// An entry of the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// What was there below is gone.
    Gone,
    File {
        stat: Stat,
        attributes: Vec<Attribute>,
    },
    Symlink {
        stat: Stat,
        target: PathBuf,
    },
    Directory {
        stat: Stat,
        attributes: Vec<Attribute>,
        /// Nothing from below shows through.
        opaque: bool,
    },
}

/// Reads the whole layer: each path with what became of it, parents before children.
pub(super) fn read(upper: &OwnedFd, limits: &CowLimits) -> Result<Vec<(PathBuf, Written)>, CowError> {
    let mut entries = Vec::new();
    let mut bytes = 0u64;
    tree::walk(upper, limits, |found| {
        let path = found.path.clone();
        let (stat, raw) = look(&found)?;
        let target = match stat.kind {
            FileKind::Symlink => {
                let target = nix::fcntl::readlinkat(found.dir, found.name)
                    .map_err(|error| CowError::system("read the link", &path, error.into()))?;
                Some(PathBuf::from(target))
            }
            _ => None,
        };
        let written = judge(&path, stat, target, raw)?;
        if let Written::File { stat, .. } = &written {
            bytes = bytes.saturating_add(stat.size);
            if bytes > limits.bytes {
                return Err(CowError::new(
                    super::error::CowErrorKind::TooLarge,
                    format!(
                        "the layer holds more than {} bytes: raise the limits, or write less",
                        limits.bytes
                    ),
                ));
            }
        }
        let go_in = matches!(written, Written::Directory { .. });
        entries.push((path, written));
        Ok(go_in)
    })?;
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

/// Looks at an entry and at its attributes, by one descriptor where it has any.
fn look(found: &Found<'_>) -> Result<(Stat, Vec<Attribute>), CowError> {
    let opened = match found.stat.kind {
        FileKind::File => tree::open_file(found.dir, found.name),
        FileKind::Directory => tree::open_dir(found.dir, Path::new(found.name)),
        _ => return Ok((found.stat, Vec::new())),
    };
    let file = opened.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "; let a command give its owner the right to read it",
            _ => "",
        };
        CowError::system("read", &found.path, error).with_context(hint)
    })?;
    let failed = |error| CowError::system("read the attributes of", &found.path, error);
    let stat = tree::stat_fd(&file).map_err(failed)?;
    let mut attributes = Vec::new();
    let mut bytes = 0usize;
    for name in native::attributes(&file).map_err(failed)? {
        if let Some(value) = native::attribute(&file, &name).map_err(failed)? {
            bytes = bytes.saturating_add(name.as_bytes().len()).saturating_add(value.len());
            if bytes > MAX_ATTRIBUTE_BYTES {
                return Err(CowError::refused(&found.path, "it has too many extended attributes"));
            }
            attributes.push((name.into_bytes(), value));
        }
    }
    attributes.sort_unstable();
    Ok((stat, attributes))
}

/// What an entry means, from what the kernel tells of it alone.
pub(super) fn judge(
    path: &Path,
    stat: Stat,
    target: Option<PathBuf>,
    attributes: Vec<Attribute>,
) -> Result<Written, CowError> {
    if path.as_os_str().is_empty() && stat.kind != FileKind::Directory {
        return Err(CowError::refused(path, "the layer is not a directory"));
    }
    let mut opaque = false;
    let mut kept = Vec::new();
    for (name, value) in attributes {
        if let Some(own) = name.strip_prefix(b"user.overlay.") {
            match (own, value.as_slice()) {
                (b"opaque", b"y") if stat.kind == FileKind::Directory => opaque = true,
                // Where it was copied from, and what the kernel keeps for itself about that.
                (b"origin" | b"impure" | b"nlink" | b"uuid", _) => {}
                _ => {
                    let why = "it has an attribute of overlayfs that no command can rightly have left: remove it \
                               in a command, or roll back";
                    return Err(CowError::refused(path, why));
                }
            }
        } else if is_taken_over(&name) {
            kept.push((name, value));
        }
    }
    let (is_file, set_user, set_group) =
        (stat.kind == FileKind::File, stat.mode & 0o4000 != 0, stat.mode & 0o2000 != 0);
    if stat.kind != FileKind::Symlink && (set_user || (set_group && is_file)) {
        return Err(CowError::refused(path, "it is set-user-id or set-group-id: take the mode bit off"));
    }
    match (stat.kind, target) {
        (FileKind::Special, _) if stat.whiteout => Ok(Written::Gone),
        (FileKind::Special, _) => Err(CowError::refused(
            path,
            "it is a device, a FIFO or a socket: remove it in a command, or roll back",
        )),
        (FileKind::File, _) => Ok(Written::File { stat, attributes: kept }),
        (FileKind::Directory, _) => Ok(Written::Directory { stat, attributes: kept, opaque }),
        (FileKind::Symlink, Some(target)) if is_target(&target) => Ok(Written::Symlink { stat, target }),
        (FileKind::Symlink, _) => Err(CowError::refused(path, "it is a link that points to nothing")),
    }
}

fn is_target(target: &Path) -> bool {
    let bytes = target.as_os_str().as_bytes();
    !bytes.is_empty() && bytes.len() < 4096 && !bytes.contains(&0)
}

/// What of a file's attributes is its user's own. Capabilities and security labels are not.
pub(super) fn is_taken_over(name: &[u8]) -> bool {
    let own = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    (own || name == b"system.posix_acl_access") && CString::new(name).is_ok()
}
