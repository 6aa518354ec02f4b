//! The answer to a request, and the rule that gave it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::condition::{Circumstances, Condition};
use super::pattern::Pattern;
use super::role::Effect;
use super::session::SessionError;

/// One line of a role, or of a user, as the policy holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) owner: Owner,
    pub(super) effect: Effect,
    /// `None` for every action.
    pub(super) action: Option<String>,
    pub(super) resource: Pattern,
    pub(super) when: Condition,
    /// Seconds since 1970; `u64::MAX` where it does not end.
    pub(super) until: u64,
}

/// A rule of a policy, which lives as long as this does. Reads as a [`Rule`].
#[derive(Clone)]
pub struct RuleRef {
    /// Counted by the page, so that a decision does not touch the memory of the rule itself.
    page: Arc<Page>,
    place: usize,
}

/// Some rules, held once for each stripe of threads, so that two threads do not count at one place.
struct Page(Arc<[Rule]>);

impl std::ops::Deref for RuleRef {
    type Target = Rule;

    #[allow(
        clippy::indexing_slicing,
        reason = "a reference is made only to a place that is there, and pages do not change"
    )]
    fn deref(&self) -> &Rule {
        &self.page.0[self.place]
    }
}

impl PartialEq for RuleRef {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RuleRef {}

impl fmt::Debug for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// All rules of a policy, by number.
#[derive(Clone)]
pub(super) struct Rules {
    pages: Vec<Arc<[Rule]>>,
    /// The same pages for each stripe, one stripe after the other.
    striped: Vec<Arc<Page>>,
}

const PAGE: usize = 64;
const STRIPES: usize = 16;

/// A number for each thread that decides.
static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: usize = NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % STRIPES;
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let mut pages = Vec::new();
        let mut rules = rules.into_iter().peekable();
        while rules.peek().is_some() {
            pages.push(rules.by_ref().take(PAGE).collect());
        }
        let stripe = |_| pages.iter().map(|page| Arc::new(Page(Arc::clone(page))));
        let striped = (0..STRIPES).flat_map(stripe).collect();
        Self { pages, striped }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Rule> {
        let number = number as usize;
        self.pages.get(number / PAGE)?.get(number % PAGE)
    }

    pub(super) fn share(&self, number: u32) -> Option<RuleRef> {
        let (page, place) = (number as usize / PAGE, number as usize % PAGE);
        if page >= self.pages.len() {
            return None;
        }
        let page = self.striped.get(STRIPE.with(|stripe| stripe * self.pages.len()) + page)?;
        (place < page.0.len()).then(|| RuleRef { page: Arc::clone(page), place })
    }

    pub(super) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.pages.iter().flat_map(|page| page.iter())
    }
}

/// Whose a rule is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Role(Arc<str>),
    User(Arc<str>),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(name) => write!(f, "role {name:?}"),
            Self::User(name) => write!(f, "user {name:?}"),
        }
    }
}

impl Rule {
    /// The role in which the rule is written, which the user may have by inheritance. `None` where it is
    /// given to the user.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        match &self.owner {
            Owner::Role(name) => Some(name),
            Owner::User(_) => None,
        }
    }

    /// Does it allow or deny?
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The action it is about, `*` for every one.
    #[must_use]
    pub fn action(&self) -> &str {
        self.action.as_deref().unwrap_or("*")
    }

    /// The resources it is about.
    #[must_use]
    pub fn resource(&self) -> &Pattern {
        &self.resource
    }

    /// When it counts.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.when
    }

    /// When it ends, if it does.
    #[must_use]
    pub fn until(&self) -> Option<SystemTime> {
        let ends = self.until != u64::MAX;
        ends.then(|| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.until))).flatten()
    }

    pub(super) fn matches(&self, action: &str, resource: &str) -> bool {
        self.action.as_ref().is_none_or(|wanted| wanted == action) && self.resource.matches(resource)
    }

    pub(super) fn counts(&self, circumstances: &Circumstances<'_>) -> bool {
        circumstances.is_before(self.until, self.effect) && self.when.holds(circumstances, self.effect)
    }

    /// Does it count whatever the circumstances?
    pub(super) fn always_counts(&self) -> bool {
        self.until == u64::MAX && !self.when.asks_something()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.effect, self.action(), self.resource)?;
        if self.when.asks_something() {
            write!(f, " when {}", self.when)?;
        }
        if self.until != u64::MAX {
            write!(f, " until {} s after 1970", self.until)?;
        }
        write!(f, " of {}", self.owner)
    }
}

/// May it be done, and why? Shown as one line, fit for an audit event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at permits everything"]
pub struct Decision {
    reason: Reason,
}

/// Why something was decided as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This rule allows it, and none denies it.
    Allowed(RuleRef),
    /// This rule denies it.
    Denied(RuleRef),
    /// This rule would allow it, and its condition does not hold or its time is over: a session of a higher
    /// level, say, may. So does one that is limited in time, where the request does not say when.
    Unmet(RuleRef),
    /// No rule is about it.
    NoRule,
    /// The policy does not know the user.
    UnknownUser,
    /// The resource's name could be written otherwise, see [`Pattern::is_canonical`]; or the action is no plain
    /// word, see [`Permission`](crate::Permission).
    NotCanonical,
    /// The policy lists its [actions](crate::PolicyBuilder::actions), and this is none of them.
    UnknownAction,
    /// The session may do nothing.
    Session(SessionError),
    /// A session that this one was derived from may not do it.
    Narrowed,
    /// The session acts in two roles that the policy keeps apart in one session, perhaps since it was replaced.
    #[non_exhaustive]
    SeparatedRoles {
        /// One of the roles.
        first: Arc<str>,
        /// The other.
        second: Arc<str>,
    },
}

impl Decision {
    pub(super) fn new(reason: Reason) -> Self {
        Self { reason }
    }

    /// May it be done?
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.reason, Reason::Allowed(_))
    }

    /// Why?
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The rule that decided, if one did.
    #[must_use]
    pub fn rule(&self) -> Option<&Rule> {
        match &self.reason {
            Reason::Allowed(rule) | Reason::Denied(rule) | Reason::Unmet(rule) => Some(rule),
            _ => None,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Allowed(rule) => write!(f, "allowed by {rule}"),
            Reason::Denied(rule) => write!(f, "denied by {rule}"),
            Reason::Unmet(rule) => write!(f, "denied: not met is the condition of {rule}"),
            Reason::NoRule => f.write_str("denied: no rule of the session's roles allows it"),
            Reason::UnknownUser => f.write_str("denied: the policy does not know the user"),
            Reason::NotCanonical => f.write_str(
                "denied: the action or the resource name is not canonical; ask with a lowercase word, and resolve `.`, `..` and `//`",
            ),
            Reason::UnknownAction => f.write_str(
                "denied: the action is not among the policy's actions; add it there, or correct the name",
            ),
            Reason::Session(error) => write!(f, "denied: {error}"),
            Reason::Narrowed => {
                f.write_str("denied: the session was narrowed to less; ask the one that it was derived from")
            }
            Reason::SeparatedRoles { first, second } => write!(
                f,
                "denied: a session acts in {first:?} or in {second:?}, not in both; open one with fewer roles"
            ),
        }
    }
}
