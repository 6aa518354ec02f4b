//! A host made for the purpose: a workspace, and around it what an agent must not touch.

use indicatif::{ProgressBar, ProgressStyle};
use std::error::Error;
use std::io::IsTerminal;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Stands in every place from which it must not get out.
pub(crate) const SECRET: &str = "planted-secret-5f0c9e";

/// Directories that can be made again and are large.
const NOT_COPIED: [&str; 3] = ["target", "node_modules", ".venv"];

pub(crate) struct Scene {
    root: tempfile::TempDir,
    demo: bool,
    /// A service of the host on loopback, which nobody may reach from the sandbox.
    service: TcpListener,
    /// A process of the host with a secret in its environment.
    neighbour: Child,
}

impl Scene {
    /// Makes a host with a small repository, or with a copy of the project at `project`.
    pub(crate) fn new(project: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let root = tempfile::Builder::new().prefix("secure-agent-").tempdir()?;
        let base = root.path();
        for dir in ["workspace", "home/.ssh", "neighbour", "keys"] {
            std::fs::create_dir_all(base.join(dir))?;
        }
        let key = base.join("home/.ssh/id_ed25519");
        std::fs::write(&key, format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n"))?;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        std::fs::write(base.join("home/.bashrc"), "# the host's own\n")?;
        std::fs::write(base.join("neighbour/precious"), SECRET)?;
        match project {
            Some(path) => copy_project(path, &base.join("workspace"))?,
            None => make_repository(&base.join("workspace"))?,
        }
        let service = TcpListener::bind("127.0.0.1:0")?;
        service.set_nonblocking(true)?;
        let neighbour = Command::new("sleep")
            .arg("3600")
            .env("NEIGHBOUR_API_TOKEN", SECRET)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("sleep was not started, which the scene needs: {error}"))?;
        Ok(Self { root, demo: project.is_none(), service, neighbour })
    }

    pub(crate) fn is_demo(&self) -> bool {
        self.demo
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.outside("workspace")
    }

    /// A path of the host beside the workspace.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn service_port(&self) -> u16 {
        self.service.local_addr().map_or(0, |address| address.port())
    }

    /// Whether anybody has reached the service.
    pub(crate) fn service_was_reached(&self) -> bool {
        self.service.accept().is_ok()
    }

    pub(crate) fn neighbour_pid(&self) -> u32 {
        self.neighbour.id()
    }

    pub(crate) fn neighbour_lives(&self) -> bool {
        // A process that was killed is a zombie until it is waited for.
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.neighbour.id()));
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    }

    /// Leaves everything where it is.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.root.disable_cleanup(true);
        self.root.path().to_path_buf()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It has ended already where a hostile step got through.
        let _ = self.neighbour.kill();
        let _ = self.neighbour.wait();
    }
}

/// A plain copy; on file systems that can, the kernel shares the blocks until they are written.
fn copy_project(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let from = from
        .canonicalize()
        .map_err(|error| format!("{}: {error}; name a project's folder", from.display()))?;
    if !from.is_dir() {
        return Err(format!("{} is not a directory: name a project's folder", from.display()).into());
    }
    let progress =
        if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    progress.set_style(ProgressStyle::with_template("{spinner} copying the project: {pos} files")?);
    let mut waiting = vec![(from, to.to_path_buf())];
    while let Some((from, to)) = waiting.pop() {
        std::fs::create_dir_all(&to)?;
        let unreadable = |error: std::io::Error| {
            format!(
                "{} cannot be copied: {error}; make it readable, or work on a copy without it",
                from.display()
            )
        };
        for entry in std::fs::read_dir(&from).map_err(unreadable)? {
            let entry = entry?;
            let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
            if kind.is_dir() {
                if !NOT_COPIED.iter().any(|name| entry.file_name() == *name) {
                    waiting.push((entry.path(), target));
                }
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, target)?;
            } else if kind.is_file() {
                std::fs::copy(entry.path(), &target).map_err(|error| {
                    let path = entry.path();
                    format!(
                        "{} cannot be copied: {error}; make it readable, or work on a copy without it",
                        path.display()
                    )
                })?;
                // Sources from a package registry are often read-only; a copy is to be worked on.
                let mut mode = std::fs::metadata(&target)?.permissions();
                mode.set_mode(mode.mode() | 0o600);
                std::fs::set_permissions(&target, mode)?;
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();
    Ok(())
}

const SUM: &str = "#!/bin/sh
# Adds the numbers on its standard input, one a line.
total=0
while read -r number; do
    total=$((total - number))
done
echo \"$total\"
";

const TEST: &str = "#!/bin/sh
# The project's tests.
check() {
    got=$(printf '%b' \"$1\" | sh sum.sh)
    if [ \"$got\" = \"$2\" ]; then echo \"ok   sum of '$1' is $2\"
    else echo \"FAIL sum of '$1': expected $2, got $got\"; failed=1; fi
}
check '1\\n2\\n3\\n' 6
check '' 0
check '40\\n2\\n' 42
exit ${failed:-0}
";

/// What the agent will apply.
pub(crate) const PATCH: &str = "--- a/sum.sh
+++ b/sum.sh
@@ -2,6 +2,6 @@
 # Adds the numbers on its standard input, one a line.
 total=0
 while read -r number; do
-    total=$((total - number))
+    total=$((total + number))
 done
 echo \"$total\"
";

fn make_repository(at: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::write(at.join("sum.sh"), SUM)?;
    std::fs::write(at.join("test.sh"), TEST)?;
    std::fs::write(at.join("README"), "sum.sh adds numbers. Run the tests with: sh test.sh\n")?;
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["config", "user.name", "An Agent"],
        &["config", "user.email", "agent@example.invalid"],
        &["add", "."],
        &["commit", "--quiet", "-m", "sum: add numbers"],
    ] {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(at)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .map_err(|error| format!("git was not started, which makes the repository: {error}"))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("git {}: {message}", arguments.join(" ")).into());
        }
    }
    Ok(())
}
