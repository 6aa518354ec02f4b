//! Who may do what: roles, policy, sessions, and the two together.

mod clock;
mod control;
mod decision;
mod pattern;
mod policy;
mod role;
mod session;
mod store;
mod token;

pub use clock::{Clock, ManualClock, SystemClock};
pub use control::AccessControl;
pub use decision::{Decision, Reason, Rule};
pub use pattern::{BadPattern, Pattern};
pub use policy::{Policy, PolicyBuilder, PolicyError};
pub use role::{Effect, Role};
pub use session::{OpenSessionError, Session, SessionError, SessionId, SessionRequest};
pub use store::SessionStore;
pub use token::SessionToken;
