//! The rules that match a resource, found by walking along its name.
//!
//! A name is cut after each separator into pieces: `/`, `src/`, `main.rs`. Patterns are cut likewise, as far
//! as they are literal or a `*` between separators, and form a tree; what is left of a pattern then decides
//! where at its node it stands. So the work depends on the name's pieces and not on the number of rules,
//! but for patterns with a wildcard inside a piece or `**` in the middle, which are tried one by one at
//! the node that their literal beginning leads to.

use std::hash::Hasher;
use std::ops::Range;

use rustc_hash::FxHasher;

use crate::access::pattern::{Pattern, Tail};

/// A rule as an entry of the index: the role that it belongs to, the rule's number and two flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: u32,
    pub(super) rule: u32,
    pub(super) denies: bool,
    /// It counts only in some circumstances.
    pub(super) conditional: bool,
}

/// What is left of a name when a node is reached decides which of its entries match.
#[derive(Clone, Debug, Default)]
struct Node {
    /// `**`: whatever is left.
    everything: Range<u32>,
    /// `*`: what is left has no separator.
    segment: Range<u32>,
    /// Nothing is left.
    exact: Range<u32>,
    /// To be tried by the pattern itself.
    general: Range<u32>,
    /// Children for `*/` and `*:`; 0 for none, since the root is no child.
    stars: [u32; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// 0 for none.
    child: u32,
    parent: u32,
    start: u32,
    len: u32,
}

/// The node below which all actions stand.
const ACTIONS: u32 = 0;
/// The node of rules that are about every action.
const EVERY_ACTION: u32 = 1;

#[derive(Clone, Debug)]
pub(super) struct Index {
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    /// Children by parent and piece: open addressing, a power of two of slots, at most half of them used.
    slots: Vec<Slot>,
    pieces: String,
}

impl Index {
    /// All entries that match, in a fixed order, until `visit` returns false. `general` tells whether the
    /// pattern of a rule matches.
    pub(super) fn matching(
        &self,
        action: &str,
        resource: &str,
        general: &dyn Fn(u32) -> bool,
        visit: &mut dyn FnMut(&[Entry]) -> bool,
    ) {
        let mut walk = Walk { index: self, general, visit };
        if let Some(root) = self.child(ACTIONS, action) {
            if !walk.node(root, resource) {
                return;
            }
        }
        walk.node(EVERY_ACTION, resource);
    }

    fn child(&self, parent: u32, piece: &str) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut place = hash(parent, piece) as usize & mask;
        loop {
            let slot = self.slots.get(place)?;
            if slot.child == 0 {
                return None;
            }
            if slot.parent == parent && self.piece(slot) == piece.as_bytes() {
                return Some(slot.child);
            }
            place = (place + 1) & mask;
        }
    }

    fn piece(&self, slot: &Slot) -> &[u8] {
        let (start, len) = (slot.start as usize, slot.len as usize);
        self.pieces.as_bytes().get(start..start + len).unwrap_or_default()
    }

    fn entries(&self, range: &Range<u32>) -> &[Entry] {
        self.entries.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

struct Walk<'a> {
    index: &'a Index,
    general: &'a dyn Fn(u32) -> bool,
    visit: &'a mut dyn FnMut(&[Entry]) -> bool,
}

impl Walk<'_> {
    /// False to stop. Recursion is as deep as a pattern has pieces, which are limited.
    fn node(&mut self, number: u32, rest: &str) -> bool {
        let index = self.index;
        let Some(node) = index.nodes.get(number as usize) else { return true };
        if !self.visit(&node.everything) {
            return false;
        }
        if !node.general.is_empty() {
            for entry in index.entries(&node.general) {
                if (self.general)(entry.rule) && !(self.visit)(std::slice::from_ref(entry)) {
                    return false;
                }
            }
        }
        let separator = rest.bytes().position(|byte| byte == b'/' || byte == b':');
        if separator.is_none() && !self.visit(&node.segment) {
            return false;
        }
        if rest.is_empty() {
            return self.visit(&node.exact);
        }
        let (piece, after) = rest.split_at(separator.map_or(rest.len(), |place| place + 1));
        if let Some(child) = index.child(number, piece) {
            if !self.node(child, after) {
                return false;
            }
        }
        let [slash, colon] = node.stars;
        let star = match piece.as_bytes().last() {
            Some(b'/') => slash,
            Some(b':') => colon,
            _ => 0,
        };
        star == 0 || self.node(star, after)
    }

    fn visit(&mut self, range: &Range<u32>) -> bool {
        range.is_empty() || (self.visit)(self.index.entries(range))
    }
}

fn hash(parent: u32, piece: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u32(parent);
    hasher.write(piece.as_bytes());
    let hash = hasher.finish();
    // The table takes the lowest bits.
    hash ^ hash >> 32
}

/// Collects rules, and lays the index out in one piece.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    nodes: Vec<Building>,
    children: std::collections::HashMap<(u32, String), u32>,
}

#[derive(Debug, Default)]
struct Building {
    lists: [Vec<Entry>; 4],
    stars: [u32; 2],
}

impl IndexBuilder {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Building::default(), Building::default()], children: Default::default() }
    }

    pub(super) fn add(&mut self, action: Option<&str>, pattern: &Pattern, entry: Entry) {
        let mut node = match action {
            Some(action) => self.child(ACTIONS, action),
            None => EVERY_ACTION,
        };
        let (pieces, tail) = pattern.pieces();
        for piece in pieces {
            node = match piece {
                crate::access::pattern::Piece::Literal(text) => self.child(node, &text),
                crate::access::pattern::Piece::Star(separator) => self.star(node, separator),
            };
        }
        let list = match tail {
            Tail::Everything => 0,
            Tail::Segment => 1,
            Tail::Nothing => 2,
            Tail::General => 3,
        };
        if let Some(list) = self.nodes.get_mut(node as usize).and_then(|node| node.lists.get_mut(list)) {
            list.push(entry);
        }
    }

    fn child(&mut self, parent: u32, piece: &str) -> u32 {
        let next = self.nodes.len() as u32;
        let child = *self.children.entry((parent, piece.to_owned())).or_insert(next);
        if child == next {
            self.nodes.push(Building::default());
        }
        child
    }

    fn star(&mut self, parent: u32, separator: char) -> u32 {
        let next = self.nodes.len() as u32;
        let place = usize::from(separator == ':');
        let star = self.nodes.get_mut(parent as usize).and_then(|node| node.stars.get_mut(place));
        match star {
            Some(star) if *star != 0 => *star,
            Some(star) => {
                *star = next;
                self.nodes.push(Building::default());
                next
            }
            None => parent,
        }
    }

    pub(super) fn build(self) -> Index {
        let mut entries = Vec::new();
        let mut lay_out = |mut list: Vec<Entry>| {
            // Denials first, since the first of them ends the walk; then by role, for the search.
            list.sort_by_key(|entry| (entry.role, !entry.denies, entry.rule));
            let start = entries.len() as u32;
            entries.extend(list);
            start..entries.len() as u32
        };
        let nodes = self.nodes.into_iter().map(|node| {
            let [everything, segment, exact, general] = node.lists.map(&mut lay_out);
            Node { everything, segment, exact, general, stars: node.stars }
        });
        let nodes: Vec<_> = nodes.collect();
        let mut slots = vec![Slot::default(); (self.children.len() * 2).next_power_of_two().max(2)];
        let mask = slots.len() - 1;
        let mut pieces = String::new();
        // In the order in which the nodes were made, so that two builds of one policy are alike.
        let mut children: Vec<_> = self.children.into_iter().collect();
        children.sort_by_key(|(_, child)| *child);
        for ((parent, piece), child) in children {
            let slot = Slot { child, parent, start: pieces.len() as u32, len: piece.len() as u32 };
            pieces.push_str(&piece);
            let mut place = hash(parent, &piece) as usize & mask;
            while slots.get(place).is_some_and(|slot| slot.child != 0) {
                place = (place + 1) & mask;
            }
            if let Some(free) = slots.get_mut(place) {
                *free = slot;
            }
        }
        Index { nodes, entries, slots, pieces }
    }
}
