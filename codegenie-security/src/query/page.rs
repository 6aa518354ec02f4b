//! Running a query: one pass over the events, and no more than a page of them in memory.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};

use super::AuditQuery;
use crate::StoredEvent;

/// A part of what a query found.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AuditPage {
    /// The events, in the order of the query.
    pub events: Vec<StoredEvent>,
    /// Where there are more: what to give to [`AuditQuery::after`] for the next page.
    pub next: Option<u64>,
}

impl AuditQuery {
    /// The next page of what passes, out of events that come in the order of their sequence numbers, as from
    /// [`AuditLog::read`](crate::AuditLog::read).
    ///
    /// The pages of one query, one after the other, hold each event that passes exactly once, also when the log
    /// grows meanwhile. Newest first, what was added after the first page is in none of them; oldest first, it
    /// is in the last.
    ///
    /// It reads no further than it must, newest first up to [`after`](Self::after) or the end. An error that
    /// comes before that is returned, and the page is not: a log that was tampered with is not shown in part.
    /// What comes after is not looked at, so that a page is no [verdict](crate::AuditLog::verify).
    pub fn run<E>(&self, events: impl IntoIterator<Item = Result<StoredEvent, E>>) -> Result<AuditPage, E> {
        let mut page = VecDeque::new();
        let mut more = false;
        for stored in events {
            let stored = stored?;
            if self.ends_before(stored.sequence) {
                break;
            }
            if self.begins_after(stored.sequence) || !self.matches(&stored) {
                continue;
            }
            if self.oldest_first {
                if page.len() == self.limit {
                    more = true;
                    break;
                }
            } else if page.len() == self.limit {
                more = true;
                page.pop_front();
            }
            page.push_back(stored);
        }
        let mut events = Vec::from(page);
        if !self.oldest_first {
            events.reverse();
        }
        let next = if more { events.last().map(|last| last.sequence) } else { None };
        Ok(AuditPage { events, next })
    }

    /// Will this event and all later ones not be on the page?
    fn ends_before(&self, sequence: u64) -> bool {
        let past_range = match self.sequences.1 {
            Bound::Included(last) => sequence > last,
            Bound::Excluded(end) => sequence >= end,
            Bound::Unbounded => false,
        };
        past_range || (!self.oldest_first && self.after.is_some_and(|after| sequence >= after))
    }

    fn begins_after(&self, sequence: u64) -> bool {
        self.oldest_first && self.after.is_some_and(|after| sequence <= after)
    }
}

/// Gathers a page from events that come in the order of the query, such as those that an index found.
pub(crate) struct PageBuilder<'q> {
    query: &'q AuditQuery,
    events: Vec<StoredEvent>,
    more: bool,
}

impl AuditQuery {
    pub(crate) fn page(&self) -> PageBuilder<'_> {
        PageBuilder { query: self, events: Vec::new(), more: false }
    }
}

impl PageBuilder<'_> {
    /// Can the event of this number be on the page?
    pub(crate) fn wants(&self, sequence: u64) -> bool {
        let query = self.query;
        let beyond = query.after.is_none_or(|after| match query.oldest_first {
            true => sequence > after,
            false => sequence < after,
        });
        beyond && query.sequences.contains(&sequence)
    }

    /// Are this number and all that follow it past what the query asks for?
    pub(crate) fn is_done(&self, sequence: u64) -> bool {
        let (start, end) = self.query.sequences;
        let beyond = match (self.query.oldest_first, start, end) {
            (true, _, end) => (Bound::Unbounded, end),
            (false, start, _) => (start, Bound::Unbounded),
        };
        !beyond.contains(&sequence)
    }

    /// Adds an event if it passes. False when the page is full and there is more.
    pub(crate) fn push(&mut self, stored: StoredEvent) -> bool {
        if !self.query.matches(&stored) {
            return true;
        }
        if self.events.len() == self.query.limit {
            self.more = true;
            return false;
        }
        self.events.push(stored);
        true
    }

    pub(crate) fn finish(self) -> AuditPage {
        let next = if self.more { self.events.last().map(|last| last.sequence) } else { None };
        AuditPage { events: self.events, next }
    }
}
