//! Requests that do not say when: what is limited in time permits nothing, and forbids.

use std::time::{Duration, SystemTime};

use codegenie_security::{AccessRequest, Condition, Permission, Policy, Reason, Role};

use crate::start;

fn at_all_times() -> Condition {
    Condition::new().hours(0, 24 * 60)
}

#[test]
fn a_request_without_a_time_revives_nothing_that_ended() {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let policy = Policy::builder()
        .role(Role::new("d").allow(Permission::new("a:b").until(end)).allow("a:always"))
        .user("alice", ["d"])
        .user_until("bob", "d", end)
        .build()
        .unwrap();
    let ask = |user, resource| AccessRequest::new(user, "a", resource);
    assert!(matches!(policy.decide(&ask("alice", "b")).reason(), Reason::Unmet(_)));
    assert!(matches!(policy.decide(&ask("bob", "always")).reason(), Reason::Unmet(_)));
    assert!(policy.decide(&ask("alice", "always")).is_allowed(), "what has no end needs no time");
    let before = end - Duration::from_secs(1);
    assert!(policy.decide(&ask("alice", "b").at(before)).is_allowed());
    assert!(policy.decide(&ask("bob", "always").at(before)).is_allowed());
    // Nor does one whose time was never ours.
    let long_ago = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert!(!policy.decide(&ask("alice", "b").at(long_ago)).is_allowed());
}

#[test]
fn prohibitions_that_are_limited_in_time_count_where_no_time_is_said() {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let policy = Policy::builder()
        .role(Role::new("d").allow("*:**"))
        .role(Role::new("strict").deny("a:of-role"))
        .user("u", ["d"])
        .user_until("u", "strict", end)
        .revoke("u", Permission::new("a:ended").until(end))
        .revoke("u", Permission::new("a:hours").when(at_all_times()))
        .revoke("u", Permission::new("a:night").when(Condition::new().hours(0, 60)))
        .revoke("u", Permission::new("a:raised").when(at_all_times().level(1)))
        .build()
        .unwrap();
    let ask = |resource| AccessRequest::new("u", "a", resource);
    for resource in ["of-role", "ended", "hours", "night"] {
        assert!(matches!(policy.decide(&ask(resource)).reason(), Reason::Denied(_)), "{resource}");
    }
    // The rest of a condition is held against what is said.
    assert!(policy.decide(&ask("raised")).is_allowed());
    assert!(!policy.decide(&ask("raised").level(1)).is_allowed());
    for resource in ["of-role", "ended", "night"] {
        assert!(policy.decide(&ask(resource).at(start())).is_allowed(), "{resource}");
    }
}

#[test]
fn hours_and_weekdays_permit_only_at_a_time_that_is_said() {
    let policy = Policy::builder()
        .role(
            Role::new("d")
                .allow(Permission::new("a:hours").when(at_all_times()))
                .allow(Permission::new("a:days").when(Condition::new().weekdays("mon-sun").unwrap())),
        )
        .user("u", ["d"])
        .build()
        .unwrap();
    for resource in ["hours", "days"] {
        let request = AccessRequest::new("u", "a", resource);
        assert!(matches!(policy.decide(&request).reason(), Reason::Unmet(_)), "{resource}");
        assert!(policy.decide(&request.at(start())).is_allowed(), "{resource}");
        // What is explained is what is decided.
        let explanation = policy.explain(&request);
        assert!(explanation.considered.iter().all(|one| !one.counts), "{explanation}");
    }
}
