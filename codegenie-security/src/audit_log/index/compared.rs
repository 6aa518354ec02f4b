//! An index is compared with the records that it is derived from: one that leaves out an event hides it from queries.

use super::{Columns, Filter, IndexFile, Kind, NameHasher};
use crate::audit_log::codec::Facets;
use crate::crypto::SealingKey;

/// What the index should have of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::audit_log) struct Row {
    seconds: i64,
    names: [u32; 4],
    kind: Kind,
}

/// Makes rows of records.
pub(in crate::audit_log) struct Rows(NameHasher);

impl Rows {
    pub(in crate::audit_log) fn new(read: &SealingKey) -> Self {
        Self(NameHasher::new(read))
    }

    pub(in crate::audit_log) fn of(&self, facets: &Facets<'_>) -> Row {
        let names = [Some(facets.actor), facets.agent, facets.session, Some(facets.action)];
        Row {
            seconds: facets.seconds,
            names: names.map(|name| self.0.optional(name)),
            kind: [facets.class, facets.result, facets.threat],
        }
    }
}

/// A frame as the index should have it: its place, its first record, and its rows. A record that was shredded has none.
pub(in crate::audit_log) type FrameRows = (u64, u64, Vec<Option<Row>>);

impl IndexFile<'_> {
    /// The first record of which the index says anything else than the segment.
    pub(in crate::audit_log) fn differs(&self, first: u64, frames: &[FrameRows]) -> Option<u64> {
        let Some(columns) = self.columns(&Filter::everything()) else { return Some(first) };
        let places = frames.iter().map(|(offset, first, _)| (*offset, *first));
        let mut differing = frames.iter().flat_map(|(_, _, rows)| rows).zip(0..);
        let row = differing.find(|(row, number)| row.is_some_and(|row| columns.row(*number) != Some(row)));
        let count: usize = frames.iter().map(|(_, _, rows)| rows.len()).sum();
        let same = columns.first == first
            && columns.times.len() == count
            && columns.frames.iter().copied().eq(places);
        match row {
            Some((_, number)) => Some(first.saturating_add(number as u64)),
            None if same => None,
            None => Some(first),
        }
    }
}

impl Columns {
    fn row(&self, number: usize) -> Option<Row> {
        let columns = [&self.actors, &self.agents, &self.sessions, &self.actions];
        let mut names = [0; 4];
        for (name, column) in names.iter_mut().zip(columns) {
            *name = *column.get(number)?;
        }
        Some(Row { seconds: *self.times.get(number)?, names, kind: *self.kinds.get(number)? })
    }
}

impl Filter {
    /// Asks for every column. What it finds does not matter.
    fn everything() -> Self {
        let any = || vec![0];
        Self {
            seconds: i64::MIN..i64::MAX,
            actors: any(),
            agents: any(),
            sessions: any(),
            actions: any(),
            classes: vec![0],
            results: vec![0],
            threat: 0,
        }
    }
}
