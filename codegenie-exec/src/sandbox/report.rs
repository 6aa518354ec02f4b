//! What is enforced, as data.

use std::fmt;

/// One mechanism of confinement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Layer {
    /// Own user namespace, and a host identity that is not root.
    UserNamespace,
    /// Own process tree, which ends as a whole.
    PidNamespace,
    /// Own file system view: read-only system, named paths only.
    MountNamespace,
    /// Own network stack without a way out.
    NetworkNamespace,
    /// Own System V IPC, message queues and host name.
    IpcNamespace,
    /// Path rules that hold even where the view has a hole.
    Landlock,
    /// System calls that an agent's command never needs are refused.
    Seccomp,
    /// No privilege is gained by executing a program.
    NoNewPrivileges,
    /// Every capability is dropped.
    Capabilities,
    /// Limits on processes, files, and each process's memory and CPU time.
    ResourceLimits,
    /// Limits on the whole tree: memory, processes, and where asked for processors and transfers.
    ControlGroups,
    /// Only named variables and the three standard descriptors reach the command.
    Environment,
}

impl Layer {
    /// Every layer, in declaration order.
    pub const ALL: [Self; 12] = [
        Self::UserNamespace,
        Self::PidNamespace,
        Self::MountNamespace,
        Self::NetworkNamespace,
        Self::IpcNamespace,
        Self::Landlock,
        Self::Seccomp,
        Self::NoNewPrivileges,
        Self::Capabilities,
        Self::ResourceLimits,
        Self::ControlGroups,
        Self::Environment,
    ];

    /// The layer's name in messages and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserNamespace => "user namespace",
            Self::PidNamespace => "pid namespace",
            Self::MountNamespace => "mount namespace",
            Self::NetworkNamespace => "network namespace",
            Self::IpcNamespace => "ipc namespace",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::NoNewPrivileges => "no_new_privs",
            Self::Capabilities => "capabilities",
            Self::ResourceLimits => "resource limits",
            Self::ControlGroups => "control groups",
            Self::Environment => "environment",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a policy asks of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Requirement {
    /// Nothing runs unless the layer is enforced. What an older kernel leaves out of it is reported as
    /// [`LayerStatus::Partial`].
    #[default]
    Required,
    /// Enforced where the machine can; the report says where it cannot.
    BestEffort,
    /// Not applied, and reported as such.
    Off,
}

/// What became of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case", tag = "state")
)]
#[non_exhaustive]
pub enum LayerStatus {
    /// Enforced as the policy asks.
    Full,
    /// Enforced, but for the parts that are named.
    Partial {
        /// What is not enforced, each in a few words.
        missing: Vec<String>,
    },
    /// Not enforced, though wanted.
    Unavailable {
        /// The step that failed.
        stage: String,
        /// The error number of that step; 0 where there is none.
        errno: i32,
        /// What a person can do about it.
        hint: String,
    },
    /// Not enforced, as the policy asks.
    Off,
}

impl fmt::Display for LayerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Partial { missing } => write!(f, "partial: without {}", missing.join(", ")),
            Self::Unavailable { stage, errno, hint } => {
                write!(f, "unavailable: {stage} (errno {errno}): {hint}")
            }
            Self::Off => f.write_str("off"),
        }
    }
}

/// One layer of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LayerReport {
    /// Which layer.
    pub layer: Layer,
    /// What the policy asked of it.
    pub requirement: Requirement,
    /// What became of it.
    pub status: LayerStatus,
    /// What it does here, in a few words: versions, counts, limits.
    pub detail: String,
}

/// What a sandbox enforces for one command. Layers that are not listed are not enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct EnforcementReport {
    /// The sandbox's name.
    pub sandbox: String,
    /// How processes are started, where the sandbox has several ways.
    pub launcher: String,
    /// The layers, each once.
    pub layers: Vec<LayerReport>,
    /// What a witness tried under the same policy; empty where none was sent. See
    /// [`Sandbox::enforcement`](super::Sandbox::enforcement).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub witness: Vec<Attempt>,
}

/// One thing that a witness tried from inside, to prove the report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Attempt {
    /// The layer that must stop it.
    pub layer: Layer,
    /// What was tried.
    pub what: String,
    /// Whether it was stopped.
    pub stopped: bool,
}

impl Attempt {
    /// What became of one attempt.
    pub fn new(layer: Layer, what: impl Into<String>, stopped: bool) -> Self {
        Self { layer, what: what.into(), stopped }
    }
}

impl EnforcementReport {
    /// A report without layers: nothing is enforced.
    pub fn new(sandbox: impl Into<String>, launcher: impl Into<String>) -> Self {
        Self { sandbox: sandbox.into(), launcher: launcher.into(), layers: Vec::new(), witness: Vec::new() }
    }

    /// Adds a layer, or replaces what was said of it.
    #[must_use]
    pub fn layer(
        mut self,
        layer: Layer,
        requirement: Requirement,
        status: LayerStatus,
        detail: impl Into<String>,
    ) -> Self {
        self.layers.retain(|known| known.layer != layer);
        self.layers.push(LayerReport { layer, requirement, status, detail: detail.into() });
        self
    }

    /// Adds what a witness tried.
    #[must_use]
    pub fn witness(mut self, attempt: Attempt) -> Self {
        self.witness.push(attempt);
        self
    }

    /// What became of `layer`; [`LayerStatus::Off`] where the report does not name it.
    #[must_use]
    pub fn status(&self, layer: Layer) -> &LayerStatus {
        self.layers.iter().find(|known| known.layer == layer).map_or(&LayerStatus::Off, |known| &known.status)
    }

    /// Whether `layer` is fully enforced.
    #[must_use]
    pub fn enforces(&self, layer: Layer) -> bool {
        *self.status(layer) == LayerStatus::Full
    }

    /// The names of the fully enforced layers, in the report's order.
    #[must_use]
    pub fn enforced(&self) -> Vec<&'static str> {
        self.layers.iter().filter(|l| l.status == LayerStatus::Full).map(|l| l.layer.as_str()).collect()
    }

    /// The names of the layers that are enforced in part, in the report's order.
    #[must_use]
    pub fn partly_enforced(&self) -> Vec<&'static str> {
        let partial = |l: &&LayerReport| matches!(l.status, LayerStatus::Partial { .. });
        self.layers.iter().filter(partial).map(|l| l.layer.as_str()).collect()
    }
}
