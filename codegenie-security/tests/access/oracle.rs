//! Patterns and decisions against naive oracles that are written from the documentation alone.

use std::collections::BTreeSet;

use codegenie_security::{AccessRequest, Effect, Pattern, Policy, Role};
use proptest::prelude::*;

/// Does `pattern` match the whole of `text`? By trying every way.
fn oracle_matches(pattern: &[char], text: &[char]) -> bool {
    let separator = |c: char| c == '/' || c == ':';
    match pattern {
        [] => text.is_empty(),
        ['*', '*'] => true,
        ['*', '*', sep, rest @ ..] => {
            oracle_matches(rest, text)
                || (0..text.len()).any(|end| text[end] == *sep && oracle_matches(rest, &text[end + 1..]))
        }
        ['*', rest @ ..] => {
            oracle_matches(rest, text)
                || text.first().is_some_and(|c| !separator(*c) && oracle_matches(pattern, &text[1..]))
        }
        ['?', rest @ ..] => text.first().is_some_and(|c| !separator(*c) && oracle_matches(rest, &text[1..])),
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
            text.first() == Some(literal) && oracle_matches(rest, &text[1..])
        }
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

#[test]
fn the_documented_examples_hold() {
    let cases = [
        ("**", "", true),
        ("**", "/any:thing/at all", true),
        ("/src/**", "/src/", true),
        ("/src/**", "/src/a/b", true),
        ("/src/**", "/src", false),
        ("/src/**", "/srcs/a", false),
        ("/src/**/mod.rs", "/src/mod.rs", true),
        ("/src/**/mod.rs", "/src/a/b/mod.rs", true),
        ("/src/**/mod.rs", "/src/amod.rs", false),
        ("**/x", "x", true),
        ("**/x", "/a/x", true),
        ("**/x", "/a/bx", false),
        ("**:x", "a/b:x", true),
        ("/a/*", "/a/b", true),
        ("/a/*", "/a/", true),
        ("/a/*", "/a/b/c", false),
        ("/a/*.rs", "/a/.rs", true),
        ("command:*", "command:git", true),
        ("command:*", "command:a:b", false),
        ("command:**", "command:a:b/c", true),
        ("command:git", "command:git ", false),
        ("command:git", "Command:git", false),
        ("/a?c", "/abc", true),
        ("/a?c", "/a/c", false),
        ("/a?c", "/aéc", true),
        ("/a\\*", "/a*", true),
        ("/a\\*", "/ab", false),
        ("/a\\\\b", "/a\\b", true),
        ("file:/**/k*y/*", "file:/a/b/key/c", true),
    ];
    for (pattern, text, expected) in cases {
        let parsed: Pattern = pattern.parse().unwrap();
        assert_eq!(parsed.matches(text), expected, "{pattern} on {text}");
        assert_eq!(oracle_matches(&chars(pattern), &chars(text)), expected, "oracle: {pattern} on {text}");
    }
}

#[test]
fn many_wildcards_take_no_exponential_time() {
    let pattern: Pattern = format!("{}b", "*a".repeat(64)).parse().unwrap();
    assert!(!pattern.matches(&"a".repeat(4000)));
    let pattern: Pattern = format!("{}x", "**/".repeat(64)).parse().unwrap();
    assert!(!pattern.matches(&"a/".repeat(2000)));
}

fn pattern_text() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => "[ab]{1,2}",
        2 => Just("*".to_owned()),
        2 => Just("**".to_owned()),
        1 => "[ab]?\\*[ab]?",
        1 => "[ab?]{1,2}",
        1 => "\\\\[*?ab]",
    ];
    (prop::collection::vec((segment, "[/:]"), 1..5), "[/]?").prop_map(|(parts, lead)| {
        let mut text = lead;
        let last = parts.len() - 1;
        for (index, (segment, separator)) in parts.into_iter().enumerate() {
            text.push_str(&segment);
            if index < last {
                text.push_str(&separator);
            }
        }
        text
    })
}

fn resource() -> impl Strategy<Value = String> {
    "[/]?[ab*]{0,2}([/:][ab*]{1,2}){0,4}[/]?".prop_filter("canonical", |text| Pattern::is_canonical(text))
}

const ROLES: [&str; 5] = ["r0", "r1", "r2", "r3", "r4"];
const ACTIONS: [&str; 3] = ["read", "write", "*"];

/// A role: whether it inherits from each later one, and its permissions.
type RoleSpec = (Vec<bool>, Vec<(bool, usize, String)>);

fn role_specs() -> impl Strategy<Value = Vec<RoleSpec>> {
    let permission = (prop::bool::weighted(0.7), 0..ACTIONS.len(), pattern_text());
    let role = (prop::collection::vec(prop::bool::weighted(0.3), 5), prop::collection::vec(permission, 0..4));
    prop::collection::vec(role, 5)
}

/// All roles that these reach, by repeating until nothing is added.
fn reach(specs: &[RoleSpec], start: &[usize]) -> BTreeSet<usize> {
    let mut reached: BTreeSet<usize> = start.iter().copied().collect();
    loop {
        let before = reached.len();
        for role in reached.clone() {
            reached.extend((role + 1..5).filter(|parent| specs[role].0[*parent]));
        }
        if reached.len() == before {
            return reached;
        }
    }
}

proptest! {
    #[test]
    fn patterns_match_as_the_oracle_says(pattern in pattern_text(), text in resource()) {
        let parsed: Pattern = pattern.parse().unwrap();
        prop_assert_eq!(parsed.matches(&text), oracle_matches(&chars(&pattern), &chars(&text)));
    }

    #[test]
    fn any_text_parses_or_is_refused_without_a_panic(pattern in any::<String>(), text in any::<String>()) {
        if let Ok(parsed) = pattern.parse::<Pattern>() {
            prop_assert_eq!(parsed.matches(&text), oracle_matches(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn decisions_are_as_the_oracle_says(
        specs in role_specs(),
        given in prop::collection::btree_set(0..5_usize, 0..4),
        active in prop::collection::btree_set(0..5_usize, 0..4),
        action in 0..2_usize,
        text in resource(),
    ) {
        let mut builder = Policy::builder().user("u", given.iter().map(|role| ROLES[*role]));
        for (index, (parents, permissions)) in specs.iter().enumerate() {
            let mut role = Role::new(ROLES[index]);
            for parent in (index + 1..5).filter(|parent| parents[*parent]) {
                role = role.inherits(ROLES[parent]);
            }
            for (allow, action, pattern) in permissions {
                let permission = format!("{}:{pattern}", ACTIONS[*action]);
                role = if *allow { role.allow(permission) } else { role.deny(permission) };
            }
            builder = builder.role(role);
        }
        let policy = builder.build().unwrap();

        let some_rule = |roles: &[usize], wanted: bool| {
            reach(&specs, roles).into_iter().any(|role| {
                specs[role].1.iter().any(|(allow, rule_action, pattern)| {
                    *allow == wanted
                        && (ACTIONS[*rule_action] == "*" || ACTIONS[*rule_action] == ACTIONS[action])
                        && oracle_matches(&chars(pattern), &chars(&text))
                })
            })
        };
        let all: Vec<usize> = given.iter().copied().collect();
        let acting: Vec<usize> = given.intersection(&active).copied().collect();
        let expected = some_rule(&acting, true) && !some_rule(&all, false);

        let roles: Vec<String> = active.iter().map(|role| ROLES[*role].to_owned()).collect();
        let request = AccessRequest::new("u", ACTIONS[action], &text).roles(&roles);
        let decision = policy.decide(&request);
        prop_assert_eq!(decision.is_allowed(), expected, "{}", decision);

        // Where the whole of it is explained, some rule that counts is of the effect that was decided, and the
        // rule that is named matches.
        let explanation = policy.explain(&request);
        prop_assert_eq!(&explanation.decision, &decision);
        let counting = |effect| {
            explanation.considered.iter().any(|one| one.counts && one.rule.effect() == effect)
        };
        let explained = counting(Effect::Allow) && !counting(Effect::Deny);
        prop_assert_eq!(decision.is_allowed(), explained, "{}", explanation);
        if let Some(rule) = decision.rule() {
            prop_assert!(rule.resource().matches(&text));
        }
    }
}

/// As many that tables grow and places in them are shared: each is found, and what is next to it is not.
#[test]
fn each_of_many_grants_is_found_and_no_other() {
    const COUNT: usize = 20_000;
    let name = |number: usize| format!("project-{}/src/file-{number}.rs", number % 97);
    let role = (0..COUNT).fold(Role::new("r"), |role, number| match number % 4 {
        0 => role.allow(format!("read:{}", name(number))),
        1 => role.allow(format!("*:{}", name(number))),
        2 => role.allow(format!("read:{}", name(number))).deny(format!("read:{}", name(number))),
        _ => role.allow(format!("read:project-{}/*/file-{number}.rs", number % 97)),
    });
    let policy = Policy::builder()
        .role(role)
        .role(Role::new("other").allow("read:**"))
        .user("u", ["r"])
        .user("v", ["other"]);
    let policy = policy.build().unwrap();
    for number in 0..COUNT {
        let name = name(number);
        let may = |action| policy.decide(&AccessRequest::new("u", action, &name)).is_allowed();
        assert_eq!((may("read"), may("write")), (number % 4 != 2, number % 4 == 1), "{name}");
        let beside = format!("{name}x");
        assert!(!policy.decide(&AccessRequest::new("u", "read", &beside)).is_allowed());
        assert!(policy.decide(&AccessRequest::new("v", "read", &name)).is_allowed());
    }
}
