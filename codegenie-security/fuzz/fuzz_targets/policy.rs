//! Texts that claim to be policies: no panic, an error that fits on a line, and a policy that decides as it explains.
#![no_main]

use codegenie_security::{AccessRequest, Effect, Policy, PolicyFormat};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for format in [PolicyFormat::Toml, PolicyFormat::Json] {
        match Policy::parse(text, format) {
            Err(error) => assert!(!error.to_string().contains('\n')),
            Ok(policy) => {
                let _ = policy.lint(std::time::SystemTime::UNIX_EPOCH);
                for (user, action, resource) in [("u", "a", "x"), ("alice", "read", "/src/a"), ("", "", "")] {
                    let explanation = policy.explain(&AccessRequest::new(user, action, resource));
                    let counts = |effect| {
                        explanation.considered.iter().any(|one| one.counts && one.rule.effect() == effect)
                    };
                    let allowed = counts(Effect::Allow) && !counts(Effect::Deny);
                    let decided = explanation.decision.is_allowed();
                    assert!(decided == allowed || !codegenie_security::Pattern::is_canonical(resource));
                }
            }
        }
    }
});
