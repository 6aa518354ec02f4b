//! One-time codes of an authenticator app (RFC 6238).

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use totp_rs::{Algorithm, Builder, Secret, Totp};

use super::condition::seconds;
use super::session::SessionError;

const STEP: u64 = 30;
const DIGITS: u8 = 6;
/// Codes of the step before and after are taken as well, since clocks differ.
const SKEW: u16 = 1;
const SECRET_LEN: usize = 20;
/// Wrong codes in a row until the verifier waits.
const FREE_FAILURES: u32 = 5;

/// Verifies the codes of one user's authenticator app: six digits by HMAC-SHA1 that change every 30 seconds.
///
/// A code counts once: for one verifier. A second one of the same secret, as after a restart, is told by
/// [`used_until`](Self::used_until) what the first has taken. After five wrong codes one is looked at every 30
/// seconds, so that guessing takes months; whoever keeps guessing also keeps the user out, so take codes from
/// sessions only that have shown a password. Whoever has the secret can make the codes: keep it as carefully as a key.
pub struct TotpVerifier {
    totp: Totp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The step of the last code that was taken. No code of it or before counts any more.
    last_step: Option<u64>,
    failures: u32,
    last_failure: u64,
}

/// Why a code was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TotpError {
    /// Wrong, too old, or used before. Opaque on purpose.
    #[error("code refused: wrong, too old, or used before; wait for the next one")]
    Refused,
    /// Too many wrong codes.
    #[error("too many wrong codes; try again in {wait} s")]
    #[non_exhaustive]
    Throttled {
        /// How long to wait, in seconds.
        wait: u64,
    },
    /// The session that was to be raised may not act.
    #[error(transparent)]
    Session(SessionError),
    /// A secret has 16 to 128 bytes.
    #[error("a one-time secret has 16 to 128 bytes, not {len}; make a new one")]
    #[non_exhaustive]
    BadSecret {
        /// The bytes that it has.
        len: usize,
    },
    /// No random secret could be had.
    #[error(
        "the operating system gave no random bytes; check that getrandom(2) or /dev/urandom is reachable"
    )]
    NoRandomness,
}

impl TotpVerifier {
    /// A verifier with a new random secret.
    pub fn generate() -> Result<Self, TotpError> {
        let mut secret = zeroize::Zeroizing::new([0; SECRET_LEN]);
        getrandom::fill(&mut *secret).map_err(|_| TotpError::NoRandomness)?;
        Self::from_secret(&*secret)
    }

    /// A verifier with a secret that was made before.
    pub fn from_secret(secret: &[u8]) -> Result<Self, TotpError> {
        let len = secret.len();
        let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(DIGITS).with_skew(SKEW);
        let builder = builder.with_step_duration(STEP).with_secret(Secret::from(secret.to_vec()));
        let totp = builder.build().ok().filter(|_| len <= 128).ok_or(TotpError::BadSecret { len })?;
        Ok(Self { totp, state: Mutex::default() })
    }

    /// Takes no code of this 30-second step or an earlier one: what [`last_step`](Self::last_step) of the verifier
    /// before was.
    #[must_use]
    pub fn used_until(self, step: u64) -> Self {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).last_step = Some(step);
        self
    }

    /// The 30-second step since 1970 of the last code that was taken, to be kept beside the secret.
    #[must_use]
    pub fn last_step(&self) -> Option<u64> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).last_step
    }

    /// The secret as bytes, to be kept where it is safe.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        self.totp.secret().as_ref()
    }

    /// The secret as the user types it into the app, in base32. An ordinary text, which is not wiped: show it, and drop it.
    #[must_use]
    pub fn secret_base32(&self) -> String {
        self.totp.secret().to_base32()
    }

    /// What the user's app scans as a QR code. The issuer and account stand in it as they are, and the secret too: show
    /// it, and drop it.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", self.secret_base32())
    }

    /// Takes a code, once.
    pub fn verify(&self, code: &str, now: SystemTime) -> Result<(), TotpError> {
        let now = seconds(now);
        // Held throughout, so that one code is not taken twice at the same time.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures >= FREE_FAILURES && now < state.last_failure.saturating_add(STEP) {
            return Err(TotpError::Throttled { wait: state.last_failure.saturating_add(STEP) - now });
        }
        let well_formed = code.len() == usize::from(DIGITS) && code.bytes().all(|byte| byte.is_ascii_digit());
        let step = if well_formed { self.totp.check(code, now) } else { None };
        match step.filter(|step| state.last_step.is_none_or(|last| *step > last)) {
            Some(step) => {
                *state = State { last_step: Some(step), failures: 0, last_failure: 0 };
                Ok(())
            }
            None => {
                state.failures = state.failures.saturating_add(1);
                state.last_failure = now;
                Err(TotpError::Refused)
            }
        }
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl fmt::Debug for TotpVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpVerifier(hidden)")
    }
}
