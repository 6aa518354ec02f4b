//! What the host's policy says of editing files.

use super::class::Class;
use super::policy::CommandPolicy;
use super::verdict::{Decision, Judgement, Verdict};
use std::path::{Path, PathBuf};

/// What is decided about editing the files `paths`, relative to `root`. The strictest wins.
pub(crate) fn judge_edit(policy: &CommandPolicy, root: &Path, paths: &[PathBuf]) -> Verdict {
    let class = Class::WritesWorkspace;
    let parts: Vec<Judgement> = paths
        .iter()
        .map(|path| {
            let (relative, absolute) =
                (path.to_string_lossy(), root.join(path).to_string_lossy().into_owned());
            let (decision, rule, reason) = match policy.permissions.edit(&relative, &absolute) {
                // A name that is not text could be told by a rule as another one.
                Some((Decision::Allow, _)) if path.to_str().is_none() => {
                    (policy.asked(), "the name".to_owned(), "it is not UTF-8")
                }
                Some((decision, rule)) => {
                    (policy.question(decision), format!("permissions: {rule}"), "the host's policy")
                }
                None => (policy.decide(class), policy.sandbox_mode.as_str().to_owned(), class.described()),
            };
            let part = relative.escape_debug().to_string();
            Judgement { part, decision, class, rule, reason: reason.to_owned(), depth: 0, pure: false }
        })
        .collect();
    let strictest = parts.iter().rev().max_by_key(|part| part.decision);
    let (decision, rule, reason) = match strictest {
        Some(part) => (part.decision, part.rule.clone(), part.reason.clone()),
        None => (policy.asked(), "no file".to_owned(), "the edit names no file".to_owned()),
    };
    Verdict { decision, class, network: false, rule, reason, pure: false, parts }
}
