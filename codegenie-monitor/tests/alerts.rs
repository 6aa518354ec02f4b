//! Alert rules through the public interface, on a clock that moves when it is told to.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use codegenie_monitor::{
    Aggregate, AlertErrorKind, AlertNotification, AlertRule, AlertState, AlertStatus, Clock, ManualClock,
    Monitor, Query, Severity, Transition,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn setup() -> (Monitor, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::starting_at(SystemTime::UNIX_EPOCH + 1_000_000 * MINUTE));
    (Monitor::builder().clock(clock.clone()).build(), clock)
}

fn listen(monitor: &Monitor) -> Receiver<(String, Transition)> {
    let (send, receive) = channel();
    let send = Mutex::new(send);
    monitor.on_alert(move |alert| send.lock().unwrap().send((alert.rule.clone(), alert.transition)).unwrap());
    receive
}

fn state(monitor: &Monitor) -> AlertState {
    monitor.alerts().first().unwrap().state
}

#[test]
fn public_types_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<AlertRule>();
    check::<AlertNotification>();
    check::<AlertStatus>();
    check::<ManualClock>();
}

#[test]
fn from_inactive_over_pending_to_firing_and_resolved() {
    let (monitor, clock) = setup();
    let heard = listen(&monitor);
    let load = monitor.gauge("load", &[]).unwrap();
    let rule = AlertRule::new("busy", Query::value("load").at_least(0.9))
        .pending_for(30 * SECOND)
        .severity(Severity::Critical)
        .label("team", "ops")
        .message("the machine is busy");
    monitor.add_rule(rule).unwrap();
    let step = |value: f64, wait: u32| {
        clock.advance(wait * SECOND);
        load.set(value);
        let changed: Vec<_> = monitor.evaluate_now().iter().map(|change| change.transition).collect();
        (state(&monitor), changed)
    };
    assert_eq!(step(0.5, 1), (AlertState::Inactive, vec![]));
    assert_eq!(step(0.9, 1), (AlertState::Pending, vec![]));
    assert_eq!(step(0.9, 29), (AlertState::Pending, vec![]));
    assert_eq!(step(0.5, 1), (AlertState::Inactive, vec![]), "a moment's relief starts anew");
    assert_eq!(step(0.9, 1), (AlertState::Pending, vec![]));
    assert_eq!(step(0.95, 30), (AlertState::Firing, vec![Transition::Firing]));
    assert_eq!(step(0.99, 30), (AlertState::Firing, vec![]), "raised once");
    assert_eq!(step(0.1, 1), (AlertState::Resolved, vec![Transition::Resolved]));
    assert_eq!(step(0.1, 1), (AlertState::Resolved, vec![]));
    assert_eq!(step(1.0, 1), (AlertState::Pending, vec![]));
    assert_eq!(step(f64::NAN, 40), (AlertState::Inactive, vec![]));
    let heard: Vec<_> = heard.try_iter().map(|(_, transition)| transition).collect();
    assert_eq!(heard, [Transition::Firing, Transition::Resolved]);
}

#[test]
fn a_notification_says_everything_in_one_line() {
    let (monitor, clock) = setup();
    monitor.counter("failures_total", &[("tool", "git")]).unwrap().add(5);
    monitor.counter("failures_total", &[("tool", "npm")]).unwrap().add(50);
    let rule = AlertRule::new("git_fails", Query::value("failures_total").label("tool", "git").above(4.0));
    monitor.add_rule(rule.message("look at the remote").label("team", "ops")).unwrap();
    let raised = monitor.evaluate_now();
    assert_eq!(
        raised[0].to_string(),
        r#"firing warning git_fails: failures_total{tool="git"} > 4, is 5: look at the remote"#
    );
    assert_eq!((raised[0].at, raised[0].labels.len()), (clock.now(), 1));
}

#[test]
fn increases_count_what_came_since_the_rule_and_within_the_window() {
    let (monitor, clock) = setup();
    let counter = monitor.counter("c_total", &[]).unwrap();
    counter.add(100);
    monitor.add_rule(AlertRule::new("burst", Query::increase("c_total", MINUTE).at_least(3.0))).unwrap();
    let mut fired = Vec::new();
    for tick in 0..200_u32 {
        if matches!(tick, 10 | 35 | 69 | 90) {
            counter.inc();
        }
        for change in monitor.evaluate_now() {
            fired.push((tick, change.transition));
        }
        clock.advance(SECOND);
    }
    // 10, 35 and 69 are within a minute until 70; 35, 69 and 90 until 95.
    assert_eq!(
        fired,
        [
            (69, Transition::Firing),
            (70, Transition::Resolved),
            (90, Transition::Firing),
            (95, Transition::Resolved)
        ]
    );
}

#[test]
fn rates_quantiles_and_aggregates() {
    let (monitor, clock) = setup();
    let timer = monitor.timer("t_seconds", &[]).unwrap();
    (1..=100).for_each(|ms| timer.record(Duration::from_millis(ms)));
    monitor.gauge("queue", &[("n", "1")]).unwrap().set(3.0);
    monitor.gauge("queue", &[("n", "2")]).unwrap().set(8.0);
    let rules = [
        ("rate", Query::rate("t_seconds", 10 * SECOND).above(1.9)),
        ("p95", Query::quantile("t_seconds", 0.95).above(0.092)),
        ("p95 not", Query::quantile("t_seconds", 0.95).above(0.096)),
        ("count", Query::value("t_seconds").at_least(100.0)),
        ("sum", Query::value("queue").at_least(11.0)),
        ("max", Query::value("queue").aggregate(Aggregate::Max).at_most(8.0)),
        ("min", Query::value("queue").aggregate(Aggregate::Min).below(3.5)),
        ("absent", Query::value("no_such").at_most(1.0)),
    ];
    for (name, condition) in rules {
        monitor.add_rule(AlertRule::new(name, condition)).unwrap();
    }
    (0..20).for_each(|_| timer.record(Duration::from_millis(50)));
    clock.advance(SECOND);
    let raised: Vec<_> = monitor.evaluate_now().into_iter().map(|change| change.rule).collect();
    assert_eq!(raised, ["rate", "p95", "count", "sum", "max", "min"]);
}

#[test]
fn too_little_within_a_window_is_said_only_after_a_whole_one() {
    let (monitor, clock) = setup();
    monitor.add_rule(AlertRule::new("silent", Query::increase("beats_total", MINUTE).below(1.0))).unwrap();
    assert!(monitor.evaluate_now().is_empty());
    clock.advance(59 * SECOND);
    assert!(monitor.evaluate_now().is_empty());
    clock.advance(SECOND);
    assert_eq!(monitor.evaluate_now().len(), 1);
    monitor.counter("beats_total", &[]).unwrap().inc();
    assert_eq!(monitor.evaluate_now()[0].transition, Transition::Resolved);
}

#[test]
fn a_clock_that_is_set_back_changes_nothing() {
    let (monitor, clock) = setup();
    let now = clock.now();
    let counter = monitor.counter("c_total", &[]).unwrap();
    monitor.add_rule(AlertRule::new("burst", Query::increase("c_total", MINUTE).at_least(2.0))).unwrap();
    counter.inc();
    assert!(monitor.evaluate(now + 30 * SECOND).is_empty());
    counter.inc();
    let raised = monitor.evaluate(now);
    assert_eq!(raised[0].at, now + 30 * SECOND);
    assert!(monitor.evaluate(SystemTime::UNIX_EPOCH).is_empty());
}

#[test]
fn rules_that_make_no_sense_are_errors_of_one_line() {
    let (monitor, _) = setup();
    monitor.gauge("g", &[]).unwrap();
    monitor.add_rule(AlertRule::new("taken", Query::value("g").above(1.0))).unwrap();
    for (rule, kind) in [
        (AlertRule::new("", Query::value("g").above(1.0)), AlertErrorKind::Invalid),
        (AlertRule::new("a\nb", Query::value("g").above(f64::NAN)), AlertErrorKind::Invalid),
        (AlertRule::new("a", Query::increase("c", Duration::ZERO).above(1.0)), AlertErrorKind::Invalid),
        (AlertRule::new("a", Query::quantile("t", 95.0).above(1.0)), AlertErrorKind::Invalid),
        (AlertRule::new("a", Query::increase("g", MINUTE).above(1.0)), AlertErrorKind::KindMismatch),
        (AlertRule::new("a", Query::quantile("g", 0.5).above(1.0)), AlertErrorKind::KindMismatch),
        (AlertRule::new("taken", Query::value("g").above(1.0)), AlertErrorKind::Duplicate),
    ] {
        let error = monitor.add_rule(rule).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert!(monitor.remove_rule("taken"));
    assert!(!monitor.remove_rule("taken"));
    for n in 0..1024 {
        monitor.add_rule(AlertRule::new(n.to_string(), Query::value("g").above(1.0))).unwrap();
    }
    let error = monitor.add_rule(AlertRule::new("more", Query::value("g").above(1.0))).unwrap_err();
    assert_eq!(error.kind(), AlertErrorKind::TooManyRules);
}

#[test]
fn callbacks_may_use_the_monitor_and_may_panic() {
    let (monitor, _) = setup();
    let count = monitor.counter("c_total", &[]).unwrap();
    monitor.add_rule(AlertRule::new("first", Query::value("c_total").above(0.0))).unwrap();
    monitor.add_rule(AlertRule::new("second", Query::value("c_total").above(1.0))).unwrap();
    let inside = monitor.clone();
    monitor.on_alert(move |alert| {
        // Raises the second alert while the first is being told.
        inside.counter("c_total", &[]).unwrap().inc();
        inside.evaluate_now();
        assert_ne!(alert.rule, "first", "a callback that panics");
    });
    let heard = listen(&monitor);
    count.inc();
    assert_eq!(monitor.evaluate_now().len(), 1);
    let heard: Vec<_> = heard.try_iter().map(|(rule, _)| rule).collect();
    assert_eq!(heard, ["first", "second"], "in order, whatever another callback does");
    assert_eq!(monitor.counter_total("monitor_callback_panics_total"), Some(1));
    assert_eq!(monitor.counter_total("monitor_notifications_dropped_total"), Some(0));
}

#[test]
fn whichever_thread_evaluates_an_alert_alternates() {
    let (monitor, _) = setup();
    let heard = listen(&monitor);
    let gauge = monitor.gauge("g", &[]).unwrap();
    monitor.add_rule(AlertRule::new("high", Query::value("g").above(0.5))).unwrap();
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (monitor, gauge) = (&monitor, &gauge);
            scope.spawn(move || {
                for round in 0..500_u32 {
                    gauge.set(f64::from((thread + round) % 2));
                    monitor.evaluate_now();
                }
            });
        }
    });
    // The last to leave may still have handed over to one that was telling: all have ended by now.
    let heard: Vec<_> = heard.try_iter().map(|(_, transition)| transition).collect();
    assert!(!heard.is_empty());
    for (n, transition) in heard.iter().enumerate() {
        assert_eq!(*transition, if n % 2 == 0 { Transition::Firing } else { Transition::Resolved });
    }
}
