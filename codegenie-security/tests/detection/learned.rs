use super::*;
use proptest::prelude::*;

const TARGET: &str = "new_network_target";

fn connect(seconds: u64, target: &str) -> AuditEvent {
    AuditEvent::new(EventClass::NetworkActivity, "connect", target)
        .actor("alice")
        .agent("coder")
        .at(at(seconds))
}

fn only_targets() -> DetectionRules {
    DetectionRules::new().denials(0).escalations(0).climbs(0).widenings(0).odd_hours(false)
}

/// One that knows a week of the agent `coder`.
fn experienced(rules: DetectionRules) -> Detector {
    let mut detector = Detector::new(rules);
    let week = (0..7).map(|day| connect(day * DAY, ["crates.io:443", "example.org:443"][day as usize % 2]));
    assert_eq!(found(&mut detector, week), []);
    detector
}

#[test]
fn a_host_that_was_never_seen_is_told_once() {
    let mut detector = experienced(only_targets());
    let later = [
        connect(7 * DAY, "crates.io:443"),
        connect(7 * DAY, "paste.example:443"),
        connect(7 * DAY, "paste.example:8080"),
        connect(8 * DAY, "paste.example:443"),
    ];
    assert_eq!(found(&mut detector, later), [rule(1, TARGET)]);
    let findings = detector.observe(&connect(8 * DAY, "Other.Example.:443").result(AuditResult::Denied));
    assert_eq!(text(&findings[0], "host"), "other.example");
    assert_eq!(findings[0].threat, ThreatLevel::Low);
}

#[test]
fn a_host_that_was_refused_is_new_when_it_is_let_through() {
    let mut detector = experienced(only_targets());
    let refused = || connect(7 * DAY, "paste.example:443").result(AuditResult::Denied);
    let let_through = || connect(7 * DAY + 1, "paste.example:443");
    let events = [refused(), refused(), let_through(), let_through(), refused()];
    assert_eq!(found(&mut detector, events), [rule(0, TARGET), rule(2, TARGET)]);
}

#[test]
fn a_host_is_known_in_all_its_spellings() {
    let mut detector = experienced(only_targets());
    let same = [
        "CRATES.IO:80",
        "crates.io.",
        "https://crates.io/api?x=1#y",
        "http://u:p@crates.io:80/",
        "crates.io",
    ];
    assert_eq!(found(&mut detector, same.map(|target| connect(7 * DAY, target))), []);
    let addresses = ["[2001:db8::1]:443", "2001:db8::1", "[2001:DB8::1]", "https://[2001:db8::1]:1/x"];
    assert_eq!(found(&mut detector, addresses.map(|target| connect(7 * DAY, target))), [rule(0, TARGET)]);
    assert_eq!(found(&mut detector, ["", ":443", "/", "://"].map(|target| connect(7 * DAY, target))), []);
}

#[test]
fn what_another_agent_does_is_not_known_of_this_one() {
    let mut detector = experienced(only_targets());
    let other = (0..7).map(|day| connect(day * DAY, "intranet:80").agent("other"));
    assert_eq!(found(&mut detector, other), []);
    assert_eq!(found(&mut detector, [connect(7 * DAY, "intranet:80")]), [rule(0, TARGET)]);
    // Without an agent it is the actor.
    let mut alone = connect(7 * DAY, "intranet:80");
    alone.agent = None;
    assert_eq!(found(&mut detector, [alone]), []);
}

#[test]
fn a_scan_is_told_in_part_and_counted() {
    let mut detector = experienced(only_targets());
    let scan = (0..1000).map(|n| connect(7 * DAY, &format!("10.0.0.{n}:22")));
    assert_eq!(found(&mut detector, scan).len(), 10);
    let findings = detector.observe(&connect(7 * DAY + HOUR, "10.0.1.1:22"));
    assert_eq!(findings[0].get_detail("more_since_last"), Some(&990_i64.into()));
}

#[test]
fn nothing_is_new_while_it_is_learned() {
    let mut detector = Detector::new(only_targets());
    let busy = (0..7 * 24).map(|hour| connect(hour * HOUR, &format!("host-{hour}:443")));
    assert_eq!(found(&mut detector, busy), []);
    // Events with a wrong clock do not end the learning: they are one more day.
    let mut detector = Detector::new(only_targets());
    let wrong = connect(0, "a:1").at(SystemTime::UNIX_EPOCH);
    assert_eq!(found(&mut detector, [wrong, connect(0, "b:1"), connect(DAY, "c:1")]), []);
    let mut off = experienced(only_targets().new_targets(0));
    assert_eq!(found(&mut off, [connect(7 * DAY, "new:1")]), []);
}

#[test]
fn nobody_is_awake_at_three() {
    let rules = DetectionRules::new();
    let mut detector = Detector::new(rules.clone());
    let day = |day: u64| (9..18).map(move |hour| event(day * DAY + hour * HOUR + 59 * MINUTE));
    assert_eq!(found(&mut detector, (0..7).flat_map(day)), []);
    assert_eq!(found(&mut detector, (7..20).flat_map(day)), []);
    let night = [event(20 * DAY + 3 * HOUR), event(20 * DAY + 3 * HOUR + 1), event(20 * DAY + 5 * HOUR)];
    let findings: Vec<_> = night.iter().flat_map(|event| detector.observe(event)).collect();
    assert_eq!(findings.len(), 1);
    assert_eq!(text(&findings[0], "reason"), "active between 3 and 4 o'clock, which this actor never was");
    assert_eq!(findings[0].threat, ThreatLevel::Low);
    // Others have their own days.
    assert_eq!(found(&mut detector, [event(20 * DAY + 3 * HOUR).actor("bob")]), []);
    // A new habit is told on two more days, and is usual from then on.
    let nights = (21..30).map(|day| event(day * DAY + 3 * HOUR));
    assert_eq!(found(&mut detector, nights), [rule(0, "odd_hours"), rule(1, "odd_hours")]);
    let mut off = Detector::new(rules.odd_hours(false).learning_days(1));
    assert_eq!(found(&mut off, [event(0), event(DAY + 3 * HOUR)]), []);
}

#[test]
fn hours_are_those_of_the_clock_on_the_wall() {
    let mut detector = Detector::new(DetectionRules::new().learning_days(1).utc_offset_minutes(330));
    let _ = detector.observe(&event(12 * HOUR));
    let findings = detector.observe(&event(DAY + 20 * HOUR));
    assert_eq!(findings[0].get_detail("hour"), Some(&1_i64.into()));
}

fn some_event() -> impl Strategy<Value = AuditEvent> {
    let names = ("[a-c]?", prop::option::of("[a-b]"), prop::option::of("[a-b]"));
    let class = prop::sample::select(EventClass::ALL.to_vec());
    let results = [AuditResult::Pending, AuditResult::Success, AuditResult::Failure, AuditResult::Denied];
    let what = (
        "(read|write|raise|delete|x)",
        "(sudo a|ls|h[0-9]:1|\\PC{0,4})",
        prop::sample::select(results.to_vec()),
    );
    let time = prop_oneof![0..30 * DAY, 0..10 * MINUTE];
    (names, class, what, time).prop_map(
        |((actor, agent, session), class, (action, resource, result), time)| {
            let mut event = AuditEvent::new(class, action, resource).actor(actor).result(result).at(at(time));
            event.agent = agent;
            event.session = session;
            event
        },
    )
}

proptest! {
    /// The same events give the same findings, whenever and wherever: only their own times count.
    #[test]
    fn the_same_events_give_the_same_findings(events in prop::collection::vec(some_event(), 0..120)) {
        let rules = DetectionRules::new().denials(3).learning_days(2);
        let (mut one, mut other) = (Detector::new(rules.clone()), Detector::new(rules));
        for event in &events {
            let findings = one.observe(event);
            prop_assert!(findings.len() <= 4);
            prop_assert_eq!(findings, other.observe(event));
        }
    }

    /// Whatever the times are, nothing overflows.
    #[test]
    fn any_time_is_taken(seconds in any::<u64>(), before in any::<bool>(), nanos in 0..1_000_000_000_u32) {
        let by = Duration::new(seconds, nanos);
        let time = if before { SystemTime::UNIX_EPOCH.checked_sub(by) } else { SystemTime::UNIX_EPOCH.checked_add(by) };
        let mut detector = Detector::new(DetectionRules::new().denials(1).learning_days(1).utc_offset_minutes(-9999));
        if let Some(time) = time {
            let findings = detector.observe(&denied(0).at(time));
            prop_assert_eq!(findings.len(), 1);
            let _ = detector.observe(&connect(0, "a:1").at(time));
            let _ = detector.observe(&connect(0, "b:1"));
        }
    }
}
