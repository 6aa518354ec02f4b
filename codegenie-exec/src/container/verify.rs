//! Compares what a daemon says it made with what it was asked for: an older daemon drops what it does not know
//! without a word, and nothing of that may run.

use crate::sandbox::SandboxError;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use serde::Serialize;
use serde_json::Value;
use std::io;

/// Fails with the name of the first setting that is not as asked.
pub(super) fn verify(
    asked: &ContainerCreateBody,
    made: &ContainerInspectResponse,
) -> Result<(), SandboxError> {
    let differs = |what: String| {
        let error = io::Error::other("it did not take the setting");
        SandboxError::system(
            &format!("the daemon made another container than the policy asks for: {what}; nothing was run"),
            error,
        )
    };
    match (&asked.host_config, &made.host_config) {
        (Some(asked), Some(made)) => {
            if let Some(what) = difference("HostConfig", &value(asked), &value(made)) {
                return Err(differs(what));
            }
            let extra = made.binds.as_ref().is_some_and(|binds| !binds.is_empty())
                || made.cap_add.as_ref().is_some_and(|added| !added.is_empty())
                || made.devices.as_ref().is_some_and(|devices| !devices.is_empty())
                || made.privileged == Some(true);
            if extra {
                return Err(differs("binds, capabilities or devices that nobody asked for".to_owned()));
            }
        }
        _ => return Err(differs("HostConfig".to_owned())),
    }
    let config = value(&made.config);
    for (name, asked) in [
        ("User", value(&asked.user)),
        ("Cmd", value(&asked.cmd)),
        ("WorkingDir", value(&asked.working_dir)),
        ("Tty", value(&asked.tty)),
        ("OpenStdin", value(&asked.open_stdin)),
        ("Env", value(&asked.env)),
        ("Entrypoint", value(&asked.entrypoint)),
    ] {
        let made = config.get(name).unwrap_or(&Value::Null);
        if let Some(what) = difference(name, &asked, made) {
            return Err(differs(what));
        }
    }
    // Anonymous volumes of the image would be writable.
    let mounts = asked.host_config.as_ref().and_then(|config| config.mounts.as_ref()).map_or(0, Vec::len);
    if made.mounts.as_ref().is_some_and(|made| made.len() > mounts) {
        return Err(differs("mounts that nobody asked for".to_owned()));
    }
    Ok(())
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or(Value::Null)
}

/// The first place where what was asked for is not what was made; what was not asked for does not count.
fn difference(place: &str, asked: &Value, made: &Value) -> Option<String> {
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
