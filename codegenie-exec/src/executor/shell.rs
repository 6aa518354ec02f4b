//! Which shell executes a line that takes one: none that would read it otherwise than it was judged.

use super::record::Recorder;
use super::{ExecError, SecureExecutor};
use crate::command::{CommandRequest, ParsedCommand};
use crate::sandbox::{Sandbox, SandboxError, Shell};
use crate::validate;
use codegenie_perf::CacheBackend;
use codegenie_security::AuditSink;

impl<S: Sandbox, A: AuditSink, C: CacheBackend> SecureExecutor<S, A, C> {
    /// The shell for a command; `None`: it takes none. A line is judged as bash reads it, and a sandbox without bash
    /// executes it only where its shell must read the same.
    pub(super) async fn shell_for(
        &self,
        recorder: &Recorder<'_, A>,
        request: &CommandRequest,
        parsed: &ParsedCommand,
    ) -> Result<Option<Shell>, ExecError> {
        if !parsed.needs_shell {
            return Ok(None);
        }
        let shell = self.shell().await.map_err(|error| recorder.sandbox_failed(error))?;
        let sandbox = self.sandbox.name();
        let problem = match shell {
            Some(Shell::Bash(_)) => return Ok(shell.clone()),
            Some(Shell::Posix(path)) => match validate::difference_to_posix(request) {
                None => return Ok(shell.clone()),
                Some(difference) => format!(
                    "the command was judged as bash reads it, and the {sandbox} sandbox has no bash: to {} {difference} may \
                     mean something else; write it without, send its parts one by one, or have bash in the sandbox",
                    path.display()
                ),
            },
            None => format!(
                "the command takes a shell, and the {sandbox} sandbox has none that is known: send single commands, or have \
                 bash in the sandbox"
            ),
        };
        Err(recorder.refuse_without_shell(problem))
    }

    /// The sandbox's shell, asked for once. One that commands could replace is none; folders that rules add hold no program
    /// of the system.
    async fn shell(&self) -> Result<&Option<Shell>, SandboxError> {
        let ask = async || {
            let shell = self.sandbox.shell(self.confinements.own().least()).await?;
            Ok(shell.filter(|shell| !self.confinements.own().full().lets_replace(shell.path())))
        };
        self.shell.get_or_try_init(ask).await
    }
}
