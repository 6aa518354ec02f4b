//! Dashboard data through the public interface.

#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "helpers of tests; the numbers are exact")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codegenie_monitor::{AlertRule, DashboardData, ManualClock, Monitor, Query, Severity};

fn filled() -> Monitor {
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000);
    let clock = Arc::new(ManualClock::starting_at(start));
    let monitor = Monitor::builder().clock(clock.clone()).build();
    monitor.counter("calls_total", &[("tool", "git")]).unwrap().add(3);
    monitor.gauge("load", &[]).unwrap().set(0.5);
    monitor.gauge("odd", &[]).unwrap().set(f64::NAN);
    let timer = monitor.timer("t_seconds", &[]).unwrap();
    (1..=100).for_each(|ms| timer.record(Duration::from_millis(ms)));
    monitor.histogram("empty", &[]).unwrap();
    let above = |limit| Query::value("calls_total").above(limit);
    monitor.add_rule(AlertRule::new("warns", above(1.0)).label("team", "ops")).unwrap();
    monitor.add_rule(AlertRule::new("alarms", above(2.0)).severity(Severity::Critical)).unwrap();
    monitor.add_rule(AlertRule::new("not", above(3.0))).unwrap();
    monitor.add_rule(AlertRule::new("waits", above(1.0)).pending_for(Duration::from_secs(60))).unwrap();
    clock.advance(Duration::from_millis(2_500));
    monitor.evaluate_now();
    monitor
}

#[test]
fn everything_of_one_moment() {
    let data: DashboardData = filled().dashboard_data();
    assert_eq!(data.generated_unix_ms, 1_700_000_002_500);
    assert_eq!(data.uptime_seconds, 2.5);
    let calls = data.counters.iter().find(|counter| counter.name == "calls_total").unwrap();
    assert_eq!((calls.value, calls.labels["tool"].as_str()), (3, "git"));
    assert_eq!(data.gauges.iter().map(|gauge| gauge.value).collect::<Vec<_>>(), [Some(0.5), None]);
    let timer = data.timers.iter().find(|timer| timer.name == "t_seconds").unwrap();
    assert_eq!(timer.count, 100);
    assert!((timer.mean.unwrap() - 0.0505).abs() < 1e-9);
    for (found, exact) in [(timer.p50, 0.050), (timer.p95, 0.095), (timer.p99, 0.099), (timer.max, 0.1)] {
        assert!((found.unwrap() - exact).abs() <= exact / 128.0);
    }
    assert_eq!((data.histograms[0].count, data.histograms[0].p99), (0, None));
    let firing: Vec<_> = data.firing.iter().map(|alert| alert.rule.as_str()).collect();
    assert_eq!(firing, ["alarms", "warns"]);
    assert_eq!(data.firing[1].labels["team"], "ops");
    assert_eq!(data.firing[0].condition, "calls_total > 2");
    assert_eq!(data.pending.len(), 1);
    assert_eq!(data.security.total, 0);
}

#[cfg(feature = "serde")]
#[test]
fn serializes_there_and_back() {
    let data = filled().dashboard_data();
    let text = serde_json::to_string(&data).unwrap();
    assert!(text.contains(r#""severity":"critical""#), "{text}");
    assert_eq!(serde_json::from_str::<DashboardData>(&text).unwrap(), data);
}
