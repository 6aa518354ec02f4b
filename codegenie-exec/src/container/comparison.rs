//! Compares what was made with what was asked for.

use crate::sandbox::SandboxError;
use serde_json::Value;
use std::io;

/// A daemon that made something else, which is not run.
pub(super) fn differs(what: &str) -> SandboxError {
    SandboxError::system(
        &format!("the daemon made another container than the policy asks for: {what}; nothing was run"),
        io::Error::other("it did not take the setting"),
    )
}

/// The first place where what was asked for is not what was made; what was not asked for does not count.
pub(super) fn difference(place: &str, asked: &Value, made: &Value) -> Option<String> {
    match (asked, made) {
        (Value::Null, _) => None,
        (Value::Object(asked), Value::Object(made)) => asked.iter().find_map(|(name, asked)| {
            let made = made.get(name).unwrap_or(&Value::Null);
            difference(&format!("{place}.{name}"), asked, made)
        }),
        // Left out where it is empty, or not so.
        (Value::Array(asked), Value::Null) if asked.is_empty() => None,
        (Value::Bool(false), Value::Null) => None,
        (Value::Array(asked), Value::Array(made)) if asked.len() == made.len() => {
            // Daemons keep lists, but not always in order.
            asked.iter().enumerate().find_map(|(at, asked)| {
                let is_there = made.iter().any(|made| difference("", asked, made).is_none());
                (!is_there).then(|| format!("{place}[{at}]"))
            })
        }
        _ if asked == made => None,
        _ => Some(place.to_owned()),
    }
}
