//! Classifies commands: one a line on standard input, or JSON lines with `command`; one JSON line each
//! on standard output.
//!
//! ```sh
//! printf 'git status\nrm -rf /\n' | cargo run --release --example classify_commands
//! cargo run --release --example classify_commands -- --explain 'find . -name "*.c" | xargs grep -l main'
//! ```

use codegenie_exec::{CommandPolicy, CommandRequest, Decision, ParseError, Verdict};
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: classify_commands [--policy FILE] [--explain COMMAND]
  reads commands from standard input, one a line or JSON lines with \"command\"
  --policy FILE      a policy in TOML or JSON; the default is workspace-write with on-request approval
  --explain COMMAND  prints the tree of one command with each judgement";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("classify_commands: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut policy = CommandPolicy::default();
    let mut explained = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--policy" => policy = CommandPolicy::load(value()?).map_err(|error| error.to_string())?,
            "--explain" => explained = Some(value()?),
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            other => return Err(format!("{other} is not known\n{USAGE}")),
        }
    }
    match explained {
        Some(command) => {
            print!("{}", explain(&command, &policy.judge(&CommandRequest::shell(command.as_str()))));
            Ok(())
        }
        None => classify(&policy),
    }
}

fn classify(policy: &CommandPolicy) -> Result<(), String> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| format!("line {}: {error}", number + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        let command = command_of(&line);
        let shown = command.as_deref().unwrap_or(&line);
        let judged = command.as_deref().map(|command| policy.judge(&CommandRequest::shell(command)));
        let (decision, class, rule, reason) = match judged {
            Some(Ok(verdict)) => (verdict.decision, verdict.class.as_str(), verdict.rule, verdict.reason),
            // What no shell runs is asked about like all that is not understood.
            Some(Err(error)) => (Decision::Ask, "unknown", "not parsed".to_owned(), error.to_string()),
            None => {
                let reason = "the object has no text named \"command\"";
                (Decision::Ask, "unknown", "not parsed".to_owned(), reason.to_owned())
            }
        };
        let row = serde_json::json!({
            "command": shown, "decision": decision, "class": class, "rule": rule, "reason": reason,
        });
        writeln!(out, "{row}").map_err(|error| error.to_string())?;
    }
    out.flush().map_err(|error| error.to_string())
}

/// A JSON object's `command`, or the line itself: `{ ls; }` is a command too. `None`: an object without such a text.
fn command_of(line: &str) -> Option<String> {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(serde_json::Value::Object(object)) => {
            object.get("command").and_then(serde_json::Value::as_str).map(str::to_owned)
        }
        _ => Some(line.to_owned()),
    }
}

fn explain(command: &str, judged: &Result<Verdict, ParseError>) -> String {
    let verdict = match judged {
        Ok(verdict) => verdict,
        Err(error) => return format!("{command}\n  not parsed: {error}\n"),
    };
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let shown = |decision: Decision| match (colours, decision) {
        (false, decision) => format!("{decision:<5}"),
        (true, Decision::Allow) => "\x1b[32mallow\x1b[0m".to_owned(),
        (true, Decision::Ask) => "\x1b[33mask  \x1b[0m".to_owned(),
        (true, Decision::Deny) => "\x1b[31mdeny \x1b[0m".to_owned(),
    };
    // What a command holds may be meant for the terminal that shows it.
    let plain =
        |text: &str| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
    let mut tree = format!("{} {} ({})\n", shown(verdict.decision), plain(command), verdict.class);
    for part in &verdict.parts {
        let indent = "  ".repeat(part.depth + 1);
        let text = if part.part.is_empty() { "(no program)".to_owned() } else { plain(&part.part) };
        tree.push_str(&format!("{indent}{} {text}\n", shown(part.decision)));
        tree.push_str(&format!("{indent}      {}: {} ({})\n", part.rule, plain(&part.reason), part.class));
    }
    tree
}
