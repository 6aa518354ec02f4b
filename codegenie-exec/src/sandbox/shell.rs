//! By which shell a line is executed that takes one, and how a sandbox that does not say is asked.

use super::{Sandbox, SandboxError, SandboxErrorKind, SandboxPolicy, SandboxRequest};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a bash may be, and whether it is one of those that read a line as version 4 and later do.
const SCRIPT: &str = r#"
for bash in /bin/bash /usr/bin/bash /usr/local/bin/bash /run/current-system/sw/bin/bash; do
    if [ -x "$bash" ] && "$bash" -c '(( BASH_VERSINFO[0] >= 4 ))' 2>/dev/null; then
        echo "bash $bash"
        exit 0
    fi
done
echo "posix /bin/sh"
"#;
/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A shell in a sandbox, by its absolute path there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shell {
    /// bash, version 4 or later: it reads a line as it was judged.
    Bash(PathBuf),
    /// Another shell that keeps to POSIX, such as dash or busybox: only what means the same there is executed by it.
    Posix(PathBuf),
}

impl Shell {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Bash(path) | Self::Posix(path) => path,
        }
    }
}

/// Has the sandbox's own `/bin/sh` look for one. What says something else than it was asked is no shell that is known.
pub(super) async fn ask<S: Sandbox + ?Sized>(
    sandbox: &S,
    policy: &SandboxPolicy,
) -> Result<Option<Shell>, SandboxError> {
    let mut policy = policy.clone();
    policy.limits.timeout = PATIENCE;
    let request = SandboxRequest::new("/bin/sh", policy).args(["-c", SCRIPT]).cwd("/tmp");
    let output = match sandbox.run(&request).await {
        Ok(output) => output,
        Err(error) if error.kind() == SandboxErrorKind::ProgramNotRun => return Ok(None),
        Err(error) => return Err(error),
    };
    if !output.status.reason.is_success() {
        return Ok(None);
    }
    let said = std::str::from_utf8(&output.stdout).unwrap_or_default().trim_end();
    Ok(match said.split_once(' ') {
        Some(("bash", path)) => Some(Shell::Bash(PathBuf::from(path))),
        Some(("posix", path)) => Some(Shell::Posix(PathBuf::from(path))),
        _ => None,
    }
    .filter(|shell| shell.path().is_absolute()))
}
