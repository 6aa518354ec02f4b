//! Approvals that hold for more than one run, bound to exactly what was approved.

use super::Approval;
use super::seen::hex;
use crate::command::CommandRequest;
use crate::real_path::in_real_folder;
use crate::stamp::Stamp;
use crate::validate::Class;
use codegenie_security::{AuditError, AuditEvent, AuditResult, AuditSink, EventClass, Session};
use sha2::{Digest, Sha256};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long an approval holds, and for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GrantScope {
    /// For the run that was asked about.
    #[default]
    Once,
    /// For the same command in the same session, for so long.
    Session(Duration),
    /// For the same command of the same user and agent in any session, for so long.
    User(Duration),
}

/// What an approval is bound to: the SHA-256 of the command, its input, its directory and its environment,
/// and whose command it is. Another argument, another variable, another directory is another binding. What lies in
/// files is none of it: a command that runs a script is approved with whatever the script comes to hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Binding {
    digest: String,
    session: String,
    user: String,
    agent: Option<String>,
}

impl Binding {
    pub(crate) fn new(request: &CommandRequest, cwd: &Path, session: &Session) -> Self {
        let mut hash = Sha256::new();
        let mut part = |name: &str, bytes: &[u8]| {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name.as_bytes());
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        match &request.line {
            crate::CommandLine::Shell(text) => part("shell", text.as_bytes()),
            crate::CommandLine::Argv(words) => {
                words.iter().for_each(|word| part("argument", word.as_bytes()))
            }
        }
        part("directory", cwd.as_os_str().as_encoded_bytes());
        part("input", &request.stdin);
        for (name, value) in &request.env {
            part("name", name.as_bytes());
            part("value", value.as_bytes());
        }
        Self {
            digest: hex(&hash.finalize()),
            session: session.id().to_string(),
            user: session.user().to_owned(),
            agent: session.agent().map(str::to_owned),
        }
    }
}

/// An approval that holds for later runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Grant {
    /// What it is bound to.
    binding: Binding,
    /// Whether it holds in other sessions of the same user and agent.
    any_session: bool,
    /// When it ends, in seconds since 1970.
    expires: u64,
    /// What the command was judged to do when it was approved: it holds for nothing worse.
    #[serde(default = "least")]
    pub class: Class,
    /// Who gave it.
    pub approver: String,
    /// What they said.
    pub note: String,
    /// The command, for people.
    pub command: String,
}

/// Of a grant that does not say it.
fn least() -> Class {
    Class::ReadOnly
}

/// The grants that hold. In memory, or also in a file, so that they outlive the host.
#[derive(Debug, Default)]
pub struct Grants {
    held: Mutex<Held>,
    file: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Held {
    grants: Vec<Grant>,
    /// What the file was when it was read or written last.
    seen: Option<Stamp>,
}

/// Why grants could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[error("grants in {path}: {problem}; correct or remove the file, until then nothing in it holds", path = .path.display())]
pub struct GrantsError {
    path: PathBuf,
    problem: String,
}

/// Why ending grants was not kept or recorded. In this process they have ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The file still has them.
    #[error("the grants have ended in this process only: {0}")]
    NotKept(#[from] GrantsError),
    /// They have ended, which is on no record.
    #[error("{ended} grants have ended, and the audit sink did not record it: {error}")]
    #[non_exhaustive]
    NotRecorded {
        /// How many.
        ended: usize,
        /// Why it is not on record.
        error: AuditError,
    },
}

const MOST: usize = 10_000;
/// More than so many grants take.
const MOST_BYTES: u64 = 64 << 20;

impl Grants {
    /// Grants that end with the host.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Grants in a file, which is made for its owner only, and refused where others may write it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, GrantsError> {
        let path = in_real_folder(&path.into());
        let error = |problem: String| GrantsError { path: path.clone(), problem };
        let held = read(&path).map_err(error)?;
        Ok(Self { held: Mutex::new(held), file: Some(path) })
    }

    /// The file, where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The grants that hold now.
    #[must_use]
    pub fn list(&self) -> Vec<Grant> {
        let now = now();
        self.held().grants.iter().filter(|grant| grant.expires > now).cloned().collect()
    }

    /// Ends every grant of a user, and puts on record who ended how many. They end here whether that can be kept and
    /// recorded or not: the error says what is missing.
    pub fn revoke_user(
        &self,
        user: &str,
        revoked_by: &str,
        audit: &impl AuditSink,
    ) -> Result<usize, RevokeError> {
        let (ended, kept) = {
            let locked = self.locked();
            let mut held = self.held();
            let before = held.grants.len();
            held.grants.retain(|grant| grant.binding.user != user);
            (before - held.grants.len(), locked.and_then(|_lock| self.keep(&mut held)))
        };
        let event = AuditEvent::new(EventClass::Approval, "revoke grants", format!("user:{user}"))
            .actor(revoked_by)
            .detail("ended", ended as u64);
        let event = match &kept {
            Ok(()) => event,
            Err(error) => event.result(AuditResult::Failure).detail("problem", error.to_string()),
        };
        let recorded = audit.record(&event);
        kept?;
        recorded.map_err(|error| RevokeError::NotRecorded { ended, error })?;
        Ok(ended)
    }

    /// The approval that holds for a command of this class, if there is one.
    pub(crate) fn find(&self, binding: &Binding, class: Class) -> Option<Approval> {
        let now = now();
        let held = self.held();
        let grant = held.grants.iter().find(|grant| {
            let same = grant.binding.digest == binding.digest
                && grant.binding.user == binding.user
                && grant.binding.agent == binding.agent;
            let same = same && class <= grant.class;
            same && grant.expires > now && (grant.any_session || grant.binding.session == binding.session)
        })?;
        let note = format!("granted before: {}", grant.note);
        Some(Approval { granted: true, approver: grant.approver.clone(), note, scope: GrantScope::Once })
    }

    /// Keeps an approval that holds for more than its run.
    pub(crate) fn insert(
        &self,
        binding: Binding,
        approval: &Approval,
        class: Class,
        command: &str,
    ) -> Result<(), GrantsError> {
        let (any_session, time) = match approval.scope {
            GrantScope::Once => return Ok(()),
            GrantScope::Session(time) => (false, time),
            GrantScope::User(time) => (true, time),
        };
        let now = now();
        let _lock = self.locked()?;
        let mut held = self.held();
        held.grants.retain(|grant| grant.expires > now);
        if held.grants.len() >= MOST {
            held.grants.remove(0);
        }
        held.grants.push(Grant {
            binding,
            any_session,
            expires: now.saturating_add(time.as_secs()),
            class,
            approver: approval.approver.clone(),
            note: approval.note.clone(),
            command: command.to_owned(),
        });
        let kept = self.keep(&mut held);
        if kept.is_err() {
            // Only what is in the file holds.
            held.grants.pop();
        }
        kept
    }

    /// Keeps other processes from changing the file until it is dropped: what one reads and writes, another would undo.
    fn locked(&self) -> Result<Option<Lock>, GrantsError> {
        let Some(path) = &self.file else { return Ok(None) };
        let error = |problem: String| GrantsError { path: path.clone(), problem };
        lock(path).map(Some).map_err(|e| error(format!("cannot be locked: {e}")))
    }

    /// Replaces the file as a whole, so that a crash leaves the old one or the new one.
    fn keep(&self, held: &mut Held) -> Result<(), GrantsError> {
        let Some(path) = &self.file else { return Ok(()) };
        let error = |problem: String| GrantsError { path: path.clone(), problem };
        let text = serde_json::to_vec_pretty(&held.grants).map_err(|e| error(e.to_string()))?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = path.with_file_name(name);
        let write = || {
            let _ = std::fs::remove_file(&new);
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&new, path)?;
            sync_folder(path)?;
            Ok(Stamp::of(&file.metadata()?))
        };
        held.seen = Some(write().map_err(|e: std::io::Error| error(format!("cannot be written: {e}")))?);
        Ok(())
    }

    /// The grants, as they are in the file now: another process may have ended some. A file that cannot be read any
    /// more grants nothing.
    fn held(&self) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.file {
            let now = std::fs::symlink_metadata(path).ok().map(|metadata| Stamp::of(&metadata));
            if now != held.seen {
                *held = read(path).unwrap_or_default();
            }
        }
        held
    }
}

#[cfg(unix)]
type Lock = nix::fcntl::Flock<std::fs::File>;
#[cfg(not(unix))]
type Lock = ();

/// Locks the file of this name with `.lock` behind it, which stays, for a second at the most.
#[cfg(unix)]
fn lock(path: &Path) -> std::io::Result<Lock> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = options.open(path.with_file_name(name))?;
    for _ in 0..100 {
        match Lock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
            Err((_, error)) => return Err(error.into()),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(std::io::Error::new(std::io::ErrorKind::WouldBlock, "another process has it locked"))
}

#[cfg(not(unix))]
fn lock(_path: &Path) -> std::io::Result<Lock> {
    Ok(())
}

/// Makes a new name last.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// What a file grants, and what it was then; what is wrong with it.
fn read(path: &Path) -> Result<Held, String> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Held::default()),
        Err(e) => return Err(format!("cannot be opened: {e}")),
    };
    let metadata = file.metadata().map_err(|e| format!("cannot be looked at: {e}"))?;
    if !metadata.is_file() {
        return Err("it is no plain file".to_owned());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        if metadata.permissions().mode() & 0o022 != 0 {
            return Err("others may write it".to_owned());
        }
        if metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err("it belongs to somebody else".to_owned());
        }
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(&file, MOST_BYTES), &mut text)
        .map_err(|e| format!("cannot be read: {e}"))?;
    let grants = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    Ok(Held { grants, seen: Some(Stamp::of(&metadata)) })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |time| time.as_secs())
}
