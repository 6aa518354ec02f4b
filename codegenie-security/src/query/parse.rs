//! The text form of a query.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use super::{AuditQuery, time};
use crate::{AuditResult, EventClass, ThreatLevel};

const RESULTS: [AuditResult; 4] =
    [AuditResult::Pending, AuditResult::Success, AuditResult::Failure, AuditResult::Denied];
const THREATS: [ThreatLevel; 5] =
    [ThreatLevel::None, ThreatLevel::Low, ThreatLevel::Medium, ThreatLevel::High, ThreatLevel::Critical];

/// So many characters of a term are repeated in an error.
const SHOWN: usize = 60;

/// Why a text is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the query at byte {offset} ({term:?}): {kind}")]
pub struct BadQuery {
    offset: usize,
    term: String,
    kind: BadQueryKind,
}

impl BadQuery {
    /// Where the term begins, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The beginning of the term, to its first space.
    #[must_use]
    pub fn term(&self) -> &str {
        &self.term
    }

    /// What is wrong with it.
    #[must_use]
    pub fn kind(&self) -> BadQueryKind {
        self.kind
    }
}

/// What is wrong with a term of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadQueryKind {
    /// There is no such field.
    Field,
    /// The field takes other values.
    Value,
    /// A quote is not closed, or something follows where it closes.
    Quote,
}

impl fmt::Display for BadQueryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Field => "there is no such field; put a text with a colon into double quotes",
            Self::Value => "the field does not take this value; see the documentation of `AuditQuery`",
            Self::Quote => "a quoted text does not end, or not before a space; close it by a double quote",
        })
    }
}

impl FromStr for AuditQuery {
    type Err = BadQuery;

    fn from_str(text: &str) -> Result<Self, BadQuery> {
        let mut query = Self::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let term = || rest.split_whitespace().next().unwrap_or_default().chars().take(SHOWN).collect();
            let bad = |kind| BadQuery { offset: text.len() - rest.len(), term: term(), kind };
            let field = field_of(rest);
            let value = field.map_or(rest, |field| rest.get(field.len() + 1..).unwrap_or_default());
            let (value, after) = value_of(value).ok_or_else(|| bad(BadQueryKind::Quote))?;
            query = match field {
                None => query.text(value),
                Some(field) => query.with(field, value).map_err(bad)?,
            };
            rest = after.trim_start();
        }
        Ok(query)
    }
}

/// What stands before the first colon of a term that does not begin with a quote.
fn field_of(term: &str) -> Option<&str> {
    let end = term.find(|c: char| c == ':' || c == '"' || c.is_whitespace())?;
    term.get(end..)?.starts_with(':').then(|| term.get(..end))?
}

/// A word or a quoted text, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
        return Some((word.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => value.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => value.push(c),
        }
    }
    let rest = chars.as_str();
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some((value, rest))
}

impl AuditQuery {
    fn with(self, field: &str, value: String) -> Result<Self, BadQueryKind> {
        let named = match field {
            "actor" => return Ok(self.actor(value)),
            "agent" => return Ok(self.agent(value)),
            "session" => return Ok(self.session(value)),
            "action" => return Ok(self.action(value)),
            "resource" => return Ok(self.resource(value)),
            "class" => one_of(&EventClass::ALL, EventClass::as_str, &value).map(|class| self.class(class)),
            "result" => one_of(&RESULTS, AuditResult::as_str, &value).map(|result| self.result(result)),
            "threat" => {
                one_of(&THREATS, ThreatLevel::as_str, &value).map(|threat| self.threat_at_least(threat))
            }
            "since" => time::parse(&value).map(|time| self.since(time)),
            "until" => time::parse(&value).map(|time| self.until(time)),
            "sequence" => range(&value).map(|range| self.sequences(range)),
            "order" => match value.as_str() {
                "newest" => Some(self.newest_first()),
                "oldest" => Some(self.oldest_first()),
                _ => None,
            },
            "limit" => number(&value).filter(|limit| *limit > 0).map(|limit| {
                // More than fits into memory is no bound.
                self.limit(usize::try_from(limit).unwrap_or(usize::MAX))
            }),
            "after" => number(&value).map(|sequence| self.after(sequence)),
            _ => return Err(BadQueryKind::Field),
        };
        named.ok_or(BadQueryKind::Value)
    }
}

fn one_of<T: Copy>(all: &[T], name: fn(T) -> &'static str, value: &str) -> Option<T> {
    all.iter().copied().find(|one| name(*one) == value)
}

/// `u64::from_str` takes a plus sign as well.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn range(text: &str) -> Option<(Bound<u64>, Bound<u64>)> {
    let Some((from, to)) = text.split_once("..") else {
        let one = number(text)?;
        return Some((Bound::Included(one), Bound::Included(one)));
    };
    let bound = |text: &str, bound: fn(u64) -> Bound<u64>| match text {
        "" => Some(Bound::Unbounded),
        text => number(text).map(bound),
    };
    Some((bound(from, Bound::Included)?, bound(to, Bound::Excluded)?))
}
