//! Whose container it is, so that those of hosts that are gone can be removed.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// The label that every container of a sandbox has.
pub(super) const LABEL: &str = "dev.codegenie.owner";

/// A process of a machine, told apart from others that had or will have its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    machine: String,
    boot: String,
    /// The number of the PID namespace: process numbers mean nothing in another one.
    namespace: u64,
    pid: u32,
    started: u64,
}

impl Owner {
    /// This process.
    pub(super) fn this() -> Self {
        let pid = std::process::id();
        let namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino());
        Self { machine: machine(), boot: boot(), namespace, pid, started: started(pid).unwrap_or(0) }
    }

    /// As the value of the label.
    pub(super) fn label(&self) -> String {
        format!("{}:{}:{}:{}:{}", self.machine, self.boot, self.namespace, self.pid, self.started)
    }

    fn parse(label: &str) -> Option<Self> {
        let mut fields = label.split(':');
        let owner = Self {
            machine: fields.next()?.to_owned(),
            boot: fields.next()?.to_owned(),
            namespace: fields.next()?.parse().ok()?,
            pid: fields.next()?.parse().ok()?,
            started: fields.next()?.parse().ok()?,
        };
        fields.next().is_none().then_some(owner)
    }

    /// Whether the process of `label` has surely ended, as seen from this one.
    pub(super) fn knows_gone(&self, label: &str) -> bool {
        let Some(other) = Self::parse(label) else { return false };
        if other.machine != self.machine || self.machine.is_empty() || self.boot.is_empty() {
            return false;
        }
        if other.boot != self.boot {
            return true;
        }
        // Without a time of its start a process cannot be told from a later one of its number.
        other.namespace == self.namespace
            && other.namespace != 0
            && other.started != 0
            && started(other.pid) != Some(other.started)
    }
}

fn machine() -> String {
    read("/etc/machine-id").or_else(|| read("/proc/sys/kernel/hostname")).unwrap_or_default()
}

fn boot() -> String {
    read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim().replace(':', "-");
    (!text.is_empty()).then_some(text)
}

/// When a process started, in the kernel's ticks since the boot; `None`: there is none.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// The labels of one container.
pub(super) fn labels(owner: &Owner) -> HashMap<String, String> {
    HashMap::from([(LABEL.to_owned(), owner.label())])
}
