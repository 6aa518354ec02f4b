//! Where a log and its keys may be made.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Is asked before anything is made, so that what cannot become a log leaves nothing behind.
pub(crate) fn check(dir: &Path, keys: &Path) -> Result<(), String> {
    let (log, held) = (resolved(dir)?, resolved(keys)?);
    if held.starts_with(&log) {
        return Err(format!(
            "the keys {keys:?} would lie in the log {dir:?}, so who has the log could read it; give another --keys"
        ));
    }
    if dir.symlink_metadata().is_ok() {
        return match dir.is_dir() {
            true => Ok(()),
            false => Err(format!("--dir {dir:?} is not a directory")),
        };
    }
    match log.parent() {
        Some(parent) if parent.is_dir() => Ok(()),
        _ => Err(format!("the directory that --dir {dir:?} is to be in does not exist")),
    }
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> Result<PathBuf, String> {
    let absolute = std::path::absolute(path).map_err(|error| format!("cannot find {path:?}: {error}"))?;
    let mut rest: Vec<OsString> = Vec::new();
    for known in absolute.ancestors() {
        let Ok(mut found) = known.canonicalize() else {
            rest.extend(known.components().next_back().map(|last| last.as_os_str().to_owned()));
            continue;
        };
        for part in rest.iter().rev() {
            match Path::new(part).components().next() {
                Some(Component::ParentDir) => drop(found.pop()),
                _ => found.push(part),
            }
        }
        return Ok(found);
    }
    Ok(absolute)
}
