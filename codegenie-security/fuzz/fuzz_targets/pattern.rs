//! Patterns and names: no panic, no exponential time, and a policy that finds what the pattern matches.
#![no_main]

use codegenie_security::{AccessRequest, Pattern, Policy, Role};

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (pattern, name) = input;
    let Ok(parsed) = pattern.parse::<Pattern>() else { return };
    let expected = parsed.matches(name) && Pattern::is_canonical(name);
    let policy =
        Policy::builder().role(Role::new("r").allow(format!("a:{pattern}"))).user("u", ["r"]).build();
    let policy = policy.expect("the pattern is well-formed");
    assert_eq!(policy.decide(&AccessRequest::new("u", "a", name)).is_allowed(), expected);
});
