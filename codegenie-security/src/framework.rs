//! Keys, access and audit, wired together.

mod error;
mod operation;

pub use error::{FrameworkError, LoginError, OperationError};

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::access::{
    AccessControl, Attenuation, FileSessions, LoginThrottle, OpenSessionError, Policy, Session, SessionError,
    SessionId, SessionRequest, SessionStore, SessionToken, TotpVerifier,
};
use crate::audit::{AuditEvent, AuditResult, AuditSink, EventClass, ThreatLevel};
use crate::audit_log::AuditLog;
use crate::crypto::{KeyFile, KeyWrapper, Keyset, PasswordError, PasswordHasher, SecretString};
use crate::files;

/// Everything of this crate that an agent platform needs, wired: keys, access control, sessions that outlive the
/// process, and a record of who did what, in one directory.
///
/// ```
/// use codegenie_security::{Policy, Role, SecurityFramework, SessionRequest};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let dir = tempfile::tempdir()?; // a directory of the host's own
/// let policy = Policy::builder().role(Role::new("dev").allow("deploy:staging")).user("alice", ["dev"]).build()?;
/// let security = SecurityFramework::open(dir.path().join("security"), policy)?;
///
/// let (token, _) = security.open_session(SessionRequest::new("alice").agent("releaser"))?;
/// let context = security.enter(&token)?;
/// let version = security.secure_operation(&context, "deploy", "staging", async { Ok::<_, std::io::Error>(7) }).await?;
/// assert_eq!(version, 7);
/// let refused = security.secure_operation(&context, "deploy", "production", async { Ok::<_, std::io::Error>(8) }).await;
/// assert!(refused.is_err()); // and never ran; all four are on record
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The parts are there to be used by themselves, and each can be replaced: see [`with_parts`](Self::with_parts).
#[derive(Debug)]
pub struct SecurityFramework<A = AuditLog> {
    access: AccessControl,
    audit: A,
    keys: Keyset,
    passwords: PasswordHasher,
    throttle: LoginThrottle,
}

/// Whose session acts. Made by [`SecurityFramework::enter`].
#[derive(Clone, Debug)]
pub struct SecurityContext {
    session: Session,
}

/// What a password has opened. Made by [`SecurityFramework::login`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Login {
    /// Opens the session, for whoever has shown the password.
    pub token: SessionToken,
    /// The session.
    pub session: Session,
    /// What to store for the user in the place of what was stored: hashed as passwords are hashed now.
    pub store: Option<String>,
}

impl SecurityContext {
    /// The session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl SecurityFramework<AuditLog> {
    /// Opens the directory, or makes it, for its owner only: `master.key`, a key file; `keys`, a key set wrapped
    /// by it, for the host; `own.keys`, another one, for `audit.keys` and `sessions`.
    pub fn open(dir: impl AsRef<Path>, policy: Policy) -> Result<Self, FrameworkError> {
        let dir = dir.as_ref();
        files::create_private_dir(dir).map_err(|error| FrameworkError::io("make", dir, error))?;
        let master = KeyFile::load_or_create(dir.join("master.key"))?;
        Self::open_with_key(dir, policy, &master)
    }

    /// Opens the directory under a key that is kept elsewhere, such as a passphrase or the keyring of the operating
    /// system.
    pub fn open_with_key(
        dir: impl AsRef<Path>,
        policy: Policy,
        master: &dyn KeyWrapper,
    ) -> Result<Self, FrameworkError> {
        let dir = dir.as_ref();
        files::create_private_dir(dir).map_err(|error| FrameworkError::io("make", dir, error))?;
        let keys = load_or_generate(&dir.join("keys"), master)?;
        // Of their own, so that the host may rotate and drop its keys as it likes: log and sessions are of one key from
        // beginning to end.
        let own = load_or_generate(&dir.join("own.keys"), master)?;
        let own = own.primary();
        let audit = AuditLog::open(dir.join("audit"), &own.derive("codegenie framework audit v1"))?;
        let sessions =
            FileSessions::open(dir.join("sessions"), &own.derive("codegenie framework sessions v1"))?;
        let sessions = SessionStore::new().with_persistence(sessions)?;
        Ok(Self::with_parts(AccessControl::with_sessions(policy, sessions), audit, keys))
    }
}

impl SecurityFramework<AuditLog> {
    /// Lets the directory's keys be unwrapped by each of `new` from now on, and by nobody else; one of `old` can do so
    /// now. The framework need not be open, and one that is stays so.
    pub fn rewrap(
        dir: impl AsRef<Path>,
        old: &[&dyn KeyWrapper],
        new: &[&dyn KeyWrapper],
    ) -> Result<(), FrameworkError> {
        let paths = ["own.keys", "keys"].map(|name| dir.as_ref().join(name));
        let sets = paths.each_ref().map(|path| Keyset::load(path, old));
        for (path, set) in paths.iter().zip(sets) {
            set?.save(path, new)?;
        }
        Ok(())
    }
}

fn load_or_generate(path: &Path, master: &dyn KeyWrapper) -> Result<Keyset, FrameworkError> {
    match Keyset::load(path, &[master]) {
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => {
            // Of two processes that begin at once, both get the keys of the first.
            match Keyset::generate(SystemTime::now())?.save_new(path, &[master]) {
                Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => {}
                made => made?,
            }
            Ok(Keyset::load(path, &[master])?)
        }
        loaded => Ok(loaded?),
    }
}

impl<A: AuditSink> SecurityFramework<A> {
    /// Parts of the host's own.
    #[must_use]
    pub fn with_parts(access: AccessControl, audit: A, keys: Keyset) -> Self {
        Self { access, audit, keys, passwords: PasswordHasher::new(), throttle: LoginThrottle::new() }
    }

    /// Hashes passwords otherwise.
    #[must_use]
    pub fn passwords(mut self, passwords: PasswordHasher) -> Self {
        self.passwords = passwords;
        self
    }

    /// Counts failed logins otherwise, such as by another clock.
    #[must_use]
    pub fn throttle(mut self, throttle: LoginThrottle) -> Self {
        self.throttle = throttle;
        self
    }

    /// Policy and sessions.
    #[must_use]
    pub fn access(&self) -> &AccessControl {
        &self.access
    }

    /// Where events go.
    #[must_use]
    pub fn audit(&self) -> &A {
        &self.audit
    }

    /// The keys, for sealing what the host keeps.
    #[must_use]
    pub fn keys(&self) -> &Keyset {
        &self.keys
    }

    /// Opens a session, on record. Whether it is the user who asks, the caller has made sure of. Not recorded: not
    /// opened.
    pub fn open_session(&self, request: SessionRequest) -> Result<(SessionToken, Session), LoginError> {
        let user = request.user_name().to_owned();
        let event = AuditEvent::new(EventClass::Authentication, "open_session", "session").actor(&user);
        match self.access.open_session(request) {
            Ok((token, session)) => {
                let event = about(event, &session).result(AuditResult::Success);
                self.audit.record(&event).map_err(|error| {
                    self.access.revoke(session.id());
                    LoginError::NotRecorded(error)
                })?;
                Ok((token, session))
            }
            Err(error) => {
                self.refuse(event, &error)?;
                Err(LoginError::Session(error))
            }
        }
    }

    /// Verifies a password against what is [stored](PasswordHasher::hash) for the user, and opens a session. A user
    /// who is not known has nothing stored: it takes as long, and is refused alike; so is one whom the policy does not
    /// know. Blocks for as long as a password takes.
    ///
    /// Failures count for the user's name, whatever its case, and for `from` where it is given: the address that the
    /// attempt comes from, say. Where the host takes several spellings for one user, it names the one that it knows the
    /// user by in the request.
    pub fn login(
        &self,
        request: SessionRequest,
        password: &SecretString,
        stored: Option<&str>,
        from: Option<&str>,
    ) -> Result<Login, LoginError> {
        let user = request.user_name().to_owned();
        let event = || AuditEvent::new(EventClass::Authentication, "login", "session").actor(&user);
        let keys: Vec<String> = std::iter::once(format!("user {}", user.trim().to_lowercase()))
            .chain(from.map(|from| format!("from {from}")))
            .collect();
        for (place, key) in keys.iter().enumerate() {
            if let Err(throttled) = self.throttle.attempt(key) {
                // What was let through before this one was not made either.
                keys.iter().take(place).for_each(|key| self.throttle.not_made(key));
                self.refuse(event().threat(ThreatLevel::Medium), &throttled)?;
                return Err(LoginError::Throttled(throttled));
            }
        }
        let verified = match stored {
            Some(stored) => self.passwords.verify(password, stored),
            None => self.passwords.verify_nobody(password),
        };
        let verified = match verified {
            Ok(verified) if verified.is_match() => verified,
            Ok(_) => {
                self.refuse(event().threat(ThreatLevel::Low), &LoginError::Refused)?;
                return Err(LoginError::Refused);
            }
            Err(error) => {
                if let PasswordError::Busy | PasswordError::Failed | PasswordError::NoRandomness(_) = error {
                    keys.iter().for_each(|key| self.throttle.not_made(key));
                }
                self.refuse(event(), &error)?;
                return Err(LoginError::Password(error));
            }
        };
        let (token, session) = match self.open_session(request) {
            // The password was right, which is nobody's business.
            Err(LoginError::Session(OpenSessionError::UnknownUser { .. })) => {
                return Err(LoginError::Refused);
            }
            opened => opened?,
        };
        // Of where it comes from only this attempt: whoever has one password gets no more guesses at others by it.
        for (place, key) in keys.iter().enumerate() {
            if place == 0 { self.throttle.succeeded(key) } else { self.throttle.not_made(key) }
        }
        // A new hash costs what a password costs; where it fails, the next login makes it.
        let store = verified.needs_rehash().then(|| self.passwords.hash(password).ok()).flatten();
        Ok(Login { token, session, store })
    }

    /// The context of a token's session. One that does not count is on record.
    pub fn enter(&self, token: impl AsRef<str>) -> Result<SecurityContext, LoginError> {
        match self.access.validate(token) {
            Ok(session) => {
                // Where this fails, the session ends by idleness earlier after a restart, and never later.
                let _ = self.access.sessions().store_use(&session);
                Ok(SecurityContext { session })
            }
            Err(error) => {
                let event = AuditEvent::new(EventClass::Authentication, "enter", "session");
                let id = match &error {
                    SessionError::Expired { id, .. } | SessionError::Revoked { id, .. } => Some(*id),
                    _ => None,
                };
                let known = id.and_then(|id| self.access.sessions().get(id));
                self.refuse(known.map_or(event.clone(), |session| about(event, &session)), &error)?;
                Err(LoginError::Token(error))
            }
        }
    }

    /// Derives a narrower session for a sub-agent, on record.
    pub fn attenuate(
        &self,
        context: &SecurityContext,
        attenuation: Attenuation,
    ) -> Result<(SessionToken, Session), LoginError> {
        let event =
            about(AuditEvent::new(EventClass::Authentication, "attenuate", "session"), &context.session);
        match self.access.attenuate(&context.session, attenuation) {
            Ok((token, session)) => {
                let event = event.result(AuditResult::Success).detail("derived", session.id().to_string());
                self.audit.record(&event).map_err(|error| {
                    self.access.revoke(session.id());
                    LoginError::NotRecorded(error)
                })?;
                Ok((token, session))
            }
            Err(error) => {
                self.refuse(event, &error)?;
                Err(LoginError::Session(error))
            }
        }
    }

    /// Ends a session and all that are derived from it, on record. It has ended also where that could not be recorded
    /// or stored.
    pub fn revoke(&self, id: SessionId) -> Result<bool, LoginError> {
        let known = self.access.sessions().get(id);
        let ended = self.access.sessions().try_revoke(id);
        let event = AuditEvent::new(EventClass::Authentication, "revoke", format!("session:{id}"));
        let event = known.map_or(event.clone(), |session| about(event, &session));
        let result = if matches!(ended, Ok(true)) { AuditResult::Success } else { AuditResult::Failure };
        self.audit.record(&event.result(result)).map_err(LoginError::NotRecorded)?;
        ended.map_err(LoginError::Token)
    }

    /// Ends all sessions of a user, on record; how many. They have ended also where that could not be recorded or stored.
    pub fn revoke_user(&self, user: &str) -> Result<usize, LoginError> {
        let ended = self.access.sessions().try_revoke_user(user);
        let event = AuditEvent::new(EventClass::Authentication, "revoke_user", format!("user:{user}"));
        let event = match &ended {
            Ok(count) => event.result(AuditResult::Success).detail("sessions", *count as u64),
            Err(error) => event.result(AuditResult::Failure).detail("reason", error.to_string()),
        };
        self.audit.record(&event).map_err(LoginError::NotRecorded)?;
        ended.map_err(LoginError::Token)
    }

    /// [Raises](AccessControl::raise) the level of a session for a while, on record with who approved it. Not recorded: not
    /// raised.
    pub fn raise(
        &self,
        context: &SecurityContext,
        level: u8,
        lasts: Duration,
        approver: &str,
    ) -> Result<(), LoginError> {
        let event = raising(context, level, lasts).detail("approver", approver);
        self.recorded_raise(event, || {
            self.access.raise(&context.session, level, lasts).map_err(LoginError::Token)
        })
    }

    /// [Raises](AccessControl::raise_by_code) the level of a session whose user shows a one-time code, on record.
    pub fn raise_by_code(
        &self,
        context: &SecurityContext,
        verifier: &TotpVerifier,
        code: &str,
        level: u8,
        lasts: Duration,
    ) -> Result<(), LoginError> {
        let event = raising(context, level, lasts).detail("approver", "one-time code");
        let raise = || self.access.raise_by_code(&context.session, verifier, code, level, lasts);
        self.recorded_raise(event, || raise().map_err(LoginError::Code))
    }

    fn recorded_raise(
        &self,
        event: AuditEvent,
        raise: impl FnOnce() -> Result<(), LoginError>,
    ) -> Result<(), LoginError> {
        // Before it counts: a raise that is not on record would be worth more than one that is.
        self.audit.record(&event.clone().result(AuditResult::Pending)).map_err(LoginError::NotRecorded)?;
        match raise() {
            Ok(()) => {
                let event = event.result(AuditResult::Success);
                self.audit.record(&event).map_err(LoginError::NotRecorded)
            }
            Err(error) => {
                self.refuse(event.threat(ThreatLevel::Low), &error)?;
                Err(error)
            }
        }
    }

    /// Replaces the policy for all sessions at once, on record. Not recorded: not replaced.
    pub fn replace_policy(&self, policy: Policy, who: &str) -> Result<(), LoginError> {
        let event = AuditEvent::new(EventClass::Configuration, "replace_policy", "access policy").actor(who);
        self.audit.record(&event.result(AuditResult::Success)).map_err(LoginError::NotRecorded)?;
        self.access.replace_policy(policy);
        Ok(())
    }

    fn refuse(&self, event: AuditEvent, why: &dyn std::fmt::Display) -> Result<(), LoginError> {
        let event = event.result(AuditResult::Denied).detail("reason", why.to_string());
        self.audit.record(&event).map_err(LoginError::NotRecorded)
    }
}

fn raising(context: &SecurityContext, level: u8, lasts: Duration) -> AuditEvent {
    let event = AuditEvent::new(EventClass::Authentication, "raise", "session");
    about(event, &context.session).detail("level", u64::from(level)).detail("seconds", lasts.as_secs())
}

/// Adds to an event whose session it is about.
fn about(event: AuditEvent, session: &Session) -> AuditEvent {
    let event = event.actor(session.user()).session(session.id().to_string());
    let event = match session.agent() {
        Some(agent) => event.agent(agent),
        None => event,
    };
    let lineage = session.lineage();
    if lineage.len() < 2 {
        return event;
    }
    event.detail("lineage", lineage.iter().map(ToString::to_string).collect::<Vec<_>>())
}
