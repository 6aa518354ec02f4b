//! The witness: a shell of the image, confined like a command, that tries what must be stopped and reads what the
//! kernel says of it. It uses nothing but the shell's own commands, and nothing it does could do harm.

use crate::sandbox::{Attempt, EnforcementReport, Layer, Network, Requirement, SandboxPolicy};

/// Prints a line for each attempt: its name, and what came of it.
pub(super) const SCRIPT: &str = r#"
while read -r key value rest; do
    case $key in
    Uid:) echo "uid $value" ;;
    CapPrm: | CapEff: | CapBnd: | CapInh: | CapAmb:) echo "capabilities $value" ;;
    NoNewPrivs:) echo "privileges $value" ;;
    Seccomp:) echo "seccomp $value" ;;
    esac
done < /proc/self/status
while read -r device place kind options rest; do
    case $place,$options, in
    /,ro,*) echo "root ro" ;;
    /,*) echo "root rw" ;;
    esac
done < /proc/self/mounts
while IFS=: read -r name rest; do
    set -- $name
    case $name in
    *\|*) ;;
    *) echo "interface $1" ;;
    esac
done < /proc/self/net/dev
(: > /.codegenie-witness) 2> /dev/null && echo "write done" || echo "write refused"
(: > /proc/sys/kernel/core_pattern) 2> /dev/null && echo "sysctl done" || echo "sysctl refused"
echo end
"#;

/// Adds to the report what the witness printed; `None` where it did not come to its end.
pub(super) fn judge(
    mut report: EnforcementReport,
    policy: &SandboxPolicy,
    printed: &str,
) -> Option<EnforcementReport> {
    let values = |name: &str| -> Vec<&str> {
        printed.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).collect()
    };
    if printed.lines().last() != Some("end") {
        return None;
    }
    let all = |name: &str, stopped: fn(&str) -> bool| {
        let values = values(name);
        !values.is_empty() && values.into_iter().all(stopped)
    };
    let mut attempts = vec![
        (Layer::MountNamespace, "write to the image", all("write", |value| value == "refused")),
        (Layer::MountNamespace, "have the root writable", all("root", |value| value == "ro")),
        (Layer::MountNamespace, "set a kernel parameter", all("sysctl", |value| value == "refused")),
        (Layer::UserNamespace, "be root", all("uid", |value| value != "0")),
        (
            Layer::Capabilities,
            "hold a capability",
            all("capabilities", |value| value.bytes().all(|digit| digit == b'0')),
        ),
        (Layer::NoNewPrivileges, "gain privileges by executing", all("privileges", |value| value == "1")),
    ];
    if policy.network != Network::DangerousFull {
        let beside = values("interface").into_iter().any(|name| name != "lo" && is_real(name));
        attempts.push((Layer::NetworkNamespace, "have an interface beside the loopback", !beside));
    }
    if policy.requirement(Layer::Seccomp) == Requirement::Required {
        attempts.push((Layer::Seccomp, "call the kernel unfiltered", all("seccomp", |value| value == "2")));
    }
    for (layer, what, stopped) in attempts {
        report = report.witness(Attempt::new(layer, what, stopped));
    }
    Some(report)
}

/// Whether it is not one of those that the kernel puts into every namespace, and that lead nowhere.
fn is_real(name: &str) -> bool {
    !["tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"]
        .contains(&name)
}
