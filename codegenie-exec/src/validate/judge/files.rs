//! What the host's rules say of the files that a command reads or writes.

use super::Judge;
use crate::command::Word;
use crate::validate::class::Class;
use crate::validate::permissions::Permissions;
use crate::validate::shape::{self, Shape};
use crate::validate::verdict::Decision;
use std::collections::BTreeSet;

impl Judge<'_> {
    /// What the host's rules say of the files that are named, where that is stricter.
    pub(super) fn files<'w>(
        &mut self,
        words: impl Iterator<Item = &'w Word>,
        edits: bool,
        shows: bool,
        depth: usize,
    ) {
        let policy = self.context.policy;
        if policy.permissions == Permissions::default() {
            return;
        }
        let class = if edits { Class::WritesOutside } else { Class::Escalates };
        for word in words {
            let mut paths = BTreeSet::from([word.as_written().to_owned()]);
            let mut may_become = None;
            for text in self.context.reach.texts(word) {
                for named in shape::values(&text) {
                    paths.extend(shape::text(named));
                    let leads_to = self.context.reach.paths_of(named);
                    for path in leads_to {
                        match shape::text(&path) {
                            Some(path) => drop(paths.insert(path)),
                            None if shows => {}
                            None => {
                                may_become = may_become.or_else(|| policy.permissions.may_name(&path, edits));
                            }
                        }
                    }
                }
            }
            let strictest = paths
                .iter()
                .filter_map(|path| Some((path, policy.permissions.file(path, edits)?)))
                .max_by_key(|(_, (decision, _))| *decision)
                .filter(|(_, (decision, _))| *decision != Decision::Allow);
            if let Some((path, (decision, rule))) = strictest {
                let rule = format!("permissions: {rule}");
                self.add(path, decision, class, rule, "the host's policy", depth);
            } else if let Some(rule) = may_become {
                let rule = format!("permissions: {rule}");
                let reason = "which file it is is decided by the shell";
                self.add(word.as_written(), policy.asked(), class, rule, reason, depth);
            }
        }
    }

    /// What the host's rules say of files that a use comes to by other ways than its words.
    pub(super) fn named(&mut self, part: &str, files: &[(Shape, bool)], depth: usize) {
        let policy = self.context.policy;
        if policy.permissions == Permissions::default() {
            return;
        }
        let said = files.iter().flat_map(|(file, edits)| {
            let paths = self.context.reach.paths_of(file).into_iter();
            paths.filter_map(move |path| match shape::text(&path) {
                Some(path) => {
                    policy.permissions.file(&path, *edits).map(|(decision, rule)| (decision, rule, *edits))
                }
                None => policy.permissions.may_name(&path, *edits).map(|rule| (policy.asked(), rule, *edits)),
            })
        });
        let strictest = said.max_by_key(|(decision, ..)| *decision);
        if let Some((decision, rule, edits)) = strictest.filter(|(decision, ..)| *decision != Decision::Allow)
        {
            let class = if edits { Class::WritesOutside } else { Class::Escalates };
            let rule = format!("permissions: {rule}");
            self.add(part, decision, class, rule, "the host's policy, of a file that it comes to", depth);
        }
    }
}
