//! The rules that match a resource, found by its name.
//!
//! Patterns without a wildcard are found by hashing action and name: see [`Literals`]. The others form a tree.
//! A name is cut after each separator into pieces: `/`, `src/`, `main.rs`. Patterns are cut likewise, as far
//! as they are literal or a `*` between separators, and form a tree; what is left of a pattern then decides
//! where at its node it stands. So the work depends on the name's pieces and not on the number of rules,
//! but for patterns with a wildcard inside a piece or `**` in the middle, which are tried one by one at
//! the node that their literal beginning leads to.

use std::hash::Hasher;
use std::ops::Range;

use rustc_hash::FxHasher;

use crate::access::pattern::{Pattern, Tail};

/// A rule as an entry of the index: the role that it belongs to, and the rule's number with two flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: u32,
    rule_and_flags: u32,
}

const DENIES: u32 = 1 << 31;
const CONDITIONAL: u32 = 1 << 30;
/// Rules are numbered below this.
pub(super) const MAX_RULES: u32 = CONDITIONAL;

impl Entry {
    pub(super) fn new(role: u32, rule: u32, denies: bool, conditional: bool) -> Self {
        let flags = if denies { DENIES } else { 0 } | if conditional { CONDITIONAL } else { 0 };
        Self { role, rule_and_flags: rule | flags }
    }

    pub(super) fn rule(self) -> u32 {
        self.rule_and_flags & (MAX_RULES - 1)
    }

    pub(super) fn denies(self) -> bool {
        self.rule_and_flags & DENIES != 0
    }

    /// Does it count only in some circumstances?
    pub(super) fn is_conditional(self) -> bool {
        self.rule_and_flags & CONDITIONAL != 0
    }
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
    literals: Literals,
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
        if !self.literals.matching(action, resource, &self.entries, visit) {
            return;
        }
        let mut walk = Walk { index: self, general, visit };
        let root = self.child(ACTIONS, action);
        if root.is_none_or(|root| walk.node(root, resource)) {
            walk.node(EVERY_ACTION, resource);
        }
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
                if (self.general)(entry.rule()) && !(self.visit)(std::slice::from_ref(entry)) {
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
        if index.child(number, piece).is_some_and(|child| !self.node(child, after)) {
            return false;
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
    spread(hasher.finish())
}

/// The tables take the lowest bits, and the hasher's are not its best.
fn spread(hash: u64) -> u64 {
    let wide = u128::from(hash ^ hash >> 29) * 0x9e37_79b9_7f4a_7c15;
    (wide >> 64) as u64 ^ wide as u64
}

/// An action, none for every one, and a name.
type ActionAndName = (Option<String>, String);

/// Collects rules, and lays the index out in one piece.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    nodes: Vec<Building>,
    children: std::collections::HashMap<(u32, String), u32>,
    literals: std::collections::BTreeMap<ActionAndName, Vec<Entry>>,
}

#[derive(Debug, Default)]
struct Building {
    lists: [Vec<Entry>; 4],
    stars: [u32; 2],
}

impl IndexBuilder {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Building::default(), Building::default()],
            children: Default::default(),
            literals: Default::default(),
        }
    }

    pub(super) fn add(&mut self, action: Option<&str>, pattern: &Pattern, entry: Entry) {
        if let Some(name) = pattern.literal() {
            let key = (action.map(str::to_owned), name.to_owned());
            self.literals.entry(key).or_default().push(entry);
            return;
        }
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

    /// `None` where the names take more memory than the index can address, 1 GiB.
    pub(super) fn build(self) -> Option<Index> {
        let size = |(action, name): &ActionAndName| {
            RECORD_HEAD + action.as_ref().map_or(EVERY.len(), String::len) + name.len() + STEP
        };
        if self.literals.keys().map(size).sum::<usize>() > MAX_RECORDS {
            return None;
        }
        let mut entries = Vec::new();
        let mut lay_out = |mut list: Vec<Entry>| {
            // Denials first, since the first of them ends the walk; then by role, for the search.
            list.sort_by_key(|entry| (entry.role, !entry.denies(), entry.rule()));
            let start = entries.len() as u32;
            entries.extend(list);
            start..entries.len() as u32
        };
        let nodes = self.nodes.into_iter().map(|node| {
            let [everything, segment, exact, general] = node.lists.map(&mut lay_out);
            Node { everything, segment, exact, general, stars: node.stars }
        });
        let nodes: Vec<_> = nodes.collect();
        let literals = self.literals.into_iter().map(|(key, list)| (key, lay_out(list)));
        let literals: Vec<_> = literals.collect();
        let literals = Literals::new(literals, &entries);
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
        Some(Index { literals, nodes, entries, slots, pieces })
    }
}

/// Rules whose pattern is a name. A table of places leads to records, in which everything that a decision
/// needs lies together, since with many rules it is the memory that takes the time.
#[derive(Clone, Debug)]
struct Literals {
    /// 0 for none, or where a record is, counted from 1 in steps of [`STEP`] bytes, and above that some bits of
    /// its hash, so that the memory of other records is rarely touched. Open addressing, a power of two of
    /// slots, at most half of them used.
    places: Vec<u32>,
    /// Each: the lengths of action and name, the entries (the first of them if there is one, otherwise where
    /// they are), and the bytes of action and name.
    records: Vec<u8>,
    /// Some of them are about every action.
    of_every_action: bool,
}

const STEP: usize = 8;
const PLACE_BITS: u32 = 27;
/// The bytes that records may take.
const MAX_RECORDS: usize = ((1 << PLACE_BITS) - 1) * STEP;
const RECORD_HEAD: usize = 4 + 4 + 8;
/// What stands for every action in a record: no action has a star in its name.
const EVERY: &str = "*";
/// Marks an action's length where there are several entries.
const SEVERAL: u32 = 1 << 31;

impl Literals {
    fn new(literals: Vec<(ActionAndName, Range<u32>)>, entries: &[Entry]) -> Self {
        let of_every_action = literals.iter().any(|((action, _), _)| action.is_none());
        let mut places = vec![0; (literals.len() * 2).next_power_of_two().max(2)];
        let mask = places.len() - 1;
        let mut records = Vec::new();
        for ((action, name), range) in literals {
            let action = action.as_deref().unwrap_or(EVERY);
            let hash = name_hash(action, &name);
            let place = (records.len() / STEP + 1) as u32 & ((1 << PLACE_BITS) - 1) | tag(hash);
            let one = entries.get(range.start as usize).filter(|_| range.len() == 1);
            let (flag, [a, b]) = match one {
                Some(entry) => (0, [entry.role, entry.rule_and_flags]),
                None => (SEVERAL, [range.start, range.end]),
            };
            for word in [action.len() as u32 | flag, name.len() as u32, a, b] {
                records.extend_from_slice(&word.to_le_bytes());
            }
            records.extend_from_slice(action.as_bytes());
            records.extend_from_slice(name.as_bytes());
            records.resize(records.len().next_multiple_of(STEP), 0);
            let mut slot = hash as usize & mask;
            while places.get(slot).is_some_and(|place| *place != 0) {
                slot = (slot + 1) & mask;
            }
            if let Some(free) = places.get_mut(slot) {
                *free = place;
            }
        }
        Self { places, records, of_every_action }
    }

    /// False when `visit` said so.
    fn matching(
        &self,
        action: &str,
        name: &str,
        entries: &[Entry],
        visit: &mut dyn FnMut(&[Entry]) -> bool,
    ) -> bool {
        self.visit(action, name, entries, visit)
            && (!self.of_every_action || self.visit(EVERY, name, entries, visit))
    }

    fn visit(
        &self,
        action: &str,
        name: &str,
        entries: &[Entry],
        visit: &mut dyn FnMut(&[Entry]) -> bool,
    ) -> bool {
        let mask = self.places.len() - 1;
        let hash = name_hash(action, name);
        let mut slot = hash as usize & mask;
        loop {
            let Some(place) = self.places.get(slot).filter(|place| **place != 0) else {
                return true;
            };
            let tagged = place & !((1 << PLACE_BITS) - 1) == tag(hash);
            let record =
                if tagged { self.record(place & ((1 << PLACE_BITS) - 1), action, name) } else { None };
            if let Some([several, a, b]) = record {
                return if several == 0 {
                    visit(&[Entry { role: a, rule_and_flags: b }])
                } else {
                    visit(entries.get(a as usize..b as usize).unwrap_or_default())
                };
            }
            slot = (slot + 1) & mask;
        }
    }

    /// What the record at a place has to say, if it is about this action and name.
    fn record(&self, place: u32, action: &str, name: &str) -> Option<[u32; 3]> {
        let record = self.records.get((place as usize).checked_sub(1)? * STEP..)?;
        let (head, rest) = record.split_first_chunk::<RECORD_HEAD>()?;
        let (words, _) = head.as_chunks::<4>();
        let [action_len, name_len, a, b] = words else { return None };
        let action_len = u32::from_le_bytes(*action_len);
        let (several, action_len) = (action_len & SEVERAL, (action_len & !SEVERAL) as usize);
        if action_len != action.len() || u32::from_le_bytes(*name_len) as usize != name.len() {
            return None;
        }
        let (of_action, rest) = rest.split_at_checked(action_len)?;
        let same = of_action == action.as_bytes() && rest.get(..name.len())? == name.as_bytes();
        same.then(|| [several, u32::from_le_bytes(*a), u32::from_le_bytes(*b)])
    }
}

/// The topmost bits, which the slot is not chosen by.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & !((1 << PLACE_BITS) - 1)
}

fn name_hash(action: &str, name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(action.as_bytes());
    hasher.write(name.as_bytes());
    spread(hasher.finish())
}
