//! The private directory of a transaction: its layers, its locks, its journal.
//!
//! ```text
//! <state>/<id>/owner       locked as long as the process that began it lives
//!              in-use      locked while a command or a commit works with the layers
//!              workspace   the full path of the workspace
//!              layers/     upper and work, of the workspace's owner; mounted in the sandbox
//!              before/     pre-images of what a commit replaces, by the number of the step
//!              journal     there from the moment a commit is decided to the moment it is complete
//!              undo        beside a journal: the commit failed and is being undone
//! ```

use super::error::{CowError, CowErrorKind};
use super::tree::{self, Stat};
use crate::beneath;
use crate::native::{self, Locked};
use crate::sandbox::{Overlay, SandboxError, SandboxErrorKind};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, fchown, geteuid};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(super) const LAYERS: &str = "layers";
pub(super) const BEFORE: &str = "before";
pub(super) const JOURNAL: &str = "journal";
pub(super) const UNDO: &str = "undo";
const OWNER: &str = "owner";
const IN_USE: &str = "in-use";
const WORKSPACE: &str = "workspace";

/// The directory of one transaction, which this process owns.
#[derive(Debug)]
pub(super) struct State {
    pub(super) root: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) dir: OwnedFd,
    pub(super) id: String,
    _owner: Locked,
}

impl State {
    /// Makes a transaction's directory below `root` for a workspace that looks like `stat`.
    pub(super) fn create(root: &Path, workspace: &Path, stat: &Stat) -> Result<Self, CowError> {
        let root = open_root(root)?;
        let id = beneath::random_name()
            .map_err(|error| CowError::system("read", Path::new("/dev/urandom"), error))?;
        let path = root.1.join(&id);
        let failed = |error: io::Error| CowError::system("make the state directory", &path, error);
        let name = OsStr::new(&id);
        mkdirat(&root.0, name, Mode::S_IRWXU).map_err(|error| failed(error.into()))?;
        let made = (|| {
            let dir = tree::open_dir(&root.0, Path::new(name))?;
            let owner = Locked::new(create_file(&dir, OWNER)?)?;
            let owner = owner.ok_or_else(|| io::Error::from(io::ErrorKind::ResourceBusy))?;
            create_file(&dir, IN_USE)?;
            File::from(create_file(&dir, WORKSPACE)?).write_all(workspace.as_os_str().as_bytes())?;
            make_layers(&dir, stat)?;
            Ok((dir, owner))
        })();
        match made {
            Ok((dir, owner)) => Ok(Self { root: root.0, path, dir, id, _owner: owner }),
            Err(error) => {
                let _ = remove_transaction(&root.0, name);
                Err(failed(error))
            }
        }
    }

    /// Takes over a transaction that nobody owns any more; `None`: somebody does, or it is none.
    pub(super) fn adopt(root: &OwnedFd, root_path: &Path, name: &OsStr) -> io::Result<Option<Self>> {
        let Some(id) = name.to_str().filter(|id| is_id(id)) else { return Ok(None) };
        let dir = tree::open_dir(root, Path::new(name))?;
        let owner = match open_file(&dir, OWNER) {
            Ok(owner) => owner,
            // Ended while it made or removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => create_file(&dir, OWNER)?,
            Err(error) => return Err(error),
        };
        let Some(owner) = Locked::new(owner)? else { return Ok(None) };
        Ok(Some(Self {
            root: root.try_clone()?,
            path: root_path.join(id),
            dir,
            id: id.to_owned(),
            _owner: owner,
        }))
    }

    pub(super) fn upper(&self) -> Result<OwnedFd, CowError> {
        let path = Path::new(LAYERS).join("upper");
        tree::open_dir(&self.dir, &path)
            .map_err(|error| CowError::system("open", &self.path.join(path), error))
    }

    /// Keeps commands and commits away as long as the result lives.
    pub(super) fn claim(&self) -> Result<Locked, CowError> {
        match open_file(&self.dir, IN_USE).and_then(Locked::new) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(CowError::new(CowErrorKind::Busy, BUSY)),
            Err(error) => Err(CowError::system("lock", &self.path, error)),
        }
    }

    pub(super) fn workspace(&self) -> io::Result<PathBuf> {
        read_workspace(&self.dir)
    }

    pub(super) fn has(&self, name: &str) -> io::Result<bool> {
        Ok(tree::stat_at(&self.dir, OsStr::new(name))?.is_some())
    }

    /// Removes the directory and all in it.
    pub(super) fn remove(&self) -> Result<(), CowError> {
        remove_transaction(&self.root, OsStr::new(&self.id))
            .map_err(|error| CowError::system("remove the state directory", &self.path, error))
    }

    /// Writes a small file so that it is there as a whole or not at all, whatever ends the process or the machine.
    pub(super) fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}.new");
        tree::remove(&self.dir, OsStr::new(&temporary))?;
        let mut file = File::from(create_file(&self.dir, &temporary)?);
        file.write_all(content)?;
        file.sync_all()?;
        nix::fcntl::renameat(&self.dir, temporary.as_str(), &self.dir, name)?;
        Ok(nix::unistd::fsync(&self.dir)?)
    }

    pub(super) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::from(open_file(&self.dir, name)?).take(limit).read_to_end(&mut content)?;
        Ok(content)
    }
}

const BUSY: &str = "a command, a diff or a commit is at work with this copy-on-write workspace: wait for its end; one \
                    command at a time can have it";

/// For the native sandbox: what a command holds as long as it lives, so that it is the only one.
pub(crate) fn claim_for_command(overlay: &Overlay) -> Result<OwnedFd, SandboxError> {
    let shown = overlay.workspace.display();
    let wrong = |error: io::Error| {
        SandboxError::invalid_policy(format!(
            "the state directory of the copy-on-write workspace {shown} cannot be used: {error}; begin a new one"
        ))
    };
    let claimed = (|| {
        let dir = OwnedFd::from(
            std::fs::OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC)
                .open(&overlay.state)?,
        );
        let stat = tree::stat_fd(&dir)?;
        if stat.uid != geteuid().as_raw() || stat.mode & 0o077 != 0 {
            return Err(io::Error::other("it is not this user's alone"));
        }
        if read_workspace(&dir)? != overlay.workspace {
            return Err(io::Error::other("it belongs to another workspace"));
        }
        if tree::stat_at(&dir, OsStr::new(JOURNAL))?.is_some() {
            return Err(io::Error::other("its commit was interrupted"));
        }
        let lock = open_file(&dir, IN_USE)?;
        if !native::try_lock(&lock)? {
            return Ok(None);
        }
        // What an ended mount has left there; among it the mark of a volatile mount, over which the
        // kernel mounts nothing again.
        let work = tree::open_dir(&dir, &Path::new(LAYERS).join("work"))?;
        tree::remove(&work, OsStr::new("work"))?;
        Ok(Some(lock))
    })();
    claimed.map_err(wrong)?.ok_or_else(|| {
        SandboxError::new(SandboxErrorKind::InvalidRequest, format!("{shown}: {BUSY}; nothing was run"))
    })
}

/// Where state is kept where the host does not say.
pub(super) fn default_root() -> Result<PathBuf, CowError> {
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    base.or_else(|| home.map(|home| home.join(".local/state")))
        .map(|base| base.join("codegenie/cow"))
        .ok_or_else(|| {
            CowError::new(
                CowErrorKind::Unsuitable,
                "neither XDG_STATE_HOME nor HOME says where state is kept: name a directory for it",
            )
        })
}

/// Opens the directory of transactions, and makes it where it is missing.
pub(super) fn open_root(path: &Path) -> Result<(OwnedFd, PathBuf), CowError> {
    let failed = |error: io::Error| CowError::system("use the state directory", path, error);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let real = path.canonicalize().map_err(failed)?;
    let dir = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&real)
        .map_err(failed)?;
    let stat = tree::stat_fd(&dir).map_err(failed)?;
    if stat.uid != geteuid().as_raw() || stat.mode & 0o077 != 0 {
        return Err(CowError::new(
            CowErrorKind::Unsuitable,
            format!(
                "the state directory {} is open to others: it must belong to this user and have mode 0700",
                path.display()
            ),
        ));
    }
    Ok((dir.into(), real))
}

/// Names of transactions below a state directory.
pub(super) fn transactions(root: &OwnedFd) -> io::Result<Vec<std::ffi::OsString>> {
    let all = tree::names(tree::open_dir(root, Path::new(""))?, usize::MAX)?;
    Ok(all.into_iter().filter(|name| name.to_str().is_some_and(is_id)).collect())
}

/// The workspace of an interrupted commit, where this transaction is one.
pub(super) fn interrupted(root: &OwnedFd, name: &OsStr) -> io::Result<Option<PathBuf>> {
    let dir = match tree::open_dir(root, Path::new(name)) {
        Ok(dir) => dir,
        // Just removed by its owner.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if tree::stat_at(&dir, OsStr::new(JOURNAL))?.is_none() {
        return Ok(None);
    }
    read_workspace(&dir).map(Some)
}

fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn read_workspace(dir: &OwnedFd) -> io::Result<PathBuf> {
    let mut path = Vec::new();
    File::from(open_file(dir, WORKSPACE)?).take(1 << 16).read_to_end(&mut path)?;
    Ok(PathBuf::from(OsStr::from_bytes(&path)))
}

fn create_file(dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

fn open_file(dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    tree::open_file(dir, OsStr::new(name))
}

fn make_layers(dir: &OwnedFd, workspace: &Stat) -> io::Result<()> {
    for path in [LAYERS, BEFORE, "layers/upper", "layers/work"] {
        mkdirat(dir, path, Mode::S_IRWXU)?;
    }
    let work = tree::open_dir(dir, Path::new("layers/work"))?;
    native::set_attribute(&work, c"user.codegenie", b"1").map_err(|error| {
        io::Error::new(error.kind(), format!("its file system must have user extended attributes: {error}"))
    })?;
    let upper = tree::open_dir(dir, Path::new("layers/upper"))?;
    if geteuid().is_root() {
        // On disk as the workspace is, so that the same id-map serves both.
        let layers = tree::open_dir(dir, Path::new(LAYERS))?;
        for made in [&layers, &work, &upper] {
            fchown(made, Some(Uid::from_raw(workspace.uid)), Some(Gid::from_raw(workspace.gid)))?;
        }
    }
    nix::sys::stat::fchmod(&upper, Mode::from_bits_truncate(workspace.mode))?;
    let (seconds, nanoseconds) = workspace.mtime;
    let time = nix::sys::time::TimeSpec::new(seconds, nanoseconds);
    Ok(nix::sys::stat::futimens(&upper, &time, &time)?)
}

/// The journal goes first: what is left after an interruption is then a transaction that was not committed,
/// or one whose commit is complete, and either is only removed.
fn remove_transaction(root: impl AsFd, name: &OsStr) -> io::Result<()> {
    let dir = match tree::open_dir(&root, Path::new(name)) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    tree::remove(&dir, OsStr::new(JOURNAL))?;
    for child in tree::names(dir.try_clone()?, usize::MAX)? {
        tree::remove(&dir, &child)?;
    }
    Ok(nix::unistd::unlinkat(&root, name, nix::unistd::UnlinkatFlags::RemoveDir)?)
}
