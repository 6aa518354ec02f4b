//! What a sink is told: one thing that happened, or is about to.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// What kind of thing happened. Maps to one OCSF 1.8 class each ([`EventClass::ocsf_class_uid`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum EventClass {
    /// A session was opened, refused, expired or revoked.
    Authentication,
    /// A permission was checked.
    Authorization,
    /// An approver was asked, and answered or did not.
    Approval,
    /// A command was about to run, ran, or was refused.
    Command,
    /// A file was created, changed, renamed or deleted.
    FileActivity,
    /// A connection was opened or refused.
    NetworkActivity,
    /// A policy, role or key was changed.
    Configuration,
    /// A call of the host's own that it wants on record.
    ApiActivity,
    /// A weakness was found in code or dependencies.
    VulnerabilityFinding,
    /// Suspicious behaviour was detected.
    DetectionFinding,
}

impl EventClass {
    /// Every class, in declaration order.
    pub const ALL: [Self; 10] = [
        Self::Authentication,
        Self::Authorization,
        Self::Approval,
        Self::Command,
        Self::FileActivity,
        Self::NetworkActivity,
        Self::Configuration,
        Self::ApiActivity,
        Self::VulnerabilityFinding,
        Self::DetectionFinding,
    ];

    /// The class number of the Open Cybersecurity Schema Framework, version 1.8. A vulnerability that no identifier names is
    /// exported as a detection (2004), since the schema wants one.
    #[must_use]
    pub const fn ocsf_class_uid(self) -> u32 {
        match self {
            Self::Authentication => 3002,
            Self::Authorization => 3003,
            Self::Approval | Self::ApiActivity => 6003,
            Self::Command => 1007,
            Self::FileActivity => 1001,
            Self::NetworkActivity => 4001,
            Self::Configuration => 5019,
            Self::VulnerabilityFinding => 2002,
            Self::DetectionFinding => 2004,
        }
    }

    /// The name used in exports and metrics: lowercase with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::Approval => "approval",
            Self::Command => "command",
            Self::FileActivity => "file_activity",
            Self::NetworkActivity => "network_activity",
            Self::Configuration => "configuration",
            Self::ApiActivity => "api_activity",
            Self::VulnerabilityFinding => "vulnerability_finding",
            Self::DetectionFinding => "detection_finding",
        }
    }
}

impl fmt::Display for EventClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the action ended, as far as the event knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum AuditResult {
    /// The intent: the action is about to be tried. An event with the same [`OperationId`] follows.
    Pending,
    /// It was done.
    Success,
    /// It was tried and failed.
    Failure,
    /// It was refused, and not tried.
    Denied,
}

impl AuditResult {
    /// The name used in exports and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
        }
    }
}

impl fmt::Display for AuditResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How alarming an event is. Ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ThreatLevel {
    /// Ordinary work.
    #[default]
    None,
    /// Worth a look in hindsight.
    Low,
    /// Unusual: somebody should look.
    Medium,
    /// An attempt that a control stopped.
    High,
    /// An attempt that may have succeeded, or an attack on the controls themselves.
    Critical,
}

impl ThreatLevel {
    /// The name used in exports and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for ThreatLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Joins the events of one operation: its approval, its intent, its outcome.
///
/// Unique with overwhelming probability, and not a secret. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId([u8; 16]);

impl OperationId {
    /// A new id, from std's per-process random hash keys, a counter and the clock.
    #[must_use]
    pub fn generate() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let nanos =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let half = || {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u64(count);
            hasher.write_u128(nanos);
            hasher.write_u32(std::process::id());
            hasher.finish()
        };
        Self(((u128::from(half()) << 64) | u128::from(half())).to_be_bytes())
    }

    /// An id that was stored elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads what `Display` writes: 32 hexadecimal digits. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|value| Self(value.to_be_bytes()))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationId({self})")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for OperationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for OperationId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("an operation id is 32 hexadecimal digits; this is something else")
        })
    }
}

/// The value of one detail of an event.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(untagged))]
#[non_exhaustive]
pub enum AuditValue {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A measured number. Not finite values are written as null by JSON exporters.
    Float(f64),
    /// Text.
    Text(String),
    /// Several texts, such as the layers that a sandbox enforced.
    List(Vec<String>),
}

impl fmt::Display for AuditValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(", ")),
        }
    }
}

macro_rules! audit_value_from {
    ($($source:ty => $variant:ident($convert:expr)),* $(,)?) => {$(
        impl From<$source> for AuditValue {
            fn from(value: $source) -> Self {
                Self::$variant($convert(value))
            }
        }
    )*};
}

audit_value_from! {
    bool => Bool(|v| v),
    i64 => Int(|v| v),
    i32 => Int(i64::from),
    u32 => Int(i64::from),
    f64 => Float(|v| v),
    String => Text(|v| v),
    &str => Text(str::to_owned),
    Vec<String> => List(|v| v),
}

impl From<u64> for AuditValue {
    /// Saturates at `i64::MAX`.
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// One thing that happened, or is about to.
///
/// Built by [`AuditEvent::new`] and the setters. Texts are taken as they are: a sink that renders
/// them escapes them, and a sink that cannot hold an event whole refuses it rather than cutting it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AuditEvent {
    /// When the event was made, by this machine's clock: a claim, not an order.
    pub time: SystemTime,
    /// What kind of thing happened.
    pub class: EventClass,
    /// The user on whose behalf it happened; empty where nobody is known.
    pub actor: String,
    /// The agent that acted, where one did.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub agent: Option<String>,
    /// The public id of the session: never its token.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub session: Option<String>,
    /// Joins the events of one operation.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub operation: Option<OperationId>,
    /// What was done: a verb, such as `execute`.
    pub action: String,
    /// What it was done to: a command, a path, a host.
    pub resource: String,
    /// How it ended.
    pub result: AuditResult,
    /// How alarming it is.
    pub threat: ThreatLevel,
    /// Anything else, in the order it was added.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub details: Vec<(String, AuditValue)>,
}

impl AuditEvent {
    /// An event of now, without an actor, that succeeded and alarms nobody.
    pub fn new(class: EventClass, action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self {
            time: SystemTime::now(),
            class,
            actor: String::new(),
            agent: None,
            session: None,
            operation: None,
            action: action.into(),
            resource: resource.into(),
            result: AuditResult::Success,
            threat: ThreatLevel::None,
            details: Vec::new(),
        }
    }

    /// Sets the time, for events that are imported or replayed.
    #[must_use]
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = time;
        self
    }

    /// Sets the user on whose behalf it happened.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Sets the agent that acted.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Sets the public id of the session.
    #[must_use]
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Joins the event to an operation.
    #[must_use]
    pub fn operation(mut self, operation: OperationId) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Sets how it ended.
    #[must_use]
    pub fn result(mut self, result: AuditResult) -> Self {
        self.result = result;
        self
    }

    /// Sets how alarming it is.
    #[must_use]
    pub fn threat(mut self, threat: ThreatLevel) -> Self {
        self.threat = threat;
        self
    }

    /// Adds a detail; names may repeat.
    #[must_use]
    pub fn detail(mut self, name: impl Into<String>, value: impl Into<AuditValue>) -> Self {
        self.details.push((name.into(), value.into()));
        self
    }

    /// The first detail of this name.
    #[must_use]
    pub fn get_detail(&self, name: &str) -> Option<&AuditValue> {
        self.details.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}
