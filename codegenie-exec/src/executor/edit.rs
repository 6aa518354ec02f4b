//! The one path on which files are edited: session, permission, policy, approval, record, edit, record.

mod record;

use self::record::OpenEdit;
use super::record::Recorder;
use super::status::{OperationStage, Watch};
use super::{ExecError, SecureExecutor};
use crate::approval::{Approval, ApprovalRequest, seen};
use crate::edit::{Applied, Edit, EditError, Editor, Preview, UndoId};
use crate::sandbox::Sandbox;
use crate::validate::{self, Decision, Verdict};
use codegenie_perf::CacheBackend;
use codegenie_security::{AccessControl, AuditSink, EventClass, OperationId, Session};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Paths in the line by which an edit is called; all of them are in the record's details.
const NAMED: usize = 4;

/// Files that were edited, and how that came to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EditExecution {
    /// Joins the edit's audit events.
    pub operation: OperationId,
    /// What the policy said, file by file.
    pub verdict: Verdict,
    /// What the approver said, where one was asked.
    pub approval: Option<Approval>,
    /// What was changed, and by which name it is taken back.
    pub applied: Applied,
}

/// What is to be done.
#[derive(Clone, Debug)]
enum Change {
    Edits(Vec<Edit>),
    Undo(UndoId),
}

impl Change {
    fn action(&self) -> &'static str {
        match self {
            Self::Edits(_) => "edit",
            Self::Undo(_) => "undo",
        }
    }

    fn paths(&self, editor: &Editor) -> Result<Vec<PathBuf>, EditError> {
        match self {
            Self::Edits(edits) => editor.paths(edits),
            Self::Undo(id) => editor.undo_paths(id),
        }
    }

    fn preview(&self, editor: &Editor) -> Result<Preview, EditError> {
        match self {
            Self::Edits(edits) => editor.preview(edits),
            Self::Undo(id) => editor.preview_undo(id),
        }
    }

    fn make(&self, editor: &Editor, agreed: Option<&Preview>) -> Result<Applied, EditError> {
        match (self, agreed) {
            (Self::Edits(edits), None) => editor.apply(edits),
            (Self::Edits(edits), Some(preview)) => editor.apply_previewed(edits, preview),
            (Self::Undo(id), None) => editor.undo(id),
            (Self::Undo(id), Some(preview)) => editor.undo_previewed(id, preview),
        }
    }
}

impl<S: Sandbox, A: AuditSink, C: CacheBackend> SecureExecutor<S, A, C> {
    /// Edits files for the session that `token` opens, all or nothing.
    ///
    /// The way is that of a command. The session needs the permission `edit` for `file:` and the path, relative to the
    /// editor's root, of every file that the edits name. The policy's `Edit`, `Write` and `Read` rules and its sandbox mode are
    /// asked; an approver sees the diff, and what is then done is exactly that, or nothing. An approval holds for
    /// this once, whatever its scope. Names and hashes of the files go on record, their content does not.
    ///
    /// When the returned future is dropped while files change, the drop waits until they have, and that is recorded.
    pub async fn edit(
        &self,
        token: impl AsRef<str> + Send,
        edits: &[Edit],
    ) -> Result<EditExecution, ExecError> {
        self.watched(token.as_ref(), Change::Edits(edits.to_vec())).await
    }

    /// Takes back what [`edit`](Self::edit) did, on the same way and by the same permissions. Which session made the
    /// edit does not matter.
    pub async fn undo_edit(
        &self,
        token: impl AsRef<str> + Send,
        id: &UndoId,
    ) -> Result<EditExecution, ExecError> {
        self.watched(token.as_ref(), Change::Undo(id.clone())).await
    }

    async fn watched(&self, token: &str, change: Change) -> Result<EditExecution, ExecError> {
        let watch = self.activity.watch();
        let result = self.change(token, change, &watch).await;
        watch.ended(result)
    }

    async fn change(
        &self,
        token: &str,
        change: Change,
        watch: &Watch<'_>,
    ) -> Result<EditExecution, ExecError> {
        let line = called(&change);
        let mut recorder = Recorder::of(EventClass::FileActivity, change.action(), &self.audit, &line);
        let session = match self.access.validate(token) {
            Ok(session) => session,
            Err(error) => return Err(recorder.refuse_session(error)),
        };
        recorder.session(&session);
        watch.begun(recorder.operation(), &line, &session);
        let Some(editor) = &self.editor else { return Err(recorder.refuse_without_editor()) };
        let change = Arc::new(change);

        let paths = match blocking(&change, editor, |change, editor| change.paths(editor)).await {
            Ok(paths) => paths,
            Err(error) => return Err(recorder.edit_failed(error)),
        };
        recorder.files(&paths);
        self.permit_files(&recorder, &session, &paths)?;

        let policy = self.policy(&recorder)?;
        let mut verdict = validate::judge_edit(&policy, editor.root(), &paths);
        recorder.verdict(&verdict);
        let (mut approval, mut agreed) = (None, None);
        match verdict.decision {
            Decision::Allow => {}
            Decision::Deny => return Err(recorder.refuse_by_policy(verdict)),
            Decision::Ask => {
                let preview = match blocking(&change, editor, |change, editor| change.preview(editor)).await {
                    Ok(preview) => preview,
                    Err(error) => return Err(recorder.edit_failed(error)),
                };
                let diff = match self.to_show(&preview) {
                    Ok(diff) => diff,
                    Err(error) => return Err(recorder.edit_failed(error)),
                };
                let request = ApprovalRequest {
                    operation: recorder.operation(),
                    user: session.user().to_owned(),
                    agent: session.agent().map(str::to_owned),
                    command: line.clone(),
                    cwd: editor.root().to_path_buf(),
                    environment: BTreeMap::new(),
                    input: None,
                    diff: Some(diff),
                    privileges: None,
                    deadline: self.approval_deadline,
                    verdict: verdict.clone(),
                };
                watch.stage(OperationStage::Asking);
                let since = Instant::now();
                let answer = self.answered(&request).await;
                recorder.approval(&answer, since.elapsed())?;
                if !answer.granted {
                    return Err(recorder.refuse_by_approver(verdict, answer));
                }
                (approval, agreed) = (Some(answer), Some(preview));
            }
        }
        // Approval takes time: what was true before it may not be any more.
        if let Err(error) = self.access.validate(token) {
            return Err(recorder.refuse_session(error));
        }
        self.permit_files(&recorder, &session, &paths)?;
        if approval.is_some() {
            let policy = self.policy(&recorder)?;
            let now = validate::judge_edit(&policy, editor.root(), &paths);
            verdict = super::agreed_still(&mut recorder, &verdict, now)?;
        }

        recorder.edit_intent()?;
        watch.stage(OperationStage::Running);
        let _meanwhile = self.results.workspace_changes();
        let editor = Arc::clone(editor);
        let open = OpenEdit::begin(&recorder, move || change.make(&editor, agreed.as_ref()));
        let (applied, recorded) = open.end().await?;
        let edited = EditExecution { operation: recorder.operation(), verdict, approval, applied };
        match recorded {
            Ok(()) => Ok(edited),
            Err(error) => Err(ExecError::EditNotRecorded { edited: Box::new(edited), error }),
        }
    }

    /// The diff for an approver: all of it, unless the host wants them asked about less.
    fn to_show(&self, preview: &Preview) -> Result<String, EditError> {
        let diff = preview.diff();
        if !self.asks_about_unseen {
            let advice = "or have the host say that it is to be asked about all the same";
            if let Some(file) = preview.files.iter().find(|file| file.is_binary) {
                let path = file.path.to_string_lossy().escape_debug().to_string();
                return Err(EditError::Unseen(format!(
                    "{path} is binary; give the host a rule for it, {advice}"
                )));
            }
            if diff.len() > self.shown_bytes {
                let (is, most) = (diff.len(), self.shown_bytes);
                return Err(EditError::Unseen(format!(
                    "the diff of {is} bytes is longer than {most}; make smaller edits, {advice}"
                )));
            }
        }
        Ok(seen(&diff, self.shown_bytes))
    }

    fn permit_files(
        &self,
        recorder: &Recorder<'_, A>,
        session: &Session,
        paths: &[PathBuf],
    ) -> Result<(), ExecError> {
        match refused(&self.access, session, paths) {
            None => Ok(()),
            Some((resource, decision)) => Err(recorder.refuse_permission("edit", &resource, &decision)),
        }
    }
}

/// The first file that the session may not edit, and why.
fn refused(
    access: &AccessControl,
    session: &Session,
    paths: &[PathBuf],
) -> Option<(String, codegenie_security::Decision)> {
    paths.iter().find_map(|path| {
        // A name that is not text is no name that a rule could speak of.
        let name = path.to_str().unwrap_or("(not UTF-8)");
        let resource = format!("file:{name}");
        let decision = access.permit(session, "edit", &resource);
        (!decision.is_allowed()).then_some((resource, decision))
    })
}

/// What the change is called in questions and on record.
fn called(change: &Change) -> String {
    let plain = |path: &Path| path.to_string_lossy().escape_debug().to_string();
    match change {
        Change::Undo(id) => format!("undo {id}"),
        Change::Edits(edits) => {
            let mut names: Vec<String> = Vec::new();
            for path in edits.iter().flat_map(|edit| std::iter::once(edit.path()).chain(edit.target())) {
                let name = plain(path);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let more = names.len().saturating_sub(NAMED);
            names.truncate(NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("edit {}{more}", names.join(", "))
        }
    }
}

/// Does what blocks on a thread for it.
async fn blocking<T: Send + 'static>(
    change: &Arc<Change>,
    editor: &Arc<Editor>,
    job: impl FnOnce(&Change, &Editor) -> Result<T, EditError> + Send + 'static,
) -> Result<T, EditError> {
    let (change, editor) = (Arc::clone(change), Arc::clone(editor));
    match tokio::task::spawn_blocking(move || job(&change, &editor)).await {
        Ok(result) => result,
        Err(error) => Err(record::lost(&error.to_string())),
    }
}
