//! How an event is written inside a record: compact, lossless, and without a reader's guesswork.
//!
//! JSON would lose what an event may hold: numbers that are not finite, times before 1970.
//!
//! Version 1, all integers little-endian, a count is 1 to 5 bytes of seven bits each, the lowest first and all but the last
//! with their highest bit set (LEB128, and none longer than it must be), a text is the count of its bytes and UTF-8, an
//! optional value is a byte 0 or 1 and then the value:
//! `version u8 = 1 | seconds i64 | nanoseconds u32 | class u8 | result u8 | threat u8 | actor text |
//! agent text? | session text? | operation 16 bytes? | action text | resource text |
//! count, then per detail: name text, kind u8, value`.

use std::time::{Duration, SystemTime};

use crate::audit::{AuditEvent, AuditResult, AuditValue, EventClass, OperationId, ThreatLevel};

const VERSION: u8 = 1;

// The codes are part of the file format: never renumber, only add.
const CLASSES: [(u8, EventClass); 10] = [
    (1, EventClass::Authentication),
    (2, EventClass::Authorization),
    (3, EventClass::Approval),
    (4, EventClass::Command),
    (5, EventClass::FileActivity),
    (6, EventClass::NetworkActivity),
    (7, EventClass::Configuration),
    (8, EventClass::ApiActivity),
    (9, EventClass::VulnerabilityFinding),
    (10, EventClass::DetectionFinding),
];
const RESULTS: [(u8, AuditResult); 4] = [
    (1, AuditResult::Pending),
    (2, AuditResult::Success),
    (3, AuditResult::Failure),
    (4, AuditResult::Denied),
];
const THREATS: [(u8, ThreatLevel); 5] = [
    (0, ThreatLevel::None),
    (1, ThreatLevel::Low),
    (2, ThreatLevel::Medium),
    (3, ThreatLevel::High),
    (4, ThreatLevel::Critical),
];

fn code<T: Copy + PartialEq>(table: &[(u8, T)], value: T) -> Option<u8> {
    table.iter().find(|(_, candidate)| *candidate == value).map(|(code, _)| *code)
}

fn decode_code<T: Copy>(table: &[(u8, T)], code: u8) -> Option<T> {
    table.iter().find(|(candidate, _)| *candidate == code).map(|(_, value)| *value)
}

pub(super) fn class_code(class: EventClass) -> u8 {
    code(&CLASSES, class).unwrap_or(0)
}

pub(super) fn result_code(result: AuditResult) -> u8 {
    code(&RESULTS, result).unwrap_or(0)
}

pub(super) fn threat_code(threat: ThreatLevel) -> u8 {
    code(&THREATS, threat).unwrap_or(0)
}

/// `None` when the event cannot be represented: a text of 4 GiB, or a time that does not fit.
pub(super) fn encode(event: &AuditEvent) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    encode_into(&mut out, event).map(|()| out)
}

/// The same at the end of `out`; half of it where it fails.
pub(super) fn encode_into(out: &mut Vec<u8>, event: &AuditEvent) -> Option<()> {
    let (seconds, nanos) = split_time(event.time)?;
    out.push(VERSION);
    out.extend_from_slice(&seconds.to_le_bytes());
    out.extend_from_slice(&nanos.to_le_bytes());
    out.push(code(&CLASSES, event.class)?);
    out.push(code(&RESULTS, event.result)?);
    out.push(code(&THREATS, event.threat)?);
    put_text(out, &event.actor)?;
    put_optional_text(out, event.agent.as_deref())?;
    put_optional_text(out, event.session.as_deref())?;
    out.push(u8::from(event.operation.is_some()));
    if let Some(operation) = &event.operation {
        out.extend_from_slice(operation.as_bytes());
    }
    put_text(out, &event.action)?;
    put_text(out, &event.resource)?;
    put_count(out, event.details.len())?;
    for (name, value) in &event.details {
        put_text(out, name)?;
        match value {
            AuditValue::Bool(value) => out.extend_from_slice(&[1, u8::from(*value)]),
            AuditValue::Int(value) => {
                out.push(2);
                out.extend_from_slice(&value.to_le_bytes());
            }
            AuditValue::Float(value) => {
                out.push(3);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            AuditValue::Text(value) => {
                out.push(4);
                put_text(out, value)?;
            }
            AuditValue::List(values) => {
                out.push(5);
                put_count(out, values.len())?;
                for value in values {
                    put_text(out, value)?;
                }
            }
        }
    }
    Some(())
}

/// `None` when the bytes are not an event of version 1, whole and nothing more.
pub(super) fn decode(bytes: &[u8]) -> Option<AuditEvent> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return None;
    }
    let seconds = i64::from_le_bytes(input.array()?);
    let nanos = u32::from_le_bytes(input.array()?);
    let time = join_time(seconds, nanos)?;
    let class = decode_code(&CLASSES, input.byte()?)?;
    let result = decode_code(&RESULTS, input.byte()?)?;
    let threat = decode_code(&THREATS, input.byte()?)?;
    let actor = input.text()?;
    let agent = if input.flag()? { Some(input.text()?) } else { None };
    let session = if input.flag()? { Some(input.text()?) } else { None };
    let operation = if input.flag()? { Some(OperationId::from_bytes(input.array()?)) } else { None };
    let mut event = AuditEvent::new(class, input.text()?, input.text()?)
        .at(time)
        .actor(actor)
        .result(result)
        .threat(threat);
    event.agent = agent;
    event.session = session;
    event.operation = operation;
    for _ in 0..input.varint()? {
        let name = input.text()?;
        let value = match input.byte()? {
            1 => AuditValue::Bool(input.flag()?),
            2 => AuditValue::Int(i64::from_le_bytes(input.array()?)),
            3 => AuditValue::Float(f64::from_bits(u64::from_le_bytes(input.array()?))),
            4 => AuditValue::Text(input.text()?),
            5 => AuditValue::List((0..input.varint()?).map(|_| input.text()).collect::<Option<_>>()?),
            _ => return None,
        };
        event.details.push((name, value));
    }
    input.0.is_empty().then_some(event)
}

/// What a query asks about first, without a copy.
pub(super) struct Facets<'a> {
    pub(super) seconds: i64,
    pub(super) class: u8,
    pub(super) result: u8,
    pub(super) threat: u8,
    pub(super) actor: &'a str,
    pub(super) agent: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) action: &'a str,
}

/// `None` when the bytes do not begin as an event of version 1.
pub(super) fn facets(bytes: &[u8]) -> Option<Facets<'_>> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return None;
    }
    let seconds = i64::from_le_bytes(input.array()?);
    input.bytes(4)?;
    let (class, result, threat) = (input.byte()?, input.byte()?, input.byte()?);
    let actor = input.str()?;
    let agent = if input.flag()? { Some(input.str()?) } else { None };
    let session = if input.flag()? { Some(input.str()?) } else { None };
    if input.flag()? {
        input.bytes(16)?;
    }
    let action = input.str()?;
    Some(Facets { seconds, class, result, threat, actor, agent, session, action })
}

/// Seconds before or since 1970, rounded down, and nanoseconds to add.
pub(super) fn split_time(time: SystemTime) -> Option<(i64, u32)> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Some((i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())),
        Err(error) => {
            let before = error.duration();
            let seconds = i64::try_from(before.as_secs()).ok()?.checked_neg()?;
            match before.subsec_nanos() {
                0 => Some((seconds, 0)),
                nanos => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos)),
            }
        }
    }
}

fn join_time(seconds: i64, nanos: u32) -> Option<SystemTime> {
    if nanos >= 1_000_000_000 {
        return None;
    }
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)?
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)?
    };
    base.checked_add(Duration::from_nanos(u64::from(nanos)))
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Option<()> {
    let mut rest = u32::try_from(count).ok()?;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    Some(())
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    put_count(out, text.len())?;
    out.extend_from_slice(text.as_bytes());
    Some(())
}

fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>) -> Option<()> {
    out.push(u8::from(text.is_some()));
    text.map_or(Some(()), |text| put_text(out, text))
}

/// Bytes that are taken from the front.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn count(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A count of an event.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let byte = self.byte()?;
            let bits = u32::from(byte & 0x7f);
            value |= bits << shift;
            let is_last = byte < 0x80;
            if is_last {
                // Each value has one form: no zeros above it, and nothing shifted out.
                let is_minimal = byte != 0 || shift == 0;
                return (is_minimal && value >> shift == bits).then_some(value);
            }
        }
        None
    }

    fn str(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.varint()?).ok()?;
        std::str::from_utf8(self.bytes(len)?).ok()
    }

    fn text(&mut self) -> Option<String> {
        self.str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> AuditEvent {
        AuditEvent::new(EventClass::Command, "execute", "git\0 \u{202e}log")
            .at(SystemTime::UNIX_EPOCH - Duration::new(3, 700))
            .actor("alice")
            .agent("coder")
            .session("s")
            .operation(OperationId::from_bytes([7; 16]))
            .result(AuditResult::Denied)
            .threat(ThreatLevel::Critical)
            .detail("yes", true)
            .detail("low", i64::MIN)
            .detail("inf", f64::NEG_INFINITY)
            .detail("text", "x")
            .detail("list", vec![String::new(), "b".to_owned()])
    }

    #[test]
    fn an_event_comes_back_as_it_was() {
        for event in [full(), AuditEvent::new(EventClass::ApiActivity, "", "")] {
            assert_eq!(decode(&encode(&event).unwrap()).unwrap(), event);
        }
        let nan = AuditEvent::new(EventClass::Command, "a", "b").detail("n", f64::NAN);
        let Some(AuditValue::Float(back)) = decode(&encode(&nan).unwrap()).unwrap().get_detail("n").cloned()
        else {
            panic!("the detail changed its kind")
        };
        assert!(back.is_nan());
    }

    #[test]
    fn every_class_result_and_threat_has_a_code_of_its_own() {
        for class in EventClass::ALL {
            assert_eq!(decode_code(&CLASSES, code(&CLASSES, class).unwrap()), Some(class));
        }
        for (code, result) in RESULTS {
            assert_eq!(decode_code(&RESULTS, code), Some(result));
        }
        for (code, threat) in THREATS {
            assert_eq!(decode_code(&THREATS, code), Some(threat));
        }
    }

    #[test]
    fn a_count_has_one_form() {
        for count in [0, 1, 127, 128, 16_383, 16_384, 1 << 21, (1 << 28) - 1, 1 << 28, u32::MAX] {
            let mut bytes = Vec::new();
            put_count(&mut bytes, count as usize).unwrap();
            let mut input = Input(&bytes);
            assert_eq!((input.varint(), input.is_empty()), (Some(count), true), "{count}");
        }
        for bytes in [&[0x80, 0][..], &[0xff], &[0x80; 5], &[0xff, 0xff, 0xff, 0xff, 0x10], &[0x80; 6]] {
            assert_eq!(Input(bytes).varint(), None, "{bytes:x?}");
        }
    }

    #[test]
    fn cut_or_extended_bytes_are_no_event() {
        let bytes = encode(&full()).unwrap();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_none(), "{len} of {} bytes", bytes.len());
        }
        assert!(decode(&[bytes, vec![0]].concat()).is_none());
    }
}
