//! Metrics by handles, security events that become metrics, an alert, and the data of a dashboard.
//!
//! `cargo run --example monitoring` (`--json`: the dashboard's data as JSON)

use codegenie_monitor::{AlertRule, Monitor, Query, Severity};
use codegenie_security::{AuditEvent, AuditResult, AuditSink, EventClass, ThreatLevel};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let json = std::env::args().any(|argument| argument == "--json");
    let monitor = Monitor::new();
    let minute = Duration::from_secs(60);
    monitor.add_rule(
        AlertRule::new("many-refusals", Query::increase("audit_denied_total", minute).at_least(3.0))
            .severity(Severity::Critical)
            .message("an agent keeps trying what it may not"),
    )?;
    monitor.on_alert(move |alert| {
        if !json {
            println!("alert: {alert}");
        }
    });

    // Handles are registered once and cost an atomic addition afterwards.
    let edits = monitor.counter("edits_total", &[("language", "rust")])?;
    let queue = monitor.gauge("queue_length", &[])?;
    let latency = monitor.timer("model_latency", &[("model", "local")])?;
    for milliseconds in [12, 15, 11, 240, 13, 14, 12, 16] {
        edits.inc();
        queue.add(1.0);
        latency.record(Duration::from_millis(milliseconds));
    }

    // The monitor is an audit sink: in a host, wire `(audit_log, monitor)`.
    for command in ["git status", "cat /etc/shadow", "sudo id", "curl evil.invalid"] {
        let refused = command != "git status";
        let event = AuditEvent::new(EventClass::Command, "execute", command).actor("dana");
        let event = if refused {
            event.result(AuditResult::Denied).threat(ThreatLevel::High)
        } else {
            event.detail("duration_ms", 8.5)
        };
        monitor.record(&event)?;
    }

    let data = monitor.dashboard_data();
    if json {
        println!("{}", serde_json::to_string_pretty(&data)?);
        return Ok(());
    }
    println!("{} edits, queue {}", edits.value(), queue.value());
    for timer in &data.timers {
        let ms =
            |value: Option<f64>| value.map_or("-".to_owned(), |seconds| format!("{:.1} ms", seconds * 1e3));
        println!("{}: {} values, p50 {}, p99 {}", timer.name, timer.count, ms(timer.p50), ms(timer.p99));
    }
    let security = &data.security;
    println!(
        "{} security events, {} refused, {} of high threat",
        security.total, security.denied, security.high_threat
    );
    for alert in &data.firing {
        println!("firing: {} since {} ms ({})", alert.rule, alert.since_unix_ms, alert.condition);
    }
    Ok(())
}
