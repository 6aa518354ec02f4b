//! Laws about what reaches a command and what comes back.

use super::place::{Place, run, text};
use super::{ConformanceError, Options, ensure};
use crate::sandbox::{
    EndReason, Layer, LayerStatus, Requirement, Sandbox, SandboxErrorKind, SandboxRequest, Shell,
};
use std::ffi::OsString;
use std::sync::Arc;

pub(super) async fn check(
    sandbox: &impl Sandbox,
    place: &Place,
    options: &Options,
) -> Result<(), ConformanceError> {
    exit(sandbox, place).await?;
    output(sandbox, place).await?;
    stdin(sandbox, place).await?;
    argv(sandbox, place, options.text_only).await?;
    environment(sandbox, place, &options.added_variables).await?;
    cwd(sandbox, place).await?;
    not_run(sandbox, place).await?;
    shell(sandbox, place).await?;
    nul(sandbox, place).await?;
    report(sandbox, place).await
}

async fn exit(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let expected = [
        ("exit 0", EndReason::Exited(0)),
        ("exit 7", EndReason::Exited(7)),
        ("exit 255", EndReason::Exited(255)),
        ("kill -TERM $$", EndReason::Signaled(15)),
        ("kill -KILL $$", EndReason::Signaled(9)),
    ];
    for (script, reason) in expected {
        let ended = run("exit", sandbox, &place.script(script)).await?.status.reason;
        ensure("exit", ended == reason, || format!("`{script}` was told as {ended}, not {reason}"))?;
    }
    Ok(())
}

/// None is an answer: then lines are refused.
async fn shell(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let policy = place.policy();
    let named = sandbox.shell(&policy).await;
    let named = named.map_err(|error| ConformanceError::new("shell", format!("none is told: {error}")))?;
    let Some(shell) = named else { return Ok(()) };
    let (script, expected) = match &shell {
        Shell::Bash(_) => ("(( BASH_VERSINFO[0] >= 4 )) && [[ a < b ]] && printf '%s ' {1..3}", "1 2 3 "),
        Shell::Posix(_) => ("[ a = a ] && printf '%s\\n' one two | cat", "one\ntwo\n"),
    };
    let output =
        run("shell", sandbox, &SandboxRequest::new(shell.path(), policy).args(["-c", script])).await?;
    ensure("shell", shell.path().is_absolute() && output.stdout == expected.as_bytes(), || {
        format!("{} made {} of {script:?}", shell.path().display(), text(&output.stdout))
    })
}

async fn output(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let script = r"printf 'out\000\001\377\n\n'; printf 'err\000\200' >&2";
    let output = run("output", sandbox, &place.script(script)).await?;
    ensure("output", output.stdout == b"out\0\x01\xff\n\n", || {
        format!("stdout is {}", text(&output.stdout))
    })?;
    ensure("output", output.stderr == b"err\0\x80", || format!("stderr is {}", text(&output.stderr)))?;
    ensure("output", output.status.usage.output_bytes == 13, || {
        format!("13 bytes were printed, {} are told", output.status.usage.output_bytes)
    })?;

    // More than a pipe holds, on both streams by turns.
    let line = "x".repeat(99);
    let script = format!("i=0; while [ $i -lt 2000 ]; do echo {line}; echo {line} >&2; i=$((i+1)); done");
    let output = run("output", sandbox, &place.script(&script)).await?;
    let whole = format!("{line}\n").repeat(2000).into_bytes();
    ensure("output", output.stdout == whole, || format!("of 200000 bytes came {}", text(&output.stdout)))?;
    ensure("output", output.stderr == whole, || format!("of 200000 bytes came {}", text(&output.stderr)))
}

async fn stdin(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let bytes: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let request = SandboxRequest::new("cat", place.policy()).stdin(bytes.clone());
    let output = run("stdin", sandbox, &request).await?;
    ensure("stdin", output.stdout == bytes, || format!("cat gave back {}", text(&output.stdout)))?;

    let output = run("stdin", sandbox, &place.script("cat; echo end")).await?;
    ensure("stdin", output.stdout == b"end\n", || {
        format!("without input, cat gave {} and ended by {}", text(&output.stdout), output.status.reason)
    })?;

    let output = run("stdin", sandbox, &place.script("exit 3").stdin(bytes)).await?;
    ensure("stdin", output.status.reason == EndReason::Exited(3), || {
        format!("a command that does not read its input ended by {}", output.status.reason)
    })
}

async fn argv(sandbox: &impl Sandbox, place: &Place, text_only: bool) -> Result<(), ConformanceError> {
    let words =
        ["", " ", "a b", "'", "\"", "\n", "\\", "$HOME", "`id`", "*", "--", "-n", "a=b", "~", "ä\u{202e}"];
    let mut arguments: Vec<OsString> = words.map(OsString::from).into();
    #[cfg(unix)]
    {
        let bytes: OsString = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff, 0xfe, 0x80]);
        if text_only {
            let refused = sandbox.run(&place.script("exit 0").arg(bytes)).await.is_err();
            ensure("argv", refused, || "a command ran with an argument that is not UTF-8".to_owned())?;
        } else {
            arguments.push(bytes);
        }
    }
    let request = place.script(r#"for a do printf '%s\0' "$a"; done"#).arg("name").args(arguments.clone());
    let output = run("argv", sandbox, &request).await?;
    let mut expected = Vec::new();
    for argument in &arguments {
        expected.extend_from_slice(argument.as_encoded_bytes());
        expected.push(0);
    }
    ensure("argv", output.stdout == expected, || format!("the arguments arrived as {}", text(&output.stdout)))
}

async fn environment(
    sandbox: &impl Sandbox,
    place: &Place,
    added: &[String],
) -> Result<(), ConformanceError> {
    let policy = place.policy().env("CODEGENIE_POLICY", "of the policy").env("CODEGENIE_BOTH", "weaker");
    let mut expected: Vec<String> = policy
        .environment
        .iter()
        .filter(|(name, _)| name.as_str() != "CODEGENIE_BOTH")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    expected.extend(["CODEGENIE_BOTH=stronger".to_owned(), "CODEGENIE_REQUEST=a b='c' $d".to_owned()]);
    let request = SandboxRequest::new("env", policy)
        .env("CODEGENIE_BOTH", "stronger")
        .env("CODEGENIE_REQUEST", "a b='c' $d");
    let output = run("environment", sandbox, &request).await?;
    let printed = String::from_utf8_lossy(&output.stdout);
    for line in printed.lines() {
        let name = line.split('=').next().unwrap_or(line);
        let is_added = added.iter().any(|known| known == name);
        ensure("environment", is_added || expected.iter().any(|known| known == line), || {
            format!("the command has the variable {name}, which neither the policy nor the request sets so")
        })?;
    }
    for known in &expected {
        ensure("environment", printed.lines().any(|line| line == known), || {
            format!("{known:?} did not arrive")
        })?;
    }
    ensure("environment", added.is_empty() || !output.report.enforces(Layer::Environment), || {
        "the sandbox adds variables, and reports the environment as fully enforced".to_owned()
    })
}

async fn cwd(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let below = place.workspace.join("a directory");
    std::fs::create_dir(&below)
        .map_err(|error| ConformanceError::new("setup", format!("cannot make a directory: {error}")))?;
    for directory in [&place.workspace, &below] {
        let output = run("cwd", sandbox, &place.script("pwd -P").cwd(directory)).await?;
        let expected = format!("{}\n", directory.display()).into_bytes();
        ensure("cwd", output.stdout == expected, || {
            format!("asked for {}, the command is in {}", directory.display(), text(&output.stdout))
        })?;
    }
    let missing = place.script("exit 0").cwd(place.workspace.join("missing"));
    ensure("cwd", sandbox.run(&missing).await.is_err(), || {
        "a command ran although its working directory is missing".to_owned()
    })
}

async fn not_run(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let plain = place.workspace.join("plain-file");
    place.file(&plain, "text\n")?;
    let missing = place.workspace.join("missing-program");
    for program in [OsString::from("codegenie-missing-program"), missing.into(), plain.into()] {
        let request = SandboxRequest::new(&program, place.policy());
        let shown = program.to_string_lossy();
        match sandbox.run(&request).await {
            Ok(output) => {
                let told = output.status.reason;
                return Err(ConformanceError::new("not run", format!("{shown} was told as run: {told}")));
            }
            Err(error) => ensure("not run", error.kind() == SandboxErrorKind::ProgramNotRun, || {
                format!("{shown} is {:?}, not ProgramNotRun: {error}", error.kind())
            })?,
        }
    }
    Ok(())
}

async fn nul(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let requests = [
        ("the program", SandboxRequest::new("sh\0x", place.policy())),
        ("an argument", place.script("exit 0").arg("a\0b")),
        ("a variable's name", place.script("exit 0").env("A\0B", "c")),
        ("a variable's value", place.script("exit 0").env("A", "b\0c")),
    ];
    for (what, request) in requests {
        ensure("nul", sandbox.run(&request).await.is_err(), || {
            format!("a command ran with a NUL in {what}")
        })?;
    }
    Ok(())
}

async fn report(sandbox: &impl Sandbox, place: &Place) -> Result<(), ConformanceError> {
    let policy = Arc::new(place.policy());
    let name = sandbox.name().to_owned();
    ensure("report", !name.is_empty(), || "the sandbox has no name".to_owned())?;
    let mut reports = Vec::new();
    for _ in 0..2 {
        let request = SandboxRequest::new("sh", Arc::clone(&policy)).args(["-c", "exit 0"]);
        let running = sandbox
            .start(&request)
            .await
            .map_err(|error| ConformanceError::new("report", format!("a command was not run: {error}")))?;
        let before = running.report().clone();
        let output = running
            .collect()
            .await
            .map_err(|error| ConformanceError::new("report", format!("an end was not told: {error}")))?;
        ensure("report", before == output.report, || "the report changed while the command ran".to_owned())?;
        reports.push(output.report);
    }
    let told = sandbox
        .enforcement(&policy)
        .await
        .map_err(|error| ConformanceError::new("report", format!("enforcement is not told: {error}")))?;
    reports.push(told);
    for report in &reports {
        ensure("report", report.sandbox == name, || {
            format!("the sandbox is named {name:?}, and {:?} in its report", report.sandbox)
        })?;
        for layer in &report.layers {
            let times = report.layers.iter().filter(|other| other.layer == layer.layer).count();
            ensure("report", times == 1, || format!("{} is told {times} times", layer.layer))?;
            let missing = matches!(layer.status, LayerStatus::Off | LayerStatus::Unavailable { .. });
            let short = layer.requirement == Requirement::Required && missing;
            ensure("report", !short, || format!("{} is required and {}", layer.layer, layer.status))?;
        }
        let states = |of: &crate::sandbox::EnforcementReport| -> Vec<_> {
            of.layers.iter().map(|layer| (layer.layer, layer.requirement, layer.status.clone())).collect()
        };
        let same = reports.first().is_none_or(|first| states(first) == states(report));
        ensure("report", same, || "two reports of one policy tell different layers".to_owned())?;
    }
    ensure("report", sandbox.name() == name, || "the sandbox changed its name".to_owned())
}
