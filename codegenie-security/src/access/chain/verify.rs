//! Chains as another process sees them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::condition::seconds;
use super::super::decision::{Decision, Reason};
use super::super::narrowing::Narrowing;
use super::super::policy::Policy;
use super::super::request::AccessRequest;
use super::super::standing::conflict;
use super::block::RevocationId;
use super::seen::ChainMemory;
use super::token::Parsed;
use crate::crypto::VerifyingKey;

/// Why a chain does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Malformed, altered, cut, or signed by somebody else. Opaque on purpose.
    #[error("chain refused: malformed, altered, or not by the issuer; ask for another")]
    Refused,
    /// It is for another verifier.
    #[error("chain refused: it is for another audience; ask for one for this")]
    OtherAudience,
    /// Its time is over.
    #[error("chain refused: its time is over; ask for another")]
    Expired,
    /// One of its blocks was revoked.
    #[error("chain refused: block {id} was revoked; ask who revoked it")]
    #[non_exhaustive]
    Revoked {
        /// Which.
        id: RevocationId,
    },
    /// A block asks for more than the one before has.
    #[error(
        "chain refused: block {block} is wider than the one before in its {what}; whoever made it tried to gain something"
    )]
    #[non_exhaustive]
    Widened {
        /// Which, from 0.
        block: usize,
        /// In what.
        what: &'static str,
    },
    /// It counts once, and was shown before; or it counts once and nobody here remembers.
    #[error("chain refused: it counts once, and was used before or is not remembered here; ask for another")]
    Replayed,
    /// It counts once, and that it was used could not be kept.
    #[error(
        "chain refused: it counts once, and its use could not be kept: {reason}; see to it, and ask again"
    )]
    #[non_exhaustive]
    NotKept {
        /// Why.
        reason: String,
    },
}

/// Verifies chains of one issuer for one audience.
#[derive(Clone)]
pub struct ChainVerifier {
    issuer: VerifyingKey,
    audience: String,
    is_revoked: Arc<dyn Fn(&RevocationId) -> bool + Send + Sync>,
    seen: Option<Arc<dyn ChainMemory>>,
}

impl ChainVerifier {
    /// Takes chains that this issuer made for this audience. None is revoked, and those that count once are
    /// refused, until it is told otherwise.
    #[must_use]
    pub fn new(issuer: VerifyingKey, audience: impl Into<String>) -> Self {
        Self { issuer, audience: audience.into(), is_revoked: Arc::new(|_| false), seen: None }
    }

    /// Asks this about each block.
    #[must_use]
    pub fn revoked_by(mut self, is_revoked: impl Fn(&RevocationId) -> bool + Send + Sync + 'static) -> Self {
        self.is_revoked = Arc::new(is_revoked);
        self
    }

    /// Remembers there what counts once: in a [`SeenOnce`](super::SeenOnce), or where the host keeps it.
    #[must_use]
    pub fn remember(mut self, seen: impl ChainMemory + 'static) -> Self {
        self.seen = Some(Arc::new(seen));
        self
    }

    /// Does the chain count now, and what for?
    pub fn verify(&self, text: &str, now: SystemTime) -> Result<VerifiedChain, ChainError> {
        let parsed = Parsed::read(text).map_err(|_| ChainError::Refused)?;
        if !parsed.is_signed_by(&self.issuer) {
            return Err(ChainError::Refused);
        }
        let mut chain = VerifiedChain {
            user: String::new(),
            agents: Vec::new(),
            roles: Vec::new(),
            only: Vec::new(),
            expires_at: u64::MAX,
            max_level: u8::MAX,
            labels: Vec::new(),
            ids: Vec::new(),
        };
        // By which block, and to what end, it counts once.
        let mut once = None;
        for (number, signed) in parsed.blocks.iter().enumerate() {
            let block = &signed.block;
            let widened = |what| Err(ChainError::Widened { block: number, what });
            if block.audience.as_ref().is_some_and(|audience| *audience != self.audience) {
                return Err(ChainError::OtherAudience);
            }
            chain.user.extend(block.user.iter().map(String::as_str));
            chain.agents.extend(block.agent.clone());
            if let Some(roles) = &block.roles {
                if number > 0 && roles.iter().any(|role| !chain.roles.contains(role)) {
                    return widened("roles");
                }
                chain.roles.clone_from(roles);
            }
            if let Some(end) = block.expires_at {
                if end > chain.expires_at {
                    return widened("end");
                }
                chain.expires_at = end;
            }
            if let Some(level) = block.max_level {
                if level > chain.max_level {
                    return widened("level");
                }
                chain.max_level = level;
            }
            if let Some(only) = &block.only {
                // All lists count together, so a wider one gains nothing.
                chain.only.push(Narrowing::parse(only).map_err(|_| ChainError::Refused)?);
            }
            chain.labels.extend(block.labels.iter().map(|label| Arc::from(label.as_str())));
            let id = signed.revocation_id();
            if block.single_use && once.is_none() {
                // To the end as this block has it: whoever has the chain can make it end earlier, and with that
                // must not make its use be forgotten earlier.
                once = Some((id, chain.expires_at()));
            }
            if (self.is_revoked)(&id) {
                return Err(ChainError::Revoked { id });
            }
            chain.ids.push(id);
        }
        if seconds(now) >= chain.expires_at {
            return Err(ChainError::Expired);
        }
        chain.labels.sort();
        chain.labels.dedup();
        if let Some((id, until)) = once {
            let seen = self.seen.as_ref().ok_or(ChainError::Replayed)?;
            let is_first = seen.is_first_use(id, until, now);
            if !is_first.map_err(|error| ChainError::NotKept { reason: error.to_string() })? {
                return Err(ChainError::Replayed);
            }
        }
        Ok(chain)
    }
}

impl fmt::Debug for ChainVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainVerifier")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// What a chain that was verified allows at most.
#[derive(Clone, Debug)]
pub struct VerifiedChain {
    user: String,
    agents: Vec<String>,
    roles: Vec<String>,
    only: Vec<Narrowing>,
    expires_at: u64,
    max_level: u8,
    labels: Vec<Arc<str>>,
    ids: Vec<RevocationId>,
}

impl VerifiedChain {
    /// The user on whose behalf it acts.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The agents that it went through, the one that acts last.
    #[must_use]
    pub fn agents(&self) -> &[String] {
        &self.agents
    }

    /// The roles in which it acts.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The labels that it carries.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        self.labels.iter().map(ToString::to_string).collect()
    }

    /// The level that it has at most.
    #[must_use]
    pub fn max_level(&self) -> u8 {
        self.max_level
    }

    /// When it ends.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        let end = Duration::from_secs(self.expires_at);
        SystemTime::UNIX_EPOCH.checked_add(end).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The names of its blocks, the issuer's first: for the audit log.
    #[must_use]
    pub fn revocation_ids(&self) -> &[RevocationId] {
        &self.ids
    }

    /// May it do that, by this policy, at this time? Of level 0, with its own labels, without tags.
    ///
    /// Roles that the policy keeps apart in one session are kept apart in a chain, too. Revocation was looked at
    /// when it was verified: verify again for what takes long.
    pub fn permit(&self, policy: &Policy, action: &str, resource: &str, now: SystemTime) -> Decision {
        if let Some(separated) = conflict(policy, &self.user, &self.roles) {
            return Decision::new(separated);
        }
        if seconds(now) >= self.expires_at || !self.only.iter().all(|only| only.admits(action, resource)) {
            return Decision::new(Reason::Narrowed);
        }
        let request = AccessRequest::new(&self.user, action, resource);
        policy.decide(&request.roles(&self.roles).labels(&self.labels).at(now))
    }
}
