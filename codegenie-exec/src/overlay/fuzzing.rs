//! What the fuzz targets call: the readers of what a sandboxed command, or a torn write, may have left.
//! Each panics where a promise is broken. A test runs them over a bounded number of random inputs.

#![allow(clippy::panic, reason = "a broken promise ends the fuzzer")]

use super::changes::{Baseline, merge};
use super::journal::{Journal, Node};
use super::layer::{self, Written};
use super::tree::{FileKind, Stat};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A journal is refused, or names only paths inside of the workspace and is written as it was read.
pub fn journal(data: &[u8]) {
    let _ = Journal::parse(data);
    let Some(journal) = Journal::parse_body(data) else { return };
    for (index, step) in journal.steps.iter().enumerate() {
        assert!(step.path.components().all(|part| matches!(part, Component::Normal(_))), "{step:?}");
        for node in [&step.before, &step.after] {
            if let Node::File { same_as: Some(other), .. } = node {
                assert!((*other as usize) < index, "{step:?}");
            }
        }
    }
    assert_eq!(Journal::parse(&journal.encode()), Some(journal));
}

/// A layer is refused, or its differences lead from the workspace to what overlayfs shows.
pub fn commit_reader(data: &[u8]) {
    let mut input = data.iter().copied();
    let mut baseline = Baseline::default();
    baseline.entries.insert(PathBuf::new(), stat(FileKind::Directory, 0));
    for _ in 0..input.next().unwrap_or(0) % 24 {
        let (path, stat) = (path(&mut input), stat_from(&mut input));
        if has_directory(&path, |up| {
            baseline.entries.get(up).is_some_and(|stat| stat.kind == FileKind::Directory)
        }) {
            baseline.entries.entry(path).or_insert(stat);
        }
    }
    let mut written: BTreeMap<PathBuf, Written> = BTreeMap::new();
    let root = stat(FileKind::Directory, 0);
    written.insert(PathBuf::new(), Written::Directory { stat: root, attributes: Vec::new(), opaque: false });
    while input.len() > 0 {
        let (path, stat) = (path(&mut input), stat_from(&mut input));
        let target = (stat.kind == FileKind::Symlink).then(|| PathBuf::from("target"));
        let attributes = attributes(&mut input);
        let Ok(judged) = layer::judge(&path, stat, target, attributes.clone()) else { continue };
        refuses_what_it_must(&stat, &attributes);
        if has_directory(&path, |up| matches!(written.get(up), Some(Written::Directory { .. }))) {
            written.entry(path).or_insert(judged);
        }
    }
    let shown = shown(&baseline, &written);
    let Ok(differences) = merge(&baseline, written.into_iter().collect()) else { return };
    assert!(differences.is_sorted_by(|a, b| a.path < b.path));
    let mut result: BTreeMap<PathBuf, Stat> = baseline.entries.clone();
    for difference in &differences {
        assert_eq!(difference.before, baseline.entries.get(&difference.path).copied());
        match &difference.after {
            Written::Gone => drop(result.remove(&difference.path)),
            Written::File { stat, .. } | Written::Symlink { stat, .. } | Written::Directory { stat, .. } => {
                result.insert(difference.path.clone(), *stat);
            }
        }
    }
    assert_eq!(result, shown);
}

fn refuses_what_it_must(stat: &Stat, attributes: &[layer::Attribute]) {
    assert!(stat.kind != FileKind::Special || stat.whiteout, "{stat:?}");
    assert!(stat.kind == FileKind::Symlink || stat.mode & 0o4000 == 0, "{stat:?}");
    let forged = |name: &[u8]| {
        name.starts_with(b"user.overlay.") && name != b"user.overlay.opaque" && name != b"user.overlay.origin"
    };
    assert!(!attributes.iter().any(|(name, _)| forged(name)), "{attributes:?}");
}

/// What overlayfs shows, said once more and simply: the layer's, and of the baseline what nothing hides.
fn shown(baseline: &Baseline, written: &BTreeMap<PathBuf, Written>) -> BTreeMap<PathBuf, Stat> {
    let mut shown = BTreeMap::new();
    for (path, one) in written {
        if let Written::File { stat, .. } | Written::Symlink { stat, .. } | Written::Directory { stat, .. } =
            one
        {
            shown.insert(path.clone(), *stat);
        }
    }
    for (path, stat) in &baseline.entries {
        let hides = |up: &Path| match written.get(up) {
            None => false,
            Some(Written::Directory { opaque, .. }) => {
                *opaque || baseline.entries.get(up).is_some_and(|below| below.kind != FileKind::Directory)
            }
            Some(_) => true,
        };
        if !written.contains_key(path) && !path.ancestors().skip(1).any(hides) {
            shown.insert(path.clone(), *stat);
        }
    }
    shown
}

fn has_directory(path: &Path, is_directory: impl Fn(&Path) -> bool) -> bool {
    path.parent().is_some_and(is_directory)
}

fn path(input: &mut impl Iterator<Item = u8>) -> PathBuf {
    let mut path = PathBuf::new();
    for _ in 0..=input.next().unwrap_or(0) % 3 {
        let name = [b"a"[..].to_vec(), b"b".to_vec(), b"\xff".to_vec(), b"a.b".to_vec()]
            .into_iter()
            .nth(usize::from(input.next().unwrap_or(0) % 4))
            .unwrap_or_default();
        path.push(OsStr::from_bytes(&name));
    }
    path
}

fn stat_from(input: &mut impl Iterator<Item = u8>) -> Stat {
    let (kind, other) = (input.next().unwrap_or(0), input.next().unwrap_or(0));
    let kind = match kind % 7 {
        0..=2 => FileKind::Directory,
        3 => FileKind::File,
        4 => FileKind::Symlink,
        _ => FileKind::Special,
    };
    stat(kind, other)
}

fn stat(kind: FileKind, other: u8) -> Stat {
    let number = u64::from(other);
    let mode = if other % 16 == 15 { 0o4755 } else { 0o700 | u32::from(other & 0o77) };
    Stat {
        kind,
        mode,
        uid: 0,
        gid: 0,
        size: number,
        mtime: (i64::from(other), 0),
        ctime: (0, 0),
        dev: 0,
        ino: number,
        nlink: 1,
        whiteout: kind == FileKind::Special && !other.is_multiple_of(4),
    }
}

fn attributes(input: &mut impl Iterator<Item = u8>) -> Vec<layer::Attribute> {
    let name: &[u8] = match input.next().unwrap_or(0) % 16 {
        0..=2 => b"user.overlay.opaque",
        3 => b"user.overlay.origin",
        4 => b"user.overlay.redirect",
        5 => b"user.overlay.metacopy",
        6 => b"user.own",
        _ => return Vec::new(),
    };
    let value: &[u8] = if input.next().unwrap_or(0).is_multiple_of(8) { b"x" } else { b"y" };
    vec![(name.to_vec(), value.to_vec())]
}
