//! Looking at trees that nobody vouches for, beneath a directory that is open: no link is followed, nothing
//! blocks.

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What kind of thing an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(not(codegenie_native), allow(unreachable_pub, reason = "copy-on-write workspaces show it"))]
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
pub(crate) struct Stat {
    pub(crate) kind: FileKind,
    /// Permission bits, set-id and sticky included.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, i64),
    pub(crate) ctime: (i64, i64),
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) nlink: u64,
    /// A character device of number 0:0, which overlayfs calls a whiteout.
    pub(crate) whiteout: bool,
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

pub(crate) fn stat_fd(file: impl AsFd) -> io::Result<Stat> {
    Ok(fstat(file)?.into())
}

/// What `name` in `dir` is; `None`: nothing.
pub(crate) fn stat_at(dir: impl AsFd, name: &OsStr) -> io::Result<Option<Stat>> {
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW
        | if name.is_empty() { AtFlags::AT_EMPTY_PATH } else { AtFlags::empty() };
    match fstatat(dir, name, flags) {
        Ok(stat) => Ok(Some(stat.into())),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens the directory `path` below `root`, through no link and no mount.
pub(crate) fn open_dir(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match open_beneath(root.as_fd(), path, flags) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => by_parts::open(root.as_fd(), path, flags),
        result => result,
    }
}

/// Opens what `name` in `dir` is, without touching it: no device is woken, and no FIFO waited for. A link is
/// opened itself; a mount is an error.
#[cfg(feature = "edit")]
pub(crate) fn open_path(dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match open_beneath(dir.as_fd(), Path::new(name), flags) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            by_parts::open(dir.as_fd(), Path::new(name), flags)
        }
        result => result,
    }
}

fn open_beneath(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS
            | ResolveFlag::RESOLVE_NO_XDEV,
    );
    loop {
        match openat2(root, path, how) {
            Ok(fd) => return Ok(fd),
            // The kernel asks to try again when the tree was being renamed meanwhile.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same, where there is no `openat2`: name by name, and the mount is looked at on each.
mod by_parts {
    use super::{AsFd, BorrowedFd, Errno, OFlag, OwnedFd, Path, io, openat};
    use nix::sys::stat::Mode;
    use std::os::fd::AsRawFd;
    use std::path::Component;

    pub(super) fn open(root: BorrowedFd<'_>, path: &Path, last: OFlag) -> io::Result<OwnedFd> {
        let mount = mount_of(root)?;
        let mut here = root.try_clone_to_owned()?;
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let name = match part {
                Component::Normal(name) => name,
                Component::CurDir => ".".as_ref(),
                _ => return Err(Errno::EXDEV.into()),
            };
            let between = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let inner = parts.peek().is_some();
            let flags = if inner { between } else { last };
            let next = openat(&here, name, flags, Mode::empty()).map_err(|error| {
                // On the way a link and a file are both said to be no directory.
                let link = inner
                    && error == Errno::ENOTDIR
                    && super::stat_at(&here, name)
                        .is_ok_and(|stat| stat.is_some_and(|stat| stat.kind == super::FileKind::Symlink));
                if link { Errno::ELOOP } else { error }
            })?;
            if mount_of(next.as_fd())? != mount {
                return Err(Errno::EXDEV.into());
            }
            here = next;
        }
        Ok(here)
    }

    /// The kernel's number of the mount that `file` was opened through.
    fn mount_of(file: BorrowedFd<'_>) -> io::Result<u64> {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
        let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
        id.ok_or_else(|| io::Error::other("/proc does not say which mount it is on"))
    }

    #[cfg(test)]
    mod tests {
        #![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
        use super::{AsFd, OFlag, Path, open};
        use std::fs;
        use std::os::unix::fs::symlink;

        /// Kernels without `openat2` are not at hand: both ways must say the same of the same paths.
        #[test]
        fn says_what_openat2_says() {
            let place = tempfile::tempdir().unwrap();
            let at = |path: &str| place.path().join(path);
            fs::create_dir_all(at("a/b")).unwrap();
            fs::write(at("a/file"), "").unwrap();
            symlink("b", at("a/link")).unwrap();
            symlink("/", at("a/out")).unwrap();
            let root = fs::File::open(place.path()).unwrap();
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            for path in
                [".", "a", "a/b", "a/link", "a/link/x", "a/out/etc", "a/file", "a/file/x", "a/none", "a/../a"]
            {
                let code = |result: std::io::Result<_>| {
                    result.map(|_: std::os::fd::OwnedFd| ()).map_err(|error| error.raw_os_error())
                };
                let by_kernel = code(super::super::open_beneath(root.as_fd(), Path::new(path), flags));
                let by_parts = code(open(root.as_fd(), Path::new(path), flags));
                match path {
                    // Allowed by the kernel, since it does not leave; never asked for here.
                    "a/../a" => assert!(by_parts.is_err()),
                    _ => assert_eq!(by_parts, by_kernel, "{path}"),
                }
            }
            let slash = fs::File::open("/").unwrap();
            let by_kernel = super::super::open_beneath(slash.as_fd(), Path::new("proc"), flags);
            assert_eq!(by_kernel.unwrap_err().raw_os_error(), Some(libc::EXDEV));
            assert_eq!(
                open(slash.as_fd(), Path::new("proc"), flags).unwrap_err().raw_os_error(),
                Some(libc::EXDEV)
            );
        }
    }
}

/// A name that nobody guesses: 32 hexadecimal digits.
pub(crate) fn random_name() -> io::Result<String> {
    use std::io::Read;
    let mut bytes = [0u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Opens the directory that holds `path`, and gives the name in it. The root's name is empty.
pub(crate) fn open_parent(root: impl AsFd, path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let name = path.file_name().unwrap_or_default();
    Ok((open_dir(root, path.parent().unwrap_or(Path::new("")))?, name))
}

/// Opens a regular file for reading. Whatever else has the name is an error, and nothing waits for it.
pub(crate) fn open_file(dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = openat(dir, name, flags, Mode::empty())?;
    if stat_fd(&file)?.kind != FileKind::File {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// The names in a directory, sorted.
pub(crate) fn names(dir: OwnedFd, room: usize) -> io::Result<Vec<OsString>> {
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
