//! `Optimizer` through its public interface.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use codegenie_perf::{
    BytesCodec, CacheBackend, CacheEntry, CacheError, CacheErrorKind, CacheStats, FnCodec, ManualClock,
    MemoryCache, NoCache, Operation, Optimizer, Strategy, TextCodec,
};

const MINUTE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);

#[derive(Debug, PartialEq)]
struct Broken(u32);

fn setup() -> (Optimizer<MemoryCache>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let cache = MemoryCache::builder(1 << 20).clock(clock.clone()).build();
    (Optimizer::new(cache).clock(clock.clone()).strategy(Strategy::caching(MINUTE).tag("repo")), clock)
}

fn run<C: CacheBackend>(optimizer: &Optimizer<C>, name: &str, key: &str, text: &str) -> String {
    optimizer
        .optimize_operation(&Operation::new(name, key), &TextCodec, || Ok::<_, Broken>(text.to_owned()))
        .unwrap()
}

#[test]
fn results_are_kept_by_name_and_key_until_they_expire_or_are_invalidated() {
    let (optimizer, clock) = setup();
    assert_eq!(run(&optimizer, "a", "k", "first"), "first");
    assert_eq!(run(&optimizer, "a", "k", "second"), "first");
    assert_eq!(run(&optimizer, "a", "other", "second"), "second");
    assert_eq!(run(&optimizer, "b", "k", "third"), "third");
    clock.advance(MINUTE);
    assert_eq!(run(&optimizer, "a", "k", "fourth"), "fourth");
    optimizer.cache().invalidate_tag("repo").unwrap();
    assert_eq!(run(&optimizer, "a", "k", "fifth"), "fifth");
}

#[test]
fn measures_what_caching_bought() {
    let (optimizer, clock) = setup();
    assert_eq!(optimizer.stats("slow"), None);
    for call in 0..10_u64 {
        let key = (call % 2).to_be_bytes();
        optimizer
            .optimize_operation(&Operation::new("slow", &key), &BytesCodec, || {
                clock.advance(30 * MS * (1 + key[7] as u32));
                Ok::<_, Broken>(vec![1, 2, 3])
            })
            .unwrap();
    }
    let stats = optimizer.stats("slow").unwrap();
    assert_eq!((stats.calls, stats.hits, stats.misses, stats.computed), (10, 8, 2, 2));
    assert_eq!(stats.compute_time, 90 * MS);
    assert_eq!(stats.mean_compute_time(), Some(45 * MS));
    assert_eq!(stats.estimated_time_saved(), Some(8 * 45 * MS));
    assert_eq!(stats.hit_ratio(), Some(0.8));
}

#[test]
fn errors_come_back_untouched_and_are_not_kept() {
    let (optimizer, _) = setup();
    let fail = |n| optimizer.optimize_operation(&Operation::new("f", "k"), &BytesCodec, || Err(Broken(n)));
    assert_eq!(fail(1), Err(Broken(1)));
    assert_eq!(fail(2), Err(Broken(2)));
    let stats = optimizer.stats("f").unwrap();
    assert_eq!((stats.errors, stats.computed, stats.hits), (2, 0, 0));
    assert_eq!(stats.estimated_time_saved(), None);
    assert_eq!(optimizer.cache().stats().puts, 0);
}

struct Down;

impl CacheBackend for Down {
    fn get(&self, _: &[u8]) -> Result<Option<CacheEntry>, CacheError> {
        Err(CacheError::new(CacheErrorKind::Unavailable, "down"))
    }
    fn put(&self, _: &[u8], _: CacheEntry) -> Result<(), CacheError> {
        Err(CacheError::new(CacheErrorKind::Unavailable, "down"))
    }
    fn remove(&self, _: &[u8]) -> Result<bool, CacheError> {
        Ok(false)
    }
    fn invalidate_tag(&self, _: &str) -> Result<(), CacheError> {
        Ok(())
    }
    fn clear(&self) -> Result<(), CacheError> {
        Ok(())
    }
    fn stats(&self) -> CacheStats {
        CacheStats::default()
    }
}

#[test]
fn a_failing_cache_is_counted_and_the_value_computed() {
    let optimizer = Optimizer::new(Down).strategy(Strategy::caching(MINUTE));
    assert_eq!(run(&optimizer, "a", "k", "computed"), "computed");
    let stats = optimizer.stats("a").unwrap();
    assert_eq!((stats.cache_errors, stats.misses, stats.computed), (2, 1, 1));
}

#[test]
fn bytes_that_the_codec_cannot_read_are_replaced() {
    let (optimizer, _) = setup();
    let operation = Operation::new("n", "k");
    let old = |_: ()| optimizer.optimize_operation(&operation, &BytesCodec, || Ok::<_, Broken>(vec![1]));
    old(()).unwrap();
    let codec = FnCodec::new(
        |n: &u64| Ok(n.to_be_bytes().to_vec()),
        |bytes| Ok(u64::from_be_bytes(bytes.try_into()?)),
    );
    for _ in 0..2 {
        assert_eq!(optimizer.optimize_operation(&operation, &codec, || Ok::<_, Broken>(7)), Ok(7));
    }
    let stats = optimizer.stats("n").unwrap();
    assert_eq!((stats.codec_errors, stats.hits, stats.misses), (1, 1, 2));

    let cannot = FnCodec::new(|_: &u64| Err("never".into()), |_| Ok(0));
    let result = optimizer.optimize_operation(&Operation::new("c", "k"), &cannot, || Ok::<_, Broken>(9));
    assert_eq!(result, Ok(9));
    assert_eq!(optimizer.stats("c").unwrap().codec_errors, 1);
}

#[test]
fn strategies_of_a_call_take_the_place_of_the_usual_ones() {
    let (optimizer, clock) = setup();
    let call = |operation: Operation<'_>, text: &str| {
        optimizer.optimize_operation(&operation, &TextCodec, || Ok::<_, Broken>(text.to_owned())).unwrap()
    };
    let short = || Operation::new("a", "k").strategy(Strategy::caching(MS).tag("own"));
    assert_eq!(call(short(), "1"), "1");
    clock.advance(MS);
    assert_eq!(call(short(), "2"), "2");
    optimizer.cache().invalidate_tag("repo").unwrap();
    assert_eq!(call(short(), "3"), "2");
    assert_eq!(call(short().measured_only(), "4"), "4");
}

#[test]
fn a_cache_that_is_off_costs_no_encoding() {
    let optimizer = Optimizer::new(NoCache).strategy(Strategy::caching(MINUTE));
    let cannot = FnCodec::new(|_: &u64| Err("must not be called".into()), |_| Err("nor this".into()));
    assert_eq!(
        optimizer.optimize_operation(&Operation::new("a", "k"), &cannot, || Ok::<_, Broken>(1)),
        Ok(1)
    );
    let stats = optimizer.stats("a").unwrap();
    assert_eq!((stats.codec_errors, stats.misses, stats.computed), (0, 1, 1));
}

#[test]
fn operation_names_are_bounded() {
    let optimizer = Optimizer::new(NoCache);
    for n in 0..2_000 {
        run(&optimizer, &format!("name-{n}"), "k", "v");
    }
    let all = optimizer.all_stats();
    assert_eq!(all.len(), 1_025);
    assert_eq!(all["(other operations)"].calls, 2_000 - 1_024);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Pending once, then ready.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(
        move |_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

#[test]
fn async_operations_are_cached_alike_and_their_future_is_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (optimizer, clock) = setup();
    for _ in 0..3 {
        let operation = Operation::new("a", "k");
        let future = optimizer.optimize_operation_async(&operation, &TextCodec, async {
            pause().await;
            clock.advance(5 * MS);
            Ok::<_, Broken>("value".to_owned())
        });
        assert_eq!(block_on(is_send(future)).unwrap(), "value");
    }
    let stats = optimizer.stats("a").unwrap();
    assert_eq!((stats.hits, stats.misses, stats.compute_time), (2, 1, 5 * MS));
    let operation = Operation::new("e", "k");
    let failed = optimizer.optimize_operation_async(&operation, &TextCodec, async { Err(Broken(3)) });
    assert_eq!(block_on(failed), Err(Broken(3)));
}

#[test]
fn a_dropped_future_stores_nothing() {
    let (optimizer, _) = setup();
    let operation = Operation::new("a", "k");
    {
        let mut future = pin!(optimizer.optimize_operation_async(&operation, &TextCodec, async {
            pause().await;
            Ok::<_, Broken>(String::new())
        }));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(optimizer.cache().stats().puts, 0);
    let stats = optimizer.stats("a").unwrap();
    assert_eq!((stats.calls, stats.misses, stats.computed, stats.errors), (1, 1, 0, 0));
}

#[test]
fn public_types_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<Optimizer<MemoryCache>>();
    check::<Operation<'_>>();
    check::<Strategy>();
    check::<TextCodec>();
}
