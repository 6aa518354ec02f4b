//! What an auditor asks of a log, in one document.

mod approvals;
mod controls;
mod json;
mod markdown;
mod newest;

use std::time::SystemTime;

use self::approvals::{Approvals, text};
use self::controls::Controls;
use self::newest::Newest;
use crate::audit_log::{SHRED_ACTION, SHRED_KEYS};
use crate::query::NameCounts;
use crate::{
    AnchoredCheckpoint, AuditLogError, AuditQuery, AuditReader, AuditSummary, AuditValue, EventClass,
    StoredEvent, Verification,
};

/// How many names of a kind are counted.
const NAMES: usize = 10_000;
/// How many events of a kind are listed.
const LISTED: usize = 100;
/// How many names of a kind are shown.
const SHOWN: usize = 20;

/// Who did what, what was approved and by whom, which controls were enforced, what was alarming, and whether the log can be
/// believed: as JSON and as Markdown.
///
/// Memory is bounded however long the log is: of names the most frequent are counted (up to 10,000 of a kind, of
/// which 20 are shown), and of approvals, detections, shreddings and events of a high threat level the newest 100 are
/// listed. Counts of events are exact.
///
/// ```
/// use codegenie_security::{
///     AuditEvent, AuditLog, AuditQuery, AuditReader, AuditSink, ComplianceReport, EventClass, SealingKey,
/// };
///
/// let dir = tempfile::tempdir()?;
/// let (path, key) = (dir.path().join("audit"), SealingKey::generate()?);
/// let log = AuditLog::open(&path, &key)?;
/// log.record(&AuditEvent::new(EventClass::Command, "execute", "git status").actor("alice"))?;
///
/// let report = ComplianceReport::make(&AuditReader::open(&path, &key)?, &AuditQuery::new(), &[])?;
/// assert!(report.verification().is_intact());
/// assert_eq!(report.summary().events(), 1);
/// assert!(report.to_markdown().contains("| alice | 1 |"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ComplianceReport {
    title: String,
    made: SystemTime,
    verification: Verification,
    unread: Option<String>,
    summary: AuditSummary,
    actions: NameCounts,
    approvals: Approvals,
    controls: Controls,
    detections: Newest,
    detection_rules: NameCounts,
    shreddings: Newest,
    shredded_keys: u64,
}

impl ComplianceReport {
    /// Verifies the log, as [`AuditReader::verify`] does, and sums up those of its events that the query lets pass, whatever its
    /// limit.
    ///
    /// Verdict, retention and shreddings are those of the whole log. Events that were recorded after the log was verified are
    /// left out. Of a log that was tampered with, the report holds what comes before the fault, and says so:
    /// [`is_complete`](Self::is_complete). An error means that no verdict was reached.
    pub fn make(
        reader: &AuditReader,
        query: &AuditQuery,
        anchored: &[AnchoredCheckpoint],
    ) -> Result<Self, AuditLogError> {
        let mut report = Self {
            title: "Audit report".to_owned(),
            made: SystemTime::now(),
            verification: reader.verify(anchored)?,
            unread: None,
            summary: AuditSummary::with_bounds(NAMES, LISTED),
            actions: NameCounts::with_bound(NAMES),
            approvals: Approvals::new(NAMES, LISTED),
            controls: Controls::new(NAMES),
            detections: Newest::of(LISTED),
            detection_rules: NameCounts::with_bound(NAMES),
            shreddings: Newest::of(LISTED),
            shredded_keys: 0,
        };
        if let Err(error) = report.read(reader, query) {
            // The verdict is there, and is what such a log is looked at for.
            report.unread = Some(error.to_string());
        }
        Ok(report)
    }

    fn read(&mut self, reader: &AuditReader, query: &AuditQuery) -> Result<(), AuditLogError> {
        for stored in reader.records()? {
            let stored = stored?;
            if stored.sequence >= self.verification.records() {
                break;
            }
            self.shredding(&stored);
            if query.matches(&stored) {
                self.add(&stored);
            }
        }
        Ok(())
    }

    fn add(&mut self, stored: &StoredEvent) {
        self.summary.add(stored);
        self.actions.add(&stored.event.action);
        self.approvals.add(stored);
        self.controls.add(stored);
        if stored.event.class == EventClass::DetectionFinding {
            self.detection_rules.add(text(&stored.event, "rule").unwrap_or(&stored.event.action));
            self.detections.add(stored);
        }
    }

    /// The log's own word on keys that it destroyed.
    fn shredding(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        if event.class != EventClass::Configuration || event.action != SHRED_ACTION {
            return;
        }
        if let Some(AuditValue::List(keys)) = event.get_detail(SHRED_KEYS) {
            self.shredded_keys = self.shredded_keys.saturating_add(keys.len() as u64);
        }
        self.shreddings.add(stored);
    }

    /// Sets the title, such as what the report is about.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets when it was made: by default, now.
    #[must_use]
    pub fn made_at(mut self, time: SystemTime) -> Self {
        self.made = time;
        self
    }

    /// What verifying the whole log found.
    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// The events that the query let pass, in numbers.
    #[must_use]
    pub fn summary(&self) -> &AuditSummary {
        &self.summary
    }

    /// Could all events be read? False where the log was tampered with; the report then has what comes before that.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unread.is_none()
    }

    /// The report as one JSON object, on one line.
    ///
    /// Its fields are `format` (1), `title`, `made`, `complete`, `problem`, `integrity`, `retention`, `events`, `approvals`,
    /// `controls`, `high_threat`, `detections` and `shreddings`; none is left out, and what is not known is null. New
    /// fields may come. Times are RFC 3339 in UTC, names that are counted are lists of `name`, `at_least` and `at_most`, most
    /// frequent first. Texts are escaped as in [`export`](crate::export).
    #[must_use]
    pub fn to_json(&self) -> String {
        json::render(self)
    }

    /// The report as Markdown with tables, for people.
    ///
    /// Texts of events stand in cells of tables only, and can neither end a cell or a line, nor be taken for a link, an
    /// image, code or HTML: what has a meaning is written as a character reference. They are cut after 200 characters.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::render(self)
    }

    /// The origin of the log: the name of its identity.
    fn origin(&self) -> Option<&str> {
        let identity = self.verification.identity()?.name();
        Some(identity.strip_suffix("/identity").unwrap_or(identity))
    }
}
