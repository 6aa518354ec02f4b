use super::*;
use codegenie_security::OperationId;
use proptest::prelude::*;

#[test]
fn a_burst_is_told_once_in_a_window() {
    let mut detector = Detector::new(only_denials());
    // Every 10 seconds for 10 minutes: the tenth, and the first one that is more than 5 minutes after that.
    let found = found(&mut detector, (0..61).map(|n| denied(n * 10)));
    assert_eq!(found, [rule(9, "denial_burst"), rule(40, "denial_burst")]);
}

#[test]
fn a_finding_says_what_was_counted() {
    let mut detector = Detector::new(only_denials().denials(2).window(Duration::from_secs(30)));
    let cause = denied(1).agent("coder").session("s").operation(OperationId::from_bytes([1; 16]));
    assert!(detector.observe(&denied(0).agent("coder")).is_empty());
    let findings = detector.observe(&cause);
    assert_eq!(findings.len(), 1);
    let finding = &findings[0];
    assert_eq!((finding.action.as_str(), finding.resource.as_str()), ("detect", "ls"));
    assert_eq!((finding.threat, finding.session.as_deref()), (ThreatLevel::Medium, Some("s")));
    assert_eq!(finding.operation, cause.operation);
    assert_eq!(text(finding, "reason"), "2 denials within 30 s");
    let of = vec!["actor".to_owned(), "agent".to_owned()];
    assert_eq!(finding.get_detail("of"), Some(&of.into()));
    assert_eq!(finding.get_detail("window_s"), Some(&30_i64.into()));
    assert_eq!(finding.get_detail("count"), Some(&2_i64.into()));
}

#[test]
fn what_was_not_told_is_counted() {
    let mut detector = Detector::new(only_denials().denials(2).window(Duration::from_secs(60)));
    for n in 0..10 {
        let _ = detector.observe(&denied(n));
    }
    let findings: Vec<_> = (62..64).flat_map(|n| detector.observe(&denied(n))).collect();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].get_detail("more_since_last"), Some(&8_i64.into()));
}

#[test]
fn sessions_and_agents_are_counted_beside_actors() {
    let mut detector = Detector::new(only_denials().denials(5));
    // One agent for many users, each in a session of its own.
    let events = (0..8).map(|n| denied(n).actor(format!("user {n}")).session(n.to_string()).agent("coder"));
    assert_eq!(found(&mut detector, events), [rule(4, "denial_burst")]);
    let mut detector = Detector::new(only_denials().denials(5));
    let nobody = (0..8).map(|n| denied(n).actor(""));
    assert_eq!(found(&mut detector, nobody), []);
}

#[test]
fn slow_denials_and_other_results_are_ordinary() {
    let mut detector = Detector::new(only_denials());
    assert_eq!(found(&mut detector, (0..500).map(|n| denied(n * 34))), []);
    let other = (0..500).map(|n| {
        let results = [AuditResult::Pending, AuditResult::Success, AuditResult::Failure];
        event(20_000).result(results[n % 3])
    });
    assert_eq!(found(&mut detector, other), []);
}

/// The approver's no and the command's refusal are one refusal.
#[test]
fn an_operation_counts_once() {
    let mut detector = Detector::new(only_denials().denials(4));
    let events = (0..6_u8).map(|n| denied(0).operation(OperationId::from_bytes([n / 2; 16])));
    assert_eq!(found(&mut detector, events), []);
}

#[test]
fn zero_turns_the_rule_off() {
    let mut detector = Detector::new(only_denials().denials(0));
    assert_eq!(found(&mut detector, (0..1000).map(|_| denied(0))), []);
}

#[test]
fn findings_show_nothing() {
    let mut detector = Detector::new(only_denials().denials(1));
    let mut finding = denied(0);
    finding.class = EventClass::DetectionFinding;
    assert!(detector.observe(&finding).is_empty());
    assert_eq!(detector.remembered(), 0);
}

#[test]
fn one_wrong_clock_blinds_nobody() {
    let mut detector = Detector::new(only_denials());
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(250_000_000_000);
    let mut events: Vec<_> = (0..10).map(|_| denied(0).at(far)).collect();
    events.extend((0..10).map(denied));
    assert_eq!(found(&mut detector, events), [rule(9, "denial_burst"), rule(19, "denial_burst")]);
}

#[test]
fn all_findings_together_are_bounded_too() {
    let rules = only_denials().denials(1).findings(3).window(Duration::from_secs(60));
    let mut detector = Detector::new(rules);
    let events = (0..50).map(|n| denied(0).actor(n.to_string()));
    assert_eq!(found(&mut detector, events).len(), 3);
    let findings = detector.observe(&denied(61).actor("x"));
    assert_eq!(findings[0].get_detail("held_back"), Some(&47_i64.into()));
}

/// Whoever makes up many names to cause slight findings hides no grave one behind them.
#[test]
fn a_flood_of_slight_findings_hides_no_grave_one() {
    let rules = DetectionRules::new().denials(1).new_targets(0).odd_hours(false);
    let mut detector = Detector::new(rules);
    let flood = (0..500).map(|n| denied(0).actor(n.to_string()));
    assert_eq!(found(&mut detector, flood).len(), 100);
    let mut sudo = denied(1);
    sudo.resource = "sudo ls".to_owned();
    let findings: Vec<_> = (0..3).flat_map(|_| detector.observe(&sudo)).collect();
    let grave: Vec<_> = findings.iter().filter(|finding| finding.threat == ThreatLevel::High).collect();
    assert_eq!((grave.len(), text(grave[0], "rule")), (1, "privilege_climbing"));
    assert_eq!(findings.len(), 1, "the slight ones stay within their bound");
    assert_eq!(grave[0].get_detail("held_back"), None);
}

#[test]
fn a_million_names_take_no_more_room_than_some() {
    let mut detector = Detector::new(DetectionRules::new().names(100).targets(200).learning_days(1));
    for n in 0..1_000_000_u64 {
        let name = n.to_string();
        let mut event = denied(n);
        match n % 3 {
            0 => {
                event = event.agent(name);
                event.class = EventClass::NetworkActivity;
                event.resource = format!("host-{n}:443");
            }
            1 => event = event.session(name),
            _ => {
                event.resource = "sudo ls".to_owned();
                event.actor = name;
            }
        }
        let _ = detector.observe(&event);
    }
    assert!(detector.remembered() <= 4 * 100 + 200, "{}", detector.remembered());
    assert!(detector.forgotten() > 900_000);
}

/// Who is active stays remembered, whatever others come by.
#[test]
fn the_active_ones_are_not_forgotten() {
    let mut detector = Detector::new(only_denials().names(100));
    let mut last = Vec::new();
    for n in 0..10 {
        for other in 0..40 {
            let _ = detector.observe(&denied(n).actor(format!("{n} {other}")));
        }
        last = detector.observe(&denied(n));
    }
    assert_eq!(last.len(), 1);
}

proptest! {
    /// The first finding comes with the first event with which as many denials as it takes lie within the window.
    #[test]
    fn a_burst_is_what_its_definition_says(
        gaps in prop::collection::vec(0..120_u64, 1..60), threshold in 1..8_usize, window in 1..300_u64,
    ) {
        let times: Vec<u64> = gaps.iter().scan(0, |now, gap| { *now += gap; Some(*now) }).collect();
        let expected = (0..times.len()).find(|last| {
            last.checked_sub(threshold - 1).is_some_and(|first| times[*last] - times[first] <= window)
        });
        let mut detector =
            Detector::new(only_denials().denials(threshold).window(Duration::from_secs(window)));
        let found = found(&mut detector, times.iter().map(|time| denied(*time)));
        prop_assert_eq!(found.first().map(|(number, _)| *number), expected);
        // And from then on, never two within a window.
        for pair in found.windows(2) {
            prop_assert!(times[pair[1].0] - times[pair[0].0] > window);
        }
    }
}
