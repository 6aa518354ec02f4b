//! JSON that loses nothing: no name stands twice in an object, and no integer becomes another number.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// As deep as `serde_json` goes by itself.
const MAX_DEPTH: usize = 128;

/// The members of an object. Within that which is named `exact`, integers that an `i64` cannot hold are texts of their digits.
pub(crate) fn object(text: &str, exact: &str) -> Result<BTreeMap<String, Value>, String> {
    if !text.trim_ascii_start().starts_with('{') {
        // What is no JSON at all is told as that.
        parsed::<&RawValue>(text)?;
        return Err("not a JSON object".to_owned());
    }
    let members: Members<'_> = parsed(text)?;
    let value = |name: &str, raw: &RawValue| match name == exact {
        true => exact_value(raw, MAX_DEPTH),
        false => parsed(raw.get()),
    };
    let one = |(name, raw): (String, &RawValue)| {
        let value = value(&name, raw).map_err(|problem| format!("{name}: {problem}"))?;
        Ok((name, value))
    };
    members.0.into_iter().map(one).collect()
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn exact_value(raw: &RawValue, depth: usize) -> Result<Value, String> {
    let text = raw.get();
    let Some(inner) = depth.checked_sub(1) else {
        return Err(format!("nested more than {MAX_DEPTH} deep"));
    };
    match text.bytes().next() {
        Some(b'{') => {
            let members: Members<'_> = parsed(text)?;
            let one = |(name, raw): (String, &RawValue)| Ok((name, exact_value(raw, inner)?));
            Ok(Value::Object(members.0.into_iter().map(one).collect::<Result<_, String>>()?))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = parsed(text)?;
            items.into_iter().map(|raw| exact_value(raw, inner)).collect::<Result<_, _>>().map(Value::Array)
        }
        Some(b'-' | b'0'..=b'9') if !text.contains(['.', 'e', 'E']) && text.parse::<i64>().is_err() => {
            Ok(Value::String(text.to_owned()))
        }
        _ => parsed(text),
    }
}

struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{name:?} is given twice")));
            }
            let value = map.next_value()?;
            members.insert(name, value);
        }
        Ok(Members(members))
    }
}
