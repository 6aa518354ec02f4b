//! When a rule counts.

mod network;

pub(super) use network::{ADDRESS, Network};

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use super::role::Effect;

/// What must hold for a rule to count, all of it. A rule whose condition does not hold neither allows nor denies.
///
/// ```
/// use codegenie_security::{Condition, Permission, Role};
///
/// // After untrusted content and private data, nothing leaves the machine.
/// let agent = Role::new("agent").allow("connect:**").deny(
///     Permission::new("connect:**").when(Condition::new().labels(["untrusted-content", "private-data"])),
/// );
/// // Deploying takes a session that was raised to level 2, in office hours.
/// let deployer = Role::new("deployer").allow(
///     Permission::new("deploy:**").when(Condition::new().level(2).hours(8 * 60, 18 * 60).weekdays("mon-fri")?),
/// );
/// # Ok::<(), codegenie_security::BadCondition>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub(super) level: u8,
    pub(super) labels: Vec<String>,
    pub(super) tags: Vec<(String, String)>,
    /// One of them, where there are any.
    pub(super) networks: Vec<Network>,
    /// Minutes of the day, from and to; the end is not part of it.
    pub(super) hours: Option<(u16, u16)>,
    /// Bit 0 is Monday.
    pub(super) weekdays: Option<u8>,
    pub(super) utc_offset: i16,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad condition: {why}")]
pub struct BadCondition {
    pub(super) why: String,
}

const MINUTES: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Condition {
    /// Nothing is asked for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The session's level is at least this.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// The session carries all of these labels.
    #[must_use]
    pub fn labels<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.labels.extend(labels.into_iter().map(Into::into));
        self
    }

    /// The session was opened with this tag, such as `network` = `internal`.
    #[must_use]
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// The session was opened [from an address](crate::SessionRequest::address) in one of these networks: `10.0.0.0/8`,
    /// `2001:db8::/32`, `192.0.2.7`. Of a session whose address nobody said, permissions do not count and denials do.
    pub fn networks<N: AsRef<str>>(
        mut self,
        networks: impl IntoIterator<Item = N>,
    ) -> Result<Self, BadCondition> {
        for network in networks {
            self.networks.push(network.as_ref().parse()?);
        }
        Ok(self)
    }

    /// The time of day is between these minutes since midnight; `22 * 60, 6 * 60` is the night. What begins after
    /// minute 1,439 or ends after minute 1,440 is refused when the policy is built.
    #[must_use]
    pub fn hours(mut self, from: u16, to: u16) -> Self {
        self.hours = Some((from, to));
        self
    }

    /// It is one of these days: `mon-fri`, or `sat,sun`.
    pub fn weekdays(mut self, days: &str) -> Result<Self, BadCondition> {
        let day = |name: &str| {
            let known = DAYS.iter().position(|day| name.trim().eq_ignore_ascii_case(day));
            known.ok_or_else(|| BadCondition {
                why: format!(
                    "{name:?} is no day; write mon, tue, wed, thu, fri, sat or sun, a list or a range of them"
                ),
            })
        };
        let mut set = 0;
        for part in days.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            // `fri-mon` goes over the end of the week.
            let count = (last + 7 - first) % 7;
            (0..=count).for_each(|step| set |= 1 << ((first + step) % 7));
        }
        self.weekdays = Some(set);
        Ok(self)
    }

    /// Hours and weekdays are of a time zone this many minutes east of UTC; of UTC where nothing is said.
    #[must_use]
    pub fn utc_offset(mut self, minutes: i16) -> Self {
        self.utc_offset = minutes;
        self
    }

    /// Does it ask for what there is?
    pub(super) fn check(&self) -> Result<(), BadCondition> {
        match self.hours {
            Some((from, to)) if from >= MINUTES || to > MINUTES => Err(BadCondition {
                why: format!(
                    "hours from minute {from} to {to} are not in a day; begin before and end by {MINUTES}"
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Is it met, for a rule of this effect? Where the time is not known, hours and weekdays are taken to be those
    /// in which less is permitted.
    pub(super) fn holds(&self, circumstances: &Circumstances<'_>, effect: Effect) -> bool {
        let carried = |label: &String| circumstances.labels.iter().any(|carried| carried.as_ref() == label);
        let tagged = |(name, value): &(String, String)| {
            circumstances.tags.iter().any(|(n, v)| n == name && v == value)
        };
        circumstances.level >= self.level
            && self.labels.iter().all(carried)
            && self.tags.iter().all(tagged)
            && self.is_network(circumstances.tags, effect)
            && self.is_time(circumstances.now, effect)
    }

    fn is_network(&self, tags: &[(String, String)], effect: Effect) -> bool {
        if self.networks.is_empty() {
            return true;
        }
        let address = tags.iter().rev().find(|(name, _)| name == ADDRESS);
        match address.and_then(|(_, address)| address.parse::<IpAddr>().ok()) {
            Some(address) => self.networks.iter().any(|network| network.contains(address)),
            None => effect == Effect::Deny,
        }
    }

    fn is_time(&self, now: Option<u64>, effect: Effect) -> bool {
        if self.hours.is_none() && self.weekdays.is_none() {
            return true;
        }
        let Some(now) = now else { return effect == Effect::Deny };
        let minutes = i64::try_from(now / 60).unwrap_or(i64::MAX).saturating_add(i64::from(self.utc_offset));
        let (day, minute) = (minutes.div_euclid(i64::from(MINUTES)), minutes.rem_euclid(i64::from(MINUTES)));
        let in_hours = self.hours.is_none_or(|(from, to)| {
            let (from, to) = (i64::from(from), i64::from(to));
            if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
        });
        // 1970-01-01 was a Thursday.
        let weekday = (day + 3).rem_euclid(7);
        in_hours && self.weekdays.is_none_or(|set| set >> weekday & 1 == 1)
    }

    /// May it be false in some circumstances? One that asks for nothing may not.
    pub(super) fn asks_something(&self) -> bool {
        *self != Self { utc_offset: self.utc_offset, ..Self::default() }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.level > 0 {
            parts.push(format!("session level {}", self.level));
        }
        parts.extend(self.labels.iter().map(|label| format!("label {label:?}")));
        parts.extend(self.tags.iter().map(|(name, value)| format!("tag {name}={value:?}")));
        if !self.networks.is_empty() {
            let networks: Vec<String> = self.networks.iter().map(ToString::to_string).collect();
            parts.push(format!("from {}", networks.join(" or ")));
        }
        if let Some((from, to)) = self.hours {
            parts.push(format!("{:02}:{:02} to {:02}:{:02}", from / 60, from % 60, to / 60, to % 60));
        }
        if let Some(set) = self.weekdays {
            let days = DAYS.iter().enumerate().filter(|(day, _)| set >> day & 1 == 1);
            parts.push(days.map(|(_, name)| *name).collect::<Vec<_>>().join(","));
        }
        if self.utc_offset != 0 && (self.hours.is_some() || self.weekdays.is_some()) {
            parts.push(format!("UTC{:+}:{:02}", self.utc_offset / 60, self.utc_offset.abs() % 60));
        }
        f.write_str(&parts.join(" and "))
    }
}

/// What conditions are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    /// Seconds since 1970, where the time is known.
    pub(super) now: Option<u64>,
    pub(super) level: u8,
    pub(super) labels: &'a [std::sync::Arc<str>],
    pub(super) tags: &'a [(String, String)],
}

impl Circumstances<'_> {
    /// Is it before `end`, for what has this effect? Without a time, what ends has ended if it allows, and has not if
    /// it denies.
    pub(super) fn is_before(&self, end: u64, effect: Effect) -> bool {
        let unknown = match effect {
            Effect::Allow => u64::MAX - 1,
            Effect::Deny => 0,
        };
        self.now.unwrap_or(unknown) < end
    }
}

/// The time as conditions are held against it; one before 1970 is that of a clock that was never set.
pub(super) fn known(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Seconds since 1970; before that, 0.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
