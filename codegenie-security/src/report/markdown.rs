//! The report as Markdown (CommonMark with the tables of GitHub).

use std::fmt::Write;

use super::approvals::text;
use super::json::{RESULTS, THREATS};
use super::newest::Newest;
use super::{ComplianceReport, SHOWN};
use crate::export::text::{push_safe, rfc3339_micros};
use crate::query::NameCounts;
use crate::{AuditValue, EventClass, StoredEvent};

/// A text in a cell has so many characters at the most.
const CELL: usize = 200;

pub(super) fn render(report: &ComplianceReport) -> String {
    let mut page = Page(String::new());
    page.line(&format!("# {}", cell(&report.title)));
    integrity(report, &mut page);
    events(report, &mut page);
    approvals(report, &mut page);
    controls(report, &mut page);

    page.heading("Events of a high threat level");
    let high: Vec<&StoredEvent> = report.summary.high_threat().collect();
    let all = report.summary.by_threat(crate::ThreatLevel::High)
        + report.summary.by_threat(crate::ThreatLevel::Critical);
    page.events(&high, all, ["Reason"], |stored| [reason(stored)]);

    page.heading("Detections");
    page.counts("Rule", &report.detection_rules);
    page.newest(&report.detections, ["Reason"], |stored| [reason(stored)]);

    page.heading("Shreddings");
    page.facts(&[
        ("Keys destroyed", report.shredded_keys.to_string()),
        ("Records that nobody can read any more", report.verification.shredded_records().to_string()),
    ]);
    page.newest(&report.shreddings, [], |_| []);
    page.0
}

fn integrity(report: &ComplianceReport, page: &mut Page) {
    let verification = &report.verification;
    let (size, root) = match verification.head() {
        Some(head) => (head.size.to_string(), cell(&head.root.to_string())),
        None => (String::new(), String::new()),
    };
    page.heading("Integrity");
    if let Some(problem) = &report.unread {
        page.table(&["Not all events could be read"], &[vec![cell(problem)]]);
    }
    page.facts(&[
        ("Verdict", cell(verification.verdict().name())),
        ("Intact to the last byte", yes(verification.is_intact())),
        ("In words", cell(&verification.to_string())),
        ("Every record decrypted", yes(verification.was_decrypted())),
        ("Records", verification.records().to_string()),
        ("First record that is kept", verification.first_record().to_string()),
        ("Times the clock went back", verification.clock_regressions().to_string()),
        ("Log", cell(report.origin().unwrap_or_default())),
        ("Leaves of its tree", size),
        ("Root of its tree", root),
        ("Identity", cell(&verification.identity().map(ToString::to_string).unwrap_or_default())),
        ("Report made", rfc3339_micros(report.made).unwrap_or_default()),
    ]);
}

fn events(report: &ComplianceReport, page: &mut Page) {
    let summary = &report.summary;
    page.heading("Who did what");
    let (first, last) = match summary.times() {
        Some((first, last)) => (rfc3339_micros(first), rfc3339_micros(last)),
        None => (None, None),
    };
    page.facts(&[
        ("Events", summary.events().to_string()),
        ("From", first.unwrap_or_default()),
        ("To", last.unwrap_or_default()),
    ]);
    let classes = EventClass::ALL.map(|class| (class.as_str(), summary.by_class(class)));
    let results = RESULTS.map(|result| (result.as_str(), summary.by_result(result)));
    let threats = THREATS.map(|threat| (threat.as_str(), summary.by_threat(threat)));
    for (by, counts) in
        [("Class", classes.as_slice()), ("Result", results.as_slice()), ("Threat", threats.as_slice())]
    {
        let rows: Vec<_> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| vec![cell(name), count.to_string()])
            .collect();
        page.table(&[by, "Events"], &rows);
    }
    page.counts("Actor", summary.actors());
    page.counts("Agent", summary.agents());
    page.counts("Action", &report.actions);
}

fn approvals(report: &ComplianceReport, page: &mut Page) {
    let approvals = &report.approvals;
    let millis = |value: Option<f64>| value.map(|value| format!("{value:.0} ms")).unwrap_or_default();
    let longest = (approvals.waits.count > 0).then_some(approvals.waits.longest);
    page.heading("Approvals");
    page.facts(&[
        ("Answers", approvals.answers.to_string()),
        ("Granted", approvals.granted.to_string()),
        ("Denied", approvals.denied.to_string()),
        ("Mean wait for an answer", millis(approvals.waits.mean())),
        ("Longest wait for an answer", millis(longest)),
        ("Raises of sessions granted", approvals.raises_granted.to_string()),
        ("Raises of sessions denied", approvals.raises_denied.to_string()),
    ]);
    page.counts("Approver", &approvals.approvers);
    page.counts("Scope", &approvals.scopes);
    page.newest(&approvals.newest, ["Approver", "Waited (ms)", "Note"], |stored| {
        let waited = match stored.event.get_detail("waited_ms") {
            Some(AuditValue::Float(millis)) => format!("{millis:.0}"),
            Some(AuditValue::Int(millis)) => millis.to_string(),
            _ => String::new(),
        };
        let of = |name| cell(text(&stored.event, name).unwrap_or_default());
        [of("approver"), waited, of("note")]
    });
}

fn controls(report: &ComplianceReport, page: &mut Page) {
    let controls = &report.controls;
    page.heading("Controls");
    page.facts(&[
        ("Runs that say what was enforced", controls.runs.to_string()),
        ("Of these, runs with nothing enforced", controls.runs_without_layers.to_string()),
        ("Runs answered from a cache", controls.from_cache.to_string()),
        ("Runs in which the sandbox refused something", controls.runs_with_refusals.to_string()),
        ("Commands refused before they ran", controls.refused.to_string()),
        ("Connections made", controls.connections.to_string()),
        ("Connections denied", controls.connections_denied.to_string()),
    ]);
    page.counts("Sandbox", &controls.sandboxes);
    page.counts("Layer enforced", &controls.enforced);
    page.counts("Layer partly enforced", &controls.partly_enforced);
    page.counts("Refused by rule", &controls.refused_by_rule);
}

fn reason(stored: &StoredEvent) -> String {
    cell(text(&stored.event, "reason").unwrap_or_default())
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// What is written, line by line. Cells are escaped when they come here.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.line(&format!("\n## {text}"));
    }

    fn facts(&mut self, facts: &[(&str, String)]) {
        let rows: Vec<_> =
            facts.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
        self.table(&["", ""], &rows);
    }

    fn counts(&mut self, by: &str, counts: &NameCounts) {
        let shown = counts.top(SHOWN).into_iter().map(|count| {
            let number = match count.at_least == count.at_most {
                true => count.at_least.to_string(),
                false => format!("{} to {}", count.at_least, count.at_most),
            };
            vec![cell(&count.name), number]
        });
        self.table(&[by, "Events"], &shown.collect::<Vec<_>>());
    }

    fn newest<const N: usize>(
        &mut self,
        newest: &Newest,
        more: [&str; N],
        cells: impl Fn(&StoredEvent) -> [String; N],
    ) {
        self.events(&newest.iter().collect::<Vec<_>>(), newest.seen(), more, cells);
    }

    fn events<const N: usize>(
        &mut self,
        events: &[&StoredEvent],
        all: u64,
        more: [&str; N],
        cells: impl Fn(&StoredEvent) -> [String; N],
    ) {
        if (events.len() as u64) < all {
            self.line(&format!("\nThe newest {} of {all}:", events.len()));
        }
        let mut head = vec!["Record", "Time", "Actor", "Agent", "Action", "Resource", "Result", "Threat"];
        head.extend(more);
        let rows: Vec<_> = events
            .iter()
            .map(|stored| {
                let event = &stored.event;
                let mut row = vec![
                    stored.sequence.to_string(),
                    rfc3339_micros(event.time).unwrap_or_default(),
                    cell(&event.actor),
                    cell(event.agent.as_deref().unwrap_or_default()),
                    cell(&event.action),
                    cell(&event.resource),
                    cell(event.result.as_str()),
                    cell(event.threat.as_str()),
                ];
                row.extend(cells(stored));
                row
            })
            .collect();
        self.table(&head, &rows);
    }

    fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return;
        }
        self.line(&format!("\n| {} |", head.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            self.line(&format!("| {} |", row.join(" | ")));
        }
    }
}

/// A text that means nothing to Markdown: as a cell it stays within its cell and its line.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = [' '; 2];
    for (number, c) in text.chars().enumerate() {
        if number == CELL {
            out.push('…');
            break;
        }
        match c {
            // A host that begins with www is a link, as is a name with an @, and what has a scheme.
            '.' if last.iter().all(|c| c.eq_ignore_ascii_case(&'w')) => push_reference(&mut out, c),
            '.' | ',' | '-' | '/' | '=' | '+' | '%' | '?' | ';' | '(' | ')' | '"' | '\'' => out.push(c),
            _ if c.is_ascii_punctuation() => push_reference(&mut out, c),
            '\n' | '\r' | '\t' => out.push(' '),
            _ => push_safe_cell(&mut out, c),
        }
        last = [last[1], c];
    }
    out
}

fn push_reference(out: &mut String, c: char) {
    // Writing to a String cannot fail.
    let _ = write!(out, "&#{};", u32::from(c));
}

/// What moves the cursor, or turns the direction of writing, as its escape.
fn push_safe_cell(out: &mut String, c: char) {
    let mut escaped = String::new();
    push_safe(&mut escaped, c);
    match escaped.strip_prefix('\\') {
        Some(rest) => {
            push_reference(out, '\\');
            out.push_str(rest);
        }
        None => out.push_str(&escaped),
    }
}
