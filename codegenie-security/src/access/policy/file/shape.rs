//! What a policy's text holds, as serde reads it.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::super::PolicyBuilder;
use super::super::builder::{Assignment, Separation};
use super::PolicyFormat;
use crate::access::condition::Condition;
use crate::access::role::{Effect, Permission, Role};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    end_marked: bool,
    end: Option<End>,
    actions: Option<Vec<String>>,
    #[serde(default)]
    roles: Named<RoleShape>,
    #[serde(default)]
    users: Named<UserShape>,
    #[serde(default)]
    separations: Vec<SeparationShape>,
}

/// Nothing stands in it: it is there to be the last thing of a text.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct End {}

impl File {
    /// What is wrong with the mark at the end, if something is.
    pub(super) fn end_is_missing(&self, text: &str, format: PolicyFormat) -> Option<&'static str> {
        match (self.end_marked, &self.end) {
            (false, None) => return None,
            (true, None) => {
                return Some(
                    "the policy is `end_marked` and has no `[end]`, so it is not whole; write it again",
                );
            }
            (false, Some(End {})) => {
                return Some(
                    "the policy has an `[end]` that is not announced; begin it with `end_marked = true`",
                );
            }
            (true, Some(End {})) => {}
        }
        if format == PolicyFormat::Json {
            return None;
        }
        // Anywhere else the two would say nothing of what is between them.
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let is_first = lines.next().is_some_and(|line| line.starts_with("end_marked"));
        let is_last = text.trim_end().lines().last() == Some("[end]");
        (!is_first || !is_last).then_some(
            "the policy's end is not marked by its first and last lines; write `end_marked = true` and `[end]` there",
        )
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleShape {
    #[serde(default)]
    inherits: Vec<String>,
    #[serde(default)]
    allow: Vec<PermissionShape>,
    #[serde(default)]
    deny: Vec<PermissionShape>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct UserShape {
    #[serde(default)]
    roles: Vec<AssignmentShape>,
    #[serde(default)]
    allow: Vec<PermissionShape>,
    #[serde(default)]
    deny: Vec<PermissionShape>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SeparationShape {
    roles: Vec<String>,
    #[serde(default)]
    in_one_session: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionShape {
    #[serde(default)]
    level: u8,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    tags: Named<String>,
    #[serde(default)]
    networks: Networks,
    hours: Option<Hours>,
    weekdays: Option<Weekdays>,
    #[serde(default)]
    utc_offset: i16,
}

/// A text, or a table that begins with what the text would be.
struct PermissionShape(Permission);
struct AssignmentShape(Assignment);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionTable {
    permission: String,
    when: Option<ConditionShape>,
    until: Option<Time>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignmentTable {
    role: String,
    until: Option<Time>,
}

/// A table whose keys are names, in the order of the text. One that stands twice is an error.
struct Named<T>(Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Names<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of names")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut entries, mut seen) = (Vec::new(), std::collections::HashSet::new());
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(de::Error::custom(format!("{name:?} stands twice")));
                    }
                    entries.push((name, map.next_value()?));
                }
                Ok(Named(entries))
            }
        }
        deserializer.deserialize_map(Names(PhantomData))
    }
}

/// Reads a text, or a table.
struct TextOr<T, S>(&'static str, fn(String) -> T, fn(S) -> T);

impl<'de, T, S: Deserialize<'de>> Visitor<'de> for TextOr<T, S> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        Ok((self.1)(text.to_owned()))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        S::deserialize(de::value::MapAccessDeserializer::new(map)).map(self.2)
    }
}

impl<'de> Deserialize<'de> for PermissionShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let of_table = |table: PermissionTable| Permission {
            text: table.permission,
            when: table.when.map(Condition::from).unwrap_or_default(),
            until: table.until.map(|time| time.0),
        };
        let expected = "a permission, or a table with `permission`, `when` and `until`";
        deserializer.deserialize_any(TextOr(expected, Permission::new, of_table)).map(Self)
    }
}

impl<'de> Deserialize<'de> for AssignmentShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let of_text = |role| Assignment { role, until: None };
        let of_table =
            |table: AssignmentTable| Assignment { role: table.role, until: table.until.map(|time| time.0) };
        let expected = "a role's name, or a table with `role` and `until`";
        deserializer.deserialize_any(TextOr(expected, of_text, of_table)).map(Self)
    }
}

struct Time(SystemTime);
struct Hours(u16, u16);
struct Weekdays(Condition);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || de::Error::custom(format!("{text:?} is no time; write it as \"2027-01-31T12:00:00Z\""));
        let time: toml::value::Datetime = text.parse().map_err(|_| bad())?;
        unix_seconds(&time)
            .map(|seconds| Self(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
            .ok_or_else(bad)
    }
}

/// Seconds since 1970 of a time with an offset; `None` before 1970 and without an offset.
fn unix_seconds(time: &toml::value::Datetime) -> Option<u64> {
    let (date, clock) = (time.date?, time.time?);
    let offset = match time.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    // Days since 1970 by the proleptic Gregorian calendar, with years that begin in March.
    let (year, month) = (i64::from(date.year), i64::from(date.month));
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day) - 1;
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468;
    let minutes = (days * 24 + i64::from(clock.hour)) * 60 + i64::from(clock.minute) - offset;
    let second = i64::from(clock.second.unwrap_or(0));
    u64::try_from(minutes * 60 + second).ok()
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let minutes = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
            let minutes = hour * 60 + minute;
            (hour <= 24 && minute < 60 && minutes <= 24 * 60).then_some(minutes)
        };
        let both = text.split_once('-').and_then(|(from, to)| Some(Self(minutes(from)?, minutes(to)?)));
        both.ok_or_else(|| de::Error::custom(format!("{text:?} are no hours; write them as \"08:00-18:00\"")))
    }
}

impl<'de> Deserialize<'de> for Weekdays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Condition::new().weekdays(&text).map(Self).map_err(de::Error::custom)
    }
}

#[derive(Default)]
struct Networks(Condition);

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Condition::new().networks(texts).map(Self).map_err(de::Error::custom)
    }
}

impl From<ConditionShape> for Condition {
    fn from(shape: ConditionShape) -> Self {
        Self {
            level: shape.level,
            labels: shape.labels,
            tags: shape.tags.0,
            networks: shape.networks.0.networks,
            hours: shape.hours.map(|hours| (hours.0, hours.1)),
            weekdays: shape.weekdays.and_then(|days| days.0.weekdays),
            utc_offset: shape.utc_offset,
        }
    }
}

impl From<File> for PolicyBuilder {
    fn from(file: File) -> Self {
        let role = |(name, shape): (String, RoleShape)| {
            let permissions = both(shape.allow, shape.deny).collect();
            Role { name, inherits: shape.inherits, permissions }
        };
        let mut builder = Self {
            roles: file.roles.0.into_iter().map(role).collect(),
            actions: file.actions,
            separations: Vec::new(),
            users: Vec::new(),
            own: Vec::new(),
        };
        for (name, shape) in file.users.0 {
            builder.own.extend(
                both(shape.allow, shape.deny).map(|(effect, permission)| (name.clone(), effect, permission)),
            );
            builder.users.push((name, shape.roles.into_iter().map(|given| given.0).collect()));
        }
        builder.separations.extend(
            file.separations
                .into_iter()
                .map(|shape| Separation { roles: shape.roles, in_one_session: shape.in_one_session }),
        );
        builder
    }
}

fn both(
    allow: Vec<PermissionShape>,
    deny: Vec<PermissionShape>,
) -> impl Iterator<Item = (Effect, Permission)> {
    let allow = allow.into_iter().map(|shape| (Effect::Allow, shape.0));
    allow.chain(deny.into_iter().map(|shape| (Effect::Deny, shape.0)))
}
