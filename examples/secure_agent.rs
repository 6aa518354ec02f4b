//! An agent works on a real project, every action authorized, validated, confined, recorded and
//! measured; then an injected agent tries to break out.
//!
//! `cargo run --example secure_agent` makes a small git repository with a failing test;
//! `cargo run --example secure_agent -- PATH` works on a copy of the project at PATH.
//! The agent is a script: its steps are data. The exit status is 0 only if every hostile step was
//! stopped and every honest one worked.

#[path = "secure_agent/output.rs"]
mod output;
#[path = "secure_agent/scene.rs"]
mod scene;
#[path = "secure_agent/steps.rs"]
mod steps;
#[path = "secure_agent/toolchain.rs"]
mod toolchain;

use codegenie_exec::{
    Approval, ApprovalRequest, CommandPolicy, EnforcementReport, ExecError, Execution, LayerStatus, Limits,
    NativeSandbox, SandboxPolicy, SecureExecutor, approve_with,
};
use codegenie_monitor::{AlertRule, Monitor, Query, Severity};
use codegenie_perf::MemoryCache;
use codegenie_security::{
    AccessControl, AuditLog, KeyFile, Policy, Role, SessionRequest, SessionToken, Verification,
};
use scene::Scene;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use steps::{Kind, Step, Token};

/// The host's rules for this agent, as they would stand in a file.
const RULES: &str = r#"
default = "ask"

[[rules]]
prefix = ["sh", "test.sh"]
decision = "allow"
justification = "the project's own tests"
match = ["sh test.sh", "sh test.sh -v"]
not_match = ["sh other.sh", "bash -c 'sh test.sh'"]

[[rules]]
prefix = ["git", "apply"]
decision = "allow"
justification = "edits come as patches"

[[rules]]
prefix = ["git", "push"]
decision = "deny"
justification = "agents do not publish"
"#;

const USAGE: &str = "usage: secure_agent [PATH] [--json] [--keep] [--test 'COMMAND']
  PATH     work on a copy of this project instead of a small repository made for the purpose
  --json   print one JSON document instead of tables
  --keep   keep the copy, the key and the audit log, and say where they are
  --test   how PATH's tests are run; found out by what is there otherwise";

#[derive(Default)]
struct Options {
    path: Option<PathBuf>,
    json: bool,
    keep: bool,
    test: Option<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--json") => options.json = true,
            Some("--keep") => options.keep = true,
            Some("--test") => {
                let command = arguments.next().and_then(|command| command.into_string().ok());
                options.test = Some(command.ok_or("--test wants a command")?);
            }
            Some("--help" | "-h") => return Err(String::new()),
            Some(flag) if flag.starts_with('-') => return Err(format!("{flag} is not an option")),
            _ if options.path.is_some() => return Err("only one PATH is worked on".to_owned()),
            _ => options.path = Some(argument.into()),
        }
    }
    Ok(options)
}

struct Tokens {
    valid: SessionToken,
    expired: SessionToken,
    revoked: SessionToken,
}

/// What became of one step.
struct Done {
    step: Step,
    decision: String,
    rule: String,
    /// Where it was stopped, or what it ran under.
    confined_by: String,
    end: String,
    time: Duration,
    /// Whether it went as it should; else why not.
    verdict: Result<(), String>,
    cached: bool,
}

/// What is known when every step is done.
struct Summary<'a> {
    done: &'a [Done],
    report: &'a EnforcementReport,
    audit: &'a Verification,
    monitor: &'a Monitor,
    /// Steps that need what is not on this machine.
    skipped: usize,
    ok: bool,
}

type Executor = SecureExecutor<NativeSandbox, (AuditLog, Monitor), MemoryCache>;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(problem) => {
            if problem.is_empty() {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("secure_agent: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let scene = Scene::new(options.path.as_deref())?;
    let steps = steps::all(&scene, options.test.as_deref());

    let key = KeyFile::load_or_create(scene.outside("keys/audit.key"))?;
    let log_path = scene.outside("audit");
    let monitor = monitor()?;
    let access = Arc::new(access()?);
    let executor = executor(&scene, AuditLog::open(&log_path, key.key())?, &monitor, Arc::clone(&access))?;

    let session = SessionRequest::new("dana").agent("coder").lifetime(Duration::from_secs(3600));
    let (token, _) = access.open_session(session)?;
    let (revoked, gone) = access.open_session(SessionRequest::new("dana").agent("coder"))?;
    access.revoke(gone.id());
    let short = SessionRequest::new("dana").agent("coder").lifetime(Duration::from_nanos(1));
    let (expired, _) = access.open_session(short)?;
    let tokens = Tokens { valid: token, expired, revoked };

    let mut live = output::Live::new(!options.json, &scene, &steps);
    let mut done = Vec::new();
    let mut skipped = 0;
    for step in steps {
        if step.needs_previous && done.last().is_some_and(|last: &Done| last.end != "exit 0") {
            live.skip(&step);
            skipped += 1;
            continue;
        }
        live.begin(&step);
        let result = carry_out(&executor, &scene, step, &tokens).await;
        live.end(&result);
        done.push(result);
    }

    let report = executor.enforcement().await?;
    monitor.evaluate_now();
    drop(executor);
    // Read again from disk, as somebody would who comes later.
    let audit = AuditLog::verify(&log_path, key.key())?;
    let went_well = done.iter().all(|done| done.verdict.is_ok());
    let proved = report.witness.iter().all(|attempt| attempt.stopped);
    let alerted = !monitor.dashboard_data().firing.is_empty();
    let ok = went_well && proved && audit.is_intact() && alerted;
    let summary = Summary { done: &done, report: &report, audit: &audit, monitor: &monitor, skipped, ok };
    if options.json {
        output::print(&output::json(&summary)?);
    } else {
        output::summary(&summary);
    }
    if options.keep {
        eprintln!("kept: {}", scene.keep().display());
    }
    Ok(ok)
}

/// One agent, who may run what the host's policy then judges.
fn access() -> Result<AccessControl, Box<dyn Error>> {
    let coder = Role::new("coder").allow("execute:command:**").deny("execute:command:ssh");
    let policy = Policy::builder().role(coder).user("dana", ["coder"]).build()?;
    Ok(AccessControl::new(policy))
}

fn monitor() -> Result<Monitor, Box<dyn Error>> {
    let monitor = Monitor::new();
    let minute = Duration::from_secs(60);
    monitor.add_rule(
        AlertRule::new("refused-commands", Query::increase("audit_denied_total", minute).at_least(2.0))
            .severity(Severity::Critical)
            .message("an agent keeps trying what it may not: look at the audit log"),
    )?;
    Ok(monitor)
}

fn executor(
    scene: &Scene,
    log: AuditLog,
    monitor: &Monitor,
    access: Arc<AccessControl>,
) -> Result<Executor, Box<dyn Error>> {
    let mut limits = Limits::default();
    limits.timeout = if scene.is_demo() { Duration::from_secs(20) } else { Duration::from_secs(900) };
    limits.processes = 128;
    let confinement = SandboxPolicy::workspace_write(scene.workspace()).limits(limits);
    let executor = SecureExecutor::builder(NativeSandbox::new()?, access, toolchain::grant(confinement))
        .audit((log, monitor.clone()))
        .cache(MemoryCache::new(16 << 20), Duration::from_secs(60))
        .command_policy(CommandPolicy::from_toml(RULES)?)
        .approver(approve_with(tired_person))
        .build()?;
    Ok(executor)
}

/// Approves nearly everything, as people do who are asked too often. What happens then is up to the sandbox.
fn tired_person(request: &ApprovalRequest) -> Approval {
    if request.command.starts_with("crontab") {
        return Approval::refused("dana", "nothing runs here later on its own");
    }
    Approval::granted("dana")
}

async fn carry_out(executor: &Executor, scene: &Scene, step: Step, tokens: &Tokens) -> Done {
    let since = Instant::now();
    let result = match step.token {
        Token::Valid => executor.execute(&tokens.valid, &step.request).await,
        Token::Expired => executor.execute(&tokens.expired, &step.request).await,
        Token::Revoked => executor.execute(&tokens.revoked, &step.request).await,
        Token::Forged => executor.execute("forged-by-the-agent", &step.request).await,
    };
    let time = since.elapsed();
    let verdict = match (&step.kind, &result) {
        (Kind::Honest(expected), Ok(execution)) => expected.check(execution),
        (Kind::Honest(_), Err(error)) => Err(error.to_string()),
        (Kind::Hostile { evidence, .. }, result) => evidence.check(scene, result.as_ref().ok()),
    };
    let (decision, rule) =
        match result.as_ref().map_or_else(|error| error.verdict(), |ran| Some(&ran.verdict)) {
            Some(verdict) => (verdict.decision.to_string(), verdict.rule.clone()),
            None => ("deny".to_owned(), String::new()),
        };
    let decision = match &result {
        Ok(Execution { approval: Some(approval), .. }) => {
            format!("{decision}, approved by {}", approval.approver)
        }
        _ => decision,
    };
    let confined_by = match (&result, &step.kind) {
        (Ok(ran), _) if ran.from_cache => "cache: nothing ran".to_owned(),
        (Ok(ran), Kind::Hostile { layer, .. }) => match ran.output.report.status(*layer) {
            // Whether it was the right part of a partial layer is what the evidence tells.
            LayerStatus::Full | LayerStatus::Partial { .. } => layer.to_string(),
            status => format!("nothing: {layer} is {status}"),
        },
        (Ok(ran), Kind::Honest(_)) => format!("{} layers", ran.output.report.enforced().len()),
        (Err(error), _) => refused_by(error).to_owned(),
    };
    let (end, cached) = match &result {
        Ok(ran) => (ran.output.status.reason.to_string(), ran.from_cache),
        Err(_) => ("not run".to_owned(), false),
    };
    Done { step, decision, rule, confined_by, end, time, verdict, cached }
}

fn refused_by(error: &ExecError) -> &'static str {
    match error {
        ExecError::Session { .. } => "session",
        ExecError::NotPermitted { .. } => "role",
        ExecError::Unparsable { .. } => "parser",
        ExecError::Denied { .. } => "policy",
        ExecError::NotApproved { .. } => "approver",
        ExecError::NotRecorded { .. } => "audit",
        _ => "sandbox",
    }
}
