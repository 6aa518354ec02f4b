//! Starts commands: from the policy to a confined process, at once or in two halves.

use super::cgroup::{Group, Groups};
use super::confine::{self, Payload, Setting};
use super::control;
use super::identity::{Identity, OwnerMaps};
use super::launch::{self, Launch, Started};
use super::mounts::Prepared;
use super::plan::Plan;
use super::pool::Pool;
use super::streams::{self, Inside, Outside};
use super::sys;
use super::terminal;
use super::{report, witness};
use crate::overlay::claim_for_command;
use crate::sandbox::{
    EnforcementReport, Layer, LayerStatus, Network, Requirement, SandboxError, SandboxPolicy, SandboxRequest,
    Stdio,
};
use crate::view::{System, View};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::unix::AsyncFd;

/// How many reports of witnesses are kept.
const WITNESSED: usize = 8;

/// What a sandbox keeps from one command to the next.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) init: OwnedFd,
    pub(super) system: System,
    pub(super) owners: OwnerMaps,
    pub(super) landlock_abi: Option<i64>,
    pub(super) last_capability: u32,
    pub(super) groups: Arc<Groups>,
    /// What witnesses found under the policies that were asked about last.
    pub(super) witnessed: Mutex<VecDeque<(SandboxPolicy, View, EnforcementReport)>>,
}

/// A command that runs.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) started: Started,
    pub(super) group: Option<Group>,
    pub(super) outside: Outside,
    pub(super) report: EnforcementReport,
}

/// A process that is confined under a policy and waits for its errand.
#[derive(Debug)]
pub(super) struct Waiting {
    started: Started,
    group: Option<Group>,
    report: EnforcementReport,
    /// What it sees. Another view at the time of use makes it useless.
    view: View,
    identity: Identity,
}

impl Waiting {
    pub(super) fn kill(&self) {
        sys::kill_pidfd(self.started.init.pidfd().as_fd());
    }

    /// Whether it is still what would be made now.
    pub(super) fn serves(&self, view: &View, identity: &Identity) -> bool {
        self.view == *view && self.identity == *identity
    }
}

/// A request, and what it means on this machine at this moment.
#[derive(Debug)]
pub(super) struct Order {
    request: SandboxRequest,
    policy: SandboxPolicy,
    view: View,
    identity: Identity,
}

/// A request that a waiting process has got.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) confined: Confined,
    errand: Plan,
}

/// The parts of a start that all kinds have.
struct Tree {
    started: Started,
    group: Option<Group>,
    report: EnforcementReport,
    plan: Plan,
}

impl Parts {
    /// Looks at a request as it stands now.
    pub(super) fn look(&self, request: &SandboxRequest) -> Result<Order, SandboxError> {
        request.check()?;
        let policy = resolved(&request.policy)?;
        let view = View::of(&policy, &self.system)?;
        if !request.cwd.is_absolute() {
            return Err(SandboxError::invalid_request(format!(
                "the working directory {} is not absolute: name the full path",
                request.cwd.display()
            )));
        }
        let mut request = request.clone();
        // As the policy's paths are: where the directory really is.
        request.cwd = request.cwd.canonicalize().unwrap_or(request.cwd);
        if !view.shows(&request.cwd) {
            return Err(SandboxError::invalid_request(format!(
                "the working directory {} is not in the sandbox: the policy must make it readable",
                request.cwd.display()
            )));
        }
        Ok(Order { request, policy, view, identity: Identity::of_host() })
    }

    /// Starts it. Blocks for about as long as starting any process does.
    pub(super) fn start(&self, order: &Order) -> Result<Confined, SandboxError> {
        let Order { request, policy, view, identity } = order;
        let payload = Payload::Execute(request);
        if matches!(request.stdio, Stdio::Terminal(_)) {
            let inside = streams::none().map_err(no_streams)?;
            let Tree { group, mut started, report, .. } =
                self.launch(policy, view, *identity, &payload, inside)?;
            let place = started.passed.iter().position(|(which, _)| *which == terminal::CONTROLLING);
            let controlling = place
                .map(|place| started.passed.swap_remove(place).1)
                .ok_or_else(|| no_streams(io::Error::other("init passed no terminal")))?;
            let outside = streams::terminal(controlling).map_err(no_streams)?;
            return Ok(Confined { started, group, outside, report });
        }
        let (inside, outside) = streams::pipes(request, identity).map_err(no_streams)?;
        let Tree { group, started, report, .. } = self.launch(policy, view, *identity, &payload, inside)?;
        Ok(Confined { started, group, outside, report })
    }

    /// Makes a process that waits, under a resolved policy.
    pub(super) fn prepare(&self, policy: &SandboxPolicy) -> Result<Waiting, SandboxError> {
        let view = View::of(policy, &self.system)?;
        let identity = Identity::of_host();
        let inside = streams::none().map_err(no_streams)?;
        let Tree { started, group, mut report, .. } =
            self.launch(policy, &view, identity, &Payload::Await, inside)?;
        report.launcher = "pool".to_owned();
        Ok(Waiting { started, group, report, view, identity })
    }

    fn witnessed(&self) -> MutexGuard<'_, VecDeque<(SandboxPolicy, View, EnforcementReport)>> {
        self.witnessed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a witness, and adds what it found to the report. Once for each policy and what it shows.
    pub(super) fn witness(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        let policy = resolved(policy)?;
        let view = View::of(&policy, &self.system)?;
        let known = |witnessed: &VecDeque<(SandboxPolicy, View, EnforcementReport)>| {
            let same =
                |known: &&(SandboxPolicy, View, EnforcementReport)| known.0 == policy && known.1 == view;
            witnessed.iter().find(same).map(|known| known.2.clone())
        };
        if let Some(report) = known(&self.witnessed()) {
            return Ok(report);
        }
        let inside = streams::none().map_err(no_streams)?;
        let tree = self.launch(&policy, &view, Identity::of_host(), &Payload::Witness, inside)?;
        let report = witness::judge(tree.report, &tree.plan, &tree.started.probes);
        let mut witnessed = self.witnessed();
        witnessed.truncate(WITNESSED - 1);
        witnessed.push_front((policy, view, report.clone()));
        Ok(report)
    }

    fn launch(
        &self,
        policy: &SandboxPolicy,
        view: &View,
        identity: Identity,
        payload: &Payload<'_>,
        stdio: Inside,
    ) -> Result<Tree, SandboxError> {
        let (group, groups) = self.group(policy)?;
        let Some(group) = group else {
            return self.launch_in(policy, view, identity, payload, &stdio, None, groups);
        };
        match self.launch_in(policy, view, identity, payload, &stdio, Some(group), groups) {
            // The group was made and cannot be entered: nothing has run yet.
            Err(error)
                if error.layer() == Some(Layer::ControlGroups)
                    && policy.requirement(Layer::ControlGroups) == Requirement::BestEffort =>
            {
                let groups = report::no_groups(&format!("enter the group ({error})"), 0);
                self.launch_in(policy, view, identity, payload, &stdio, None, groups)
            }
            result => result,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what a start is made from")]
    fn launch_in(
        &self,
        policy: &SandboxPolicy,
        view: &View,
        identity: Identity,
        payload: &Payload<'_>,
        stdio: &Inside,
        group: Option<(Group, Vec<OwnedFd>)>,
        groups: LayerStatus,
    ) -> Result<Tree, SandboxError> {
        let landlock_abi = match policy.requirement(Layer::Landlock) {
            Requirement::Off => None,
            Requirement::Required if self.landlock_abi.is_none() => {
                return Err(report::landlock_missing());
            }
            _ => self.landlock_abi,
        };
        let mut prepared = self.owners.prepare(view, &identity)?;
        prepared.sort_by_key(|(_, fd)| fd.as_raw_fd());
        let numbers: Prepared = prepared.iter().map(|(path, fd)| (path.clone(), fd.as_raw_fd())).collect();
        // Init holds them to its end: while a command lives, no other one and no commit gets them.
        let mut locks = Vec::new();
        for overlay in &policy.overlays {
            let lock = claim_for_command(overlay)?;
            locks.push(
                sys::above_init_range(lock)
                    .map_err(|error| SandboxError::system("cannot keep a workspace's lock", error))?,
            );
        }
        let (group, entrances) = group.unzip();
        let entrances = entrances.unwrap_or_default();
        let entrance_numbers: Vec<_> = entrances.iter().map(AsRawFd::as_raw_fd).collect();
        let mut kept: Vec<_> =
            prepared.iter().map(|(_, fd)| fd).chain(&locks).map(AsRawFd::as_raw_fd).collect();
        kept.extend(&entrance_numbers);
        kept.sort_unstable();
        let setting = Setting {
            view,
            prepared: &numbers,
            kept: &kept,
            entrances: &entrance_numbers,
            identity,
            landlock_abi,
            last_capability: self.last_capability,
            grouped: group.is_some(),
        };
        let plan = confine::plan(policy, &setting, payload);
        let launch = Launch {
            init: &self.init,
            plan: plan.write().and_then(|fd| {
                sys::above_init_range(fd).map_err(|error| SandboxError::system("cannot keep the plan", error))
            })?,
            stdio,
            kept: prepared.into_iter().map(|(_, fd)| fd).chain(locks).chain(entrances).collect(),
            namespaces: namespaces(policy),
            identity,
            capabilities: match policy.overlays.is_empty() {
                true => launch::INIT_CAPABILITIES,
                false => launch::INIT_CAPABILITIES | launch::OVERLAY_CAPABILITIES,
            },
        };
        let program = match payload {
            Payload::Execute(request) => request.program.to_string_lossy(),
            Payload::Await => "the waiting process".into(),
            Payload::Witness => "the witness".into(),
        };
        let mut refused = None;
        let started = launch
            .start(|pid| match group.as_ref().map(|group| group.add(pid)) {
                Some(Err(error)) => {
                    refused = Some(error);
                    false
                }
                _ => true,
            })
            .map_err(|error| report::of_failure(error, &plan, &program));
        if let Some(error) = refused {
            let errno = error.raw_os_error().unwrap_or(0);
            return Err(report::groups_missing(&report::no_groups("move the process into its group", errno)));
        }
        let started = started?;
        let version = group.as_ref().map(Group::version);
        let report = report::of_start(policy, &setting, &plan, &started, &groups, version);
        Ok(Tree { started, group, report, plan })
    }

    /// The command's control group with the ways into it, and what there is to report of it.
    #[allow(clippy::type_complexity, reason = "said in the line above")]
    fn group(
        &self,
        policy: &SandboxPolicy,
    ) -> Result<(Option<(Group, Vec<OwnedFd>)>, LayerStatus), SandboxError> {
        let requirement = policy.requirement(Layer::ControlGroups);
        if requirement == Requirement::Off {
            return Ok((None, LayerStatus::Off));
        }
        match self.groups.make(&policy.limits) {
            Ok((group, entrances)) => {
                let missing = group.missing().to_vec();
                let status =
                    if missing.is_empty() { LayerStatus::Full } else { LayerStatus::Partial { missing } };
                Ok((Some((group, entrances)), status))
            }
            Err(unavailable) => {
                let status = report::no_groups(&unavailable.stage, unavailable.errno);
                if requirement == Requirement::Required {
                    return Err(report::groups_missing(&status));
                }
                Ok((None, status))
            }
        }
    }
}

fn no_streams(error: io::Error) -> SandboxError {
    SandboxError::system("cannot make the command's standard streams", error)
}

impl Order {
    /// Gives the request to a waiting process, which takes it up meanwhile. `None`: there is none, or the
    /// request is not for one, and nothing ran.
    pub(super) fn send(&self, pool: &Pool) -> Result<Option<Sent>, SandboxError> {
        // One that waits would hold the lock of a copy-on-write workspace.
        if matches!(self.request.stdio, Stdio::Terminal(_)) || !self.policy.overlays.is_empty() {
            return Ok(None);
        }
        let errand = confine::errand(&self.policy, &self.request);
        let Some(message) = errand.message_bytes()? else { return Ok(None) };
        while let Some(waiting) = pool.take(&self.policy, &self.view, &self.identity) {
            let (inside, outside) = streams::pipes(&self.request, &self.identity).map_err(no_streams)?;
            let descriptors = inside.each_ref().map(AsRawFd::as_raw_fd);
            // One that has ended meanwhile has not got it: the next.
            if control::send(&waiting.started.control, &message, &descriptors).is_ok() {
                let Waiting { started, group, report, .. } = waiting;
                return Ok(Some(Sent { confined: Confined { started, group, outside, report }, errand }));
            }
        }
        Ok(None)
    }
}

impl Sent {
    /// Waits until the program has been executed.
    pub(super) async fn started(
        mut self,
        told: &AsyncFd<Arc<OwnedFd>>,
        program: &OsStr,
    ) -> Result<Confined, SandboxError> {
        match self.confined.started.await_command(told).await {
            Ok(()) => Ok(self.confined),
            Err(error) => Err(report::of_failure(error, &self.errand, &program.to_string_lossy())),
        }
    }
}

pub(super) fn resolved(policy: &SandboxPolicy) -> Result<SandboxPolicy, SandboxError> {
    let policy = policy.resolve().map_err(|error| SandboxError::invalid_policy(error.to_string()))?;
    check_relaxed(&policy)?;
    Ok(policy)
}

/// Layers that nothing works without.
fn check_relaxed(policy: &SandboxPolicy) -> Result<(), SandboxError> {
    if Identity::of_host().dropped && policy.requirement(Layer::Seccomp) != Requirement::Required {
        return Err(SandboxError::invalid_policy(
            "a root host must require seccomp: it keeps set-user-id programs of root out of the workspace",
        ));
    }
    for (layer, requirement) in &policy.relaxed {
        let relaxable =
            matches!(layer, Layer::Landlock | Layer::Seccomp | Layer::ResourceLimits | Layer::ControlGroups);
        let possible = relaxable && !(*layer == Layer::ResourceLimits && *requirement == Requirement::Off);
        if !possible && *requirement != Requirement::Required {
            return Err(SandboxError::invalid_policy(format!(
                "the native sandbox does not work without its {layer} layer: require it"
            )));
        }
    }
    Ok(())
}

fn namespaces(policy: &SandboxPolicy) -> libc::c_int {
    let all = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    match policy.network {
        Network::None | Network::Domains(_) => all | libc::CLONE_NEWNET,
        Network::DangerousFull => all,
    }
}
