use super::*;

const CLIMBING: &str = "privilege_climbing";

fn only_climbing() -> DetectionRules {
    DetectionRules::new().denials(0).new_targets(0).odd_hours(false)
}

fn on(resource: &str, mut event: AuditEvent) -> AuditEvent {
    event.resource = resource.to_owned();
    event
}

fn doing(action: &str, mut event: AuditEvent) -> AuditEvent {
    event.action = action.to_owned();
    event
}

fn asked(seconds: u64, action: &str) -> AuditEvent {
    let mut event = denied(seconds).session("s");
    event.class = EventClass::Authorization;
    event.action = action.to_owned();
    event
}

fn raise(seconds: u64, level: i64, result: AuditResult) -> AuditEvent {
    let event = AuditEvent::new(EventClass::Authentication, "raise", "session").actor("alice").session("s");
    event.at(at(seconds)).result(result).detail("level", level)
}

#[test]
fn ever_stronger_refused_requests_are_climbing() {
    let mut detector = Detector::new(only_climbing());
    let events = ["read", "write", "write", "delete", "delete"].map(|action| asked(1, action));
    assert_eq!(found(&mut detector, events), [rule(3, CLIMBING)]);
}

#[test]
fn a_role_counts_as_what_it_gives() {
    let mut detector = Detector::new(only_climbing());
    let events = ["viewer", "developer", "admin"].map(|role| asked(1, "assume").detail("role", role));
    assert_eq!(found(&mut detector, events), [rule(2, CLIMBING)]);
}

#[test]
fn levels_that_go_up_are_climbing() {
    let mut detector = Detector::new(only_climbing().escalations(0));
    let results = [AuditResult::Success, AuditResult::Denied, AuditResult::Success];
    let events = (1..).zip(results).map(|(level, result)| raise(1, level, result));
    let findings: Vec<_> = events.flat_map(|event| detector.observe(&event)).collect();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].threat, ThreatLevel::High);
}

#[test]
fn repeated_denied_attempts_at_privileges_are_climbing() {
    for event in [
        |n| raise(n, 3, AuditResult::Denied),
        |n| on("/usr/bin/sudo ls", denied(n)),
        |n| denied(n).detail("class", "escalates"),
        |n| {
            let event = AuditEvent::new(EventClass::Configuration, "replace_policy", "access policy");
            event.actor("alice").result(AuditResult::Denied).at(at(n))
        },
    ] as [fn(u64) -> AuditEvent; 4]
    {
        let mut detector = Detector::new(only_climbing());
        assert_eq!(found(&mut detector, (0..6).map(event)), [rule(2, CLIMBING)]);
        let mut detector = Detector::new(only_climbing());
        assert_eq!(found(&mut detector, (0..20).map(|n| event(n * 200))), [], "slowly");
    }
}

#[test]
fn grants_beyond_one_run_are_told_when_they_pile_up() {
    let approval = |scope: &str| {
        AuditEvent::new(EventClass::Approval, "approve", "make")
            .actor("alice")
            .at(at(0))
            .detail("scope", scope)
    };
    let mut detector = Detector::new(only_climbing());
    assert_eq!(found(&mut detector, (0..20).map(|_| approval("Once"))), []);
    let findings: Vec<_> = (0..5).flat_map(|_| detector.observe(&approval("Session(3600s)"))).collect();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].threat, ThreatLevel::Medium);
    assert_eq!(text(&findings[0], "reason"), "3 grants that go beyond one run within 300 s");
}

#[test]
fn ordinary_work_is_not_climbing() {
    let mut detector = Detector::new(only_climbing());
    // What is allowed.
    let allowed = ["read", "write", "execute", "delete", "admin"].map(|action| doing(action, event(0)));
    assert_eq!(found(&mut detector, allowed), []);
    // The same again, or less.
    let same = ["delete", "delete", "write", "read", "delete", "read"].map(|action| asked(1, action));
    assert_eq!(found(&mut detector, same), []);
    // Of several sessions.
    let others = ["read", "write", "delete"].map(|action| asked(1000, action).session(action));
    assert_eq!(found(&mut detector, others), []);
    // With time between.
    let slow = (0..).zip(["read", "write", "delete"]).map(|(n, action)| asked(2000 + n * 301, action));
    assert_eq!(found(&mut detector, slow), []);
    // Words that mean nothing, and programs whose names only look like it.
    let odd = (0..30).map(|n| on("sudoku", asked(4000, &format!("do {n}"))));
    assert_eq!(found(&mut detector, odd), []);
}

#[test]
fn zero_turns_the_parts_off() {
    let mut detector = Detector::new(only_climbing().escalations(0).climbs(0).widenings(0));
    let events = (0..100).map(|n| raise(0, n, [AuditResult::Denied, AuditResult::Success][n as usize % 2]));
    assert_eq!(found(&mut detector, events), []);
}

/// A slight finding of a session does not hold back a grave one of it.
#[test]
fn grants_that_pile_up_hide_no_denied_attempts() {
    let mut detector = Detector::new(only_climbing().climbs(0));
    let grants = (0..3).map(|n| raise(n, 1, AuditResult::Success));
    let attempts = (3..6).map(|n| on("sudo ls", denied(n).session("s")));
    let findings: Vec<_> = grants.chain(attempts).flat_map(|event| detector.observe(&event)).collect();
    let threats: Vec<_> = findings.iter().map(|finding| finding.threat).collect();
    assert_eq!(threats, [ThreatLevel::Medium, ThreatLevel::High]);
}
