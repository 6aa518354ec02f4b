//! What changes about a session while it is open: read by every check, without a lock.

#[cfg(codegenie_loom)]
use loom::sync::Arc;
#[cfg(codegenie_loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(codegenie_loom))]
use std::sync::Arc;
#[cfg(not(codegenie_loom))]
use std::sync::atomic::{AtomicU64, Ordering};

use super::level::Levels;

/// The state of one session, linked to those of the sessions that it was derived from.
///
/// Revoking is one store, and a check reads the whole line up to the root: so a descendant ends with any
/// of its ancestors at once, without being found first.
#[derive(Debug)]
pub(super) struct State {
    parent: Option<StateRef>,
    /// When it was revoked, in milliseconds since the store was made, and 1 more; 0 where it was not.
    revoked: AtomicU64,
    /// All sessions of the user end when this differs from what it was at the beginning.
    generation: Generation,
    born_in: u64,
    /// When it was last used, in milliseconds since the store was made.
    last_used: AtomicU64,
    /// What it was raised to, and with it what is derived from it.
    levels: Levels,
    /// No more than this, whatever it or an ancestor is raised to: no session of its line lets it have more.
    most_level: u8,
    /// In milliseconds since the store was made.
    expires_at: u64,
    idle: Option<u64>,
}

/// A session's state, as the session and those derived from it hold it.
pub(super) type StateRef = Arc<State>;

/// Counts how often all sessions of a user were ended.
#[derive(Clone, Debug)]
pub(super) struct Generation(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    count: AtomicU64,
    /// When the last time was, in milliseconds since the store was made.
    last: AtomicU64,
}

impl Generation {
    pub(super) fn new() -> Self {
        Self(Arc::new(Ends { count: AtomicU64::new(0), last: AtomicU64::new(0) }))
    }

    /// Ends all that began before.
    pub(super) fn end(&self, now: u64) {
        // First, so that whoever sees that something has ended sees when.
        self.0.last.fetch_max(now, Ordering::SeqCst);
        self.0.count.fetch_add(1, Ordering::SeqCst);
    }

    fn now(&self) -> u64 {
        self.0.count.load(Ordering::SeqCst)
    }
}

/// Why a session may not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Expired,
    Revoked,
}

/// How a state begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    pub(super) last_used: u64,
    pub(super) expires_at: u64,
    pub(super) idle: Option<u64>,
    pub(super) most_level: u8,
}

impl State {
    pub(super) fn new(beginning: Beginning, generation: Generation, parent: Option<StateRef>) -> StateRef {
        let born_in = generation.now();
        let most_level =
            parent.as_deref().map_or(u8::MAX, |parent| parent.most_level).min(beginning.most_level);
        Arc::new(Self {
            parent,
            revoked: AtomicU64::new(0),
            generation,
            born_in,
            last_used: AtomicU64::new(beginning.last_used),
            levels: Levels::new(),
            most_level,
            expires_at: beginning.expires_at,
            idle: beginning.idle,
        })
    }

    /// May it act at this time, and may all that it was derived from?
    pub(super) fn check(&self, now: u64) -> Result<(), Ended> {
        let mut state = Some(self);
        while let Some(one) = state {
            if one.revoked.load(Ordering::SeqCst) != 0 || one.generation.now() != one.born_in {
                return Err(Ended::Revoked);
            }
            if now >= one.end() {
                return Err(Ended::Expired);
            }
            state = one.parent.as_deref();
        }
        Ok(())
    }

    /// When it has ended, or ends if neither it nor an ancestor is used again.
    pub(super) fn ends_at(&self) -> u64 {
        let revoked = self.revoked.load(Ordering::SeqCst).checked_sub(1);
        let with_all =
            (self.generation.now() != self.born_in).then(|| self.generation.0.last.load(Ordering::SeqCst));
        let with_parent = self.parent.as_deref().map(State::ends_at);
        [revoked, with_all, with_parent].into_iter().flatten().fold(self.end(), u64::min)
    }

    fn end(&self) -> u64 {
        let idle = self.idle.map(|idle| self.last_used.load(Ordering::Relaxed).saturating_add(idle));
        idle.map_or(self.expires_at, |idle| idle.min(self.expires_at))
    }

    /// Notes that it is used: by a descendant, it is used as well.
    pub(super) fn touch(&self, now: u64) {
        let mut state = Some(self);
        while let Some(one) = state {
            one.last_used.fetch_max(now, Ordering::Relaxed);
            state = one.parent.as_deref();
        }
    }

    pub(super) fn most_level(&self) -> u8 {
        self.most_level
    }

    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    /// True the first time.
    pub(super) fn revoke(&self, now: u64) -> bool {
        let when = now.saturating_add(1);
        self.revoked.compare_exchange(0, when, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The level now: what it was raised to or its parent has, and no more than it may have.
    pub(super) fn level(&self, now: u64) -> u8 {
        let inherited = self.parent.as_deref().map_or(0, |parent| parent.level(now));
        self.levels.now(now).max(inherited).min(self.most_level)
    }

    /// Raises the level, of this session and of those derived from it, until a time.
    pub(super) fn raise(&self, level: u8, until: u64, now: u64) {
        self.levels.raise(level, until, now);
    }

    /// Takes back what this session was raised to, and not what it inherits.
    pub(super) fn lower(&self) {
        self.levels.clear();
    }
}

#[cfg(all(test, codegenie_loom))]
mod loom_tests {
    use super::*;

    fn state(parent: Option<StateRef>, generation: &Generation) -> StateRef {
        let beginning = Beginning { last_used: 0, expires_at: u64::MAX, idle: None, most_level: u8::MAX };
        State::new(beginning, generation.clone(), parent)
    }

    /// A grandchild is made and checked while its grandparent is revoked: once `revoke` has returned, nobody
    /// who learns of that gets the grandchild past a check.
    #[test]
    fn a_revoked_parent_never_lets_a_child_pass() {
        loom::model(|| {
            let generation = Generation::new();
            let root = state(None, &generation);
            let revoked = Arc::new(AtomicU64::new(0));
            let revoking = loom::thread::spawn({
                let (root, revoked) = (Arc::clone(&root), Arc::clone(&revoked));
                move || {
                    root.revoke(0);
                    revoked.store(1, Ordering::SeqCst);
                }
            });
            let known = revoked.load(Ordering::SeqCst) == 1;
            let child = state(Some(state(Some(root), &generation)), &generation);
            let passed = child.check(0).is_ok();
            assert!(!(known && passed), "revoked before, and let pass");
            revoking.join().unwrap();
            assert_eq!(child.check(0), Err(Ended::Revoked));
        });
    }

    /// The same when all sessions of a user end: those that began before do, those that begin after do not.
    #[test]
    fn a_new_generation_ends_all_that_began_before() {
        loom::model(|| {
            let generation = Generation::new();
            let before = state(None, &generation);
            let ending = loom::thread::spawn({
                let generation = generation.clone();
                move || generation.end(7)
            });
            let child = state(Some(Arc::clone(&before)), &generation);
            ending.join().unwrap();
            assert_eq!(before.check(0), Err(Ended::Revoked));
            assert_eq!(
                child.check(0),
                Err(Ended::Revoked),
                "its parent began before, whenever it began itself"
            );
            assert_eq!((before.ends_at(), child.ends_at()), (7, 7));
            assert!(state(None, &generation).check(0).is_ok());
        });
    }
}
