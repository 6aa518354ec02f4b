//! A workspace to edit, and what is in it.

use codegenie_exec::{EditLimits, Editor};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Place {
    pub(crate) workspace: TempDir,
    pub(crate) state: TempDir,
}

/// A file as the tests compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: char,
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    /// The attribute `user.note`, where it has one.
    pub(crate) note: Option<Vec<u8>>,
}

impl Place {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let place = Self { workspace: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() };
        fs::set_permissions(place.state.path(), fs::Permissions::from_mode(0o700)).unwrap();
        for (path, content) in files {
            place.put(path, content);
        }
        place
    }

    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.workspace.path().join(path)
    }

    pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).unwrap()
    }

    pub(crate) fn editor(&self) -> Editor {
        Editor::open(self.workspace.path(), self.state.path()).unwrap()
    }

    pub(crate) fn editor_with(&self, change: impl FnOnce(&mut EditLimits)) -> Editor {
        let mut limits = EditLimits::default();
        change(&mut limits);
        Editor::open_with(self.workspace.path(), self.state.path(), limits).unwrap()
    }

    /// Everything in the workspace. Of directories the time is left out: whatever happens in them changes it.
    pub(crate) fn seen(&self) -> BTreeMap<PathBuf, Seen> {
        seen(self.workspace.path())
    }
}

pub(crate) fn seen(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let (kind, content) = if meta.is_dir() {
                waiting.push(path.clone());
                ('d', Vec::new())
            } else if meta.is_file() {
                ('f', fs::read(&path).unwrap())
            } else if meta.is_symlink() {
                ('l', fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
            } else {
                ('?', Vec::new())
            };
            let mtime = if meta.is_dir() { (0, 0) } else { (meta.mtime(), meta.mtime_nsec()) };
            let note = Some(&path).filter(|_| meta.is_file()).and_then(note);
            let seen =
                Seen { kind, content, mode: meta.mode(), owner: (meta.uid(), meta.gid()), mtime, note };
            all.insert(path.strip_prefix(root).unwrap().to_path_buf(), seen);
        }
    }
    all
}

fn note(path: &PathBuf) -> Option<Vec<u8>> {
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(path, "user.note", &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}
