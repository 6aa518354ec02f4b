//! The journal of a commit: every path that it changes, as it was and as it is to be.
//!
//! It is on stable storage, whole, before the first of them is changed. The bytes of files are not in
//! it: those to come are in the layer, those that were are kept as pre-images. Version 2, integers
//! little endian, byte strings with their length before them, FNV-1a 64 of all at the end. Version 1,
//! which did not say what a file that was there is known by, can still be read.

use super::layer::Attribute;
pub(super) use crate::codec::Attributes;
use crate::codec::{self, checksum, put, put_attributes, put_bytes};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

const MAGIC: &[u8; 8] = b"CGCOW\0\0\x02";
const MAGIC_1: &[u8; 8] = b"CGCOW\0\0\x01";
/// What a journal may be read from: far above what the limits on entries lead to.
pub(super) const MAX_BYTES: u64 = 2 << 30;

/// By what a file that was there is known again, beside its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    /// Where nothing that the commit does changes it.
    pub(super) ctime: Option<(i64, i64)>,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Absent,
    File {
        attributes: Attributes,
        /// The step, an earlier one, of which this is another name.
        same_as: Option<u32>,
        /// Of what was there only.
        known: Option<Known>,
    },
    Symlink {
        attributes: Attributes,
        target: PathBuf,
    },
    Directory {
        attributes: Attributes,
    },
}

/// One path of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) path: PathBuf,
    pub(super) before: Node,
    pub(super) after: Node,
}

/// All of a commit. Steps are sorted, parents before children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Journal {
    pub(super) workspace: PathBuf,
    /// Device and inode of the workspace.
    pub(super) root: (u64, u64),
    pub(super) steps: Vec<Step>,
}

impl Journal {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_bytes(&mut out, self.workspace.as_os_str().as_bytes());
        put(&mut out, self.root.0);
        put(&mut out, self.root.1);
        put(&mut out, self.steps.len() as u64);
        for step in &self.steps {
            put_bytes(&mut out, step.path.as_os_str().as_bytes());
            put_node(&mut out, &step.before);
            put_node(&mut out, &step.after);
        }
        let sum = checksum(&out);
        put(&mut out, sum);
        out
    }

    /// Reads a journal. `None`: it is not one, or not whole, or names what no commit names.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        if checksum(body).to_le_bytes() != *sum {
            return None;
        }
        Self::parse_body(body)
    }

    /// What [`parse`](Self::parse) does once the checksum is right.
    pub(super) fn parse_body(body: &[u8]) -> Option<Self> {
        let (bytes, version) = match body.strip_prefix(MAGIC) {
            Some(bytes) => (bytes, 2),
            None => (body.strip_prefix(MAGIC_1)?, 1),
        };
        let mut from = Reader { from: codec::Reader::new(bytes), version };
        let workspace = PathBuf::from(OsStr::from_bytes(from.from.bytes()?));
        if !workspace.is_absolute() {
            return None;
        }
        let root = (from.from.number()?, from.from.number()?);
        let count = from.from.number()?;
        let mut steps: Vec<Step> = Vec::new();
        for index in 0..count {
            let path = PathBuf::from(OsStr::from_bytes(from.from.bytes()?));
            let sorted = steps.last().is_none_or(|last| last.path < path);
            if !sorted || !is_inside(&path) {
                return None;
            }
            let (before, after) = (from.node(index)?, from.node(index)?);
            if matches!(after, Node::File { known: Some(_), .. }) {
                return None;
            }
            let directory = |node: &Node| matches!(node, Node::Directory { .. });
            if path.as_os_str().is_empty() && !(directory(&before) && directory(&after)) {
                return None;
            }
            steps.push(Step { path, before, after });
        }
        from.from.is_empty().then_some(Self { workspace, root, steps })
    }
}

/// A path that stays below where it starts, spelt in the one way that a walk spells it.
fn is_inside(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    plain && !bytes.contains(&0) && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str()
}

fn put_node(out: &mut Vec<u8>, node: &Node) {
    match node {
        Node::Absent => out.push(0),
        Node::File { attributes, same_as, known } => {
            out.push(1);
            put_attributes(out, attributes);
            put(out, same_as.map_or(u64::MAX, u64::from));
            put_known(out, known.as_ref());
        }
        Node::Symlink { attributes, target } => {
            out.push(2);
            put_attributes(out, attributes);
            put_bytes(out, target.as_os_str().as_bytes());
        }
        Node::Directory { attributes } => {
            out.push(3);
            put_attributes(out, attributes);
        }
    }
}

/// What follows: 0 nothing, 1 all but the time of change, 2 all.
fn put_known(out: &mut Vec<u8>, known: Option<&Known>) {
    let Some(Known { dev, ino, size, ctime }) = known else { return out.push(0) };
    out.push(if ctime.is_some() { 2 } else { 1 });
    for number in [dev, ino, size] {
        put(out, *number);
    }
    if let Some((seconds, nanoseconds)) = ctime {
        put(out, seconds.cast_unsigned());
        put(out, nanoseconds.cast_unsigned());
    }
}

struct Reader<'a> {
    from: codec::Reader<'a>,
    version: u8,
}

impl Reader<'_> {
    fn attributes(&mut self) -> Option<Attributes> {
        let attributes = self.from.attributes()?;
        let taken_over = |(name, _): &Attribute| super::layer::is_taken_over(name);
        attributes.extended.iter().all(taken_over).then_some(attributes)
    }

    #[allow(clippy::option_option, reason = "the outer one says that the journal is none")]
    fn known(&mut self) -> Option<Option<Known>> {
        let kind = match self.version {
            1 => 0,
            _ => *self.from.take(1)?.first()?,
        };
        if kind == 0 {
            return Some(None);
        }
        let (dev, ino, size) = (self.from.number()?, self.from.number()?, self.from.number()?);
        let ctime = match kind {
            1 => None,
            2 => Some((self.from.number()?.cast_signed(), self.from.number()?.cast_signed())),
            _ => return None,
        };
        Some(Some(Known { dev, ino, size, ctime }))
    }

    /// The node of step `index`, which may be another name of an earlier one only.
    fn node(&mut self, index: u64) -> Option<Node> {
        let [kind] = self.from.take(1)? else { return None };
        match kind {
            0 => Some(Node::Absent),
            1 => {
                let attributes = self.attributes()?;
                let same_as = match self.from.number()? {
                    u64::MAX => None,
                    other if other < index => Some(u32::try_from(other).ok()?),
                    _ => return None,
                };
                Some(Node::File { attributes, same_as, known: self.known()? })
            }
            2 => {
                let attributes = self.attributes()?;
                let target = self.from.bytes().filter(|target| !target.is_empty() && !target.contains(&0))?;
                Some(Node::Symlink { attributes, target: OsStr::from_bytes(target).into() })
            }
            3 => Some(Node::Directory { attributes: self.attributes()? }),
            _ => None,
        }
    }
}
