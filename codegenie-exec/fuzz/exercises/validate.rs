//! What must hold for any bytes that are judged as a command. Shared by the fuzz target and by bounded tests that run
//! with the others.

use codegenie_exec::{CommandPolicy, CommandRequest, Decision};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

/// How long this thread has computed, in nanoseconds. What it waits for, other processes included, does not count. Nothing
/// where the kernel does not tell.
fn computed() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Judges bytes as a command line for a shell, and its words as a command without one, within a time that grows with their
/// number only.
pub(crate) fn validate(bytes: &[u8]) {
    /// A hundred times what most take; more where nothing is optimized.
    const SLOWER: u64 = if cfg!(debug_assertions) { 20 } else { 1 };
    let begun = computed();
    judged(bytes);
    if let Some((begun, ended)) = begun.zip(computed()) {
        let most = (100_000_000 + 50_000 * bytes.len() as u64) * SLOWER;
        let spent = ended.saturating_sub(begun);
        assert!(spent <= most, "{} bytes took {spent} ns, and {most} are enough", bytes.len());
    }
}

fn judged(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let policy = CommandPolicy::default();
    match policy.judge(&CommandRequest::shell(text.clone())) {
        Ok(verdict) => {
            assert!(!verdict.parts.is_empty() || verdict.decision != Decision::Allow);
            let strictest = verdict.parts.iter().map(|part| part.decision).max();
            assert!(strictest.is_none_or(|strictest| verdict.decision >= strictest), "{verdict:?}");
            if verdict.decision == Decision::Allow {
                let bash = Command::new("bash").args(["-n", "-c", &text]).output();
                let accepted = bash.expect("this compares with bash: install it").status.success();
                assert!(accepted, "allowed, and bash rejects it: {text:?}");
            }
        }
        // What is caught there would be a panic.
        Err(error) => assert!(!error.to_string().contains("gave up"), "{text:?}: {error}"),
    }
    stricter(&text, &policy);
    let words: Vec<&str> = text.split(' ').collect();
    let _ = policy.judge(&CommandRequest::argv(words));
}

/// A host's rules that only refuse and ask, of every kind.
static STRICTER: LazyLock<CommandPolicy> = LazyLock::new(|| {
    let rules = "[[rules]]\nprefix = ['ls', '-l']\ndecision = 'deny'\n\
                 [permissions]\ndeny = ['Read(**/*.env)', 'Bash(cat x*)', 'Edit(src/**)']\nask = ['Bash(git:*)', 'Read(//etc/**)']\n";
    CommandPolicy::from_toml(rules).expect("the rules are good")
});

/// Rules that only refuse and ask make nothing laxer, wherever it runs and whatever is set.
fn stricter(text: &str, policy: &CommandPolicy) {
    let workspace = Path::new("/ws");
    let elsewhere = text.chars().filter(|c| c.is_ascii_graphic()).take(8).collect::<String>();
    let value = text.chars().take(16).collect::<String>();
    let plain = CommandRequest::shell(text);
    for request in
        [plain.clone().cwd("/ws/sub"), plain.clone().cwd(format!("/ws/{elsewhere}")), plain.env("A", value)]
    {
        let decide =
            |policy: &CommandPolicy| policy.judge_in(&request, workspace).map(|verdict| verdict.decision);
        if let (Ok(before), Ok(after)) = (decide(policy), decide(&STRICTER)) {
            assert!(after >= before, "{before} became {after}: {request:?}");
        }
    }
}
