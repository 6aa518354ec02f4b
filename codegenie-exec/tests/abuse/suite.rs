//! What an injected agent would try: each attempt is shown to succeed without the sandbox, in a
//! process made for it, and to fail with it, the host unharmed.
//!
//! The attempts are numbered, `/// N: name` above the test. What a machine or an ordinary user
//! cannot be made to do even without the sandbox is listed in `attempts.rs` (`NOT_EVERYWHERE`), with
//! what it would need; there the refusal is asserted on both sides, and printed.

mod attempts;
mod filesystem;
mod kernel_surface;
mod leakage;
mod lifetime;
mod network;
mod privilege;
mod processes;
mod resources;

use std::collections::BTreeMap;

/// Attempts that other tests make.
const ELSEWHERE: &[(u32, &str)] = &[
    (31, "forged user.overlay attributes: tests/overlay.rs"),
    (58, "DNS rebinding, which needs a network by domain: tests/network.rs"),
];

const COUNT: u32 = 67;

/// Every attempt has a test here, or is named above with the place of its test.
#[test]
fn every_attempt_is_covered() {
    let sources = [
        include_str!("resources.rs"),
        include_str!("lifetime.rs"),
        include_str!("filesystem.rs"),
        include_str!("privilege.rs"),
        include_str!("processes.rs"),
        include_str!("kernel_surface.rs"),
        include_str!("network.rs"),
        include_str!("leakage.rs"),
    ];
    let mut covered: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for source in sources {
        let lines: Vec<&str> = source.lines().collect();
        for (place, line) in lines.iter().enumerate() {
            let Some((number, what)) = line.strip_prefix("/// ").and_then(|text| text.split_once(": "))
            else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            let test = lines[place..].iter().take(12).find(|line| !line.starts_with("///")).unwrap();
            assert!(test.starts_with("#[tokio::test") || *test == "#[test]", "{number}: {what} is no test");
            covered.entry(number).or_default().push(what);
        }
    }
    for (number, what) in ELSEWHERE {
        covered.entry(*number).or_default().push(what);
    }
    let missing: Vec<u32> = (1..=COUNT).filter(|number| !covered.contains_key(number)).collect();
    assert!(missing.is_empty(), "attempts without a test: {missing:?}");
    assert_eq!(covered.len(), usize::try_from(COUNT).unwrap(), "{covered:?}");
}
