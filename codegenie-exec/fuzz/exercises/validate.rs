//! What must hold for any bytes that are judged as a command. Shared by the fuzz target and by bounded tests that run
//! with the others.

use codegenie_exec::{CommandPolicy, CommandRequest, Decision};
use std::process::Command;

/// Judges bytes as a command line for a shell, and its words as a command without one.
pub(crate) fn validate(bytes: &[u8]) {
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
    let words: Vec<&str> = text.split(' ').collect();
    let _ = policy.judge(&CommandRequest::argv(words));
}
