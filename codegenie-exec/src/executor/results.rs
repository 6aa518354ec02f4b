//! Results of pure commands, kept until something else ran in the workspace.

use crate::sandbox::{EnforcementReport, RunOutput, SandboxRequest, SandboxStatus};
use codegenie_perf::{CacheBackend, CacheEntry, CacheStats};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const TAG: &str = "codegenie-exec:workspace";

/// The cache as the executor uses it. A cache that fails is a cache that misses.
#[derive(Debug)]
pub(super) struct ResultCache<C> {
    cache: C,
    ttl: Duration,
    /// Counts what may have changed the workspace, so that a result that was begun before a change is
    /// not kept after it.
    changes: AtomicU64,
    /// Commands that may be changing it right now: meanwhile nothing is read from the cache or kept.
    changing: AtomicUsize,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Stored {
    stdout: usize,
    status: SandboxStatus,
    report: EnforcementReport,
}

impl<C> ResultCache<C> {
    pub(super) fn map<D>(self, convert: impl FnOnce(C) -> D) -> ResultCache<D> {
        ResultCache {
            cache: convert(self.cache),
            ttl: self.ttl,
            changes: self.changes,
            changing: self.changing,
        }
    }
}

impl<C: CacheBackend> ResultCache<C> {
    pub(super) fn new(cache: C, ttl: Duration) -> Self {
        Self { cache, ttl, changes: AtomicU64::new(0), changing: AtomicUsize::new(0) }
    }

    pub(super) fn generation(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn workspace_changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        if self.cache.enabled() {
            // A backend that cannot forget could tell what is no longer so: then nothing is kept either.
            if self.cache.invalidate_tag(TAG).is_err() {
                let _ = self.cache.clear();
            }
        }
    }

    /// The workspace may change from now on until the guard is dropped, also where the future that runs
    /// the command is dropped half-way.
    pub(super) fn workspace_changes(&self) -> impl Drop + use<'_, C> {
        self.changing.fetch_add(1, Ordering::AcqRel);
        self.workspace_changed();
        Changing(self)
    }

    fn usable(&self) -> bool {
        self.cache.enabled() && self.changing.load(Ordering::Acquire) == 0
    }

    pub(super) fn get(&self, request: &SandboxRequest) -> Option<RunOutput> {
        if !self.usable() {
            return None;
        }
        let entry = self.cache.get(&key(request, self.generation())?).ok()??;
        let (length, rest) = entry.value.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let stored: Stored = serde_json::from_slice(rest.get(..length)?).ok()?;
        let streams = rest.get(length..)?;
        let stdout = streams.get(..stored.stdout)?.to_vec();
        let stderr = streams.get(stored.stdout..)?.to_vec();
        Some(RunOutput::new(stdout, stderr, stored.status, stored.report))
    }

    /// Keeps a result, unless it failed or the workspace may have changed since `seen`.
    pub(super) fn put(&self, request: &SandboxRequest, output: &RunOutput, seen: u64) {
        // What was refused is not kept, so that every result says what was.
        let whole = output.status.reason.is_success() && output.refused.is_empty();
        if !self.usable() || !whole || self.generation() != seen {
            return;
        }
        let stored =
            Stored { stdout: output.stdout.len(), status: output.status, report: output.report.clone() };
        let (Some(key), Ok(head)) = (key(request, seen), serde_json::to_vec(&stored)) else { return };
        let mut value = (head.len() as u64).to_le_bytes().to_vec();
        value.extend_from_slice(&head);
        value.extend_from_slice(&output.stdout);
        value.extend_from_slice(&output.stderr);
        // A cache that cannot keep it costs a run, nothing else.
        let _ = self.cache.put(&key, CacheEntry::new(value).ttl(self.ttl).tag(TAG));
    }

    pub(super) fn stats(&self) -> CacheStats {
        self.cache.stats()
    }
}

struct Changing<'a, C: CacheBackend>(&'a ResultCache<C>);

impl<C: CacheBackend> Drop for Changing<'_, C> {
    fn drop(&mut self) {
        self.0.workspace_changed();
        self.0.changing.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Everything that the result depends on. The generation makes what was kept before a change
/// unreachable even where a backend forgets late.
fn key(request: &SandboxRequest, generation: u64) -> Option<Vec<u8>> {
    let mut key = b"codegenie-exec/1\0".to_vec();
    let mut part = |bytes: &[u8]| {
        key.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        key.extend_from_slice(bytes);
    };
    part(&generation.to_le_bytes());
    part(request.program.as_encoded_bytes());
    part(&(request.args.len() as u64).to_le_bytes());
    for arg in &request.args {
        part(arg.as_encoded_bytes());
    }
    part(request.cwd.as_os_str().as_encoded_bytes());
    for (name, value) in &request.env {
        part(name.as_encoded_bytes());
        part(value.as_encoded_bytes());
    }
    part(&request.stdin);
    part(&serde_json::to_vec(&*request.policy).ok()?);
    Some(key)
}
