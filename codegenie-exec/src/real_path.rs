//! Where a file lies, with the links in its folders followed.

use std::path::{Path, PathBuf};

/// The path without links in its folders. The file itself may be one, and may not be there yet.
pub(crate) fn in_real_folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = absolute.parent().and_then(|folder| folder.canonicalize().ok());
    match folder.zip(absolute.file_name()) {
        Some((folder, name)) => folder.join(name),
        None => absolute,
    }
}
