//! The journal of one transaction, as it is written down: what is changed, and how far that has come.
//!
//! It is also what an undo goes by. The bytes that files had lie beside it. Version 2, in the encoding of
//! [`codec`](crate::codec), FNV-1a 64 of all at the end.

use super::request::ContentHash;
use crate::codec::{Attributes, Reader, checksum, put, put_attributes, put_bytes};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

const MAGIC: &[u8; 8] = b"CGEDIT\0\x02";
/// What a record may be read from: far above what the limits on edits lead to.
pub(super) const MAX_BYTES: u64 = 256 << 20;

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No file has changed. Temporary files and directories may have been made.
    Preparing,
    /// Files may have changed. All temporary files are there.
    Active,
    /// All files have changed. Temporary names may be left.
    Committed,
    /// It can be undone.
    Kept,
}

/// A file that was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) id: (u64, u64),
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    pub(super) attributes: Attributes,
}

/// A file that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct After {
    /// Device and inode, once they are known.
    pub(super) id: (u64, u64),
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
}

/// One file of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) path: PathBuf,
    /// Device and inode of its directory; zero as long as they are not known.
    pub(super) parent: (u64, u64),
    /// A name in the same directory: of the new file first, then of the old one.
    pub(super) temporary: String,
    pub(super) before: Option<Before>,
    pub(super) after: Option<After>,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) stage: Stage,
    /// Device and inode of the root.
    pub(super) root: (u64, u64),
    /// The transaction that it takes back.
    pub(super) undoes: Option<String>,
    /// Directories that it makes, parents first.
    pub(super) made: Vec<PathBuf>,
    /// Directories that go at the end if they are empty, parents last.
    pub(super) leaves: Vec<PathBuf>,
    pub(super) steps: Vec<Step>,
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let pair = |out: &mut Vec<u8>, pair: (u64, u64)| {
            put(out, pair.0);
            put(out, pair.1);
        };
        put(&mut out, self.stage as u64);
        pair(&mut out, self.root);
        put_bytes(&mut out, self.undoes.as_deref().unwrap_or_default().as_bytes());
        for paths in [&self.made, &self.leaves] {
            put(&mut out, paths.len() as u64);
            for path in paths {
                put_bytes(&mut out, path.as_os_str().as_bytes());
            }
        }
        put(&mut out, self.steps.len() as u64);
        for step in &self.steps {
            put_bytes(&mut out, step.path.as_os_str().as_bytes());
            pair(&mut out, step.parent);
            put_bytes(&mut out, step.temporary.as_bytes());
            put(&mut out, step.before.is_some().into());
            if let Some(before) = &step.before {
                pair(&mut out, before.id);
                put_bytes(&mut out, before.hash.as_bytes());
                put(&mut out, before.size);
                put_attributes(&mut out, &before.attributes);
            }
            put(&mut out, step.after.is_some().into());
            if let Some(after) = &step.after {
                pair(&mut out, after.id);
                put_bytes(&mut out, after.hash.as_bytes());
                put(&mut out, after.size);
                put(&mut out, after.mode.into());
                pair(&mut out, (after.owner.0.into(), after.owner.1.into()));
            }
        }
        let sum = checksum(&out);
        put(&mut out, sum);
        out
    }

    /// Reads a record. `None`: it is not one, or not whole.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        if checksum(body).to_le_bytes() != *sum {
            return None;
        }
        let mut from = Reader::new(body.strip_prefix(MAGIC)?);
        let stage = match from.number()? {
            0 => Stage::Preparing,
            1 => Stage::Active,
            2 => Stage::Committed,
            3 => Stage::Kept,
            _ => return None,
        };
        let root = pair(&mut from)?;
        let undoes = match from.bytes()? {
            b"" => None,
            id => {
                Some(std::str::from_utf8(id).ok().filter(|id| super::outcome::UndoId::is_id(id))?.to_owned())
            }
        };
        let (made, leaves) = (paths(&mut from)?, paths(&mut from)?);
        let mut steps = Vec::new();
        for _ in 0..from.number()? {
            steps.push(step(&mut from)?);
        }
        from.is_empty().then_some(Self { stage, root, undoes, made, leaves, steps })
    }

    /// What is kept for an undo.
    pub(super) fn bytes_kept(&self) -> u64 {
        self.steps.iter().filter_map(|step| step.before.as_ref()).map(|before| before.size).sum()
    }
}

fn pair(from: &mut Reader<'_>) -> Option<(u64, u64)> {
    Some((from.number()?, from.number()?))
}

fn path(from: &mut Reader<'_>) -> Option<PathBuf> {
    let path = PathBuf::from(OsStr::from_bytes(from.bytes()?));
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    (inside && path.file_name().is_some() && !path.as_os_str().as_bytes().contains(&0)).then_some(path)
}

fn paths(from: &mut Reader<'_>) -> Option<Vec<PathBuf>> {
    (0..from.number()?).map(|_| path(from)).collect()
}

fn hash(from: &mut Reader<'_>) -> Option<ContentHash> {
    Some(ContentHash::from_bytes(from.bytes()?.try_into().ok()?))
}

fn step(from: &mut Reader<'_>) -> Option<Step> {
    let (path, parent) = (path(from)?, pair(from)?);
    let temporary = std::str::from_utf8(from.bytes()?).ok()?.to_owned();
    let mut names = Path::new(&temporary).components();
    if !matches!((names.next(), names.next()), (Some(Component::Normal(_)), None)) {
        return None;
    }
    let before = match from.number()? {
        0 => None,
        _ => Some(Before {
            id: pair(from)?,
            hash: hash(from)?,
            size: from.number()?,
            attributes: from.attributes()?,
        }),
    };
    let after = match from.number()? {
        0 => None,
        _ => Some(After {
            id: pair(from)?,
            hash: hash(from)?,
            size: from.number()?,
            mode: from.small()?,
            owner: (from.small()?, from.small()?),
        }),
    };
    Some(Step { path, parent, temporary, before, after })
}
