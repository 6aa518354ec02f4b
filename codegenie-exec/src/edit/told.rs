//! How a file's change is told: as a diff in git's form, and what changes beside the content.

use super::place::Found;
use super::plan::{Dress, Target};
use super::request::ContentHash;
use super::unified;
use crate::codec::Attributes;
use crate::quoted::quoted;
use nix::unistd::{getegid, geteuid};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What changes beside the content of a file that is there before and after; or what a file that comes has beside it
/// that another one would not have, as by an undo.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dressing {
    pub(super) mode: Option<(u32, u32)>,
    pub(super) owner: Option<((u32, u32), (u32, u32))>,
    /// Names of extended attributes.
    pub(super) attributes: Vec<String>,
}

impl Dressing {
    pub(super) fn between(before: Option<&Found>, after: Option<&Target>) -> Self {
        let Some(Target { dress: Dress::Like(after, _), .. }) = after else { return Self::default() };
        // The mode of a new file is not known before it is made: none is like it.
        let new = || Attributes { uid: geteuid().as_raw(), gid: getegid().as_raw(), ..Attributes::default() };
        let before = &before.map_or_else(new, |found| found.attributes.clone());
        let differing = |old, new| (old != new).then_some((old, new));
        Self {
            mode: differing(before.mode, after.mode),
            owner: ((before.uid, before.gid) != (after.uid, after.gid))
                .then_some(((before.uid, before.gid), (after.uid, after.gid))),
            attributes: differing_attributes(before, after),
        }
    }

    pub(super) fn is_same(&self) -> bool {
        *self == Self::default()
    }
}

fn differing_attributes(before: &Attributes, after: &Attributes) -> Vec<String> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (before.extended.iter().collect(), after.extended.iter().collect());
    let names: BTreeSet<&[u8]> = old.symmetric_difference(&new).map(|(name, _)| name.as_slice()).collect();
    names.into_iter().map(|name| String::from_utf8_lossy(name).escape_debug().to_string()).collect()
}

/// Writes a file's diff. Gives the numbers of lines that came and went.
pub(super) fn write(
    diff: &mut Vec<u8>,
    path: &Path,
    from: Option<&PathBuf>,
    before: Option<&Found>,
    after: Option<&Target>,
    dressing: &Dressing,
) -> (usize, usize) {
    let old_path = from.map_or(path, PathBuf::as_path);
    let (a, b) = (quoted("a/", old_path), quoted("b/", path));
    let mut head = String::new();
    // Git has no lines for these; what stands before a diff's first line is a remark to its readers.
    let shown = quoted("", path);
    if let Some(((uid, gid), (new_uid, new_gid))) = dressing.owner {
        let what = if before.is_some() { "changes" } else { "of a new file changes" };
        head.push_str(&format!("{shown}: the owner {what} from {uid}:{gid} to {new_uid}:{new_gid}\n"));
    }
    if !dressing.attributes.is_empty() {
        let names = dressing.attributes.join(", ");
        let what = if before.is_some() { "change" } else { "come with it" };
        head.push_str(&format!("{shown}: extended attributes {what}: {names}\n"));
    }
    head.push_str(&format!("diff --git {a} {b}\n"));
    match (before, after) {
        (None, Some(after)) => head.push_str(&format!("new file mode {}\n", mode(&after.dress))),
        (Some(before), None) => {
            head.push_str(&format!(
                "deleted file mode {}\n",
                mode(&Dress::Like(before.attributes.clone(), true))
            ));
        }
        _ => {}
    }
    if let Some((old, new)) = dressing.mode.filter(|_| before.is_some()) {
        head.push_str(&format!("old mode 100{old:03o}\nnew mode 100{new:03o}\n"));
    }
    if from.is_some() {
        head.push_str(&format!("rename from {}\nrename to {}\n", quoted("", old_path), quoted("", path)));
    }
    let old = before.map_or(&b""[..], |found| &found.content);
    let new = after.map_or(&b""[..], |now| &now.content);
    let null = || "/dev/null".to_owned();
    let (a, b) = (if before.is_some() { a } else { null() }, if after.is_some() { b } else { null() });
    if old == new {
        diff.extend_from_slice(head.as_bytes());
        return (0, 0);
    }
    if is_binary(old) || is_binary(new) {
        let side =
            |content: &[u8]| format!("{} bytes with SHA-256 {}", content.len(), ContentHash::of(content));
        head.push_str(&format!("Binary files {a} and {b} differ: {} become {}\n", side(old), side(new)));
        diff.extend_from_slice(head.as_bytes());
        return (0, 0);
    }
    // A tab ends a name that has spaces in it.
    let end = |name: &str| if name.contains(' ') { "\t" } else { "" };
    head.push_str(&format!("--- {a}{}\n+++ {b}{}\n", end(&a), end(&b)));
    diff.extend_from_slice(head.as_bytes());
    unified::hunks(old, new, diff)
}

/// What git takes for binary; its diff tells size and hash alone.
pub(super) fn is_binary(content: &[u8]) -> bool {
    content.contains(&0)
}

fn mode(dress: &Dress) -> String {
    match dress {
        // As git says it: the rest is the umask's.
        Dress::Fresh { executable: true } => "100755".to_owned(),
        Dress::Fresh { executable: false } => "100644".to_owned(),
        Dress::Like(attributes, _) => format!("100{:03o}", attributes.mode),
    }
}
