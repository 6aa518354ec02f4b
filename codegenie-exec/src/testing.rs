//! The conformance kit: whoever writes a [`Sandbox`] runs the tests that ours pass.
//!
//! [`sandbox`] checks every law that holds for the sandbox, as [`Options`] describe it, and does not
//! panic: a broken law comes back as a [`ConformanceError`] that names it. It takes some seconds,
//! because time limits are among the laws.
//!
//! The kit brings no runtime: await it in whatever the sandbox needs. It runs `sh`, `cat`, `env` and
//! `sleep` as POSIX describes them, and works below the directory that it is given, which the
//! command's identity must be able to enter where the sandbox has one of its own.
//!
//! | law | what |
//! |---|---|
//! | `exit` | statuses and signals are told as they are |
//! | `output` | both streams, apart, byte by byte, floods of both included |
//! | `stdin` | all of it arrives; none is end of file at once; unread does not block |
//! | `argv` | arguments arrive byte by byte; of a sandbox for text, others are an error |
//! | `environment` | exactly the policy's variables and the request's, which are stronger; what is added is reported |
//! | `cwd` | where the request says; a directory that is missing is an error |
//! | `not run` | a program that is missing or not executable is `ProgramNotRun` |
//! | `shell` | the shell that it names is there, and reads what one of its kind reads |
//! | `nul` | a NUL byte in program, argument or variable is an error |
//! | `report` | named like the sandbox, every layer once, the same each time; what is required is full |
//! | `timeout` | the command ends, is flagged, and its output so far is there |
//! | `output limit` | the command ends, is flagged, and no more than the limit is there |
//! | `kill` | a killed command ends and is flagged |
//! | `drop` | a dropped command ends |
//!
//! And for sandboxes that confine:
//!
//! | law | what |
//! |---|---|
//! | `tree` | children in the background end with a dropped or timed-out command |
//! | `daemon` | what a command leaves behind is gone after its end |
//! | `read`, `write` | paths outside of the policy, by symbolic link as well |
//! | `deepest` | a hidden and a read-only path below a writable one |
//! | `refused` | a working directory outside of the policy, and a policy that grants what is missing |
//! | `network` | a listener on the host's loopback is not reached |
//! | `witness` | whatever the witness tried was stopped |
//!
//! ```no_run
//! # async fn check(my_sandbox: impl codegenie_exec::Sandbox) -> Result<(), Box<dyn std::error::Error>> {
//! use codegenie_exec::testing::{self, Options};
//!
//! testing::sandbox(&my_sandbox, &Options::confining("/var/tmp/conformance")).await?;
//! # Ok(())
//! # }
//! ```

mod confining;
mod ending;
mod place;
mod running;

use self::place::Place;
use crate::sandbox::Sandbox;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// What the kit may expect of a sandbox, and where it may work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// A directory of the host's own, which exists. The kit works in a new one below it, and
    /// removes that when it is done.
    pub directory: PathBuf,
    /// Whether the sandbox confines what it runs. Where it does not, only the laws about running
    /// are checked, and a limit needs to end the command's own process only.
    pub confines: bool,
    /// Whether arguments reach a command as text only. Others must be refused then, and not be changed.
    pub text_only: bool,
    /// Names of variables that the sandbox adds to those of policies and requests. Its reports must not tell the
    /// environment as fully enforced then.
    pub added_variables: Vec<String>,
}

impl Options {
    /// A sandbox that confines.
    pub fn confining(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), confines: true, text_only: false, added_variables: Vec::new() }
    }

    /// A sandbox that only runs.
    pub fn not_confining(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), confines: false, text_only: false, added_variables: Vec::new() }
    }
}

impl Options {
    /// The same for a sandbox that takes arguments in UTF-8 only.
    #[must_use]
    pub fn text_only(mut self) -> Self {
        self.text_only = true;
        self
    }

    /// The same for a sandbox that adds variables of its own, and says so.
    #[must_use]
    pub fn adding<I>(mut self, variables: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.added_variables.extend(variables.into_iter().map(Into::into));
        self
    }
}

/// A law that a sandbox breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConformanceError {
    law: &'static str,
    what: String,
}

impl ConformanceError {
    fn new(law: &'static str, what: impl Into<String>) -> Self {
        Self { law, what: what.into() }
    }

    /// The law's name, as the [module](self) lists it; `setup` where the kit itself could not work.
    #[must_use]
    pub fn law(&self) -> &'static str {
        self.law
    }
}

impl fmt::Display for ConformanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law `{}` is broken: {}", self.law, self.what)
    }
}

impl Error for ConformanceError {}

/// Fails with the law's name unless the condition holds.
fn ensure(law: &'static str, holds: bool, what: impl FnOnce() -> String) -> Result<(), ConformanceError> {
    if holds { Ok(()) } else { Err(ConformanceError::new(law, what())) }
}

/// Checks every law. The first that is broken is the error.
pub async fn sandbox(sandbox: &impl Sandbox, options: &Options) -> Result<(), ConformanceError> {
    let place = Place::new(&options.directory)?;
    running::check(sandbox, &place, options).await?;
    if options.confines {
        confining::check(sandbox, &place).await?;
    }
    ending::check(sandbox, &place, options.confines).await
}
