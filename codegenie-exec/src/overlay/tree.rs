//! Looking at directory trees that nobody vouches for: no link is followed, nothing blocks, and
//! what there is too much of is an error.

use super::error::{CowError, CowErrorKind};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
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

/// What kind of thing an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a FIFO or a socket.
    Special,
}

/// An entry as the kernel tells of it, without following a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) kind: FileKind,
    /// Permission bits, set-id and sticky included.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) mtime: (i64, i64),
    pub(super) ctime: (i64, i64),
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) nlink: u64,
    /// A character device of number 0:0, which overlayfs calls a whiteout.
    pub(super) whiteout: bool,
}

impl From<FileStat> for Stat {
    fn from(stat: FileStat) -> Self {
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => FileKind::File,
            libc::S_IFDIR => FileKind::Directory,
            libc::S_IFLNK => FileKind::Symlink,
            _ => FileKind::Special,
        };
        #[allow(clippy::useless_conversion, reason = "the width of these fields differs by architecture")]
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: (stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            ctime: (stat.st_ctime.into(), stat.st_ctime_nsec.into()),
            dev: stat.st_dev,
            ino: stat.st_ino,
            nlink: u64::from(stat.st_nlink),
            whiteout: stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == 0,
        }
    }
}

pub(super) fn stat_fd(file: impl AsFd) -> io::Result<Stat> {
    Ok(fstat(file)?.into())
}

/// What `name` in `dir` is; `None`: nothing.
pub(super) fn stat_at(dir: impl AsFd, name: &OsStr) -> io::Result<Option<Stat>> {
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW
        | if name.is_empty() { AtFlags::AT_EMPTY_PATH } else { AtFlags::empty() };
    match fstatat(dir, name, flags) {
        Ok(stat) => Ok(Some(stat.into())),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens the directory `path` below `root`, through no link and no mount.
pub(super) fn open_dir(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_SYMLINKS
                | ResolveFlag::RESOLVE_NO_MAGICLINKS
                | ResolveFlag::RESOLVE_NO_XDEV,
        );
    loop {
        match openat2(root.as_fd(), path, how) {
            Ok(fd) => return Ok(fd),
            // The kernel asks to try again when the tree was being renamed meanwhile.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens the directory that holds `path`, and gives the name in it. The root's name is empty.
pub(super) fn open_parent(root: impl AsFd, path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let name = path.file_name().unwrap_or_default();
    Ok((open_dir(root, path.parent().unwrap_or(Path::new("")))?, name))
}

/// Opens a regular file for reading. Whatever else has the name is an error, and nothing waits for it.
pub(super) fn open_file(dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = openat(dir, name, flags, Mode::empty())?;
    if stat_fd(&file)?.kind != FileKind::File {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// The names in a directory, sorted.
pub(super) fn names(dir: OwnedFd, room: usize) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(dir)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            if names.len() >= room {
                return Err(io::Error::other("too many entries"));
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
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
pub(super) fn remove(dir: impl AsFd, name: &OsStr) -> io::Result<()> {
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
