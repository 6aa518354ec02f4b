//! Compares what a daemon says it made with what it was asked for: an older daemon drops what it does not know
//! without a word, and nothing of that may run.

use crate::container::comparison::{difference, differs};
use crate::sandbox::SandboxError;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use serde::Serialize;
use serde_json::Value;

/// Fails with the name of the first setting that is not as asked.
pub(super) fn verify(
    asked: &ContainerCreateBody,
    made: &ContainerInspectResponse,
) -> Result<(), SandboxError> {
    match (&asked.host_config, &made.host_config) {
        (Some(asked), Some(made)) => {
            if let Some(what) = difference("HostConfig", &value(asked), &value(made)) {
                return Err(differs(&what));
            }
            let extra = made.binds.as_ref().is_some_and(|binds| !binds.is_empty())
                || made.cap_add.as_ref().is_some_and(|added| !added.is_empty())
                || made.devices.as_ref().is_some_and(|devices| !devices.is_empty())
                || made.privileged == Some(true);
            if extra {
                return Err(differs("binds, capabilities or devices that nobody asked for"));
            }
        }
        _ => return Err(differs("HostConfig")),
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
            return Err(differs(&what));
        }
    }
    // Anonymous volumes of the image would be writable.
    let mounts = asked.host_config.as_ref().and_then(|config| config.mounts.as_ref()).map_or(0, Vec::len);
    if made.mounts.as_ref().is_some_and(|made| made.len() > mounts) {
        return Err(differs("mounts that nobody asked for"));
    }
    Ok(())
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or(Value::Null)
}
