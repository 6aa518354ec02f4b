//! What a registry knows, under its lock.

use super::error::LifecycleError;
use super::named::Ending;
use super::options::SandboxOptions;
use super::quota::SandboxQuota;
use super::snapshot::{OwnerUsage, SandboxSnapshot, SandboxState, SandboxUsage};
use crate::sandbox::{SandboxPolicy, SandboxStatus};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const GONE: &str = "it is gone";

/// One sandbox.
pub(super) struct Entry {
    options: SandboxOptions,
    pub(super) policy: Arc<SandboxPolicy>,
    pub(super) directory: Option<PathBuf>,
    problem: Option<String>,
    state: SandboxState,
    /// Its directory is being removed.
    tidying: bool,
    made: Duration,
    /// When the last run ended, or it was made.
    idle_since: Duration,
    running: BTreeMap<u64, Arc<Ending>>,
    usage: SandboxUsage,
}

/// What an owner used in the window that began then.
struct Owner {
    window_began: Duration,
    runs: u64,
    cpu: Duration,
}

pub(super) struct State {
    entries: BTreeMap<u64, Entry>,
    names: BTreeMap<String, u64>,
    owners: BTreeMap<String, Owner>,
    each: SandboxQuota,
    own: BTreeMap<String, SandboxQuota>,
    next: u64,
}

impl Entry {
    pub(super) fn new(
        options: SandboxOptions,
        policy: Arc<SandboxPolicy>,
        directory: Option<PathBuf>,
        now: Duration,
    ) -> Self {
        let (running, usage) = (BTreeMap::new(), SandboxUsage::default());
        let (state, problem, tidying) = (SandboxState::Open, None, false);
        Self {
            options,
            policy,
            directory,
            problem,
            state,
            tidying,
            made: now,
            idle_since: now,
            running,
            usage,
        }
    }

    /// What it is now, if somebody looks.
    fn state_at(&self, now: Duration) -> SandboxState {
        let over = |since: Duration, time: Option<Duration>| {
            time.is_some_and(|time| now.saturating_sub(since) >= time)
        };
        match self.state {
            SandboxState::Open if over(self.made, self.options.lifetime) => SandboxState::Expired,
            SandboxState::Open if self.running.is_empty() && over(self.idle_since, self.options.idle) => {
                SandboxState::Idle
            }
            state => state,
        }
    }

    fn expires_in(&self, now: Duration) -> Option<Duration> {
        if self.state != SandboxState::Open {
            return None;
        }
        let at = |since: Duration, time: Option<Duration>| time.map(|time| since.saturating_add(time));
        let idle_since = if self.running.is_empty() { self.idle_since } else { now };
        let ends = [at(self.made, self.options.lifetime), at(idle_since, self.options.idle)];
        ends.into_iter().flatten().min().map(|end| end.saturating_sub(now))
    }

    pub(super) fn snapshot(&self, now: Duration) -> SandboxSnapshot {
        let idle = if self.running.is_empty() { now.saturating_sub(self.idle_since) } else { Duration::ZERO };
        SandboxSnapshot {
            name: self.options.name.clone(),
            owner: self.options.owner.clone(),
            state: self.state_at(now),
            age: now.saturating_sub(self.made),
            idle,
            expires_in: self.expires_in(now),
            running: self.running.len(),
            usage: self.usage,
            directory: self.directory.clone(),
            problem: self.problem.clone(),
        }
    }
}

impl State {
    pub(super) fn new(each: SandboxQuota) -> Self {
        let (entries, names, owners, own) = Default::default();
        Self { entries, names, owners, each, own, next: 0 }
    }

    pub(super) fn set_quota(&mut self, owner: &str, quota: SandboxQuota) {
        self.own.insert(owner.to_owned(), quota);
    }

    fn quota(&self, owner: &str) -> SandboxQuota {
        self.own.get(owner).unwrap_or(&self.each).clone()
    }

    fn fresh_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    pub(super) fn entry(&self, id: u64) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// The sandbox that has the name, expired or not.
    pub(super) fn named(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }

    pub(super) fn open(&self, name: &str, now: Duration) -> Option<(u64, &Entry)> {
        let id = self.named(name)?;
        let entry = self.entries.get(&id)?;
        (entry.state_at(now) == SandboxState::Open).then_some((id, entry))
    }

    pub(super) fn may_create(&self, options: &SandboxOptions, now: Duration) -> Result<(), LifecycleError> {
        if self.open(&options.name, now).is_some() {
            return Err(LifecycleError::NameTaken(options.name.clone()));
        }
        let most = self.quota(&options.owner).sandboxes;
        if self.owned(&options.owner).count() >= most {
            return Err(LifecycleError::TooMany { owner: options.owner.clone(), most });
        }
        Ok(())
    }

    fn owned(&self, owner: &str) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |entry| entry.options.owner == owner)
    }

    pub(super) fn insert(&mut self, entry: Entry) -> u64 {
        let id = self.fresh_id();
        // One that has expired under this name has lost it: a sweep finds it by its number.
        self.names.insert(entry.options.name.clone(), id);
        self.entries.insert(id, entry);
        id
    }

    /// Why nothing may begin in a sandbox any more, if so.
    pub(super) fn why_not_open(&self, id: u64, now: Duration) -> Option<&'static str> {
        match self.entries.get(&id).map(|entry| entry.state_at(now)) {
            None => Some(GONE),
            Some(SandboxState::Open) => None,
            Some(SandboxState::Closed) => Some("it is closed"),
            Some(SandboxState::Idle) => Some("it has expired: nothing ran in it for too long"),
            Some(SandboxState::Expired) => Some("it has expired: its lifetime is over"),
        }
    }

    /// Lets a run begin in a sandbox, or says why not.
    pub(super) fn begin(
        &mut self,
        id: u64,
        wanted: &SandboxPolicy,
        now: Duration,
    ) -> Result<(u64, Arc<Ending>), String> {
        if let Some(why) = self.why_not_open(id, now) {
            return Err(why.to_owned());
        }
        let Some(entry) = self.entries.get(&id) else { return Err(GONE.to_owned()) };
        if !narrows(wanted, &entry.policy) {
            return Err("the request's policy is not the sandbox's own, nor that without writing or network"
                .to_owned());
        }
        let owner = entry.options.owner.clone();
        let quota = self.quota(&owner);
        let running: usize = self.owned(&owner).map(|entry| entry.running.len()).sum();
        if running >= quota.running {
            return Err(format!("{owner} may run {} commands at once and does: wait for one", quota.running));
        }
        let used = self.owners.entry(owner.clone()).or_insert(Owner {
            window_began: now,
            runs: 0,
            cpu: Duration::ZERO,
        });
        if now.saturating_sub(used.window_began) >= quota.window {
            *used = Owner { window_began: now, runs: 0, cpu: Duration::ZERO };
        }
        let rest = quota.window.saturating_sub(now.saturating_sub(used.window_began));
        if quota.runs.is_some_and(|most| used.runs >= most) || quota.cpu.is_some_and(|most| used.cpu >= most)
        {
            return Err(format!("{owner} has used up what a window allows: wait {} s", rest.as_secs() + 1));
        }
        used.runs += 1;
        let run = self.fresh_id();
        let ending = Arc::new(Ending::default());
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.usage.runs += 1;
            entry.running.insert(run, Arc::clone(&ending));
        }
        Ok((run, ending))
    }

    /// A run has ended, was given up, or was not started.
    pub(super) fn done(&mut self, id: u64, run: u64, outcome: Outcome, now: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.running.remove(&run).is_none() {
            return;
        }
        entry.idle_since = now;
        let spent = match outcome {
            Outcome::NotStarted => {
                entry.usage.not_started += 1;
                Duration::ZERO
            }
            Outcome::Ended { status, passed } => {
                entry.usage.add(status, passed);
                status.and_then(|status| status.usage.cpu).unwrap_or(passed)
            }
        };
        if let Some(owner) = self.owners.get_mut(&entry.options.owner) {
            owner.cpu = owner.cpu.saturating_add(spent);
        }
    }

    /// A sandbox takes no more runs. What runs in it, to be told outside of the lock.
    pub(super) fn end(&mut self, id: u64, state: SandboxState) -> Vec<Arc<Ending>> {
        let Some(entry) = self.entries.get_mut(&id) else { return Vec::new() };
        if entry.state == SandboxState::Open {
            entry.state = state;
        }
        if self.names.get(&entry.options.name) == Some(&id) {
            self.names.remove(&entry.options.name);
        }
        entry.running.values().cloned().collect()
    }

    pub(super) fn expire(&mut self, now: Duration) -> Vec<Arc<Ending>> {
        let expired: Vec<(u64, SandboxState)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == SandboxState::Open)
            .map(|(id, entry)| (*id, entry.state_at(now)))
            .filter(|(_, state)| *state != SandboxState::Open)
            .collect();
        let wake = expired.into_iter().flat_map(|(id, state)| self.end(id, state)).collect();
        let quotas: BTreeMap<String, Duration> =
            self.owners.keys().map(|owner| (owner.clone(), self.quota(owner).window)).collect();
        let entries = &self.entries;
        self.owners.retain(|name, owner| {
            let window = quotas.get(name).copied().unwrap_or_default();
            now.saturating_sub(owner.window_began) < window
                || entries.values().any(|entry| entry.options.owner == *name)
        });
        wake
    }

    /// What has ended, runs nothing, and is tidied up by nobody yet: with its directory. It keeps its place until
    /// [`tidied`](Self::tidied).
    pub(super) fn begin_tidying(&mut self) -> Vec<(u64, Option<PathBuf>)> {
        let ended = self.entries.iter_mut().filter(|(_, entry)| {
            entry.state != SandboxState::Open && entry.running.is_empty() && !entry.tidying
        });
        let taken = ended.map(|(id, entry)| {
            entry.tidying = true;
            (*id, entry.directory.clone())
        });
        taken.collect()
    }

    /// Forgets a sandbox whose directory is gone: as it was at last. Otherwise it stays, with the problem.
    pub(super) fn tidied(
        &mut self,
        id: u64,
        removed: io::Result<()>,
        now: Duration,
    ) -> Option<SandboxSnapshot> {
        match removed {
            Ok(()) => self.entries.remove(&id).map(|entry| entry.snapshot(now)),
            Err(error) => {
                let entry = self.entries.get_mut(&id)?;
                (entry.tidying, entry.problem) = (false, Some(error.to_string()));
                None
            }
        }
    }

    pub(super) fn next_expiry(&self, now: Duration) -> Option<Duration> {
        self.entries.values().filter_map(|entry| entry.expires_in(now)).min()
    }

    pub(super) fn usage(&self, owner: &str, now: Duration) -> OwnerUsage {
        let window = self.quota(owner).window;
        let used = self.owners.get(owner).filter(|used| now.saturating_sub(used.window_began) < window);
        OwnerUsage {
            owner: owner.to_owned(),
            sandboxes: self.owned(owner).count(),
            running: self.owned(owner).map(|entry| entry.running.len()).sum(),
            runs: used.map_or(0, |used| used.runs),
            cpu: used.map_or(Duration::ZERO, |used| used.cpu),
        }
    }

    pub(super) fn owners(&self, now: Duration) -> Vec<OwnerUsage> {
        let mut names: Vec<&String> =
            self.entries.values().map(|entry| &entry.options.owner).chain(self.owners.keys()).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(|owner| self.usage(owner, now)).collect()
    }
}

/// How a run ended.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    NotStarted,
    /// Without a status: it was given up.
    Ended {
        status: Option<SandboxStatus>,
        passed: Duration,
    },
}

/// Whether a policy is the sandbox's own, or that with less in it, as an executor makes it for what needs less.
fn narrows(wanted: &SandboxPolicy, own: &SandboxPolicy) -> bool {
    *wanted == *own
        || *wanted == own.without_network()
        || *wanted == own.without_writing()
        || *wanted == own.without_writing().without_network()
}
