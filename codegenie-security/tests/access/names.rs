//! Names and patterns: one way to write each, and bounds on what a check costs.

use codegenie_security::{AccessRequest, Attenuation, Pattern, Policy, Reason, Role, SessionRequest};
use proptest::prelude::*;

use crate::control;

#[test]
fn patterns_with_many_wildcards_or_a_long_end_are_refused() {
    let parse = |text: String| text.parse::<Pattern>();
    let error = parse("*a".repeat(2000)).unwrap_err().to_string();
    assert!(error.contains("64 wildcards"), "{error}");
    assert!(error.len() < 400, "a long pattern is not repeated in full");
    parse("*a".repeat(64)).unwrap();
    assert!(
        parse("*a".repeat(65)).is_err()
            && parse("a?".repeat(65)).is_err()
            && parse("**/".repeat(65) + "x").is_err()
    );
    // What follows the first wildcard is bounded, what stands before it is only as long as a name may be.
    parse(format!("/{}/*", "a".repeat(4000))).unwrap();
    parse(format!("*{}", "a".repeat(511))).unwrap();
    assert!(parse(format!("*{}", "a".repeat(512))).is_err());
    assert!(parse("a".repeat(4097)).is_err());
    assert!(Attenuation::new().only(["read:".to_owned() + &"*a".repeat(2000)]).is_err());
}

#[test]
fn names_that_are_very_long_are_denied_unread() {
    let role = Role::new("r").allow("read:**");
    let (access, _) = control(Policy::builder().role(role).user("u", ["r"]).build().unwrap());
    let (_, session) = access.open_session(SessionRequest::new("u")).unwrap();
    let (_, child) = access.attenuate(&session, Attenuation::new().only(["read:**"]).unwrap()).unwrap();
    let (longest, longer) = ("a".repeat(4096), "a".repeat(4097));
    assert!(Pattern::is_canonical(&longest) && !Pattern::is_canonical(&longer));
    for session in [&session, &child] {
        assert!(access.permit(session, "read", &longest).is_allowed());
        assert_eq!(access.permit(session, "read", &longer).reason(), &Reason::NotCanonical);
    }
}

#[test]
fn only_the_root_of_a_first_segment_ends_in_a_slash() {
    for name in ["/", "c:/", "file:/"] {
        assert!(Pattern::is_canonical(name), "{name}");
    }
    for name in ["/data/c:/", "a:b:/", "file:c:/", ":/", "/:/", "file:/a/", "a/"] {
        assert!(!Pattern::is_canonical(name), "{name}");
    }
    let policy = Policy::builder()
        .role(Role::new("d").allow("read:**").deny("read:/data/c:"))
        .user("a", ["d"])
        .build()
        .unwrap();
    let ask = |name| policy.decide(&AccessRequest::new("a", "read", name));
    assert!(matches!(ask("/data/c:").reason(), Reason::Denied(_)));
    assert_eq!(ask("/data/c:/").reason(), &Reason::NotCanonical);
}

#[test]
fn a_pattern_that_can_never_match_is_refused() {
    for text in [
        "/src/\\.\\./x",
        "/src/\\..",
        "/src/.\\./x",
        "/src/\\./x",
        "\\.",
        "/a\\//b",
        "/a/\\/b",
        "/a\\/",
        "x:\\/\\/",
        "a\\\0",
    ] {
        assert!(text.parse::<Pattern>().is_err(), "{text:?}");
    }
    for (text, name) in [
        ("/src/\\.a", "/src/.a"),
        ("a\\/b", "a/b"),
        ("\\/", "/"),
        ("c\\:\\/", "c:/"),
        ("*:/", "c:/"),
        ("/.*", "/.a"),
        ("/?", "/a"),
    ] {
        assert!(text.parse::<Pattern>().unwrap().matches(name), "{text:?} on {name:?}");
    }
}

proptest! {
    /// Whatever is taken matches some canonical name, of which this is one.
    #[test]
    fn each_pattern_that_is_taken_matches_something(text in "([ab.*?/:]|\\\\[a./:*]){1,8}") {
        if let Ok(pattern) = text.parse::<Pattern>() {
            let (mut name, mut escaped) = (String::new(), false);
            let mut characters = text.chars().peekable();
            while let Some(character) = characters.next() {
                match character {
                    '\\' if !escaped => { escaped = true; continue }
                    '*' if !escaped => { characters.next_if_eq(&'*'); name.push('x') }
                    '?' if !escaped => name.push('x'),
                    literal => name.push(literal),
                }
                escaped = false;
            }
            prop_assert!(Pattern::is_canonical(&name) && pattern.matches(&name), "{} {}", text, name);
        }
    }
}
