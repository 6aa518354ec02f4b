//! Looking at directory trees that nobody vouches for: no link is followed, nothing blocks, and
//! what there is too much of is an error.

use super::error::{CowError, CowErrorKind};
pub use crate::beneath::FileKind;
pub(super) use crate::beneath::{Stat, names, open_dir, open_file, open_parent, stat_at, stat_fd};
use nix::sys::stat::Mode;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// How much a workspace and its layer may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CowLimits {
    /// Files, directories and links.
    pub entries: usize,
    /// Directories inside each other.
    pub depth: usize,
    /// Bytes of the files in the layer, together.
    pub bytes: u64,
    /// Bytes of a file that is shown as text in a diff.
    pub text_bytes: u64,
    /// Bytes of the diff's text.
    pub diff_bytes: usize,
}

impl Default for CowLimits {
    /// A million entries, 256 directories deep, 16 GiB; files of 1 MiB in diffs of 16 MiB.
    fn default() -> Self {
        Self { entries: 1_000_000, depth: 256, bytes: 16 << 30, text_bytes: 1 << 20, diff_bytes: 16 << 20 }
    }
}

/// What is found on a walk.
pub(super) struct Found<'a> {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
    /// The directory that holds it; for the root, itself.
    pub(super) dir: &'a OwnedFd,
    pub(super) name: &'a OsStr,
}

/// Walks a tree from `root`, which comes first and has the empty path. A directory's entries come
/// after itself. `visit` says whether to go into a directory.
pub(super) fn walk(
    root: &OwnedFd,
    limits: &CowLimits,
    mut visit: impl FnMut(Found<'_>) -> Result<bool, CowError>,
) -> Result<(), CowError> {
    let too_large = |what: &str| {
        CowError::new(
            CowErrorKind::TooLarge,
            format!("the tree has {what}: raise the limits, or make less of it"),
        )
    };
    let here = Path::new("");
    let stat = stat_fd(root).map_err(|error| CowError::system("look at", here, error))?;
    let mut seen = 1usize;
    let mut waiting = Vec::new();
    if visit(Found { path: PathBuf::new(), stat, dir: root, name: OsStr::new("") })? {
        waiting.push((PathBuf::new(), 0));
    }
    while let Some((path, depth)) = waiting.pop() {
        if depth >= limits.depth || path.as_os_str().len() > 3800 {
            return Err(too_large("directories too deep inside each other"));
        }
        let dir = open_dir(root, &path).map_err(|error| match error.raw_os_error() {
            Some(libc::EXDEV) => CowError::system(
                "go into",
                &path,
                io::Error::other(
                    "something is mounted there, and only a plain directory can be copy-on-write",
                ),
            ),
            _ => CowError::system("open", &path, error),
        })?;
        let listed = dir
            .try_clone()
            .and_then(|dir| names(dir, limits.entries.saturating_sub(seen)))
            .map_err(|error| match error.kind() {
                io::ErrorKind::Other => too_large("too many entries"),
                _ => CowError::system("list", &path, error),
            })?;
        seen = seen.saturating_add(listed.len());
        for name in listed {
            let child = path.join(&name);
            let stat = match stat_at(&dir, &name) {
                Ok(Some(stat)) => stat,
                // Gone since it was listed.
                Ok(None) => continue,
                Err(error) => return Err(CowError::system("look at", &child, error)),
            };
            let go_in = visit(Found { path: child.clone(), stat, dir: &dir, name: &name })?;
            if go_in && stat.kind == FileKind::Directory {
                waiting.push((child, depth.saturating_add(1)));
            }
        }
    }
    Ok(())
}

/// Removes what `name` in `dir` is, however deep and whatever modes it has. Only for trees that no
/// command can reach any more.
pub(crate) fn remove(dir: impl AsFd, name: &OsStr) -> io::Result<()> {
    use nix::sys::stat::{FchmodatFlags, fchmodat};
    use nix::unistd::{UnlinkatFlags, unlinkat};
    let dir = dir.as_fd();
    let Some(stat) = stat_at(dir, name)? else { return Ok(()) };
    if stat.kind != FileKind::Directory {
        return Ok(unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?);
    }
    // A directory inside is first moved up to the top: no depth is too deep then.
    let mut waiting = vec![name.to_owned()];
    let mut moved = 0u64;
    while let Some(top) = waiting.pop() {
        fchmodat(dir, top.as_os_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
        let inner = open_dir(dir, Path::new(&top))?;
        for child in names(inner.try_clone()?, usize::MAX)? {
            match stat_at(&inner, &child)? {
                Some(stat) if stat.kind == FileKind::Directory => {
                    // Moving a directory writes to it.
                    fchmodat(&inner, child.as_os_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
                    let place = loop {
                        moved += 1;
                        let place = OsString::from(format!(".removed-{moved}"));
                        if stat_at(dir, &place)?.is_none() {
                            break place;
                        }
                    };
                    nix::fcntl::renameat(&inner, child.as_os_str(), dir, place.as_os_str())?;
                    waiting.push(place);
                }
                Some(_) => unlinkat(&inner, child.as_os_str(), UnlinkatFlags::NoRemoveDir)?,
                None => {}
            }
        }
        drop(inner);
        unlinkat(dir, top.as_os_str(), UnlinkatFlags::RemoveDir)?;
    }
    Ok(())
}
