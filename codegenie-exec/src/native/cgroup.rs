//! Control groups: limits on a whole tree, and accounts of it. Of version 2 where its controllers
//! are at hand, else of version 1; nothing where the host may make no groups.

mod spares;

use self::spares::{GroupLimits, Spares};
use super::sys;
use crate::sandbox::Limits;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Groups are named after the host that made them, so that another can tell whose host is gone.
const PREFIX: &str = "codegenie-";
const CPU_PERIOD_MICROS: u64 = 100_000;

/// The controllers that limit and count. Nothing works without the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Controller {
    Memory,
    Pids,
    Cpu,
    /// Version 1 counts CPU time apart from limiting it.
    CpuAccounts,
    Io,
}

impl Controller {
    /// Its name in version 1.
    fn v1(name: &str) -> Option<Self> {
        match name {
            "memory" => Some(Self::Memory),
            "pids" => Some(Self::Pids),
            "cpu" => Some(Self::Cpu),
            "cpuacct" => Some(Self::CpuAccounts),
            "blkio" => Some(Self::Io),
            _ => None,
        }
    }
}

/// Where this host can make groups.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hierarchy {
    /// One tree with these controllers enabled for children of the directory.
    Unified { parent: PathBuf, controllers: Vec<String> },
    /// A tree for each controller.
    Separate(BTreeMap<Controller, PathBuf>),
}

/// Makes the groups of a host's commands.
#[derive(Debug)]
pub(super) struct Groups {
    hierarchy: Result<Hierarchy, Unavailable>,
    /// Tells this host's groups from others'.
    name: String,
    made: AtomicU64,
    spares: Spares,
}

/// Why there are no groups.
#[derive(Clone, Debug)]
pub(super) struct Unavailable {
    pub(super) stage: String,
    pub(super) errno: i32,
}

impl Unavailable {
    pub(super) fn new(stage: impl Into<String>, error: &io::Error) -> Self {
        Self { stage: stage.into(), errno: error.raw_os_error().unwrap_or(0) }
    }
}

impl Groups {
    /// Finds out where groups can be made, by making one, and removes those of hosts that are gone.
    pub(super) fn look() -> Self {
        static HOSTS: AtomicU64 = AtomicU64::new(0);
        let pid = std::process::id();
        let born = born(pid).unwrap_or(0);
        let name = format!("{PREFIX}{pid}-{born}-{}", HOSTS.fetch_add(1, Ordering::Relaxed));
        let hierarchy = find(&name);
        if let Ok(hierarchy) = &hierarchy {
            sweep(hierarchy);
        }
        Self { hierarchy, name, made: AtomicU64::new(0), spares: Spares::default() }
    }

    /// A group with the limits that nothing has been in, and the ways into it.
    pub(super) fn make(&self, limits: &Limits) -> Result<(Group, Vec<OwnedFd>), Unavailable> {
        // One that somebody has removed meanwhile is none.
        while let Some(spare) = self.spares.take(&GroupLimits::from(limits)) {
            if let (Ok(entrances), true) = (spare.entrances(), spare.exists()) {
                return Ok((spare, entrances));
            }
        }
        let group = self.fresh(limits)?;
        let entrances = group.entrances().map_err(|error| Unavailable::new("open the group", &error))?;
        Ok((group, entrances))
    }

    fn fresh(&self, limits: &Limits) -> Result<Group, Unavailable> {
        let hierarchy = self.hierarchy.as_ref().map_err(Clone::clone)?;
        let name = format!("{}-{}", self.name, self.made.fetch_add(1, Ordering::Relaxed));
        let mut group = Group { dirs: BTreeMap::new(), unified: None, missing: Vec::new() };
        match hierarchy {
            Hierarchy::Unified { parent, controllers } => {
                let dir = parent.join(name);
                make_dir(&dir)?;
                group.unified = Some(dir);
                group.limit_unified(limits, controllers)?;
            }
            Hierarchy::Separate(parents) => {
                for (controller, parent) in parents {
                    if wanted(*controller, limits) {
                        let dir = parent.join(&name);
                        // Controllers may be mounted together.
                        if group.dirs.values().all(|made| *made != dir) {
                            make_dir(&dir)?;
                        }
                        group.dirs.insert(*controller, dir);
                    }
                }
                group.limit_separate(limits)?;
            }
        }
        Ok(group)
    }
}

fn wanted(controller: Controller, limits: &Limits) -> bool {
    match controller {
        Controller::Memory | Controller::Pids => true,
        Controller::Cpu => limits.cpu_percent.is_some(),
        Controller::CpuAccounts => limits.cpu.is_some(),
        Controller::Io => limits.io_bytes_per_second.is_some(),
    }
}

fn make_dir(dir: &Path) -> Result<(), Unavailable> {
    fs::create_dir(dir).map_err(|error| Unavailable::new(format!("make {}", dir.display()), &error))
}

fn put(dir: &Path, file: &str, value: impl std::fmt::Display) -> Result<(), Unavailable> {
    let path = dir.join(file);
    fs::write(&path, value.to_string())
        .map_err(|error| Unavailable::new(format!("write {value} to {}", path.display()), &error))
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()
}

/// A value of a file of `name value` lines.
fn entry(dir: &Path, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(dir.join(file)).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// One command's groups. Removed when dropped, which must be after its last process has ended.
#[derive(Debug)]
pub(super) struct Group {
    dirs: BTreeMap<Controller, PathBuf>,
    unified: Option<PathBuf>,
    missing: Vec<String>,
}

/// What a group has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GroupUsage {
    pub(super) cpu: Option<Duration>,
    pub(super) peak_memory_bytes: Option<u64>,
    pub(super) peak_processes: Option<u64>,
    pub(super) oom_kills: u64,
}

impl Group {
    fn limit_unified(&mut self, limits: &Limits, controllers: &[String]) -> Result<(), Unavailable> {
        let Some(dir) = self.unified.clone() else { return Ok(()) };
        put(&dir, "memory.max", limits.memory_bytes)?;
        // One swap file more or less is not what the limit is about; not every kernel has it.
        let _ = put(&dir, "memory.swap.max", 0);
        put(&dir, "pids.max", limits.processes.saturating_add(1))?;
        let has = |name: &str| controllers.iter().any(|known| known == name);
        if let Some(percent) = limits.cpu_percent {
            if has("cpu") {
                let quota = u64::from(percent.max(1)) * CPU_PERIOD_MICROS / 100;
                put(&dir, "cpu.max", format!("{quota} {CPU_PERIOD_MICROS}"))?;
            } else {
                self.missing.push("a share of the processors (no cpu controller)".to_owned());
            }
        }
        if let Some(rate) = limits.io_bytes_per_second {
            let devices = if has("io") { block_devices() } else { Vec::new() };
            for device in &devices {
                put(&dir, "io.max", format!("{device} rbps={rate} wbps={rate}"))?;
            }
            if devices.is_empty() {
                self.missing.push("a rate of transfers (no io controller or no block device)".to_owned());
            }
        }
        Ok(())
    }

    fn limit_separate(&mut self, limits: &Limits) -> Result<(), Unavailable> {
        let dir = |controller| self.dirs.get(&controller);
        let mut missing = Vec::new();
        if let Some(memory) = dir(Controller::Memory) {
            put(memory, "memory.limit_in_bytes", limits.memory_bytes)?;
            // Only where swap is counted.
            if memory.join("memory.memsw.limit_in_bytes").exists() {
                put(memory, "memory.memsw.limit_in_bytes", limits.memory_bytes)?;
            }
        }
        if let Some(pids) = dir(Controller::Pids) {
            // Init is one of them.
            put(pids, "pids.max", limits.processes.saturating_add(1))?;
        }
        if let Some(percent) = limits.cpu_percent {
            match dir(Controller::Cpu) {
                Some(cpu) => {
                    put(cpu, "cpu.cfs_period_us", CPU_PERIOD_MICROS)?;
                    put(cpu, "cpu.cfs_quota_us", u64::from(percent.max(1)) * CPU_PERIOD_MICROS / 100)?;
                }
                None => missing.push("a share of the processors (no cpu controller)".to_owned()),
            }
        }
        if let Some(rate) = limits.io_bytes_per_second {
            match dir(Controller::Io) {
                Some(io) => {
                    for device in block_devices() {
                        put(io, "blkio.throttle.read_bps_device", format!("{device} {rate}"))?;
                        put(io, "blkio.throttle.write_bps_device", format!("{device} {rate}"))?;
                    }
                    missing.push("a rate of buffered writes (version 1 counts direct ones only)".to_owned());
                }
                None => missing.push("a rate of transfers (no blkio controller)".to_owned()),
            }
        }
        self.missing = missing;
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.unified.iter().chain(self.dirs.values())
    }

    /// Opening the ways in has shown it for version 1.
    fn exists(&self) -> bool {
        self.unified.as_ref().is_none_or(|dir| dir.is_dir())
    }

    /// Puts a process into the group. What it starts later is in it too. In version 1 it goes by itself,
    /// through the entrances that [`Groups::make`] gives.
    pub(super) fn add(&self, pid: i32) -> io::Result<()> {
        match &self.unified {
            Some(dir) => fs::write(dir.join("cgroup.procs"), pid.to_string()),
            None => Ok(()),
        }
    }

    /// Files by which a process of one thread puts itself into the group: it writes a 0. Moved by somebody
    /// else, it would be so under a lock that the kernel takes against every fork of the machine, which
    /// can take more than ten milliseconds. Empty in version 2, which has no such way.
    fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        let mut dirs: Vec<&PathBuf> = self.dirs.values().collect();
        dirs.dedup();
        let open = |dir: &&PathBuf| File::options().write(true).open(dir.join("tasks"));
        dirs.iter().map(|dir| sys::above_init_range(open(dir)?.into())).collect()
    }

    /// What was asked for and this machine cannot limit.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The version of the groups.
    pub(super) fn version(&self) -> u8 {
        if self.unified.is_some() { 2 } else { 1 }
    }

    pub(super) fn counts_cpu(&self) -> bool {
        self.unified.is_some() || self.dirs.contains_key(&Controller::CpuAccounts)
    }

    pub(super) fn usage(&self) -> GroupUsage {
        if let Some(dir) = &self.unified {
            return GroupUsage {
                cpu: entry(dir, "cpu.stat", "usage_usec").map(Duration::from_micros),
                peak_memory_bytes: number(dir, "memory.peak"),
                peak_processes: number(dir, "pids.peak").map(without_init),
                oom_kills: entry(dir, "memory.events", "oom_kill").unwrap_or(0),
            };
        }
        let dir = |controller| self.dirs.get(&controller);
        let (memory, pids) = (dir(Controller::Memory), dir(Controller::Pids));
        GroupUsage {
            cpu: dir(Controller::CpuAccounts)
                .and_then(|dir| number(dir, "cpuacct.usage"))
                .map(Duration::from_nanos),
            peak_memory_bytes: memory.and_then(|dir| number(dir, "memory.max_usage_in_bytes")),
            peak_processes: pids.and_then(|dir| number(dir, "pids.peak")).map(without_init),
            oom_kills: memory.and_then(|dir| entry(dir, "memory.oom_control", "oom_kill")).unwrap_or(0),
        }
    }
}

fn without_init(processes: u64) -> u64 {
    processes.saturating_sub(1)
}

impl Drop for Group {
    fn drop(&mut self) {
        for dir in self.all() {
            // A group that is not empty yet is removed by the sweep of a later host.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Whole disks, as `major:minor`.
fn block_devices() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/block") else { return Vec::new() };
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("dev")).ok())
        // Loop devices and memory disks pass on to others.
        .filter(|device| !device.starts_with("7:") && !device.starts_with("1:"))
        .map(|device| device.trim().to_owned())
        .collect()
}

/// When a process was started, in ticks since the boot: tells it from a later one of the same number.
fn born(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name, which may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// A mounted tree: which part of it is mounted, and where.
struct Mounted {
    root: PathBuf,
    point: PathBuf,
}

impl Mounted {
    /// Where the group `path` of the tree is.
    fn place(&self, path: &str) -> Option<PathBuf> {
        let inside = Path::new(path).strip_prefix(&self.root).ok()?;
        Some(self.point.join(inside))
    }
}

fn find(name: &str) -> Result<Hierarchy, Unavailable> {
    let read = |path: &str| {
        fs::read_to_string(path).map_err(|error| Unavailable::new(format!("read {path}"), &error))
    };
    let (mounts, own) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
    let (mut unified, mut separate) = (None, BTreeMap::new());
    for line in mounts.lines() {
        // ID, parent, device, root, mount point, options, optional fields, "-", type, source, super options.
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut fields = before.split(' ').skip(3);
        let (Some(root), Some(point)) = (fields.next(), fields.next()) else { continue };
        let mut after = after.split(' ');
        let (kind, options) = (after.next(), after.nth(1).unwrap_or_default());
        let mounted = || Mounted { root: root.into(), point: point.into() };
        match kind {
            Some("cgroup2") => unified = Some(mounted()),
            Some("cgroup") => {
                for controller in options.split(',').filter_map(Controller::v1) {
                    separate.insert(controller, mounted());
                }
            }
            _ => {}
        }
    }
    let mut refusal = Unavailable { stage: "find mounted control groups".to_owned(), errno: libc::ENOENT };
    if let Some(mounted) = &unified {
        let path = own.lines().find_map(|line| line.strip_prefix("0::"));
        match path.and_then(|path| mounted.place(path)).map(|own| unified_parent(&own, &mounted.point, name))
        {
            Some(Ok(hierarchy)) => return Ok(hierarchy),
            Some(Err(error)) => refusal = error,
            None => {}
        }
    }
    let mut parents = BTreeMap::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        for controller in controllers.split(',').filter_map(Controller::v1) {
            let Some(parent) = separate.get(&controller).and_then(|m| m.place(path)) else { continue };
            match probe(&parent, name) {
                Ok(()) => drop(parents.insert(controller, parent)),
                Err(error) => refusal = error,
            }
        }
    }
    if parents.contains_key(&Controller::Memory) && parents.contains_key(&Controller::Pids) {
        return Ok(Hierarchy::Separate(parents));
    }
    Err(refusal)
}

/// The nearest group that has the controllers for its children and that this host may write to.
/// The host's own group cannot have them while the host is in it, unless it is the root.
fn unified_parent(own: &Path, top: &Path, name: &str) -> Result<Hierarchy, Unavailable> {
    let mut refusal = Unavailable {
        stage: format!("find a group above {} with the memory and pids controllers", own.display()),
        errno: libc::ENOENT,
    };
    for parent in own.ancestors().take_while(|parent| parent.starts_with(top)) {
        let enabled = || fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
        let complete =
            |text: &str| ["memory", "pids"].iter().all(|c| text.split_whitespace().any(|e| e == *c));
        let mut controllers = enabled();
        if !complete(&controllers) {
            // Refused where processes are in the group.
            let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory +pids");
            controllers = enabled();
        }
        if !complete(&controllers) {
            continue;
        }
        match probe(parent, name) {
            Ok(()) => {
                let controllers = controllers.split_whitespace().map(str::to_owned).collect();
                return Ok(Hierarchy::Unified { parent: parent.to_path_buf(), controllers });
            }
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Makes a group and takes it away again. A process must also be allowed to be moved there.
fn probe(parent: &Path, name: &str) -> Result<(), Unavailable> {
    let dir = parent.join(format!("{name}-probe"));
    make_dir(&dir)?;
    let may_move = nix::unistd::access(&parent.join("cgroup.procs"), nix::unistd::AccessFlags::W_OK);
    let _ = fs::remove_dir(&dir);
    may_move.map_err(|error| {
        Unavailable::new(format!("move a process out of {}", parent.display()), &io::Error::from(error))
    })
}

/// Removes the groups of hosts that are gone. One that still holds a process is not removed.
fn sweep(hierarchy: &Hierarchy) {
    let parents: Vec<&PathBuf> = match hierarchy {
        Hierarchy::Unified { parent, .. } => vec![parent],
        Hierarchy::Separate(parents) => parents.values().collect(),
    };
    for entry in parents.into_iter().filter_map(|parent| fs::read_dir(parent).ok()).flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let mut parts = rest.split('-');
        let (Some(pid), Some(since)) = (parts.next(), parts.next()) else { continue };
        let (Ok(pid), Ok(since)) = (pid.parse(), since.parse::<u64>()) else { continue };
        if born(pid) != Some(since) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
