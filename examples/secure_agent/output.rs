//! What a person sees while it happens and afterwards, and what a machine reads.

use crate::scene::Scene;
use crate::steps::{Kind, Step};
use crate::{Done, Summary};
use codegenie_exec::LayerStatus;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Prints a line. A reader that has seen enough is no error: what was done is told by the exit status.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Prints a text.
pub(crate) fn print(text: &str) {
    say!("{text}");
}

fn colour(text: &str, code: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Cuts or fills to a width in characters, so that rows align while they come.
fn cell(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length > width {
        text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
    } else {
        format!("{text}{}", " ".repeat(width - length))
    }
}

const NAME_WIDTH: usize = 30;
const WIDTHS: [usize; 6] = [NAME_WIDTH, 22, 28, 24, 10, 9];

/// The table of steps, a row as each is done.
pub(crate) struct Live {
    shown: bool,
    spinner: ProgressBar,
    hostile: bool,
}

impl Live {
    pub(crate) fn new(shown: bool, scene: &Scene, steps: &[Step]) -> Self {
        let spinner = if shown && std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(100));
        if shown {
            say!("workspace {}, {} steps\n", scene.workspace().display(), steps.len());
            let heads = ["step", "decision", "rule", "confined by", "end", "time"];
            let heads: Vec<String> =
                heads.iter().zip(WIDTHS).map(|(head, width)| cell(head, width)).collect();
            say!("{}", colour(&heads.join(" "), "1"));
        }
        Self { shown, spinner, hostile: false }
    }

    pub(crate) fn begin(&mut self, step: &Step) {
        let hostile = matches!(step.kind, Kind::Hostile { .. });
        if self.shown && hostile && !self.hostile {
            self.spinner.suspend(|| say!("{}", colour("-- from here on the agent is injected", "2")));
        }
        self.hostile = hostile;
        self.spinner.set_message(step.name.clone());
    }

    pub(crate) fn skip(&self, step: &Step) {
        if self.shown {
            let row = format!(
                "{} skipped: it needs what the step before did not find",
                cell(&step.name, NAME_WIDTH)
            );
            self.spinner.suspend(|| say!("{}", colour(&row, "33")));
        }
    }

    pub(crate) fn end(&self, done: &Done) {
        if !self.shown {
            return;
        }
        let time = format!("{:.1} ms", done.time.as_secs_f64() * 1e3);
        let cells = [&done.step.name, &done.decision, &done.rule, &done.confined_by, &done.end, &time];
        let row: Vec<String> = cells.iter().zip(WIDTHS).map(|(text, width)| cell(text, width)).collect();
        let verdict = match (&done.verdict, &done.step.kind) {
            (Ok(()), Kind::Honest(_)) => colour("worked", "32"),
            (Ok(()), Kind::Hostile { .. }) => colour("stopped", "32"),
            (Err(why), _) => colour(&format!("WRONG: {why}"), "31"),
        };
        self.spinner.suspend(|| say!("{} {verdict}", row.join(" ")));
    }
}

fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(heads);
    table
}

pub(crate) fn summary(summary: &Summary<'_>) {
    say!("\n{}", colour("Sandbox", "1"));
    let mut layers = table(&["layer", "state", "detail"]);
    for layer in &summary.report.layers {
        layers.add_row([layer.layer.to_string(), layer.status.to_string(), layer.detail.clone()]);
    }
    say!("{layers}");
    let stopped = summary.report.witness.iter().filter(|attempt| attempt.stopped).count();
    say!("witness: {stopped} of {} attempts stopped", summary.report.witness.len());
    for attempt in summary.report.witness.iter().filter(|attempt| !attempt.stopped) {
        say!("{}", colour(&format!("  NOT STOPPED: {} ({})", attempt.what, attempt.layer), "31"));
    }

    say!("\n{}\n{}", colour("Audit log", "1"), summary.audit);

    say!("\n{}", colour("Metrics", "1"));
    let data = summary.monitor.dashboard_data();
    let mut metrics = table(&["metric", "labels", "value"]);
    let labels = |labels: &std::collections::BTreeMap<String, String>| {
        labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    for counter in data.counters.iter().filter(|counter| counter.value > 0) {
        metrics.add_row([counter.name.clone(), labels(&counter.labels), counter.value.to_string()]);
    }
    for timer in data.timers.iter().filter(|timer| timer.count > 0) {
        let ms = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{:.1} ms", v * 1e3));
        let value = format!("{} runs, p50 {}, p99 {}", timer.count, ms(timer.p50), ms(timer.p99));
        metrics.add_row([timer.name.clone(), labels(&timer.labels), value]);
    }
    say!("{metrics}");

    say!("\n{}", colour("Alerts", "1"));
    for alert in &data.firing {
        let line = format!("{:?} {}: {} ({})", alert.severity, alert.rule, alert.message, alert.condition);
        say!("{}", colour(&line, "33"));
    }
    if data.firing.is_empty() {
        say!("{}", colour("none is firing, though commands were refused", "31"));
    }

    let wrong = summary.done.iter().filter(|done| done.verdict.is_err()).count();
    let (good, line) = if summary.ok {
        let skipped =
            if summary.skipped > 0 { format!("; {} skipped", summary.skipped) } else { String::new() };
        ("32", format!("every hostile step was stopped, every honest one worked{skipped}"))
    } else {
        ("31", format!("{wrong} steps went wrong; see the rows marked WRONG and the checks above"))
    };
    say!("\n{}", colour(&line, good));
}

pub(crate) fn json(summary: &Summary<'_>) -> Result<String, serde_json::Error> {
    let steps: Vec<serde_json::Value> = summary
        .done
        .iter()
        .map(|done| {
            serde_json::json!({
                "step": done.step.name,
                "command": done.step.request.line.display(),
                "hostile": matches!(done.step.kind, Kind::Hostile { .. }),
                "decision": done.decision,
                "rule": done.rule,
                "confined_by": done.confined_by,
                "end": done.end,
                "time_ms": done.time.as_secs_f64() * 1e3,
                "from_cache": done.cached,
                "ok": done.verdict.is_ok(),
                "problem": done.verdict.as_ref().err(),
            })
        })
        .collect();
    let data = summary.monitor.dashboard_data();
    let partial = summary.report.layers.iter().filter(|layer| layer.status != LayerStatus::Full).count();
    serde_json::to_string_pretty(&serde_json::json!({
        "ok": summary.ok,
        "steps": steps,
        "skipped": summary.skipped,
        "sandbox": summary.report,
        "layers_not_full": partial,
        "audit": {
            "intact": summary.audit.is_intact(),
            "records": summary.audit.records(),
            "verdict": summary.audit.to_string(),
        },
        "monitor": data,
    }))
}
