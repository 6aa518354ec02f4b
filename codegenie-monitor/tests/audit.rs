//! `Monitor` as an audit sink.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use codegenie_monitor::{AlertRule, ManualClock, Monitor, Query, Severity, Transition};
use codegenie_security::{
    AuditEvent, AuditResult, AuditSink, EventClass, OperationId, Retention, ThreatLevel,
};

const MINUTE: Duration = Duration::from_secs(60);

fn command(result: AuditResult) -> AuditEvent {
    AuditEvent::new(EventClass::Command, "execute", "git push --token secret").actor("alice").result(result)
}

fn with_clock() -> (Monitor, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (Monitor::builder().clock(clock.clone()).build(), clock)
}

#[test]
fn events_become_metrics() {
    let (monitor, _) = with_clock();
    monitor.record(&command(AuditResult::Pending)).unwrap();
    monitor.record(&command(AuditResult::Success).detail("duration_ms", 120_i64)).unwrap();
    monitor.record(&command(AuditResult::Failure).detail("duration_ms", 0.5)).unwrap();
    monitor.record(&command(AuditResult::Denied).threat(ThreatLevel::High)).unwrap();
    monitor
        .record(&AuditEvent::new(EventClass::FileActivity, "write", "a").detail("duration_ms", 7_i64))
        .unwrap();
    assert_eq!(monitor.counter_total("audit_events_total"), Some(5));
    assert_eq!(monitor.counter_total("audit_denied_total"), Some(1));
    let durations = monitor.distribution("command_duration_seconds").unwrap();
    assert_eq!((durations.count(), durations.sum()), (2, 120_500_000));

    let data = monitor.dashboard_data();
    let denied =
        data.counters.iter().find(|counter| counter.labels.get("result").is_some_and(|r| r == "denied"));
    assert_eq!(denied.unwrap().labels["threat"], "high");
    assert_eq!((data.security.total, data.security.denied, data.security.high_threat), (5, 1, 1));
    assert_eq!(data.security.by_class["command"], 4);
    assert_eq!(data.timers.iter().filter(|timer| timer.name == "command_duration_seconds").count(), 2);
}

#[test]
fn odd_durations_are_no_durations() {
    let (monitor, _) = with_clock();
    for odd in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        monitor.record(&command(AuditResult::Success).detail("duration_ms", odd)).unwrap();
    }
    monitor.record(&command(AuditResult::Success).detail("duration_ms", -5_i64)).unwrap();
    monitor.record(&command(AuditResult::Success).detail("duration_ms", "fast")).unwrap();
    assert_eq!(monitor.distribution("command_duration_seconds").unwrap().count(), 0);
    assert_eq!(monitor.counter_total("audit_events_total"), Some(6));
}

#[test]
fn denied_commands_within_a_minute_raise_one_alert() {
    let (monitor, clock) = with_clock();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    monitor.on_alert(move |alert| hears.lock().unwrap().push((alert.transition, alert.value)));
    let query =
        Query::increase("audit_events_total", MINUTE).label("class", "command").label("result", "denied");
    let rule = AlertRule::new("denied", query.above(3.0)).severity(Severity::Critical);
    monitor.add_rule(rule).unwrap();

    // Three within a minute, twice: too few at any time.
    for _ in 0..2 {
        for _ in 0..3 {
            monitor.record(&command(AuditResult::Denied)).unwrap();
            clock.advance(Duration::from_secs(1));
        }
        clock.advance(MINUTE);
    }
    for _ in 0..3 {
        monitor.record(&command(AuditResult::Success)).unwrap();
    }
    assert!(heard.lock().unwrap().is_empty());

    for _ in 0..6 {
        monitor.record(&command(AuditResult::Denied)).unwrap();
    }
    assert_eq!(*heard.lock().unwrap(), [(Transition::Firing, Some(4.0))]);
    assert_eq!(monitor.dashboard_data().firing[0].value, Some(6.0));

    clock.advance(MINUTE);
    assert_eq!(monitor.evaluate_now()[0].transition, Transition::Resolved);
    assert_eq!(heard.lock().unwrap().len(), 2);
    assert!(monitor.dashboard_data().firing.is_empty());
}

#[test]
fn many_threads_raise_one_alert_and_lose_no_event() {
    let monitor = Monitor::new();
    let raised = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&raised);
    monitor.on_alert(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    monitor.add_rule(AlertRule::new("many", Query::value("audit_denied_total").above(100.0))).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| monitor.record(&command(AuditResult::Denied)).unwrap()));
        }
    });
    assert_eq!(raised.load(Ordering::Relaxed), 1);
    assert_eq!(monitor.counter_total("audit_events_total"), Some(2_000));
    assert_eq!(monitor.dashboard_data().security.denied, 2_000);
}

#[test]
fn the_dashboard_shows_neither_who_nor_what() {
    let monitor = Monitor::builder().recent_events(3).build();
    let id = OperationId::generate();
    for n in 0..10 {
        let mut event = command(AuditResult::Success).agent("agent-7").session("s-1").operation(id);
        event.action = format!("{n}{}", "\u{fc}".repeat(500));
        monitor.record(&event).unwrap();
    }
    let security = monitor.dashboard_data().security;
    assert_eq!(security.recent.len(), 3);
    assert!(security.recent[0].action.starts_with('9') && security.recent[0].action.chars().count() == 64);
    assert_eq!(security.recent[0].operation, Some(id.to_string()));
    let shown = format!("{:?}", monitor.dashboard_data());
    for hidden in ["secret", "alice", "agent-7", "s-1"] {
        assert!(!shown.contains(hidden), "{hidden}");
    }
}

#[test]
fn every_combination_has_a_series_whatever_the_limit_for_others() {
    let monitor = Monitor::builder().max_series_per_metric(1).max_metrics(0).build();
    let results = [AuditResult::Pending, AuditResult::Success, AuditResult::Failure, AuditResult::Denied];
    let threats =
        [ThreatLevel::None, ThreatLevel::Low, ThreatLevel::Medium, ThreatLevel::High, ThreatLevel::Critical];
    for class in EventClass::ALL {
        for result in results {
            for threat in threats {
                monitor.record(&AuditEvent::new(class, "a", "r").result(result).threat(threat)).unwrap();
            }
        }
    }
    let data = monitor.dashboard_data();
    assert_eq!(data.counters.iter().filter(|counter| counter.name == "audit_events_total").count(), 200);
    assert!(data.counters.iter().all(|counter| !counter.labels.contains_key("overflow")));
    assert!(monitor.gauge("audit_events_total", &[]).is_err());
}

#[test]
fn it_retains_nothing_and_says_so() {
    let monitor = Monitor::new();
    assert_eq!(monitor.retention(), Retention::None);
    assert!(EventClass::ALL.into_iter().all(|class| monitor.enabled(class)));
    monitor.flush().unwrap();
    let fan_out = (monitor.clone(), Some(monitor.clone()));
    fan_out.record(&command(AuditResult::Success)).unwrap();
    assert_eq!(monitor.counter_total("audit_events_total"), Some(2));
}
