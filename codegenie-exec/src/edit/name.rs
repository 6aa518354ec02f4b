//! Names of files, before any of them is looked up.

use super::error::{EditError, Refusal};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// What a path may have: its bytes, and names below each other.
const PATH_BYTES: usize = 3800;
const NAME_BYTES: usize = 255;
const NAMES: usize = 64;

/// The path below `root` that `given` means, by its text alone.
pub(super) fn relative(root: &Path, given: &Path) -> Result<PathBuf, EditError> {
    let refuse = |refusal, why: &str| Err(EditError::refused(given, refusal, why));
    let bytes = given.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        return refuse(Refusal::BadPath, "the path is empty");
    }
    if bytes.contains(&0) {
        return refuse(Refusal::BadPath, "the path holds a NUL");
    }
    if bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
        return refuse(Refusal::BadPath, "the path is one of a directory");
    }
    let below = if given.is_absolute() {
        match given.strip_prefix(root) {
            Ok(below) => below,
            Err(_) => {
                return refuse(Refusal::Outside, "it is not below the editor's root: give a path below it");
            }
        }
    } else {
        given
    };
    let mut path = PathBuf::new();
    for part in below.components() {
        match part {
            Component::Normal(name) => {
                if name.as_encoded_bytes().len() > NAME_BYTES {
                    return refuse(Refusal::BadPath, "a name in it is longer than 255 bytes");
                }
                if let Some(seen) = invisible(name) {
                    return Err(EditError::refused(
                        given,
                        Refusal::InvisibleName,
                        format!(
                            "the name holds U+{:04X}, which is not seen or changes how the name is seen",
                            u32::from(seen)
                        ),
                    ));
                }
                path.push(name);
            }
            Component::CurDir => {}
            Component::ParentDir => return refuse(Refusal::Outside, "it has .. in it: give the path itself"),
            Component::RootDir | Component::Prefix(_) => {
                return refuse(Refusal::Outside, "it is not below the editor's root");
            }
        }
    }
    if path.as_os_str().is_empty() {
        return refuse(Refusal::BadPath, "it is the root itself, which is no file");
    }
    if path.as_os_str().len() > PATH_BYTES {
        return refuse(Refusal::BadPath, "it is too long");
    }
    if path.components().count() > NAMES {
        return refuse(Refusal::BadPath, "it lies more than 64 names deep: give a shorter path");
    }
    Ok(path)
}

/// A character in a name that a reader does not see, or that reorders what the reader sees.
fn invisible(name: &OsStr) -> Option<char> {
    name.to_string_lossy().chars().find(|c| is_invisible(*c))
}

/// Controls, Default_Ignorable_Code_Point of the Unicode Character Database (16.0), and separators of lines and paragraphs.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
            | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
            | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// A name as the laxest of file systems compare it: without case and Unicode form, without what is not
/// seen, without dots and spaces at its end. A name that is not UTF-8 has no such form.
pub(super) fn folded(name: &OsStr) -> Option<String> {
    let name: String = name.to_str()?.chars().filter(|c| !is_invisible(*c)).collect();
    // Two rounds: some characters have a compatible form only once their case is folded, and the other way round.
    let once = |name: &str| -> String {
        name.nfkd()
            .flat_map(char::to_lowercase)
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .collect()
    };
    let folded: String = once(&once(&name)).nfkc().collect();
    Some(folded.trim_end_matches(['.', ' ']).to_owned())
}

/// Like [`folded`], for comparison with names that are protected: also without what Windows' file systems
/// take off a name, and with their short name of `.git`.
pub(super) fn folded_for_protection(name: &OsStr) -> String {
    let folded = folded(name).unwrap_or_else(|| name.to_string_lossy().to_lowercase());
    let stem = folded.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    match stem.strip_prefix("git~") {
        Some(number) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            ".git".to_owned()
        }
        _ => stem.to_owned(),
    }
}
