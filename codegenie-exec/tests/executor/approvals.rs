//! Who is asked, over which channel, and what an approval is worth afterwards.

use super::*;
use codegenie_exec::{ApprovalQueue, GrantScope, Grants, Privileges, PromptApprover, RevokeError};
use std::io::{BufReader, Read, Write};

/// Says yes for the session, and counts how often it was asked.
fn counting(scope: GrantScope) -> (Arc<AtomicUsize>, impl Approver) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let approver = approve_with(move |_: &ApprovalRequest| {
        counter.fetch_add(1, Ordering::SeqCst);
        Approval::granted_for("bob", scope)
    });
    (asked, approver)
}

fn executor(
    world: &World,
    approver: impl Approver + 'static,
    grants: Grants,
) -> SecureExecutor<Arc<Fake>, Arc<Memory>> {
    SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .approver(approver)
        .grants(grants)
        .build()
        .unwrap()
}

#[tokio::test]
async fn an_approval_is_for_one_run_unless_it_says_more() {
    let world = World::new();
    let (asked, approver) = counting(GrantScope::Once);
    let executor = executor(&world, approver, Grants::in_memory());
    for _ in 0..2 {
        executor.execute(&world.token, &shell("unknown-tool a")).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_grant_holds_for_exactly_what_was_approved() {
    let world = World::new();
    let (asked, approver) = counting(GrantScope::Session(Duration::from_secs(600)));
    let executor = executor(&world, approver, Grants::in_memory());
    let run = |request: CommandRequest| {
        let (executor, world) = (&executor, &world);
        async move { executor.execute(&world.token, &request).await.unwrap() }
    };
    run(shell("unknown-tool a")).await;
    run(shell("unknown-tool a")).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the same command");
    std::fs::create_dir(world.workspace.path().join("sub")).unwrap();
    let different = [
        shell("unknown-tool b"),
        shell("unknown-tool  a"),
        shell("unknown-tool a").env("LANG", "C"),
        shell("unknown-tool a").stdin("x"),
        shell("unknown-tool a").cwd(world.workspace.path().join("sub")),
        CommandRequest::argv(["unknown-tool", "a"]),
    ];
    for (already, request) in different.into_iter().enumerate() {
        run(request.clone()).await;
        assert_eq!(asked.load(Ordering::SeqCst), already + 2, "{request:?}");
    }
    let (other, _) = world.access.open_session(SessionRequest::new("alice").agent("coder")).unwrap();
    executor.execute(&other, &shell("unknown-tool a")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 8, "another session");
    let events = world.audit.events();
    let approvals: Vec<_> = events.iter().filter(|event| event.class == EventClass::Approval).collect();
    assert_eq!(approvals.len(), 9, "a run on an earlier grant is on record like the others");
    assert!(
        approvals
            .iter()
            .all(|event| event.details.iter().any(|(name, _)| name == "waited_ms")
                && event.operation.is_some())
    );
}

#[tokio::test]
async fn a_denial_is_never_approved() {
    let world = World::new();
    let (asked, approver) = counting(GrantScope::User(Duration::from_secs(600)));
    let executor = executor(&world, approver, Grants::in_memory());
    let error = executor.execute(&world.token, &shell("sudo ls")).await.unwrap_err();
    assert!(matches!(error, ExecError::Denied { .. }), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn grants_in_a_file_outlive_the_host_and_can_be_revoked() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grants.json");
    let (asked, approver) = counting(GrantScope::User(Duration::from_secs(600)));
    let first = executor(&world, approver, Grants::open(&path).unwrap());
    first.execute(&world.token, &shell("unknown-tool a")).await.unwrap();
    drop(first);

    let second = executor(&world, codegenie_exec::RefuseAll, Grants::open(&path).unwrap());
    second.execute(&world.token, &shell("unknown-tool a")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(second.grants().list().len(), 1);
    assert_eq!(second.grants().revoke_user("alice", "carol", second.audit()).unwrap(), 1);
    let event = world.audit.events().pop().unwrap();
    assert_eq!((event.class, event.result), (EventClass::Approval, AuditResult::Success));
    assert_eq!((event.actor.as_str(), event.action.as_str()), ("carol", "revoke grants"));
    assert_eq!(event.resource, "user:alice");
    assert_eq!(event.get_detail("ended"), Some(&AuditValue::from(1_u64)));
    assert!(second.execute(&world.token, &shell("unknown-tool a")).await.is_err());
    assert!(Grants::open(&path).unwrap().list().is_empty());

    std::fs::write(&path, "not json").unwrap();
    assert!(Grants::open(&path).unwrap_err().to_string().contains("nothing in it holds"));
    std::fs::write(&path, "[]").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    assert!(Grants::open(&path).unwrap_err().to_string().contains("others may write it"));
}

/// What was approved as something harmless is not approved once it is known as something worse.
#[tokio::test]
async fn a_grant_holds_for_nothing_worse_than_what_was_approved() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grants.json");
    let asked = Arc::new(AtomicUsize::new(0));
    let run = async |policy: &CommandPolicy| {
        let counter = Arc::clone(&asked);
        let approver = approve_with(move |_: &ApprovalRequest| {
            counter.fetch_add(1, Ordering::SeqCst);
            Approval::granted_for("bob", GrantScope::User(Duration::from_secs(600)))
        });
        let executor =
            SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
                .audit(world.audit.clone())
                .command_policy(policy.clone())
                .approver(approver)
                .grants(Grants::open(&path).unwrap())
                .build()
                .unwrap();
        executor.execute(&world.token, &shell("touch a")).await.unwrap();
        asked.load(Ordering::SeqCst)
    };
    // As a command it works within the workspace; the file is one that a rule speaks of.
    let by_rule = CommandPolicy::default().rule(CommandRule::new(["touch"], Decision::Ask));
    let by_file = CommandPolicy::from_toml("[permissions]\nask = ['Edit(a)']\n").unwrap();
    assert_eq!(run(&by_rule).await, 1);
    assert_eq!(run(&by_rule).await, 1);
    assert_eq!(run(&by_file).await, 2, "it is worse than what was approved");
    assert_eq!(run(&by_file).await, 2);
    assert_eq!(run(&by_rule).await, 2, "what was approved covers less");
    // A grant that says nothing of it covers the least.
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("\"class\": ").count(), 2);
    let older =
        text.replace("\"class\": \"writes_workspace\",", "").replace("\"class\": \"writes_outside\",", "");
    assert!(!older.contains("class"));
    std::fs::write(&path, older).unwrap();
    assert_eq!(run(&by_rule).await, 3);
}

#[tokio::test]
async fn a_queue_is_answered_from_elsewhere() {
    let world = World::new();
    let queue = ApprovalQueue::new(2);
    let executor = executor(&world, queue.clone(), Grants::in_memory());
    let request = shell("unknown-tool a");
    let run = executor.execute(&world.token, &request);
    let answer = async {
        let pending = loop {
            if let Some(pending) = queue.pending().pop() {
                break pending;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(pending.request.command, "unknown-tool a");
        queue.answer(pending.id, Approval::granted("dashboard")).unwrap();
        assert!(queue.answer(pending.id, Approval::granted("late")).is_err());
    };
    let (execution, ()) = tokio::join!(run, answer);
    assert_eq!(execution.unwrap().approval.unwrap().approver, "dashboard");
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_leaves_the_queue() {
    let world = World::new();
    let queue = ApprovalQueue::new(2);
    let executor = world.approved_by(queue.clone());
    let error = executor.execute(&world.token, &shell("unknown-tool a")).await.unwrap_err();
    assert!(matches!(error, ExecError::NotApproved { .. }), "{error}");
    assert!(queue.pending().is_empty());
}

#[tokio::test]
async fn a_queue_is_answered_by_another_process_over_a_socket() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
    let world = World::new();
    let queue = ApprovalQueue::new(2);
    let executor = executor(&world, queue.clone(), Grants::in_memory());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("approvals");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move { queue.serve(listener).await });
    let request = shell("unknown-tool 'a b'");
    let run = executor.execute(&world.token, &request);
    let answer = async {
        let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = tokio::io::BufReader::new(read).lines();
        let id = loop {
            write.write_all(b"\"list\"\n").await.unwrap();
            let listed: serde_json::Value =
                serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            if let Some(first) = listed.as_array().unwrap().first() {
                assert_eq!(first["command"], "unknown-tool 'a b'");
                break first["id"].clone();
            }
        };
        write.write_all(b"{\"answer\": 1}\n").await.unwrap();
        assert!(lines.next_line().await.unwrap().unwrap().contains("\"ok\":false"));
        let yes = serde_json::json!({"answer": {"id": id, "granted": true, "approver": "ada"}});
        write.write_all(format!("{yes}\n").as_bytes()).await.unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "{\"ok\":true}");
    };
    let (execution, ()) = tokio::join!(run, answer);
    let approver = execution.unwrap().approval.unwrap().approver;
    let user = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    assert_eq!(approver, format!("ada (uid {user})"));
    serving.abort();
}

/// Whoever opens connections without end takes places, and neither files nor memory without bound.
#[tokio::test]
async fn a_socket_serves_so_many_connections_at_once_and_the_next_when_one_is_closed() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let queue = ApprovalQueue::new(2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("approvals");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move { queue.serve(listener).await });
    let mut served = Vec::new();
    for _ in 0..32 {
        let mut stream = BufReader::new(tokio::net::UnixStream::connect(&path).await.unwrap());
        stream.write_all(b"\"list\"\n").await.unwrap();
        let mut reply = String::new();
        stream.read_line(&mut reply).await.unwrap();
        assert_eq!(reply, "[]\n");
        served.push(stream);
    }
    let mut next = BufReader::new(tokio::net::UnixStream::connect(&path).await.unwrap());
    next.write_all(b"\"list\"\n").await.unwrap();
    let mut reply = String::new();
    let waited = tokio::time::timeout(Duration::from_millis(300), next.read_line(&mut reply)).await;
    assert!(waited.is_err(), "the 33rd was served: {reply}");
    served.pop();
    reply.clear();
    next.read_line(&mut reply).await.unwrap();
    assert_eq!(reply, "[]\n");
    serving.abort();
}

/// Both ends of a terminal that is none.
fn prompt(answers: &str) -> (PromptApprover, Arc<Mutex<Vec<u8>>>) {
    struct Screen(Arc<Mutex<Vec<u8>>>);
    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    /// A keyboard that is never closed.
    struct Keyboard(std::io::Cursor<Vec<u8>>);
    impl Read for Keyboard {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => {
                    std::thread::park();
                    Ok(0)
                }
                read => Ok(read),
            }
        }
    }
    let screen = Arc::new(Mutex::new(Vec::new()));
    let keyboard = BufReader::new(Keyboard(std::io::Cursor::new(answers.as_bytes().to_vec())));
    (PromptApprover::new(keyboard, Screen(Arc::clone(&screen)), "ada"), screen)
}

#[tokio::test]
async fn a_prompt_counts_only_answers_to_its_own_question() {
    let world = World::new();
    let (approver, screen) = prompt("yes\nyes 2\nyes 1\nno\nalways 3\n");
    let executor = executor(&world, approver, Grants::in_memory());
    assert!(executor.execute(&world.token, &shell("unknown-tool a\u{1b}[2J")).await.is_ok());
    assert!(executor.execute(&world.token, &shell("unknown-tool b")).await.is_err());
    assert!(executor.execute(&world.token, &shell("unknown-tool c")).await.is_ok());
    assert!(
        executor.execute(&world.token, &shell("unknown-tool c")).await.is_ok(),
        "granted for the session"
    );
    let shown = String::from_utf8(screen.lock().unwrap().clone()).unwrap();
    assert!(shown.contains("unknown-tool a\\u{1b}[2J") && !shown.contains('\u{1b}'), "{shown}");
    assert!(!shown.contains("question 4"), "{shown}");
}

#[tokio::test]
async fn a_command_gets_no_more_than_it_needs() {
    let world = World::new();
    let confinement = world.confinement().dangerous_full_network();
    let executor = SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), confinement)
        .audit(world.audit.clone())
        .command_policy(CommandPolicy::default().rule(CommandRule::new(["deploy"], Decision::Allow)))
        .build()
        .unwrap();
    for (text, writes, network) in [
        ("cat x", false, false),
        ("cat x | sort", false, false),
        ("gh pr list", false, true),
        ("touch x", true, false),
        ("cat x > y", true, false),
        ("deploy", true, true),
        ("cat x | deploy", true, true),
    ] {
        let execution = executor.execute(&world.token, &shell(text)).await.unwrap();
        let Privileges { writes: may_write, network: may_connect, .. } = execution.privileges;
        assert_eq!((may_write, may_connect), (writes, network), "{text}");
        let requests = world.sandbox.requests.lock().unwrap();
        let policy = &requests.last().unwrap().policy;
        assert_eq!(!policy.write.is_empty(), writes, "{text}");
        assert_eq!(policy.network != codegenie_exec::Network::None, network, "{text}");
    }
}

/// By a rule, and after somebody agreed, a command gets what it needs and no more, and the result says so.
#[tokio::test]
async fn a_rule_gives_no_more_than_is_needed() {
    let world = World::new();
    let policy = CommandPolicy::from_toml(
        "[permissions]\nallow = ['Bash(git log:*)', 'Bash(make *)', 'Bash(curl *)', 'Bash(timeout *)', 'Bash(kubectl *)']\n\
         ask = ['Bash(cat *)', 'Bash(touch *)']\n",
    )
    .unwrap();
    let executor = SecureExecutor::builder(
        world.sandbox.clone(),
        world.access.clone(),
        world.confinement().dangerous_full_network(),
    )
    .audit(world.audit.clone())
    .command_policy(policy)
    .approver(approve_with(|_: &ApprovalRequest| Approval::granted("a person")))
    .build()
    .unwrap();
    for (text, writes, network, reason) in [
        ("git log -2", false, false, "it only reads"),
        ("cat x", false, false, "it only reads"),
        ("touch x", true, false, "it works within the workspace"),
        ("make test", true, true, "it is allowed as it is, and runs code that the command does not show"),
        ("curl http://localhost", true, true, "it is allowed as it is, and connects to other machines"),
        ("timeout 5 ls", false, false, "it only reads"),
        ("timeout 5 touch x", true, false, "it works within the workspace"),
        ("unknown-tool", true, true, "it is approved as it is, and what it does is not known"),
        // Whoever agrees that a file goes, or that a secret is read, does not agree that it is sent anywhere.
        ("rm x", true, false, "it is approved as it is, and deletes, overwrites or ends what is there"),
        ("cat .env", true, false, "it is approved as it is, and gains or gives privileges, or tells secrets"),
        (
            "chmod u+s x",
            true,
            false,
            "it is approved as it is, and gains or gives privileges, or tells secrets",
        ),
        (
            "rm x; curl http://localhost",
            true,
            true,
            "it is approved as it is, and deletes, overwrites or ends what is there",
        ),
        (
            "kubectl delete pod x",
            true,
            true,
            "it is allowed as it is, and deletes, overwrites or ends what is there",
        ),
    ] {
        let execution = executor.execute(&world.token, &shell(text)).await.unwrap();
        let Privileges { writes: may_write, network: may_connect, reason: why, .. } = execution.privileges;
        assert_eq!((may_write, may_connect, why.as_str()), (writes, network, reason), "{text}");
        let requests = world.sandbox.requests.lock().unwrap();
        let policy = &requests.last().unwrap().policy;
        assert_eq!(!policy.write.is_empty(), writes, "{text}");
        assert_eq!(policy.network != codegenie_exec::Network::None, network, "{text}");
    }
}

/// A rule that allows a command gives it no write access where commands are to read only. Who is asked does.
#[tokio::test]
async fn a_rule_gives_no_write_access_where_commands_read_only() {
    let world = World::new();
    let policy = "sandbox_mode = 'read-only'\n[permissions]\nallow = ['Bash(make *)', 'Bash(touch *)', 'Bash(ls *)']\n";
    let executor = SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .command_policy(CommandPolicy::from_toml(policy).unwrap())
        .approver(approve_with(|_: &ApprovalRequest| Approval::granted("a person")))
        .build()
        .unwrap();
    for (text, writes, reason) in [
        ("ls x", false, "it only reads"),
        ("touch x", false, "it works within the workspace; the policy has commands read only"),
        (
            "make test",
            false,
            "it is allowed as it is, and runs code that the command does not show; the policy has commands read only",
        ),
        ("mkdir x", true, "it works within the workspace"),
        ("rm x", true, "it is approved as it is, and deletes, overwrites or ends what is there"),
    ] {
        let execution = executor.execute(&world.token, &shell(text)).await.unwrap();
        let given = &execution.privileges;
        assert_eq!((given.writes, given.reason.as_str()), (writes, reason), "{text}");
        let requests = world.sandbox.requests.lock().unwrap();
        assert_eq!(!requests.last().unwrap().policy.write.is_empty(), writes, "{text}");
    }
}

/// Also where the function that answers blocks: nobody waits for it any longer.
#[tokio::test]
async fn an_answer_that_comes_after_the_deadline_is_none() {
    let world = World::new();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (released, answered) = (Mutex::new(released), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&answered);
    let executor = SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .approval_deadline(Duration::from_millis(200))
        .approver(approve_with(move |_: &ApprovalRequest| {
            let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(20));
            count.fetch_add(1, Ordering::SeqCst);
            Approval::granted("a person")
        }))
        .build()
        .unwrap();
    executor.execute(&world.token, &shell("rm x")).await.unwrap_err();
    assert_eq!(answered.load(Ordering::SeqCst), 0);
    assert!(world.sandbox.requests.lock().unwrap().is_empty());
    release.send(()).unwrap();
    // In time it counts.
    release.send(()).unwrap();
    executor.execute(&world.token, &shell("rm x")).await.unwrap();
}

/// Folders that the rules name are given to what writes, but for those that hold settings, secrets or the host's own files.
#[tokio::test]
async fn the_sandbox_gets_the_further_folders() {
    let world = World::new();
    let beside = tempfile::tempdir().unwrap();
    let beside = beside.path().canonicalize().unwrap();
    for folder in ["docs/.git", "keys/.ssh", "held", "target"] {
        std::fs::create_dir_all(beside.join(folder)).unwrap();
    }
    std::os::unix::fs::symlink(beside.join("keys/.ssh"), beside.join("link")).unwrap();
    let file = beside.join("held/policy.json");
    let write = |folders: &[&str]| {
        let folders: Vec<_> = folders.iter().map(|folder| beside.join(folder)).collect();
        let policy = serde_json::json!({"permissions": {"additionalDirectories": folders}});
        std::fs::write(&file, policy.to_string()).unwrap();
    };
    write(&["docs", "link", "held", "missing"]);
    let executor = SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .command_policy_file(codegenie_exec::PolicyFile::open(&file).unwrap())
        .build()
        .unwrap();
    let writable = async |text: &str| {
        executor.execute(&world.token, &shell(text)).await.unwrap();
        let requests = world.sandbox.requests.lock().unwrap();
        let policy = requests.last().unwrap().policy.clone();
        let below = |paths: &[std::path::PathBuf]| {
            let below = paths.iter().filter_map(|path| path.strip_prefix(&beside).ok());
            below.map(|path| path.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        (below(&policy.write), below(&policy.read))
    };
    let none: Vec<String> = Vec::new();
    let touch = format!("touch {}", beside.join("docs/a").display());
    assert_eq!(writable(&touch).await, (vec!["docs".to_owned()], vec!["docs/.git".to_owned()]));
    assert_eq!(writable("ls").await.0, none);
    // A change of the rules changes what is given.
    std::thread::sleep(std::time::Duration::from_millis(20));
    write(&["target"]);
    assert_eq!(writable("touch a").await.0, ["target"]);
}

#[tokio::test]
async fn a_policy_file_is_followed_and_its_mistakes_are_on_record() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("policy.toml");
    let rule = |decision: &str| format!("[[rules]]\nprefix = [\"tool\"]\ndecision = \"{decision}\"\n");
    std::fs::write(&path, rule("allow")).unwrap();
    let executor = SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .command_policy_file(codegenie_exec::PolicyFile::open(&path).unwrap())
        .build()
        .unwrap();
    assert!(executor.execute(&world.token, &shell("tool")).await.is_ok());
    std::fs::write(&path, rule("nonsense")).unwrap();
    assert!(executor.execute(&world.token, &shell("tool")).await.is_ok());
    let failed = world.audit.events().into_iter().find(|event| event.class == EventClass::Configuration);
    assert_eq!(failed.unwrap().result, AuditResult::Failure);
    std::fs::write(&path, rule("deny")).unwrap();
    assert!(executor.execute(&world.token, &shell("tool")).await.is_err());
}

/// An executor whose approver says yes, while somebody else changes the policy's file.
fn policy_changes_while_asked(
    world: &World,
    path: &std::path::Path,
    before: &str,
    after: String,
) -> SecureExecutor<Arc<Fake>, Arc<Memory>> {
    std::fs::write(path, before).unwrap();
    let policy = path.to_path_buf();
    let approver = approve_with(move |_: &ApprovalRequest| {
        std::fs::write(&policy, &after).unwrap();
        Approval::granted("ada")
    });
    SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .command_policy_file(codegenie_exec::PolicyFile::open(path).unwrap())
        .approver(approver)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_policy_that_denies_meanwhile_is_not_approved_away() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("policy.toml");
    let rule = |decision: &str| format!("[[rules]]\nprefix = [\"tool\"]\ndecision = \"{decision}\"\n");
    let executor = policy_changes_while_asked(&world, &path, &rule("ask"), rule("deny"));
    let error = executor.execute(&world.token, &shell("tool")).await.unwrap_err();
    assert!(matches!(error, ExecError::Denied { .. }), "{error}");
    world.assert_nothing_ran();
}

#[tokio::test]
async fn what_is_on_standard_input_is_shown() {
    let world = World::new();
    let (approver, screen) = prompt("no\nno\n");
    let executor = executor(&world, approver, Grants::in_memory());
    let request = |input: &[u8]| shell("unknown-tool").stdin(input.to_vec());
    executor.execute(&world.token, &request(b"rm -rf /\r\nfine \xff\x1b[2J")).await.unwrap_err();
    // Nobody is asked about more than they are shown, unless the host wants them to be.
    let error = executor.execute(&world.token, &request(&vec![b'x'; 100_000])).await.unwrap_err();
    assert!(error.to_string().contains("what they are not shown"), "{error}");
    assert!(!String::from_utf8(screen.lock().unwrap().clone()).unwrap().contains("more bytes"));
    let (approver, screen_of_all) = prompt("no\n");
    let asks = SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .approver(approver)
        .dangerously_ask_about_unseen_content()
        .build()
        .unwrap();
    asks.execute(&world.token, &request(&vec![b'x'; 100_000])).await.unwrap_err();
    let all = String::from_utf8(screen_of_all.lock().unwrap().clone()).unwrap();
    assert!(all.contains("34464 more bytes are not shown; SHA-256 of all 100000: "), "{all}");
    let shown = String::from_utf8(screen.lock().unwrap().clone()).unwrap();
    assert!(shown.contains("on its standard input:\n    rm -rf /\\r\n    fine \\xff\\u{1b}[2J\n"), "{shown}");
    assert!(shown.contains("it would be given what the sandbox lets be written"), "{shown}");
}

#[tokio::test]
async fn another_policy_needs_another_answer() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("policy.toml");
    let rule = |reason: &str| {
        format!("[[rules]]\nprefix = [\"tool\"]\ndecision = \"ask\"\njustification = \"{reason}\"\n")
    };
    let executor = policy_changes_while_asked(&world, &path, &rule("builds"), rule("erases the disk"));
    let error = executor.execute(&world.token, &shell("tool")).await.unwrap_err();
    assert!(error.to_string().contains("the policy changed"), "{error}");
    world.assert_nothing_ran();
    // Asked again, they know what it is.
    executor.execute(&world.token, &shell("tool")).await.unwrap();
}

#[tokio::test]
async fn a_grant_that_another_process_ended_holds_nowhere() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grants.json");
    let world = World::new();
    let (asked, approver) = counting(GrantScope::User(Duration::from_secs(600)));
    let executor = executor(&world, approver, Grants::open(&path).unwrap());
    for _ in 0..2 {
        executor.execute(&world.token, &shell("unknown-tool a")).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Another handle on the file, as another process has it.
    let other = Grants::open(&path).unwrap();
    assert_eq!(other.revoke_user("alice", "carol", &world.audit).unwrap(), 1);
    assert_eq!(executor.grants().list().len(), 0);
    executor.execute(&world.token, &shell("unknown-tool a")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // What is not as it was made grants nothing.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(Grants::open(&path).unwrap_err().to_string().contains("others may write it"));
    std::fs::write(&path, "nonsense").unwrap();
    executor.execute(&world.token, &shell("unknown-tool a")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// What one host adds, another one that reads and writes at the same time does not undo.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hosts_that_share_a_file_of_grants_keep_each_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grants.json");
    let hosts = (0..4).map(|host| {
        let path = path.clone();
        tokio::spawn(async move {
            let world = World::new();
            let (_, approver) = counting(GrantScope::User(Duration::from_secs(600)));
            let executor = executor(&world, approver, Grants::open(&path).unwrap());
            for number in 0..10 {
                let line = shell(&format!("unknown-tool {host} {number}"));
                executor.execute(&world.token, &line).await.unwrap();
            }
        })
    });
    for host in hosts.collect::<Vec<_>>() {
        host.await.unwrap();
    }
    assert_eq!(Grants::open(&path).unwrap().list().len(), 40);
}

#[tokio::test]
async fn grants_end_also_where_that_cannot_be_recorded() {
    let world = World::with_sink(Memory::new(|event| event.action == "revoke grants"));
    let (asked, approver) = counting(GrantScope::User(Duration::from_secs(600)));
    let executor = executor(&world, approver, Grants::in_memory());
    executor.execute(&world.token, &shell("unknown-tool a")).await.unwrap();
    let error = executor.grants().revoke_user("alice", "carol", executor.audit()).unwrap_err();
    assert!(matches!(&error, RevokeError::NotRecorded { ended: 1, .. }), "{error}");
    executor.execute(&world.token, &shell("unknown-tool a")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// The path of the socket may be another's by now; this process is its own still.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_owns_the_path_of_the_socket_answers_nothing() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    const STRANGER: u32 = 65_534;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return; // Only root can be somebody else, and give files away.
    }
    let directory = tempfile::tempdir().unwrap();
    let [path, moved] = ["approvals", "moved"].map(|name| directory.path().join(name));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    std::fs::rename(&path, &moved).unwrap();
    std::fs::write(&path, "").unwrap();
    chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
    for (path, mode) in [(directory.path(), 0o755), (&moved, 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let queue = ApprovalQueue::new(2);
    let serving = tokio::spawn(async move { queue.serve(listener).await });
    let asked = async |user: u32| {
        let place = moved.clone();
        // A thread of its own, which is that user to its end.
        let thread = std::thread::spawn(move || {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(user)).unwrap();
            let mut stream = std::os::unix::net::UnixStream::connect(place).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let _ = stream.write_all(b"\"list\"\n");
            let mut answer = [0; 3];
            // Whoever is turned away reads the end, or that the connection was reset.
            let read = stream.read(&mut answer).unwrap_or(0);
            String::from_utf8_lossy(&answer[..read]).into_owned()
        });
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap()
    };
    assert_eq!(asked(0).await, "[]\n");
    assert_eq!(asked(STRANGER).await, "");
    serving.abort();
}
