//! Attempts by system calls: `attacker.c`, compiled for the test, run with and without the sandbox.

#[path = "../support/compile.rs"]
mod compile;

pub(crate) use compile::compile;

use crate::host::{ATTACKER_FLAGS, Host, is_root, text};
use codegenie_exec::{DangerousNoSandbox, RunOutput, Sandbox, SandboxPolicy, SandboxRequest};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(crate) const EPERM: i32 = 1;
pub(crate) const ENOSYS: i32 = 38;
const EPROTONOSUPPORT: i32 = 93;
const EAFNOSUPPORT: i32 = 97;

const SYS_ADMIN: u32 = 21;

/// Attempts that do not succeed everywhere even without the sandbox. That they fail there is then asserted
/// and printed, and that they fail confined all the same.
const NOT_EVERYWHERE: &[(&str, Lack)] = &[
    ("realtime", Lack::Capability(23)),
    ("deadline", Lack::Capability(23)),
    ("nice_up", Lack::Capability(23)),
    ("mknod_char", Lack::Capability(27)),
    ("mknod_block", Lack::Capability(27)),
    ("set_uid", Lack::Capability(7)),
    ("open_by_handle", Lack::Capability(2)),
    ("load_bpf", Lack::Capability(39)),
    ("notify_files", Lack::Capability(SYS_ADMIN)),
    ("restart", Lack::Capability(22)),
    ("kernel_log", Lack::Capability(34)),
    ("kexec", Lack::Kernel("CONFIG_KEXEC and CAP_SYS_BOOT", &[ENOSYS, EPERM])),
    ("load_module", Lack::Kernel("CONFIG_MODULES and CAP_SYS_MODULE", &[ENOSYS, EPERM])),
    ("unload_module", Lack::Kernel("CONFIG_MODULES and CAP_SYS_MODULE", &[ENOSYS, EPERM])),
    ("io_uring", Lack::Kernel("CONFIG_IO_URING and kernel.io_uring_disabled=0", &[ENOSYS, EPERM])),
    ("user_faults", Lack::Kernel("CONFIG_USERFAULTFD", &[ENOSYS, EPERM])),
    ("perf", Lack::Kernel("CONFIG_PERF_EVENTS and kernel.perf_event_paranoid below 3", &[ENOSYS, EPERM, 13])),
    ("key_control", Lack::Kernel("CONFIG_KEYS", &[ENOSYS, EPERM])),
    ("key_add", Lack::Kernel("CONFIG_KEYS", &[ENOSYS, EPERM])),
    ("key_request", Lack::Kernel("CONFIG_KEYS", &[ENOSYS, EPERM])),
    ("compare", Lack::Kernel("CONFIG_KCMP", &[ENOSYS])),
    ("unshare_time", Lack::Kernel("CONFIG_TIME_NS", &[22])),
    ("push_input", Lack::Kernel("CONFIG_LEGACY_TIOCSTI or CAP_SYS_ADMIN", &[5])),
    ("push_input_high_bits", Lack::Kernel("CONFIG_LEGACY_TIOCSTI or CAP_SYS_ADMIN", &[5])),
    ("line_discipline", Lack::Kernel("the n_gsm line discipline", &[22, EPERM])),
    ("x32", Lack::Kernel("CONFIG_X86_X32_ABI", &[ENOSYS])),
    ("x32_keyctl", Lack::Kernel("CONFIG_X86_X32_ABI", &[ENOSYS])),
    ("int_80", Lack::Kernel("CONFIG_IA32_EMULATION", &[ENOSYS])),
    ("sctp", Lack::Kernel("CONFIG_IP_SCTP", &[EPROTONOSUPPORT])),
    ("vsock", Lack::Kernel("CONFIG_VSOCKETS", &[EAFNOSUPPORT])),
    ("alg", Lack::Kernel("CONFIG_CRYPTO_USER_API", &[EAFNOSUPPORT])),
    ("bluetooth", Lack::Kernel("CONFIG_BT", &[EAFNOSUPPORT, EPROTONOSUPPORT])),
    ("netlink_audit", Lack::Kernel("CONFIG_AUDIT", &[EPROTONOSUPPORT])),
    ("netlink_filter", Lack::Kernel("CONFIG_NETFILTER_NETLINK", &[EPROTONOSUPPORT])),
    ("posix_queue_find", Lack::Kernel("CONFIG_POSIX_MQUEUE", &[ENOSYS])),
    ("message_queue_find", Lack::Kernel("CONFIG_SYSVIPC", &[ENOSYS])),
    ("sysv_find", Lack::Kernel("CONFIG_SYSVIPC", &[ENOSYS])),
];

/// What an attempt needs that not every machine or user has.
#[derive(Clone, Copy, Debug)]
enum Lack {
    /// A capability outside of any user namespace.
    Capability(u32),
    /// Something of the kernel, without which these errors come.
    Kernel(&'static str, &'static [i32]),
}

impl Lack {
    /// Why the attempt may end with `errno` here.
    fn explains(self, errno: i32) -> Option<String> {
        match self {
            Self::Capability(number) if !has_capability(number) && [EPERM, 13].contains(&errno) => {
                Some(format!("capability {number}"))
            }
            Self::Kernel(what, errors) if errors.contains(&errno) => Some(what.to_owned()),
            _ => None,
        }
    }
}

fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    u64::from_str_radix(set, 16).unwrap() >> number & 1 == 1
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Errno(i32),
    Signal(i32),
}

/// The compiled attacker, removed with its last user.
pub(crate) struct Attacker(tempfile::TempDir);

impl Attacker {
    pub(crate) fn get() -> Arc<Self> {
        static CURRENT: Mutex<Weak<Attacker>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = current.upgrade() {
            return compiled;
        }
        let compiled = Arc::new(Self(tempfile::tempdir().unwrap()));
        compile(include_str!("attacker.c"), ATTACKER_FLAGS, &compiled.path());
        *current = Arc::downgrade(&compiled);
        compiled
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("attacker")
    }
}

/// The same attempts with and without the sandbox.
#[derive(Debug)]
pub(crate) struct Outcomes {
    pub(crate) unconfined: BTreeMap<String, Outcome>,
    pub(crate) confined: BTreeMap<String, Outcome>,
    pub(crate) output: RunOutput,
}

pub(crate) fn outcomes(output: &RunOutput) -> BTreeMap<String, Outcome> {
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let outcome = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let outcome = match *words.as_slice() {
            [_, "done"] => Outcome::Done,
            [_, "errno", number] => Outcome::Errno(number.parse().ok()?),
            [_, "signal", number] => Outcome::Signal(number.parse().ok()?),
            _ => return None,
        };
        Some((words[0].to_owned(), outcome))
    };
    lines.lines().filter_map(outcome).collect()
}

impl Host {
    /// The attacker under `policy`, which is to show it.
    pub(crate) fn attack(
        &self,
        attacker: &Attacker,
        policy: SandboxPolicy,
        names: &str,
        args: &[OsString],
    ) -> SandboxRequest {
        SandboxRequest::new(attacker.path(), policy.read(attacker.path())).arg(names).args(args)
    }

    /// Makes attempts, separated by commas, first without the sandbox.
    pub(crate) async fn attempts(&self, names: &str, args: &[OsString]) -> Outcomes {
        self.attempts_under(self.policy(), names, args).await
    }

    pub(crate) async fn attempts_under(
        &self,
        policy: SandboxPolicy,
        names: &str,
        args: &[OsString],
    ) -> Outcomes {
        let attacker = Attacker::get();
        let request = self.attack(&attacker, policy, names, args);
        let unconfined = DangerousNoSandbox.run(&request).await.unwrap();
        let output = self.launcher.run(&request).await.unwrap();
        let outcomes = Outcomes { unconfined: outcomes(&unconfined), confined: outcomes(&output), output };
        let (tried, run) = (names.split(',').count(), outcomes.confined.len());
        assert!(
            outcomes.unconfined.len() >= tried && run >= tried,
            "{}{}",
            text(&unconfined),
            text(&outcomes.output)
        );
        outcomes
    }

    /// The attempts that succeed without the sandbox and fail with it.
    pub(crate) async fn all_fail(&self, names: &str, args: &[OsString]) -> Outcomes {
        let outcomes = self.attempts(names, args).await;
        outcomes.all_fail(names, None);
        outcomes
    }
}

impl Outcomes {
    /// Asserts it of these attempts; `errno`: what each must be refused with.
    pub(crate) fn all_fail(&self, names: &str, errno: Option<i32>) {
        for name in names.split(',') {
            match self.unconfined[name] {
                Outcome::Done => {}
                refusal => {
                    let lack = NOT_EVERYWHERE.iter().find(|(known, _)| *known == name);
                    let reason = match refusal {
                        Outcome::Errno(errno) => lack.and_then(|(_, lack)| lack.explains(errno)),
                        // A gate that the kernel has not is a protection fault.
                        Outcome::Signal(signal) => {
                            (name == "int_80" && signal == 11).then(|| "CONFIG_IA32_EMULATION".to_owned())
                        }
                        Outcome::Done => None,
                    };
                    let reason = reason.unwrap_or_else(|| {
                        panic!("{name} proves nothing: without the sandbox {refusal:?}, root: {}", is_root())
                    });
                    println!("not shown without the sandbox: {name}, which needs {reason}: {refusal:?}");
                }
            }
            let confined = self.confined[name];
            assert_ne!(confined, Outcome::Done, "{name} succeeded in the sandbox");
            if let Some(errno) = errno {
                assert_eq!(confined, Outcome::Errno(errno), "{name}");
            }
        }
    }
}

/// Arguments of any kinds as the attacker takes them.
pub(crate) fn words<const N: usize>(words: [&dyn AsRef<std::ffi::OsStr>; N]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}
