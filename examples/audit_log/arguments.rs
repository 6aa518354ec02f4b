//! The command line: what each command takes, and nothing else.

use std::error::Error;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use codegenie_security::tlog::NoteVerifier;

pub(crate) const USAGE: &str = "usage: audit_log COMMAND --dir DIR [--keys DIR] [options]
  append [--anchor FILE]                 records JSON lines from standard input: actor, agent, session, action,
                                         resource, result, threat, details; all but action optional; what has
                                         arrived is durable as soon as the input pauses. A line may have 8 MiB,
                                         and no name twice. In details, an integer that 64 bits with a sign
                                         cannot hold is kept as a text, digit by digit
  verify [--public-only] [--anchor FILE] [--identity KEY]
                                         one line; status 0 Anchored or Unanchored, 2 RolledBack, Forked or Corrupt
  query [QUERY] [--json]                 such as 'actor:alice threat:high since:2026-01-31 limit:20 \"rm -rf\"'
  summary [QUERY] [--json]               counts by threat, class, result, actor and agent
  prove N                                the proof that record N is in the log
  check FILE --identity KEY              verifies such a proof, without the log
  shred SUBJECT                          destroys the keys of an actor's events
  export --format ocsf|cef|syslog|otlp [QUERY]
                                         all events that the query finds, in order
  report [QUERY] [--format markdown|json] [--anchor FILE]
                                         who did what, approvals, controls, detections, integrity; status as of verify
  tiles                                  writes the tiles of the tree, for web servers
  identity                               prints the key that says who the log is
  --keys DIR     the keys of the log, outside of it; by default DIR.keys beside it, made on first use
  --dir DIR      the directory of the log; what follows -- is no option";

#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) command: String,
    pub(crate) dir: PathBuf,
    pub(crate) keys: PathBuf,
    pub(crate) anchor: Option<PathBuf>,
    pub(crate) identity: Option<NoteVerifier>,
    pub(crate) format: String,
    pub(crate) public_only: bool,
    pub(crate) json: bool,
    pub(crate) rest: Vec<String>,
}

/// The options of a command beside `--dir` and `--keys`, and how many words it takes.
fn takes(command: &str) -> Option<(&'static [&'static str], RangeInclusive<usize>)> {
    Some(match command {
        "append" => (&["--anchor"], 0..=0),
        "verify" => (&["--public-only", "--anchor", "--identity"], 0..=0),
        "query" | "summary" => (&["--json"], 0..=usize::MAX),
        "prove" | "shred" => (&[], 1..=1),
        "check" => (&["--identity"], 1..=1),
        "export" => (&["--format"], 0..=usize::MAX),
        "report" => (&["--format", "--anchor"], 0..=usize::MAX),
        "tiles" | "identity" => (&[], 0..=0),
        _ => return None,
    })
}

/// `None` where help is asked for.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Arguments>, Box<dyn Error>> {
    let mut parsed = Arguments::default();
    let (mut dir, mut keys) = (None, None);
    let mut given: Vec<String> = Vec::new();
    let mut arguments = arguments;
    let mut options = true;
    while let Some(argument) = arguments.next() {
        let argument = text(argument)?;
        if !options || !(argument.starts_with("--") || argument == "-h") {
            match parsed.command.is_empty() {
                true => parsed.command = argument,
                false => parsed.rest.push(argument),
            }
            continue;
        }
        if argument == "--" {
            options = false;
            continue;
        }
        if given.contains(&argument) {
            return Err(format!("{argument} is given twice\n{USAGE}").into());
        }
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--dir" => dir = Some(PathBuf::from(value()?)),
            "--keys" => keys = Some(PathBuf::from(value()?)),
            "--anchor" => parsed.anchor = Some(PathBuf::from(value()?)),
            "--identity" => parsed.identity = Some(text(value()?)?.parse()?),
            "--format" => parsed.format = text(value()?)?,
            "--public-only" => parsed.public_only = true,
            "--json" => parsed.json = true,
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("{other} is not known\n{USAGE}").into()),
        }
        given.push(argument);
    }
    let command = &parsed.command;
    let (known, words) = takes(command).ok_or(format!("{command:?} is no command\n{USAGE}"))?;
    let common = ["--dir", "--keys"];
    if let Some(other) = given.iter().find(|given| !known.iter().chain(&common).any(|known| known == given)) {
        return Err(format!("{command} does not take {other}\n{USAGE}").into());
    }
    if !words.contains(&parsed.rest.len()) {
        let (wants, has) = (words.start(), parsed.rest.len());
        return Err(
            format!("{command} takes {wants} arguments beside its options, not {has}\n{USAGE}").into()
        );
    }
    if command == "check" {
        return Ok(Some(parsed));
    }
    parsed.dir = dir.ok_or(format!("--dir is missing\n{USAGE}"))?;
    parsed.keys = match keys {
        Some(keys) => keys,
        None => beside(&parsed.dir)?,
    };
    Ok(Some(parsed))
}

fn text(argument: OsString) -> Result<String, String> {
    argument.into_string().map_err(|argument| format!("{argument:?} is no text"))
}

/// The directory of the keys, which must not lie in that of the log, whatever the log is called.
fn beside(dir: &Path) -> Result<PathBuf, String> {
    let found = match dir.file_name() {
        Some(_) => dir.to_owned(),
        None => dir.canonicalize().map_err(|error| format!("cannot find --dir {dir:?}: {error}"))?,
    };
    let mut name = found.file_name().ok_or(format!("--dir {dir:?} has no name; give --keys"))?.to_owned();
    name.push(".keys");
    Ok(found.with_file_name(name))
}
