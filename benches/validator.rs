//! What share of real commands runs without a question, and what a judgement costs.
//!
//! `cargo bench --bench validator`. The commands are data beside the project, in
//! `../shared/data/commands` or where `CODEGENIE_COMMANDS` says; without them there is nothing to measure.

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_exec::{CommandPolicy, CommandRequest, Decision};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Which file, what its figure is called, and the share in percent that may or should be allowed.
const SETS: [(&str, &str, Goal); 6] = [
    ("gtfobins", "validator_gtfobins_allowed", Goal::AtMost(0.3)),
    ("canary", "validator_canaries_allowed", Goal::AtMost(0.0)),
    ("atomic-linux", "validator_atomic_allowed", Goal::AtMost(0.0)),
    ("tldr-destructive", "validator_tldr_destructive_allowed", Goal::AtMost(0.5)),
    ("tldr-readonly", "validator_tldr_readonly_allowed", Goal::AtLeast(40.0)),
    ("nl2bash", "validator_nl2bash_allowed", Goal::AtLeast(55.0)),
];

fn main() -> Result<(), Box<dyn Error>> {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let directory = std::env::var_os("CODEGENIE_COMMANDS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/commands"),
        PathBuf::from,
    );
    if !directory.is_dir() {
        println!("skipped: no commands to judge; name their folder by CODEGENIE_COMMANDS");
        return Ok(());
    }
    let policy = CommandPolicy::default();
    let mut times = Vec::new();
    for (file, name, goal) in SETS {
        let text = std::fs::read_to_string(directory.join(file).with_extension("jsonl"))?;
        let most = if is_bench { usize::MAX } else { 50 };
        let mut allowed = 0usize;
        let mut judged = 0usize;
        for line in text.lines().take(most) {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let command = row.get("command").and_then(serde_json::Value::as_str).ok_or("no command")?;
            let request = CommandRequest::shell(command);
            let since = Instant::now();
            let verdict = policy.judge(&request);
            times.push(since.elapsed());
            judged += 1;
            allowed += usize::from(verdict.is_ok_and(|verdict| verdict.decision == Decision::Allow));
        }
        let share = 100.0 * allowed as f64 / judged.max(1) as f64;
        println!("{file}: {allowed} of {judged} allowed");
        figure(name, share, "%", goal);
    }
    let mean =
        times.iter().map(std::time::Duration::as_secs_f64).sum::<f64>() * 1e6 / times.len().max(1) as f64;
    println!(
        "median {:.1} us, 99th percentile {:.1} us",
        quantile_us(&times, 0.5),
        quantile_us(&times, 0.99)
    );
    figure("validator_mean", mean, "us", Goal::AtMost(20.0));
    Ok(())
}
