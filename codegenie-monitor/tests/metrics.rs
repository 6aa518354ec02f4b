//! The metric core through its public interface.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::thread;
use std::time::Duration;

use codegenie_monitor::{
    Counter, Gauge, Histogram, HistogramSnapshot, Labels, MetricErrorKind, Monitor, Timer, TimerGuard,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn public_types_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<Monitor>();
    check::<Counter>();
    check::<Gauge>();
    check::<Histogram>();
    check::<Timer>();
    check::<TimerGuard>();
    check::<HistogramSnapshot>();
    check::<Labels>();
}

#[test]
fn the_same_name_and_labels_are_the_same_series_in_any_order() {
    let monitor = Monitor::new();
    monitor.counter("c_total", &[("a", "1"), ("b", "2")]).unwrap().add(2);
    monitor.counter("c_total", &[("b", "2"), ("a", "1")]).unwrap().add(3);
    monitor.counter("c_total", &[("a", "1")]).unwrap().inc();
    assert_eq!(monitor.counter("c_total", &[("a", "1"), ("b", "2")]).unwrap().value(), 5);
    assert_eq!(monitor.counter_total("c_total"), Some(6));
    assert_eq!(Monitor::new().counter_total("c_total"), None, "two monitors are two monitors");
}

#[test]
fn gauges_and_timers() {
    let monitor = Monitor::new();
    let gauge = monitor.gauge("g", &[]).unwrap();
    gauge.set(2.5);
    gauge.add(-4.0);
    assert_eq!(monitor.gauge("g", &[]).unwrap().value(), -1.5);

    let timer = monitor.timer("t_seconds", &[]).unwrap();
    timer.record(Duration::MAX);
    timer.start().discard();
    drop(timer.start());
    let took = timer.start().stop();
    let snapshot = timer.snapshot();
    assert_eq!(snapshot.count(), 3);
    assert_eq!(snapshot.max(), Some(u64::MAX));
    assert!(u128::from(snapshot.min().unwrap()) <= took.as_nanos());
}

#[test]
fn another_kind_under_the_same_name_is_an_error() {
    let monitor = Monitor::new();
    monitor.counter("x", &[]).unwrap();
    let error = monitor.gauge("x", &[]).unwrap_err();
    assert_eq!(error.kind(), MetricErrorKind::KindMismatch);
    assert_eq!(error.to_string(), "metric \"x\" is a counter, not a gauge; use another name");
    assert!(monitor.histogram("x", &[("a", "b")]).is_err());
    assert!(monitor.timer("x", &[]).is_err());
}

#[test]
fn names_and_labels_that_cannot_be_are_errors_of_one_line() {
    let monitor = Monitor::new();
    let long = "n".repeat(5_000);
    for name in ["", "1a", "a b", "a\nb", "\u{e9}", &long] {
        let error = monitor.counter(name, &[]).unwrap_err();
        assert_eq!(error.kind(), MetricErrorKind::Name);
        assert!(!error.to_string().contains('\n') && error.to_string().len() < 400);
    }
    monitor.counter("ns:a_total", &[]).unwrap();
    let many: Vec<(String, String)> = (0..40).map(|n| (format!("l{n}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for labels in [
        &[("", "v")][..],
        &[("a:b", "v")],
        &[("overflow", "v")],
        &[("a", "1"), ("a", "2")],
        &[("a", long.as_str())],
        &many,
    ] {
        let error = monitor.counter("c", labels).unwrap_err();
        assert_eq!(error.kind(), MetricErrorKind::Label);
        assert!(!error.to_string().contains('\n') && error.to_string().len() < 400);
    }
}

#[test]
fn label_sets_past_the_limit_share_one_series_and_sums_stay_exact() {
    let monitor = Monitor::builder().max_series_per_metric(10).build();
    for n in 0..1_000_u64 {
        let user = n.to_string();
        monitor.counter("calls_total", &[("user", &user)]).unwrap().add(n);
        monitor.histogram("sizes", &[("user", &user)]).unwrap().record(n);
    }
    monitor.counter("calls_total", &[("user", "3")]).unwrap().inc();
    assert_eq!(monitor.counter_total("calls_total"), Some(999 * 1_000 / 2 + 1));
    assert_eq!(monitor.distribution("sizes").unwrap().count(), 1_000);
    let data = monitor.dashboard_data();
    let calls: Vec<_> = data.counters.iter().filter(|counter| counter.name == "calls_total").collect();
    assert_eq!(calls.len(), 11);
    assert_eq!(calls.iter().filter(|counter| counter.labels.contains_key("overflow")).count(), 1);
    assert_eq!(calls.iter().find(|c| c.labels.get("user").is_some_and(|u| u == "3")).unwrap().value, 4);
}

#[test]
fn metric_names_are_bounded() {
    let monitor = Monitor::builder().max_metrics(20).build();
    let errors = (0..100).filter_map(|n| monitor.counter(&format!("m{n}"), &[]).err()).collect::<Vec<_>>();
    assert!(errors.len() >= 80);
    assert!(errors.iter().all(|error| error.kind() == MetricErrorKind::TooManyMetrics));
    monitor.counter("m0", &[("known", "name")]).unwrap();
}

#[test]
fn counts_under_concurrency_are_exact() {
    let monitor = Monitor::new();
    let counter = monitor.counter("c_total", &[]).unwrap();
    let histogram = monitor.histogram("h", &[]).unwrap();
    let gauge = monitor.gauge("g", &[]).unwrap();
    thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (counter, histogram, gauge) = (&counter, &histogram, &gauge);
            scope.spawn(move || {
                for n in 0..5_000_u64 {
                    counter.add(n % 3);
                    histogram.record(thread * 5_000 + n);
                    gauge.add(1.0);
                }
            });
        }
    });
    assert_eq!(counter.value(), 8 * (0..5_000).map(|n| n % 3).sum::<u64>());
    let snapshot = histogram.snapshot();
    assert_eq!((snapshot.count(), snapshot.sum()), (40_000, 39_999 * 40_000 / 2));
    assert_eq!((snapshot.min(), snapshot.max()), (Some(0), Some(39_999)));
    assert_eq!(gauge.value(), 40_000.0);
}

#[test]
fn sums_of_the_largest_values_are_exact() {
    let histogram = Histogram::detached();
    (0..5).for_each(|_| histogram.record(u64::MAX));
    assert_eq!(histogram.snapshot().sum(), 5 * u128::from(u64::MAX));
    assert_eq!(histogram.snapshot().quantile(0.5), Some(u64::MAX));
}

#[test]
fn an_empty_distribution_has_no_quantiles() {
    let empty = Histogram::detached().snapshot();
    assert_eq!(empty, HistogramSnapshot::default());
    assert_eq!((empty.quantile(0.5), empty.mean(), empty.min(), empty.max()), (None, None, None, None));
    let one = Histogram::detached();
    one.record(7);
    for q in [-0.1, 1.1, f64::NAN] {
        assert_eq!(one.snapshot().quantile(q), None);
    }
    assert_eq!(one.snapshot().quantile(0.0), Some(7));
}

fn recorded(values: &[u64]) -> HistogramSnapshot {
    let histogram = Histogram::detached();
    values.iter().for_each(|value| histogram.record(*value));
    histogram.snapshot()
}

/// Values of every magnitude.
fn value() -> impl Strategy<Value = u64> {
    (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
}

proptest! {
    #[test]
    fn merging_is_the_same_as_recording_together(a in vec(value(), 0..200), b in vec(value(), 0..200)) {
        let mut merged = recorded(&a);
        merged.merge(&recorded(&b));
        let mut other_way = recorded(&b);
        other_way.merge(&recorded(&a));
        prop_assert_eq!(&merged, &other_way);
        prop_assert_eq!(merged, recorded(&[a, b].concat()));
    }

    #[test]
    fn quantiles_are_within_the_stated_error(mut values in vec(value(), 1..300), q in 0.0..=1.0_f64) {
        let snapshot = recorded(&values);
        values.sort_unstable();
        for q in [q, 0.0, 0.5, 0.95, 0.99, 1.0] {
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            let found = snapshot.quantile(q).unwrap();
            let error = found.abs_diff(exact) as f64;
            prop_assert!(error <= exact as f64 * HistogramSnapshot::MAX_RELATIVE_ERROR, "{} {} {}", q, exact, found);
        }
        prop_assert_eq!(snapshot.sum(), values.iter().map(|value| u128::from(*value)).sum::<u128>());
        prop_assert_eq!(snapshot.min(), values.first().copied());
        prop_assert_eq!(snapshot.max(), values.last().copied());
    }
}
