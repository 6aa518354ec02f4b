//! One command of an agent, on the whole path: session, permission, policy, record, sandbox, record.
//!
//! `cargo run --example secure_command -- 'COMMAND'` (by default `ls -la / && date`). The exit status is 1 where the
//! command was refused or failed.

use codegenie_exec::{CommandRequest, NativeSandbox, SandboxPolicy, SecureExecutor};
use codegenie_security::{AccessControl, AuditLog, KeyFile, Policy, Role, SessionRequest};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let command = std::env::args().nth(1).unwrap_or_else(|| "ls -la / && date".to_owned());
    let home = tempfile::tempdir()?;
    let workspace = home.path().join("workspace");
    std::fs::create_dir(&workspace)?;

    // Who may do what. A token is shown once and stored hashed.
    let coder = Role::new("coder").allow("execute:command:**");
    let access = AccessControl::new(Policy::builder().role(coder).user("dana", ["coder"]).build()?);
    let (token, session) = access.open_session(SessionRequest::new("dana").agent("coder"))?;
    println!("session  {} of {}", session.id(), session.user());

    // Where it is recorded: sealed, signed, on disk before the command runs.
    let key = KeyFile::load_or_create(home.path().join("audit.key"))?;
    let log_path = home.path().join("audit");
    let executor =
        SecureExecutor::builder(NativeSandbox::new()?, access, SandboxPolicy::workspace_write(workspace))
            .audit(AuditLog::open(&log_path, key.key())?)
            .build()?;

    let worked = match executor.execute(&token, &CommandRequest::shell(&command)).await {
        Ok(ran) => {
            println!("decision {} by {}: {}", ran.verdict.decision, ran.verdict.rule, ran.verdict.reason);
            println!("enforced {}", ran.output.report.enforced().join(", "));
            println!("ended    {} after {:.1?}\n", ran.output.status.reason, ran.output.status.usage.wall);
            print!("{}", String::from_utf8_lossy(&ran.output.stdout));
            eprint!("{}", String::from_utf8_lossy(&ran.output.stderr));
            ran.output.status.reason.is_success()
        }
        Err(error) => {
            println!("refused  {error}");
            false
        }
    };

    println!("\nOn record, read back from disk:");
    for record in AuditLog::read(&log_path, key.key())? {
        let stored = record?;
        let event = &stored.event;
        println!(
            "{:>3} {} {} {} {}",
            stored.sequence, event.class, event.action, event.result, event.resource
        );
    }
    println!("verdict  {}", AuditLog::verify(&log_path, key.key())?);
    Ok(if worked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
