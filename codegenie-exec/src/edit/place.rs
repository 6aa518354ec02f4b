//! Looks up paths beneath the root and reads what is there, by descriptors alone.

use super::error::{EditError, Refusal};
use super::limits::EditLimits;
use super::request::ContentHash;
use crate::beneath::{self, FileKind, Stat};
use crate::codec::{Attribute, Attributes};
use crate::xattr;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

/// A regular file that may be edited, as it was read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) stat: Stat,
    pub(super) attributes: Attributes,
    pub(super) content: Vec<u8>,
    pub(super) hash: ContentHash,
}

/// Opens the directory `path` below the root; `None`: there is none.
pub(super) fn directory(root: &OwnedFd, path: &Path, shown: &Path) -> Result<Option<OwnedFd>, EditError> {
    match beneath::open_dir(root, path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT) => Ok(None),
            Some(libc::ELOOP) => Err(link_on_the_way(shown)),
            Some(libc::ENOTDIR) if is_link(root, path) => Err(link_on_the_way(shown)),
            Some(libc::ENOTDIR) => Err(EditError::refused(
                shown,
                Refusal::NotAFile,
                "its way leads through what is no directory",
            )),
            Some(libc::EXDEV) => Err(EditError::refused(
                shown,
                Refusal::Outside,
                "something is mounted on the way: open an editor on that directory",
            )),
            _ => Err(EditError::system("open the directory of", shown, error)),
        },
    }
}

fn link_on_the_way(shown: &Path) -> EditError {
    let why = "a symbolic link is on the way: give the path that it leads to, if that is below the root";
    EditError::refused(shown, Refusal::Symlink, why)
}

/// For the message alone: the kernel says of a link in the last place only that it is no directory.
fn is_link(root: &OwnedFd, path: &Path) -> bool {
    let stat = beneath::open_parent(root, path).and_then(|(parent, name)| beneath::stat_at(&parent, name));
    stat.is_ok_and(|stat| stat.is_some_and(|stat| stat.kind == FileKind::Symlink))
}

/// Reads what `name` in `dir` is; `None`: nothing. What must not be edited is an error.
pub(super) fn file(
    dir: &OwnedFd,
    name: &OsStr,
    shown: &Path,
    limits: &EditLimits,
) -> Result<Option<Found>, EditError> {
    let refuse = |refusal, why: &str| Err(EditError::refused(shown, refusal, why));
    let looked = match beneath::open_path(dir, name) {
        Ok(looked) => looked,
        Err(error) => {
            return match error.raw_os_error() {
                Some(libc::ENOENT) => Ok(None),
                Some(libc::EXDEV) => refuse(Refusal::Outside, "something is mounted on it"),
                _ => Err(EditError::system("look at", shown, error)),
            };
        }
    };
    let system = |error: io::Error| EditError::system("read", shown, error);
    let stat = beneath::stat_fd(&looked).map_err(system)?;
    match stat.kind {
        FileKind::File => {}
        FileKind::Symlink => {
            return refuse(
                Refusal::Symlink,
                "it is a symbolic link: give the path that it leads to, if that is below the root",
            );
        }
        FileKind::Directory => return refuse(Refusal::NotAFile, "it is a directory"),
        FileKind::Special => return refuse(Refusal::NotAFile, "it is a device, a FIFO or a socket"),
    }
    if stat.nlink > 1 {
        return refuse(
            Refusal::Hardlink,
            "it has other names (hard links), which the edit would not reach or must not",
        );
    }
    if stat.mode & 0o7000 != 0 {
        return refuse(Refusal::Privileged, "it is set-id or sticky: take those bits off first");
    }
    if stat.size > limits.file_bytes {
        return refuse(Refusal::TooLarge, "it is larger than the limit on files");
    }
    let opened = beneath::open_file(dir, name).map_err(system)?;
    let same = beneath::stat_fd(&opened).map_err(system)?;
    if (same.dev, same.ino) != (stat.dev, stat.ino) {
        return Err(EditError::Drift { paths: vec![shown.to_path_buf()] });
    }
    let extended = extended(&opened, shown)?;
    let mut content = Vec::new();
    let opened = File::from(opened);
    (&opened).take(limits.file_bytes.saturating_add(1)).read_to_end(&mut content).map_err(system)?;
    // What grew or was written meanwhile is no state that the file was in.
    let now = beneath::stat_fd(&opened).map_err(system)?;
    if content.len() as u64 != stat.size || (now.mtime, now.ctime) != (stat.mtime, stat.ctime) {
        return Err(EditError::Drift { paths: vec![shown.to_path_buf()] });
    }
    let attributes =
        Attributes { mode: stat.mode, uid: stat.uid, gid: stat.gid, mtime: stat.mtime, extended };
    let hash = ContentHash::of(&content);
    Ok(Some(Found { stat, attributes, content, hash }))
}

/// A file's extended attributes, which its next version gets too.
fn extended(file: &OwnedFd, shown: &Path) -> Result<Vec<Attribute>, EditError> {
    let system = |error: io::Error| EditError::system("read the attributes of", shown, error);
    let mut extended = Vec::new();
    for name in xattr::attributes(file).map_err(system)? {
        let bound = [c"security.capability", c"security.ima", c"security.evm"];
        if bound.contains(&name.as_c_str()) {
            return Err(EditError::refused(
                shown,
                Refusal::Privileged,
                format!(
                    "its attribute {} is bound to its content: take it off first",
                    name.to_string_lossy()
                ),
            ));
        }
        if let Some(value) = xattr::attribute(file, &name).map_err(system)? {
            extended.push((name.into_bytes(), value));
        }
    }
    extended.sort_unstable();
    Ok(extended)
}

/// Whether the regular file `name` in `dir` holds that, without the checks for editing. Never reads more than
/// that, however large the file has become.
pub(super) fn holds(dir: &OwnedFd, name: &OsStr, size: u64, hash: &ContentHash) -> io::Result<bool> {
    use sha2::{Digest, Sha256};
    let file = beneath::open_file(dir, name)?;
    if beneath::stat_fd(&file)?.size != size {
        return Ok(false);
    }
    let (mut digest, mut buffer, mut read) = (Sha256::new(), vec![0; 64 << 10], 0);
    let mut file = File::from(file).take(size.saturating_add(1));
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                read += n as u64;
                digest.update(buffer.get(..n).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read == size && digest.finalize().as_slice() == hash.as_bytes())
}
