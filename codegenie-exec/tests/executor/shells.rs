//! Sandboxes without the shell as which lines are judged.

use super::*;
use codegenie_exec::{DangerousNoSandbox, NativeSandbox, RunOutput};
use std::path::Path;

/// Runs what `S` runs, and has this shell.
struct With<S>(S, Option<Shell>);

impl<S: Sandbox> Sandbox for With<S> {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        self.0.start(request).await
    }
    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        self.0.enforcement(policy).await
    }
    async fn shell(&self, _: &SandboxPolicy) -> Result<Option<Shell>, SandboxError> {
        Ok(self.1.clone())
    }
    fn name(&self) -> &str {
        self.0.name()
    }
}

fn sh() -> Option<Shell> {
    Some(Shell::Posix("/bin/sh".into()))
}

fn bash() -> Option<Shell> {
    Some(Shell::Bash("/bin/bash".into()))
}

fn over<S: Sandbox>(world: &World, sandbox: S) -> SecureExecutor<S, Arc<Memory>> {
    SecureExecutor::builder(sandbox, world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .approver(approve_with(|_: &ApprovalRequest| Approval::granted("bob")))
        .build()
        .unwrap()
}

async fn run<S: Sandbox>(world: &World, sandbox: S, line: &str) -> Result<RunOutput, ExecError> {
    over(world, sandbox).execute(&world.token, &shell(line)).await.map(|execution| execution.output)
}

#[tokio::test]
async fn a_line_that_another_shell_reads_otherwise_is_not_run_by_it() {
    // bash compares; a shell that does not know the words runs a program of that name, and writes a file.
    let line = "[[ a > b ]]";
    let unprotected = World::new();
    let made = unprotected.workspace.path().join("b");
    Command::new("sh").args(["-c", line]).current_dir(unprotected.workspace.path()).output().unwrap();
    assert!(made.exists(), "this test needs a machine whose sh is not bash");

    let world = World::new();
    let error = run(&world, With(DangerousNoSandbox, sh()), line).await.unwrap_err();
    assert!(matches!(&error, ExecError::NoShell { .. }), "{error}");
    assert!(error.to_string().contains("has no bash"), "{error}");
    assert!(!world.workspace.path().join("b").exists());
    world.assert_nothing_ran();
    world.assert_recorded(EventClass::Command, AuditResult::Denied, ThreatLevel::Low);

    run(&world, With(DangerousNoSandbox, bash()), line).await.unwrap();
    assert!(!world.workspace.path().join("b").exists(), "bash reads it as it was judged");
}

#[tokio::test]
async fn a_posix_shell_runs_what_is_the_same_there() {
    for line in [
        "ls | head -n 3",
        "cd src && ls",
        "grep -rn 'a\\.b' src || echo \"no match; none\"",
        "cat a; cat b",
        "cat a\ncat b",
        "ls *.rs 2>/dev/null | wc -l",
        "make > build.log 2>&1",
        "cat < a >> b",
        "find . -name '*.rs' -exec grep -l x {} \\; | sort",
        "[ -f a ] && cat a",
        "test a = b || exit 1",
        "printf '%s\\n' a b | sort -u",
    ] {
        let world = World::new();
        let executor = over(&world, With(world.sandbox.clone(), sh()));
        executor.execute(&world.token, &shell(line)).await.unwrap_or_else(|error| panic!("{line}: {error}"));
        let requests = world.sandbox.requests.lock().unwrap();
        assert_eq!(
            (requests[0].program.to_str(), requests[0].args[1].to_str()),
            (Some("/bin/sh"), Some(line))
        );
    }
}

#[tokio::test]
async fn and_nothing_else() {
    for line in [
        "echo $HOME",
        "echo \"$HOME\" | cat",
        "echo `ls`",
        "ls ~",
        "echo {a,b}",
        "ls ?",
        "ls [ab]",
        "cat <(ls)",
        "cat <<< a",
        "cat << a\na",
        "ls |& cat",
        "ls &> a",
        "ls >& a",
        "ls >| a",
        "ls 10> a",
        "ls > a*",
        "ls > /dev/tcp/127.0.0.1/80",
        "cat < /dev/fd/0",
        "ls & ls",
        "ls; ls # a",
        "> a",
        "A=1 ls",
        "a=1; ls",
        "a+=1 ls",
        "(ls; ls)",
        "{ ls; }",
        "if ls; then ls; fi",
        "for f in a; do ls; done",
        "case a in a) ls;; esac",
        "! ls",
        "time ls | cat",
        "function f { ls; }; f",
        "f() { ls; }; f",
        "[[ a = b ]]",
        "[ a == b ] && ls",
        "[ a -nt b ] && ls",
        "test a && ls",
        "echo -e a | cat",
        "echo 'a\\nb' | cat",
        "echo * | cat",
        "printf '%q' a | cat",
        "printf -v a b; ls",
        "cd -; ls",
        "ls | cd src",
        "ls | exit 1",
        "type ls",
        "source a",
        "let a=1; ls",
        "echo é | cat",
        "echo 'é' | cat",
        "l*s; ls",
    ] {
        let world = World::new();
        let executor = over(&world, With(world.sandbox.clone(), sh()));
        let error = executor.execute(&world.token, &shell(line)).await.unwrap_err();
        assert!(matches!(&error, ExecError::NoShell { .. }), "{line}: {error}");
        assert!(
            world.audit.events().iter().all(|event| event.class != EventClass::Approval),
            "nobody is asked"
        );
        world.assert_nothing_ran();
    }
    let world = World::new();
    let executor = over(&world, With(world.sandbox.clone(), sh()));
    let error =
        executor.execute(&world.token, &shell("ls *.rs | cat").env("LC_ALL", "de_DE")).await.unwrap_err();
    assert!(matches!(&error, ExecError::NoShell { .. }), "another order of names: {error}");
}

#[tokio::test]
async fn without_a_shell_single_commands_run_alone() {
    let world = World::new();
    let executor = over(&world, With(world.sandbox.clone(), None));
    executor.execute(&world.token, &shell("cat 'a b'")).await.unwrap();
    let error = executor.execute(&world.token, &shell("cat a | head")).await.unwrap_err();
    assert!(matches!(&error, ExecError::NoShell { .. }), "{error}");
    assert_eq!(world.sandbox.starts(), 1);
}

#[tokio::test]
async fn what_commands_may_replace_is_no_shell() {
    let world = World::new();
    let planted = world.workspace.path().canonicalize().unwrap().join("bash");
    let executor = over(&world, With(world.sandbox.clone(), Some(Shell::Bash(planted))));
    let error = executor.execute(&world.token, &shell("cat a | head")).await.unwrap_err();
    assert!(matches!(&error, ExecError::NoShell { .. }), "{error}");
    world.assert_nothing_ran();
}

#[tokio::test]
async fn a_sandbox_that_does_not_say_is_asked_and_one_that_hides_bash_has_none() {
    let sandbox = NativeSandbox::new().unwrap();
    let world = World::new();
    let found = sandbox.shell(&world.confinement()).await.unwrap();
    assert!(matches!(&found, Some(Shell::Bash(path)) if path.ends_with("bash")), "{found:?}");
    let output = run(&world, sandbox.clone(), "[[ a > b ]] || echo {1..3}").await.unwrap();
    assert_eq!(output.stdout, b"1 2 3\n");

    let without =
        ["/usr/bin/bash", "/usr/local/bin/bash"].into_iter().filter(|path| Path::new(path).exists());
    let policy = without.fold(world.confinement(), SandboxPolicy::hide);
    assert_eq!(sandbox.shell(&policy).await.unwrap(), sh());
    let executor = SecureExecutor::builder(sandbox, world.access.clone(), policy)
        .audit(world.audit.clone())
        .build()
        .unwrap();
    let line = shell("echo one | cat && [ -d . ] && echo two");
    assert_eq!(executor.execute(&world.token, &line).await.unwrap().output.stdout, b"one\ntwo\n");
    let error = executor.execute(&world.token, &shell("echo {1..3} | cat")).await.unwrap_err();
    assert!(matches!(&error, ExecError::NoShell { .. }), "{error}");
}

/// A line as somebody may write it: of what every shell reads in one way, and of some of what they do not.
fn line() -> impl Strategy<Value = String> {
    let chosen = |words: &'static [&'static str]| prop::sample::select(words.to_vec());
    let mixed = move |same, other| prop_oneof![9 => chosen(same), 1 => chosen(other)];
    let program = mixed(
        &[
            "echo",
            "echo",
            "cat",
            "cat",
            "grep -n o",
            "printf '%s\\n'",
            "true",
            "false",
            "'echo'",
            "ls",
            "wc -l",
            "[ -f",
        ],
        &["printf", "test", "[", "cd", "pwd", "exit", "time", "if", "[[", "A=1 echo", "%1", "!", "l*"],
    );
    let word = mixed(
        &[
            "a",
            "b",
            "sub",
            "sub/c",
            "'a b'",
            "\"c d\"",
            "''",
            "1",
            "1a",
            "{}",
            "a=1",
            "\\*",
            "a#b",
            "a'b'\"c\"",
            "2>/dev/null",
            "%s",
            "]",
        ],
        &[
            "*", "*.x", "'\\n'", "12", "-n", "-e", "-f", "-", "=", "==", "!=", "]]", "{a,b}", "$a", "\"$a\"",
            "\\;", "\\\\", "#", "!", "~", "?", "[ab]", "-eq", "if",
        ],
    );
    // Without what catches messages of the shell itself, which are another's in every one.
    let redirect = mixed(&[">", ">>", "<", "1>", "0<", ">  "], &["&>", ">|", "10>", ">&2", "<<<", "<>"]);
    let target = mixed(&["a", "b", "c", "/dev/null", "sub/c", "'a b'"], &["*", "$a", "sub", ""]);
    let redirected = (redirect, target).prop_map(|(redirect, target)| format!("{redirect}{target}"));
    let joint =
        mixed(&[" | ", "|", " && ", " || ", "&&", "||", "; ", ";", "\n", "|\n"], &[" & ", "|&", ";;", " # "]);
    let arguments =
        prop::collection::vec(prop_oneof![6 => word.prop_map(str::to_owned), 1 => redirected], 0..4);
    let space = mixed(&[" ", "\t", "  "], &[""]);
    let command = (program, space, arguments).prop_map(|(program, space, arguments)| {
        arguments.iter().fold(program.to_owned(), |line, argument| format!("{line}{space}{argument}"))
    });
    (command.clone(), prop::collection::vec((joint, command), 1..4)).prop_map(|(first, more)| {
        more.iter().fold(first, |line, (joint, command)| format!("{line}{joint}{command}"))
    })
}

/// What was printed, but for a shell's own messages, which begin with its name.
fn without_messages(bytes: &[u8], place: &Path) -> String {
    let text = String::from_utf8_lossy(bytes).replace(&place.display().to_string(), "PLACE");
    let own = |line: &&str| !line.starts_with("/bin/sh:") && !line.starts_with("/bin/bash:");
    text.lines().filter(own).collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, max_global_rejects: 10_000, ..ProptestConfig::default() })]

    /// What sh is given comes out as by bash: the same output, end and files.
    #[test]
    fn what_is_accepted_is_the_same(line in line()) {
        // The parts of a pipeline run at once: one may write what another reads, or lists.
        let races = line.replace("||", "").contains('|') && line.replace("2>/dev/null", "").contains('>');
        prop_assume!(!races);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let came_out = |chosen| {
            let world = World::new();
            let place = world.workspace.path();
            std::fs::create_dir(place.join("sub")).unwrap();
            for (name, text) in [("a", "one\n"), ("b", "two\n"), (".hidden", "")] {
                std::fs::write(place.join(name), text).unwrap();
            }
            let output = runtime.block_on(run(&world, With(DangerousNoSandbox, chosen), &line)).ok()?;
            let mut files: Vec<_> = ["", "sub"]
                .iter()
                .flat_map(|dir| std::fs::read_dir(place.join(dir)).unwrap())
                .map(|entry| entry.unwrap())
                .map(|entry| {
                    let content = std::fs::read(entry.path()).unwrap_or_default();
                    (entry.file_name(), without_messages(&content, place))
                })
                .collect();
            files.sort();
            let text = without_messages(&output.stdout, place);
            Some((text, output.status.reason.is_success(), files))
        };
        if let Some(by_sh) = came_out(sh()) {
            prop_assert_eq!(Some(by_sh), came_out(bash()), "{}", line);
        }
    }
}
