//! An expensive operation with caching: what it cost, what the cache saved.
//!
//! `cargo run --example optimize_operation`

use codegenie_perf::{MemoryCache, Operation, Optimizer, Strategy, TextCodec};
use std::convert::Infallible;
use std::time::Duration;

/// Counts the primes below `n` the slow way.
fn report(n: u32) -> String {
    let primes = (2..n).filter(|i| (2..*i).take_while(|d| d * d <= *i).all(|d| i % d != 0)).count();
    format!("{primes} primes below {n}")
}

fn main() -> Result<(), Infallible> {
    let optimizer = Optimizer::new(MemoryCache::new(1 << 20))
        .strategy(Strategy::caching(Duration::from_secs(60)).tag("primes"));

    // An agent asks the same things again and again.
    for n in [200_000, 300_000, 200_000, 200_000, 300_000, 400_000, 200_000] {
        let key = format!("below {n}");
        let operation = Operation::new("prime report", &key);
        let text = optimizer.optimize_operation(&operation, &TextCodec, || Ok::<_, Infallible>(report(n)))?;
        println!("{text}");
    }

    for (name, stats) in optimizer.all_stats() {
        println!("\n{name}: {} calls, {} hits, {} misses", stats.calls, stats.hits, stats.misses);
        if let (Some(mean), Some(saved)) = (stats.mean_compute_time(), stats.estimated_time_saved()) {
            println!("computing takes {mean:.1?} on average; the cache saved about {saved:.1?}");
        }
        if let Some(ratio) = stats.hit_ratio() {
            println!("hit ratio {:.0} %", ratio * 100.0);
        }
    }
    Ok(())
}
