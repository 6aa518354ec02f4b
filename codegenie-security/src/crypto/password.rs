//! Passwords: scrypt (RFC 7914) in PHC strings, with a bound on what it takes.

mod gate;

use scrypt::phc::{Output, PasswordHash, Salt};
use scrypt::{Params, scrypt};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::key::{NoRandomness, random};
use super::secret::SecretString;
use gate::Gate;

const OUTPUT_LEN: usize = 32;
const SALT_LEN: usize = 16;
const MAX_R: u32 = 32;
const MAX_P: u32 = 16;
/// A stored password may take as much memory as the allowed rounds do with r = 8, and this many times their work.
const MAX_WORK: u64 = 2;
/// Longer passwords are refused: nobody types them, and hashing them is free work for whoever sends them.
const MAX_PASSWORD_LEN: usize = 4096;
/// Longer strings are no PHC strings of scrypt.
const MAX_PHC_LEN: usize = 512;

/// Hashes and verifies passwords.
///
/// With the default of 2^17 rounds, one takes about half a second and 128 MiB. So no more are computed at
/// once than [`at_once`](Self::at_once) says, some more wait, and the rest is refused: a flood of
/// logins takes neither all memory nor all threads.
///
/// ```
/// use codegenie_security::PasswordHasher;
///
/// let hasher = PasswordHasher::new().log_n(10); // few rounds, for this example only
/// let stored = hasher.hash(&"correct horse".into())?;
/// assert!(stored.starts_with("$scrypt$ln=10,r=8,p=1$"));
/// assert!(hasher.verify(&"correct horse".into(), &stored)?.is_match());
/// assert!(!hasher.verify(&"battery staple".into(), &stored)?.is_match());
/// # Ok::<(), codegenie_security::PasswordError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PasswordHasher {
    log_n: u8,
    most_log_n: u8,
    /// What a password of nobody takes; without, what one takes that is hashed now.
    nobody: Option<Params>,
    gate: Gate,
}

/// What became of a password that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum PasswordMatch {
    /// It is another one.
    No,
    /// It is the one.
    Yes,
    /// It is the one, and was hashed with fewer rounds than are used now: hash it again, and store that.
    YesButRehash,
}

impl PasswordMatch {
    /// Is it the one?
    #[must_use]
    pub fn is_match(self) -> bool {
        self != Self::No
    }

    /// Should it be hashed again?
    #[must_use]
    pub fn needs_rehash(self) -> bool {
        self == Self::YesButRehash
    }
}

/// Why a password was neither hashed nor verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// What was stored is not a PHC string of scrypt.
    #[error(
        "stored password is not a PHC string of scrypt ($scrypt$ln=17,r=8,p=1$salt$hash); set the password anew"
    )]
    Malformed,
    /// What was stored asks for more work than allowed.
    #[error(
        "stored password asks for scrypt with ln={log_n}, r={r}, p={p}, more than allowed (ln {most}, r {MAX_R}, p {MAX_P}, in all the memory of ln={most},r=8 and twice its work); it may be hostile: set the password anew, or raise the limit"
    )]
    #[non_exhaustive]
    TooCostly {
        /// Logarithm of the rounds.
        log_n: u32,
        /// Block size.
        r: u32,
        /// Parallelism.
        p: u32,
        /// The logarithm that is allowed.
        most: u8,
    },
    /// Longer than 4,096 bytes.
    #[error("password of {len} bytes is too long: at most {MAX_PASSWORD_LEN}; shorten it")]
    #[non_exhaustive]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// Too many are waiting already.
    #[error("too many passwords are being verified; try again in a moment")]
    Busy,
    /// No random salt could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// scrypt failed, as for lack of memory.
    #[error("scrypt failed; check that memory is to be had")]
    Failed,
}

impl Default for PasswordHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl PasswordHasher {
    /// What is used where nothing else is said: 2^17 rounds, with r = 8 and p = 1.
    pub const DEFAULT_LOG_N: u8 = Params::RECOMMENDED_LOG_N;
    /// What a stored password may ask for where nothing else is said: 2^18 rounds.
    pub const DEFAULT_MAX_LOG_N: u8 = 18;

    /// The recommended rounds; two at once, 64 waiting.
    #[must_use]
    pub fn new() -> Self {
        Self {
            log_n: Self::DEFAULT_LOG_N,
            most_log_n: Self::DEFAULT_MAX_LOG_N,
            nobody: None,
            gate: Gate::new(2, 64),
        }
    }

    /// Hashes with 2^`log_n` rounds, 10 to 24. Each step doubles time and memory, for whoever guesses as well;
    /// fewer than 17 are for tests.
    #[must_use]
    pub fn log_n(mut self, log_n: u8) -> Self {
        self.log_n = log_n.clamp(10, 24);
        self.most_log_n = self.most_log_n.max(self.log_n);
        self
    }

    /// Verifies what asks for up to 2^`log_n` rounds, at most 24.
    #[must_use]
    pub fn max_log_n(mut self, log_n: u8) -> Self {
        self.most_log_n = log_n.min(24);
        self
    }

    /// Lets [`verify_nobody`](Self::verify_nobody) take as long as verifying against this stored password does: one of
    /// the host's own, where most were hashed with other rounds than are used now.
    pub fn nobody_like(mut self, stored: &str) -> Result<Self, PasswordError> {
        self.nobody = Some(Stored::parse(stored, self.most_log_n)?.params);
        Ok(self)
    }

    /// Computes at most `count` at once, and lets `waiting` more wait; the rest is [refused](
    /// PasswordError::Busy). Clones made from here on share these bounds.
    #[must_use]
    pub fn at_once(mut self, count: usize, waiting: usize) -> Self {
        self.gate = Gate::new(count.max(1), waiting);
        self
    }

    /// The PHC string to store. Two of the same password differ. Blocks.
    pub fn hash(&self, password: &SecretString) -> Result<String, PasswordError> {
        check_len(password)?;
        let salt = random::<SALT_LEN>()?;
        let params = Params::new(self.log_n, Params::RECOMMENDED_R, Params::RECOMMENDED_P);
        let params = params.map_err(|_| PasswordError::Failed)?;
        let mut output = Zeroizing::new([0; OUTPUT_LEN]);
        let _admitted = self.gate.enter().ok_or(PasswordError::Busy)?;
        scrypt(password.expose().as_bytes(), &salt, &params, &mut *output)
            .map_err(|_| PasswordError::Failed)?;
        let failed = PasswordError::Failed;
        let hash = PasswordHash {
            algorithm: scrypt::phc::ALG_ID,
            version: None,
            params: (&params).try_into().map_err(|_| failed.clone())?,
            salt: Some(Salt::new(&salt).map_err(|_| failed.clone())?),
            hash: Some(Output::new(&*output).map_err(|_| failed)?),
        };
        Ok(hash.to_string())
    }

    /// Is it the password that the stored string is of? Blocks. The comparison takes constant time.
    pub fn verify(&self, password: &SecretString, stored: &str) -> Result<PasswordMatch, PasswordError> {
        check_len(password)?;
        let stored = Stored::parse(stored, self.most_log_n)?;
        let mut output = Zeroizing::new(vec![0; stored.hash.len()]);
        let _admitted = self.gate.enter().ok_or(PasswordError::Busy)?;
        scrypt(password.expose().as_bytes(), &stored.salt, &stored.params, &mut output)
            .map_err(|_| PasswordError::Failed)?;
        if !bool::from(output.ct_eq(&stored.hash)) {
            return Ok(PasswordMatch::No);
        }
        let weaker = stored.params.log_n() < self.log_n
            || stored.params.r() < Params::RECOMMENDED_R
            || stored.hash.len() < OUTPUT_LEN
            || stored.salt.len() < SALT_LEN;
        Ok(if weaker { PasswordMatch::YesButRehash } else { PasswordMatch::Yes })
    }

    /// Takes as long as [`verify`](Self::verify) of a password that is hashed now, or of one [like
    /// that](Self::nobody_like), and matches nothing: for user names that do not exist, so that nobody learns by the
    /// clock which do. Where stored passwords were hashed with different rounds, the clock still tells the others
    /// apart, until all are hashed anew.
    pub fn verify_nobody(&self, password: &SecretString) -> Result<PasswordMatch, PasswordError> {
        check_len(password)?;
        let salt = random::<SALT_LEN>()?;
        let params = match self.nobody {
            Some(params) => params,
            None => Params::new(self.log_n, Params::RECOMMENDED_R, Params::RECOMMENDED_P)
                .map_err(|_| PasswordError::Failed)?,
        };
        let mut output = Zeroizing::new([0; OUTPUT_LEN]);
        let _admitted = self.gate.enter().ok_or(PasswordError::Busy)?;
        scrypt(password.expose().as_bytes(), &salt, &params, &mut *output)
            .map_err(|_| PasswordError::Failed)?;
        Ok(PasswordMatch::No)
    }

    /// [`hash`](Self::hash) on a thread of tokio's where blocking is allowed.
    #[cfg(feature = "tokio")]
    pub async fn hash_async(&self, password: SecretString) -> Result<String, PasswordError> {
        let hasher = self.clone();
        self.off_thread(move || hasher.hash(&password)).await
    }

    /// [`verify`](Self::verify) on a thread of tokio's where blocking is allowed.
    #[cfg(feature = "tokio")]
    pub async fn verify_async(
        &self,
        password: SecretString,
        stored: String,
    ) -> Result<PasswordMatch, PasswordError> {
        let hasher = self.clone();
        self.off_thread(move || hasher.verify(&password, &stored)).await
    }

    /// Waits here, and not on a thread of the pool.
    #[cfg(feature = "tokio")]
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = self.gate.permit().await.ok_or(PasswordError::Busy)?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Failed)?
    }
}

fn check_len(password: &SecretString) -> Result<(), PasswordError> {
    let len = password.expose().len();
    if len <= MAX_PASSWORD_LEN { Ok(()) } else { Err(PasswordError::TooLong { len }) }
}

/// What a PHC string holds, once it is known to ask for no more than allowed.
struct Stored {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    fn parse(text: &str, most: u8) -> Result<Self, PasswordError> {
        let malformed = || PasswordError::Malformed;
        if text.len() > MAX_PHC_LEN {
            return Err(malformed());
        }
        let parsed = PasswordHash::new(text).map_err(|_| malformed())?;
        if parsed.algorithm != scrypt::phc::ALG_ID || parsed.version.is_some() {
            return Err(malformed());
        }
        let known = ["ln", "r", "p"];
        if parsed.params.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return Err(malformed());
        }
        let number = |name: &str| parsed.params.get_decimal(name).ok_or_else(malformed);
        let (log_n, r, p) = (number("ln")?, number("r")?, number("p")?);
        // Before scrypt's own check, which multiplies them.
        let (memory, work) = (u64::from(r) << log_n.min(32), (u64::from(r) * u64::from(p)) << log_n.min(32));
        let allowed = u64::from(Params::RECOMMENDED_R) << most;
        let is_costly = memory > allowed || work > MAX_WORK * allowed;
        if log_n > u32::from(most) || r > MAX_R || p > MAX_P || is_costly {
            return Err(PasswordError::TooCostly { log_n, r, p, most });
        }
        let params =
            Params::new(u8::try_from(log_n).map_err(|_| malformed())?, r, p).map_err(|_| malformed())?;
        let salt = parsed.salt.ok_or_else(malformed)?.to_vec();
        let hash = parsed.hash.ok_or_else(malformed)?.as_bytes().to_vec();
        Ok(Self { params, salt, hash })
    }
}
