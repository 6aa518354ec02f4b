//! Opening files without following links and for the owner only; the platform differences live here.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// The error of everything in this module on platforms other than unix.
#[cfg(not(unix))]
pub(crate) fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "file permissions cannot be checked on this platform, only on unix",
    )
}

#[cfg(unix)]
fn guarded(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // O_NONBLOCK: a pipe that somebody put there must not hang the open; regular files ignore it.
    options.mode(0o600).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn guarded(_options: &mut OpenOptions, _path: &Path) -> io::Result<File> {
    Err(unsupported())
}

/// Opens for reading; refuses a symbolic link.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    guarded(OpenOptions::new().read(true), path)
}

/// Opens for reading; a symbolic link is followed, a pipe is not waited for.
pub(crate) fn open_following(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(nix::libc::O_NONBLOCK);
    }
    options.read(true).open(path)
}

/// Makes a new file that only its owner can read; fails when there is one.
pub(crate) fn create_new_private(path: &Path) -> io::Result<File> {
    guarded(OpenOptions::new().write(true).create_new(true), path)
}

/// Did an open fail because the path is a symbolic link?
pub(crate) fn is_symlink_refusal(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        error.raw_os_error() == Some(nix::libc::ELOOP)
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// The error of an open that fails because of that.
#[cfg(feature = "audit-log")]
pub(crate) fn symlink_refusal() -> io::Error {
    #[cfg(unix)]
    {
        io::Error::from_raw_os_error(nix::libc::ELOOP)
    }
    #[cfg(not(unix))]
    {
        unsupported()
    }
}

/// Makes the directory entry of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

/// Opens for reading and appending; makes a file that only its owner can read when `create` is set.
#[cfg(any(feature = "access", feature = "audit-log"))]
pub(crate) fn open_to_append(path: &Path, create: bool) -> io::Result<File> {
    guarded(OpenOptions::new().read(true).append(true).create(create), path)
}

/// Opens for writing in place.
#[cfg(feature = "audit-log")]
pub(crate) fn open_to_write(path: &Path) -> io::Result<File> {
    guarded(OpenOptions::new().write(true), path)
}

/// Tells the system that the bytes between two places of a file are wanted on the disk soon.
#[cfg(all(feature = "audit-log", target_os = "linux"))]
pub(crate) fn begin_write_back(file: &File, start: u64, end: u64) {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    /// More keeps the disk busy for so long that nothing is saved.
    const MOST: i64 = 256 << 10;
    // It begins to write those that are dirty and keeps them (Linux, `generic_fadvise`).
    if let (Ok(start), Ok(len)) = (i64::try_from(start), i64::try_from(end - start))
        && len < MOST
    {
        let _ = posix_fadvise(file, start, len, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

#[cfg(all(feature = "audit-log", not(target_os = "linux")))]
pub(crate) fn begin_write_back(_file: &File, _start: u64, _end: u64) {}

/// Writes `bytes` under a name of their own beside `path`, durably, and then has `place` give them that name. What is
/// left of a failure is removed.
fn place_new(
    path: &Path,
    name: u64,
    bytes: &[u8],
    place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    use std::io::Write;

    let mut file_name = path.file_name().map(std::ffi::OsString::from).unwrap_or_default();
    file_name.push(format!(".{name:016x}.tmp"));
    let temporary = path.with_file_name(file_name);
    let mut file = create_new_private(&temporary)?;
    let placed = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| place(&temporary, path));
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound && placed.is_ok() => return Err(error),
        _ => {}
    }
    placed?;
    sync_parent(path)
}

/// Makes or replaces `path` with `bytes`, durably and all at once, whoever else does so too. `name` is random.
pub(crate) fn replace_shared(path: &Path, name: u64, bytes: &[u8]) -> io::Result<()> {
    place_new(path, name, bytes, |from, to| std::fs::rename(from, to))
}

/// As [`replace_shared`], if `still` finds at the last moment that all is as the caller believes. A disk that is mounted over the
/// directory later takes the new file out of sight, and nothing is replaced.
#[cfg(feature = "audit-log")]
pub(crate) fn replace_shared_if(
    path: &Path,
    name: u64,
    bytes: &[u8],
    still: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    place_new(path, name, bytes, |from, to| still().and_then(|()| std::fs::rename(from, to)))
}

/// Makes `path` with `bytes`, durably and all at once; fails where something is there. `name` is random.
pub(crate) fn create_whole(path: &Path, name: u64, bytes: &[u8]) -> io::Result<()> {
    place_new(path, name, bytes, |from, to| std::fs::hard_link(from, to))
}

/// Makes or replaces `path` with `bytes`, durably and all at once. For a caller that has a lock.
#[cfg(any(feature = "access", feature = "audit-log"))]
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;

    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    // Left over from a crash; the caller holds the lock, so nobody else is writing it.
    match std::fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_new_private(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)?;
    sync_parent(path)
}

/// Reads all of `to` from a place without moving.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, to: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, to, offset)
}

/// Reads all of `to` from a place without moving.
#[cfg(not(unix))]
pub(crate) fn read_at(_file: &File, _to: &mut [u8], _offset: u64) -> io::Result<()> {
    Err(unsupported())
}

/// Writes at a place without moving.
#[cfg(unix)]
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes at a place without moving.
#[cfg(not(unix))]
pub(crate) fn write_at(_file: &File, _bytes: &[u8], _offset: u64) -> io::Result<()> {
    Err(unsupported())
}

/// Fails where a file has been deleted, or replaced by another.
#[cfg(feature = "audit-log")]
pub(crate) fn still_there(file: &File) -> io::Result<()> {
    match links(file)? {
        0 => Err(io::Error::new(io::ErrorKind::NotFound, "the file was deleted")),
        _ => Ok(()),
    }
}

/// How many names a file has. Who asks for its times as well makes the next write set them anew, and where there is no
/// journal the next sync then takes a second write (Linux, multigrain timestamps).
#[cfg(all(feature = "audit-log", target_os = "linux"))]
fn links(file: &File) -> io::Result<u64> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    Ok(statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::NLINK)?.stx_nlink.into())
}

#[cfg(all(feature = "audit-log", unix, not(target_os = "linux")))]
fn links(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink())
}

#[cfg(all(feature = "audit-log", not(unix)))]
fn links(_file: &File) -> io::Result<u64> {
    Ok(1)
}

/// A file that no other process has locked. The lock ends when this is dropped.
#[cfg(all(unix, any(feature = "access", feature = "audit-log")))]
pub(crate) type Locked = nix::fcntl::Flock<File>;
/// A file that no other process has locked. The lock ends when this is dropped.
#[cfg(all(not(unix), any(feature = "access", feature = "audit-log")))]
pub(crate) type Locked = Box<File>;

/// Locks for this open file alone; an error of kind `WouldBlock` when somebody else has it.
#[cfg(all(unix, any(feature = "access", feature = "audit-log")))]
pub(crate) fn lock(file: File) -> io::Result<Locked> {
    Locked::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
}

/// Locks for this open file alone.
#[cfg(all(not(unix), any(feature = "access", feature = "audit-log")))]
pub(crate) fn lock(_file: File) -> io::Result<Locked> {
    Err(unsupported())
}

/// Refuses what is not a regular file of this user (or root) that nobody else has access to. On the open file, so that
/// nobody can put another in its place in between.
#[cfg(all(unix, feature = "access"))]
pub(crate) fn check_private(file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata()?;
    let refused = |text: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    let user = nix::unistd::geteuid().as_raw();
    if !metadata.is_file() {
        return refused("it is not a regular file".to_owned());
    }
    if metadata.uid() != user && metadata.uid() != 0 {
        return refused(format!("it belongs to user {}, not to user {user} or root", metadata.uid()));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        return refused(format!("it is open to others (mode {mode:04o}); run chmod 600 on it"));
    }
    Ok(())
}

/// Refuses what others have access to.
#[cfg(all(not(unix), feature = "access"))]
pub(crate) fn check_private(_file: &File) -> io::Result<()> {
    Err(unsupported())
}

/// Makes a directory that only its owner can enter, unless it is there; one that others can write is refused.
#[cfg(all(unix, feature = "audit-log"))]
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = std::fs::symlink_metadata(path)?;
    let refused = |text: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    let user = nix::unistd::geteuid().as_raw();
    if !metadata.is_dir() {
        return refused("it is not a directory");
    }
    if metadata.uid() != user && metadata.uid() != 0 {
        return refused("it belongs to another user");
    }
    if metadata.mode() & 0o022 != 0 {
        return refused("others can write to it");
    }
    Ok(())
}

/// Makes a directory that only its owner can enter.
#[cfg(all(not(unix), feature = "audit-log"))]
pub(crate) fn create_private_dir(_path: &Path) -> io::Result<()> {
    Err(unsupported())
}
