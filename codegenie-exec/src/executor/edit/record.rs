//! What goes on record of an edit.

use super::super::ExecError;
use super::super::record::Recorder;
use crate::edit::{Applied, EditError, FileChange, Refusal};
use codegenie_security::{AuditError, AuditEvent, AuditResult, AuditSink, ThreatLevel};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

impl<A: AuditSink> Recorder<'_, A> {
    pub(super) fn refuse_without_editor(&self) -> ExecError {
        let refusal = ExecError::NoEditor { operation: self.operation() };
        self.refuse(self.own_event(AuditResult::Failure), refusal)
    }

    /// The edit was refused by the editor, or failed, before anything was changed.
    pub(super) fn edit_failed(&self, error: EditError) -> ExecError {
        let unrecorded = self.audit().record(&failure(self.own_event(AuditResult::Failure), &error)).err();
        ExecError::Edit { operation: self.operation(), error: Box::new(error), unrecorded }
    }

    /// Records that files are about to change.
    pub(super) fn edit_intent(&self) -> Result<(), ExecError> {
        self.record(&self.own_event(AuditResult::Pending))
    }

    fn edited(&self, applied: &Applied) -> Result<(), AuditError> {
        let changes: Vec<String> = applied.files.iter().map(told).collect();
        let (added, removed) = applied.files.iter().fold((0, 0), |(added, removed), file| {
            (added + file.added as u64, removed + file.removed as u64)
        });
        let event = self
            .own_event(AuditResult::Success)
            .detail("undo", applied.undo.to_string())
            .detail("changes", changes)
            .detail("lines_added", added)
            .detail("lines_removed", removed);
        self.audit().record(&event)
    }
}

/// An edit on a thread, of which the outcome is recorded whatever becomes of the future that waits for it.
pub(super) struct OpenEdit<'r, 'a, A: AuditSink> {
    recorder: &'r Recorder<'a, A>,
    result: mpsc::Receiver<Result<Applied, EditError>>,
    done: Option<oneshot::Receiver<()>>,
    /// Set by whoever comes first: the thread that begins, or the drop that gives the edit up before.
    decided: Arc<AtomicBool>,
    open: bool,
}

impl<'r, 'a, A: AuditSink> OpenEdit<'r, 'a, A> {
    pub(super) fn begin(
        recorder: &'r Recorder<'a, A>,
        job: impl FnOnce() -> Result<Applied, EditError> + Send + 'static,
    ) -> Self {
        let (give, result) = mpsc::sync_channel(1);
        let (wake, done) = oneshot::channel();
        let decided = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&decided);
        tokio::task::spawn_blocking(move || {
            if begins.swap(true, Ordering::AcqRel) {
                return;
            }
            let _ = give.send(job());
            let _ = wake.send(());
        });
        Self { recorder, result, done: Some(done), decided, open: true }
    }

    /// What became of it, and whether that is on record.
    pub(super) async fn end(mut self) -> Result<(Applied, Result<(), AuditError>), ExecError> {
        if let Some(done) = self.done.take() {
            // An error is the thread's end too: then there is no result below.
            let _ = done.await;
        }
        self.open = false;
        match self.taken() {
            Ok(applied) => {
                let recorded = self.recorder.edited(&applied);
                Ok((applied, recorded))
            }
            Err(error) => Err(self.recorder.edit_failed(error)),
        }
    }

    fn taken(&self) -> Result<Applied, EditError> {
        self.result.recv().unwrap_or_else(|_| Err(lost("the thread ended")))
    }
}

impl<A: AuditSink> Drop for OpenEdit<'_, '_, A> {
    fn drop(&mut self) {
        if self.open && !self.decided.swap(true, Ordering::AcqRel) {
            // No thread has taken it up yet, and none will: perhaps this is the only one that could.
            drop(self.recorder.edit_failed(EditError::GivenUp));
        } else if self.open {
            // The thread cannot be stopped between two files. It is waited for, so that the record says what it did.
            match self.taken() {
                Ok(applied) => drop(self.recorder.edited(&applied)),
                Err(error) => drop(self.recorder.edit_failed(error)),
            }
        }
    }
}

pub(super) fn lost(why: &str) -> EditError {
    EditError::Interrupted(format!(
        "the thread that edits gave no result ({why}): open the editor again, which recovers what it has left"
    ))
}

/// One changed file: its name, and the hashes of what it held and holds.
fn told(file: &FileChange) -> String {
    let hash =
        |hash: Option<crate::edit::ContentHash>| hash.map_or_else(|| "none".to_owned(), |h| h.to_string());
    let name = |path: &PathBuf| path.to_string_lossy().escape_debug().to_string();
    let from = file.from.as_ref().map_or_else(String::new, |from| format!("{} -> ", name(from)));
    format!("{from}{}: {} -> {}", name(&file.path), hash(file.before), hash(file.after))
}

/// What is refused for where it leads, or for what it holds, is worth a look; what does not fit is not.
fn failure(event: AuditEvent, error: &EditError) -> AuditEvent {
    let threat = match error {
        EditError::Gate { .. } => ThreatLevel::Medium,
        EditError::Refused { refusal, .. } => match refusal {
            Refusal::Exists | Refusal::Missing | Refusal::Binary | Refusal::TooLarge => ThreatLevel::None,
            Refusal::Protected | Refusal::Outside | Refusal::Symlink | Refusal::Hardlink => {
                ThreatLevel::Medium
            }
            _ => ThreatLevel::Low,
        },
        EditError::Interrupted(_) => ThreatLevel::Medium,
        _ => ThreatLevel::None,
    };
    let denied = threat > ThreatLevel::None && !matches!(error, EditError::Interrupted(_));
    let event = if denied { event.result(AuditResult::Denied) } else { event };
    event.threat(threat).detail("refusal", error.to_string())
}
