//! What a layer changes of the workspace: the layer laid over what was there when it was begun.

use super::error::CowError;
use super::layer::{Attribute, Written, is_taken_over};
use super::tree::{self, CowLimits, FileKind, Stat};
use crate::native;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Bound;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The workspace as it was at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Baseline {
    pub(super) entries: BTreeMap<PathBuf, Stat>,
    /// Directories that this user may not read; what is in them is not known.
    pub(super) closed: BTreeSet<PathBuf>,
}

impl Baseline {
    pub(super) fn take(root: &OwnedFd, limits: &CowLimits) -> Result<Self, CowError> {
        let mut baseline = Self::default();
        let user = nix::unistd::geteuid();
        tree::walk(root, limits, |found| {
            let stat = found.stat;
            let mut readable = stat.kind == FileKind::Directory;
            if readable && !user.is_root() && (stat.mode & 0o500 != 0o500 || stat.uid != user.as_raw()) {
                readable = tree::open_dir(found.dir, Path::new(found.name)).is_ok();
                if !readable {
                    baseline.closed.insert(found.path.clone());
                }
            }
            baseline.entries.insert(found.path, stat);
            Ok(readable)
        })?;
        Ok(baseline)
    }

    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Stat)> {
        self.entries
            .range::<Path, _>((Bound::Excluded(path), Bound::Unbounded))
            .take_while(move |(below, _)| below.starts_with(path))
    }
}

/// One path that a commit changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) path: PathBuf,
    pub(super) before: Option<Stat>,
    pub(super) after: Written,
    /// A file whose bytes, or a link whose target, are what they were.
    pub(super) same_content: bool,
}

/// Lays the layer over the baseline. Sorted, parents before children.
pub(super) fn merge(
    baseline: &Baseline,
    layer: Vec<(PathBuf, Written)>,
) -> Result<Vec<Difference>, CowError> {
    let visible: BTreeSet<PathBuf> =
        layer.iter().filter(|(_, written)| *written != Written::Gone).map(|(path, _)| path.clone()).collect();
    let mut all: BTreeMap<PathBuf, Difference> = BTreeMap::new();
    let gone = |path: &PathBuf, stat: &Stat, all: &mut BTreeMap<PathBuf, Difference>| {
        let gone =
            Difference { path: path.clone(), before: Some(*stat), after: Written::Gone, same_content: false };
        all.insert(path.clone(), gone);
        refuse_unknown(baseline, path)
    };
    for (path, after) in layer {
        let before = baseline.entries.get(&path).copied();
        let was_directory = before.is_some_and(|before| before.kind == FileKind::Directory);
        let hides_below = match &after {
            Written::Directory { opaque, .. } => *opaque,
            _ => true,
        };
        if was_directory && hides_below {
            for (below, stat) in baseline.below(&path).filter(|(below, _)| !visible.contains(*below)) {
                gone(below, stat, &mut all)?;
            }
        }
        match (&after, &before) {
            (Written::Gone, None) => {}
            (Written::Gone, Some(stat)) => gone(&path, stat, &mut all)?,
            _ => {
                if !matches!(after, Written::Directory { opaque: false, .. }) {
                    refuse_unknown(baseline, &path)?;
                }
                all.insert(path.clone(), Difference { path, before, after, same_content: false });
            }
        }
    }
    Ok(all.into_values().collect())
}

fn refuse_unknown(baseline: &Baseline, path: &Path) -> Result<(), CowError> {
    if baseline.closed.contains(path) {
        let why =
            "this user may not read the directory that it would remove: give it the right, and begin again";
        return Err(CowError::refused(path, why));
    }
    Ok(())
}

/// Compares what has the same kind before and after, and leaves out what is as it was.
pub(super) fn settle(
    workspace: &OwnedFd,
    upper: &OwnedFd,
    differences: Vec<Difference>,
) -> Result<Vec<Difference>, CowError> {
    let mut kept: Vec<Difference> = Vec::with_capacity(differences.len());
    for mut difference in differences.into_iter().rev() {
        let path = difference.path.clone();
        let failed = |error| CowError::system("compare", &path, error);
        let is_change = match (&difference.before, &difference.after) {
            (Some(before), Written::File { stat, attributes }) if before.kind == FileKind::File => {
                difference.same_content =
                    before.size == stat.size && same_in_both(workspace, upper, &path).map_err(failed)?;
                let same = difference.same_content && before.mode == stat.mode && before.mtime == stat.mtime;
                !same || attributes_of(workspace, &path, FileKind::File).map_err(failed)? != *attributes
            }
            (Some(before), Written::Symlink { target, .. }) if before.kind == FileKind::Symlink => {
                difference.same_content = link_target(workspace, &path).is_ok_and(|old| old == *target);
                !difference.same_content
            }
            (Some(before), Written::Directory { stat, .. }) if before.kind == FileKind::Directory => {
                let inside = kept.last().is_some_and(|next| next.path.starts_with(&path));
                inside || before.mode != stat.mode || before.mtime != stat.mtime
            }
            _ => true,
        };
        if is_change {
            kept.push(difference);
        }
    }
    kept.reverse();
    Ok(kept)
}

/// Attributes of a file or directory that are taken over, sorted.
pub(super) fn attributes_of(root: &OwnedFd, path: &Path, kind: FileKind) -> io::Result<Vec<Attribute>> {
    let file = if kind == FileKind::Directory {
        tree::open_dir(root, path)?
    } else {
        let (parent, name) = tree::open_parent(root, path)?;
        tree::open_file(&parent, name)?
    };
    attributes_of_fd(&file)
}

pub(super) fn attributes_of_fd(file: impl AsFd) -> io::Result<Vec<Attribute>> {
    let mut attributes = Vec::new();
    for name in native::attributes(&file)? {
        if is_taken_over(name.as_bytes())
            && let Some(value) = native::attribute(&file, &name)?
        {
            attributes.push((name.into_bytes(), value));
        }
    }
    attributes.sort_unstable();
    Ok(attributes)
}

pub(super) fn link_target(root: &OwnedFd, path: &Path) -> io::Result<PathBuf> {
    let (parent, name) = tree::open_parent(root, path)?;
    Ok(PathBuf::from(nix::fcntl::readlinkat(&parent, name)?))
}

pub(super) fn open(root: &OwnedFd, path: &Path) -> io::Result<File> {
    let (parent, name) = tree::open_parent(root, path)?;
    Ok(File::from(tree::open_file(&parent, name)?))
}

/// Whether the file has the same bytes in both trees. One that is gone meanwhile has not.
fn same_in_both(a: &OwnedFd, b: &OwnedFd, path: &Path) -> io::Result<bool> {
    let Ok(a) = open(a, path) else { return Ok(false) };
    same_bytes(a, open(b, path)?)
}

/// Whether two files have the same bytes from where they are.
pub(super) fn same_bytes(mut a: File, mut b: File) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let (read_left, read_right) = (fill(&mut a, &mut left)?, fill(&mut b, &mut right)?);
        if left.get(..read_left) != right.get(..read_right) {
            return Ok(false);
        }
        if read_left == 0 {
            return Ok(true);
        }
    }
}

fn fill(from: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
