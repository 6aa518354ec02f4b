//! Over the sandbox of this kernel.

use super::*;
use codegenie_exec::NativeSandbox;
use codegenie_monitor::Monitor;
use codegenie_security::{AuditLog, KeyFile};

#[tokio::test]
async fn runs_confined_and_is_recorded_in_a_log_and_a_monitor() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let key = KeyFile::load_or_create(directory.path().join("audit.key")).unwrap();
    let path = directory.path().join("audit");
    let log = Arc::new(AuditLog::open(&path, key.key()).unwrap());
    let monitor = Arc::new(Monitor::new());
    let executor =
        SecureExecutor::builder(NativeSandbox::new().unwrap(), world.access.clone(), world.confinement())
            .audit((log, monitor.clone()))
            .build()
            .unwrap();
    let execution = executor.execute(&world.token, &shell("echo done | tee file")).await.unwrap();
    assert_eq!(execution.output.stdout, b"done\n");
    assert_eq!(std::fs::read(world.workspace.path().join("file")).unwrap(), b"done\n");
    let refused = executor.execute(&world.token, &shell("sudo ls")).await.unwrap_err();
    assert!(matches!(refused, ExecError::Denied { .. }), "{refused}");

    let data = monitor.dashboard_data();
    assert_eq!(data.security.denied, 1);
    assert!(AuditLog::verify(&path, key.key()).unwrap().is_intact());
    let events: Vec<_> =
        AuditLog::read(&path, key.key()).unwrap().map(|stored| stored.unwrap().event).collect();
    let steps: Vec<_> = events.iter().map(|event| event.result).collect();
    assert_eq!(steps, [AuditResult::Pending, AuditResult::Success, AuditResult::Denied]);
    assert!(events[..2].iter().all(|event| event.operation == Some(execution.operation)));
    assert_ne!(events[2].operation, Some(execution.operation));
    assert_eq!((events[0].actor.as_str(), events[0].agent.as_deref()), ("alice", Some("coder")));
    assert_eq!(events[1].get_detail("end"), Some(&AuditValue::from("exit 0")));
    assert!(matches!(events[1].get_detail("enforced"), Some(AuditValue::List(layers)) if !layers.is_empty()));
}

/// A folder that the rules name is written on the host, by what needs to write; beside it nothing is.
#[tokio::test]
async fn a_further_folder_is_written() {
    let world = World::new();
    let beside = tempfile::tempdir_in("/var/tmp").unwrap();
    for folder in ["docs/.git", "other"] {
        std::fs::create_dir_all(beside.path().join(folder)).unwrap();
    }
    let at = |name: &str| beside.path().join(name);
    let settings = serde_json::json!({"permissions": {
        "additionalDirectories": [at("docs")], "allow": ["Bash(own-script:*)", "Bash(bash *)"]}});
    let executor =
        SecureExecutor::builder(NativeSandbox::new().unwrap(), world.access.clone(), world.confinement())
            .audit(world.audit.clone())
            .command_policy(CommandPolicy::from_claude_settings(&settings.to_string()).unwrap())
            .build()
            .unwrap();
    let run = async |text: String| executor.execute(&world.token, &shell(&text)).await;
    let execution = run(format!("echo x > {}", at("docs/a").display())).await.unwrap();
    assert!(execution.privileges.writes && !execution.privileges.network);
    assert_eq!(std::fs::read(at("docs/a")).unwrap(), b"x\n");
    // What a rule lets run gets the folder, and neither what is protected in it nor what lies beside it.
    let script = |name: &str| format!("bash -c 'unknown-tool; echo x > {}'", at(name).display());
    for (name, written) in [("docs/b", true), ("docs/.git/config", false), ("other/a", false)] {
        run(script(name)).await.unwrap();
        assert_eq!(at(name).exists(), written, "{name}");
    }
    assert!(run(format!("touch {}", at("other/a").display())).await.is_err());
}

#[tokio::test]
async fn without_an_intent_on_record_there_is_no_file() {
    for (sink, exists) in [
        (Memory::new(|event| event.result == AuditResult::Pending), false),
        (Memory::new(|event| event.result == AuditResult::Success), true),
    ] {
        let world = World::with_sink(sink);
        let executor =
            SecureExecutor::builder(NativeSandbox::new().unwrap(), world.access.clone(), world.confinement())
                .audit(world.audit.clone())
                .build()
                .unwrap();
        let error = executor.execute(&world.token, &shell("touch made")).await.unwrap_err();
        assert_eq!(matches!(error, ExecError::OutcomeNotRecorded { .. }), exists, "{error}");
        assert_eq!(world.workspace.path().join("made").exists(), exists);
    }
}

#[tokio::test]
async fn a_dropped_future_ends_the_tree() {
    let world = World::new();
    let policy = CommandPolicy::default().rule(CommandRule::new(["sh"], Decision::Allow));
    let executor =
        SecureExecutor::builder(NativeSandbox::new().unwrap(), world.access.clone(), world.confinement())
            .audit(world.audit.clone())
            .command_policy(policy)
            .build()
            .unwrap();
    let file = world.workspace.path().join("beats");
    let script = "i=0; while [ $i -lt 300 ]; do echo beat >> beats; sleep 0.1; i=$((i+1)); done";
    let request = CommandRequest::argv(["sh", "-c", &format!("( {script} ) & wait")]);
    let size = || std::fs::metadata(&file).map_or(0, |file| file.len());
    let appears = async {
        while size() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = executor.execute(&world.token, &request) => panic!("it ended: {ended:?}"),
        () = appears => {}
    }
    let last = world.audit.events().pop().unwrap();
    assert_eq!(last.get_detail("end"), Some(&AuditValue::from("cancelled")));
    // It writes ten times a second, for half a minute: a second of silence is its end.
    let mut quiet = false;
    for _ in 0..10 {
        let before = size();
        tokio::time::sleep(Duration::from_secs(1)).await;
        quiet |= size() == before;
        if quiet {
            break;
        }
    }
    assert!(quiet, "the command goes on");
    let beats = u64::try_from("beat\n".len() * 300).unwrap();
    assert!(size() < beats, "it came to its own end");
}
