//! Who may do what: roles, policy, sessions, and the two together.

#[cfg(feature = "crypto")]
mod chain;
mod clock;
mod condition;
mod control;
mod decision;
mod labels;
mod level;
mod narrowing;
mod pattern;
mod persistence;
mod policy;
mod request;
mod role;
mod session;
mod standing;
mod state;
mod store;
mod throttle;
mod token;
mod totp;

#[cfg(feature = "crypto")]
pub use chain::{
    BadChain, ChainBlock, ChainError, ChainMemory, ChainToken, ChainVerifier, RevocationId, SeenOnce,
    VerifiedChain,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use condition::{BadCondition, Condition};
pub use control::AccessControl;
pub use decision::{Decision, Reason, Rule, RuleRef};
pub use narrowing::Attenuation;
pub use pattern::{BadPattern, Pattern};
#[cfg(feature = "crypto")]
pub use persistence::FileSessions;
pub use persistence::{MemorySessions, PersistenceError, SessionPersistence, SessionRecord};
pub use policy::{
    Consideration, Explanation, Lint, LintKind, Policy, PolicyBuilder, PolicyError, PolicyFile,
    PolicyFileError, PolicyFormat, Reload, Separation,
};
pub use request::AccessRequest;
pub use role::{Effect, Permission, Role};
pub use session::{OpenSessionError, Session, SessionError, SessionId, SessionRequest};
pub use store::SessionStore;
pub use throttle::{LoginThrottle, Throttled};
pub use token::SessionToken;
pub use totp::{TotpError, TotpVerifier};
