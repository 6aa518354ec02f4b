//! The names that a transaction's files have, or give to directories, so that each is found without looking at
//! all the others.

use super::name;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A name in a directory, and how it is compared with others beside it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: Rc<OsStr>,
    pub(super) folded: Option<String>,
}

impl Named {
    pub(super) fn new(name: &OsStr) -> Self {
        Self { name: Rc::from(name), folded: name::folded(name) }
    }
}

/// By directory: the names in it that lead to a file of the transaction, and to how many.
#[derive(Debug, Default)]
pub(super) struct Coming {
    below: BTreeMap<PathBuf, BTreeMap<Rc<OsStr>, (Named, usize)>>,
}

impl Coming {
    /// A file comes to `path`.
    pub(super) fn add(&mut self, path: &Path) {
        for (directory, name) in steps(path) {
            let named = self.below.entry(directory.to_path_buf()).or_default();
            if let Some((_, count)) = named.get_mut(name) {
                *count += 1;
            } else {
                let new = Named::new(name);
                named.insert(Rc::clone(&new.name), (new, 1));
            }
        }
    }

    /// The file at `path`, which had come to it, goes.
    pub(super) fn remove(&mut self, path: &Path) {
        for (directory, name) in steps(path) {
            let Some(named) = self.below.get_mut(directory) else { continue };
            if let Some((_, count)) = named.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    named.remove(name);
                }
            }
        }
    }

    /// The names in `directory` that lead to files.
    pub(super) fn names(&self, directory: &Path) -> impl Iterator<Item = &Named> {
        self.below.get(directory).into_iter().flat_map(|named| named.values()).map(|(named, _)| named)
    }
}

fn steps(path: &Path) -> impl Iterator<Item = (&Path, &OsStr)> {
    path.ancestors().filter_map(|path| Some((path.parent()?, path.file_name()?)))
}
