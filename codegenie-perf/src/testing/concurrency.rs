//! The laws that need several threads. What they say holds for every interleaving, so a correct
//! backend never fails them; a broken one fails when the interleaving comes up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::{Bench, ConformanceError};
use crate::CacheEntry;

const ROUNDS: u64 = 2_000;
const KEYS: u64 = 16;

/// A value that tells which key it belongs to and whether it is whole.
fn value(key: u64, round: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    let word = key << 32 | round;
    // The length varies with the round: a mix of two values shows.
    for _ in 0..(4 + round % 29) {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes
}

fn whole_value_of(bytes: &[u8], key: u64) -> bool {
    let Some(word) = bytes.first_chunk::<8>().map(|word| u64::from_be_bytes(*word)) else { return false };
    word >> 32 == key && bytes == value(key, word & 0xffff_ffff)
}

/// Runs `work` on several threads; the first breach of any thread counts.
fn on_threads(
    bench: &Bench<'_>,
    works: Vec<Box<dyn FnOnce() -> Result<(), ConformanceError> + Send + '_>>,
) -> Result<(), ConformanceError> {
    thread::scope(|scope| {
        let running: Vec<_> = works.into_iter().map(|work| scope.spawn(work)).collect();
        let ended: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ended
            .into_iter()
            .try_for_each(|end| end.unwrap_or_else(|_| Err(bench.broken("a call of the backend panicked"))))
    })
}

pub(super) fn reads(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let work = |thread: u64| {
        move || {
            for round in 0..ROUNDS {
                let key = (round * 7 + thread * 5) % KEYS;
                match (round + thread) % 5 {
                    0 | 1 => bench.put(&key.to_be_bytes(), &CacheEntry::new(value(key, round)).tag("t"))?,
                    2 if round % 50 == 2 => {
                        bench.ok("remove", bench.cache.remove(&key.to_be_bytes()))?;
                    }
                    3 if round % 100 == 3 => bench.ok("invalidate_tag", bench.cache.invalidate_tag("t"))?,
                    _ => {
                        if let Some(entry) = bench.get(&key.to_be_bytes())?
                            && !whole_value_of(&entry.value, key)
                        {
                            return Err(bench.broken(format!(
                                "while other threads put, get gave {} bytes that were never put under this key",
                                entry.value.len()
                            )));
                        }
                    }
                }
            }
            Ok(())
        }
    };
    on_threads(bench, (0..4).map(|thread| Box::new(work(thread)) as Box<_>).collect())
}

pub(super) fn tags(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    // Puts up to and with this number have returned.
    let put = AtomicU64::new(0);
    // Puts up to and with this number had returned when an invalidation began that has returned.
    let invalidated = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let (put, invalidated, done) = (&put, &invalidated, &done);
    const KEY: &[u8] = b"shared";

    let writer = move || {
        let result = (1..=ROUNDS).try_for_each(|number| {
            bench.put(KEY, &CacheEntry::new(number.to_be_bytes()).tag("t"))?;
            put.store(number, Ordering::SeqCst);
            Ok(())
        });
        done.store(true, Ordering::SeqCst);
        result
    };
    let invalidator = move || {
        while !done.load(Ordering::SeqCst) {
            let before = put.load(Ordering::SeqCst);
            bench.ok("invalidate_tag", bench.cache.invalidate_tag("t"))?;
            invalidated.fetch_max(before, Ordering::SeqCst);
            thread::yield_now();
        }
        Ok(())
    };
    let reader = move || {
        while !done.load(Ordering::SeqCst) {
            let floor = invalidated.load(Ordering::SeqCst);
            let Some(entry) = bench.get(KEY)? else { continue };
            let number = entry.value.first_chunk::<8>().map_or(0, |number| u64::from_be_bytes(*number));
            if number <= floor {
                return Err(bench.broken(format!(
                    "get gave the value of put {number} after an invalidation that began when put {floor} had returned"
                )));
            }
        }
        Ok(())
    };
    on_threads(bench, vec![Box::new(writer), Box::new(invalidator), Box::new(reader), Box::new(reader)])?;
    // At rest: whatever the last put left is gone after one more invalidation.
    bench.ok("invalidate_tag", bench.cache.invalidate_tag("t"))?;
    bench.expect_none(KEY, "at rest, after a last invalidation")
}
