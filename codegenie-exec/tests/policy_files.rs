//! Policies that people already have, profiles, the linter, and files that change.

#![cfg(feature = "executor")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, which fail by panicking"
)]

use codegenie_exec::{CommandPolicy, CommandRequest, CommandRule, Decision, PolicyFile, SandboxMode};

fn decide(policy: &CommandPolicy, text: &str) -> Decision {
    policy.judge(&CommandRequest::shell(text)).unwrap().decision
}

const SETTINGS: &str = r#"{
    "model": "some-model",
    "permissions": {
        "allow": ["Bash(npm run test:*)", "Bash(make *)", "Bash(git push origin main)", "Read(docs/**)"],
        "ask": ["Bash(git push *)"],
        "deny": ["Bash(curl *)", "Read(.env)", "Read(./private/**)", "Edit(src/generated/**)", "WebFetch"],
        "additionalDirectories": ["../docs"],
        "defaultMode": "acceptEdits"
    }
}"#;

#[test]
fn claude_settings_are_taken_as_they_are() {
    let policy = CommandPolicy::from_claude_settings(SETTINGS).unwrap();
    for (text, expected) in [
        ("npm run test", Decision::Allow),
        ("npm run test:unit", Decision::Ask),
        ("npm run test -- --watch", Decision::Allow),
        ("npm run tests", Decision::Ask),
        ("make all", Decision::Allow),
        ("make", Decision::Allow),
        ("makepkg", Decision::Ask),
        // Deny comes first, then ask.
        ("git push origin main", Decision::Ask),
        ("curl http://localhost", Decision::Deny),
        ("/usr/bin/curl x", Decision::Deny),
        ("make all && curl x", Decision::Deny),
        ("timeout 5 curl x", Decision::Deny),
        ("cat .env", Decision::Deny),
        ("cat ./.env", Decision::Deny),
        ("cat sub/.env", Decision::Deny),
        ("grep x --file=.env y", Decision::Deny),
        ("cat < .env", Decision::Deny),
        ("cat private/a/b", Decision::Deny),
        ("cat .environment", Decision::Allow),
        ("echo x > src/generated/a.rs", Decision::Deny),
        ("touch src/generated/deep/a.rs", Decision::Deny),
        ("cat src/generated/a.rs", Decision::Allow),
        ("ls", Decision::Allow),
    ] {
        assert_eq!(decide(&policy, text), expected, "{text}");
    }
}

#[test]
fn what_allows_speaks_of_words() {
    let policy = CommandPolicy::from_claude_settings(
        r#"{"permissions": {"allow": ["Bash(npm run *)", "Bash(make:*)", "Bash(./gradlew *)", "Bash(tool * end)"]}}"#,
    )
    .unwrap();
    for (text, expected) in [
        ("npm run x", Decision::Allow),
        ("npm run x \"a b\"", Decision::Allow),
        ("npm run", Decision::Allow),
        ("make", Decision::Allow),
        ("make all", Decision::Allow),
        ("./gradlew test", Decision::Allow),
        ("tool a b end", Decision::Allow),
        ("tool 'a b' end", Decision::Allow),
        ("\"npm run x/evil\"", Decision::Ask),
        ("'npm run x'", Decision::Ask),
        ("npm 'run x'", Decision::Ask),
        ("npm\\ run x", Decision::Ask),
        ("'make all'", Decision::Ask),
        ("'make x/evil'", Decision::Ask),
        ("./npm run x", Decision::Ask),
        ("/tmp/make all", Decision::Ask),
        ("tool 'a end'", Decision::Ask),
    ] {
        assert_eq!(decide(&policy, text), expected, "{text}");
    }
    let argv = CommandRequest::argv(["npm run x/evil"]);
    assert_eq!(policy.judge(&argv).unwrap().decision, Decision::Ask);
}

#[test]
fn settings_that_cannot_be_kept_are_refused() {
    for (settings, expected) in [
        (r#"{"permissions": {"allow": ["Bash(x"]}}"#, "not of the form"),
        (
            r#"{"permissions": {"denny": ["Bash(rm *)"]}}"#,
            "unknown field `denny` in permissions, did you mean deny?",
        ),
        (r#"{"permissions": {"Ask": []}}"#, "did you mean ask?"),
        (r#"{"permissions": {"edny": []}}"#, "did you mean deny?"),
        (r#"{"permissions": {"denied": []}}"#, "did you mean deny?"),
        (r#"{"permissions": {"forbid": ["Bash(rm *)"]}}"#, "its rules would not be kept"),
        (r#"{"permissions": {"defaultMode": "bypassPermissions"}}"#, "would check nothing"),
        (r#"{"permissions": {"defaultMode": "yolo"}}"#, "defaultMode \"yolo\" is not known"),
        (r#"{"permissions": {"deny": ["*"]}}"#, "no tool is called \"*\""),
        (r#"{"permissions": {"deny": ["bash(rm *)"]}}"#, "did you mean Bash?"),
        (r#"{"permissions": {"ask": ["read(.env)"]}}"#, "did you mean Read?"),
        (r#"{"permissions": {"ask": ["Shell(rm *)"]}}"#, "no tool is called \"Shell\""),
        (r#"{"permissions": {"deny": ["Read(.en[v)"]}}"#, "a bracket is opened and not closed"),
        (r#"{"permissions": {"ask": ["Edit(src/[[:letters:]]x)"]}}"#, "a bracket is opened and not closed"),
        ("{}", "missing field"),
    ] {
        let error = CommandPolicy::from_claude_settings(settings).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn what_is_not_known_in_settings_is_named_and_does_no_harm() {
    let policy = CommandPolicy::from_claude_settings(
        r#"{"permissions": {"alow": ["Bash(tool)"], "theme": {"a": 1}, "hooks": ["x"], "deny": ["Bash(curl *)"],
            "allow": ["Read(a[b)"], "additionalDirectories": ["/", "~/.ssh", "/etc/x", "docs/.git", "../docs"]}}"#,
    )
    .unwrap();
    assert_eq!(decide(&policy, "tool"), Decision::Ask);
    assert_eq!(decide(&policy, "curl x"), Decision::Deny);
    let lints: Vec<String> = policy.lint().iter().map(ToString::to_string).collect();
    for (rule, problem) in [
        ("permissions.alow", "is not known here"),
        ("permissions.theme", "is not known here"),
        ("permissions.hooks", "is not known here"),
        ("permissions.allow: Read(a[b)", "can never match"),
        ("permissions.additionalDirectories: /", "belongs to the system"),
        ("permissions.additionalDirectories: ~/.ssh", "trusted by other programs"),
        ("permissions.additionalDirectories: /etc/x", "belongs to the system"),
        ("permissions.additionalDirectories: docs/.git", "trusted by other programs"),
    ] {
        let named = |lint: &&String| lint.starts_with(&format!("{rule}: ")) && lint.contains(problem);
        assert_eq!(lints.iter().filter(named).count(), 1, "{rule}: {lints:#?}");
    }
    assert_eq!(lints.len(), 8, "{lints:#?}");
    let toml = "[permissions]\ndeny = ['Bash(curl *)']\nlater = 1\nnow = 2026-01-01\n";
    assert_eq!(CommandPolicy::from_toml(toml).unwrap().lint().len(), 2);
}

#[test]
fn paths_are_named_as_version_control_names_ignored_ones() {
    let policy = with_denied(
        r#""Read(.en[v])", "Read(key[0-9a-f].txt)", "Read([!x]secret)", "Read(a{b,c})", "Edit(src/[[:upper:]]*.rs)",
           "Read(\\[draft])", "Read(x[]-]y)", "Read(k[^a]z/**)""#,
    );
    for (text, expected) in [
        ("cat .env", Decision::Deny),
        ("head .en?", Decision::Ask),
        ("cat key7.txt", Decision::Deny),
        ("cat keyf.txt", Decision::Deny),
        ("cat keyg.txt", Decision::Allow),
        ("cat key.txt", Decision::Allow),
        ("cat ysecret", Decision::Deny),
        ("cat xsecret", Decision::Allow),
        ("cat 'a{b,c}'", Decision::Deny),
        ("cat ab", Decision::Allow),
        ("touch src/Main.rs", Decision::Deny),
        ("touch src/main.rs", Decision::Allow),
        ("cat '[draft]'", Decision::Deny),
        ("cat d", Decision::Allow),
        ("cat 'x]y'", Decision::Deny),
        ("cat x-y", Decision::Deny),
        ("cat xay", Decision::Allow),
        ("cat kbz/a/b", Decision::Deny),
        ("cat kaz/a/b", Decision::Allow),
    ] {
        assert_eq!(decide(&policy, text), expected, "{text}");
    }
}

#[test]
fn a_plan_changes_nothing() {
    let policy = CommandPolicy::from_claude_settings(
        r#"{"permissions": {"defaultMode": "plan", "allow": ["Bash(make *)", "Bash(touch *)", "Bash(cat *)"],
            "deny": ["Bash(curl *)", "mcp__server__tool", "WebSearch"]}}"#,
    )
    .unwrap();
    for (text, expected) in [
        ("cat x", Decision::Allow),
        ("ls", Decision::Allow),
        ("touch x", Decision::Ask),
        ("make all", Decision::Ask),
        ("echo x > y", Decision::Ask),
        ("curl x", Decision::Deny),
    ] {
        assert_eq!(decide(&policy, text), expected, "{text}");
    }
    assert_eq!(decide(&policy.rule(CommandRule::new(["make"], Decision::Allow)), "make"), Decision::Ask);
}

fn with_denied(rules: &str) -> CommandPolicy {
    let settings = format!("{{\"permissions\": {{\"deny\": [{rules}]}}}}");
    CommandPolicy::from_claude_settings(&settings).unwrap()
}

#[test]
fn what_is_denied_has_no_other_name() {
    let policy = with_denied(
        r#""Read(.env)", "Read(./secrets/**)", "Edit(docs/**)", "Read(*.p?m)", "Read(~/keys/**)""#,
    );
    for text in [
        "x=.env; cat $x",
        "x=secrets; cat $x/a",
        "grep -f.env x",
        "git show HEAD:.env",
        "cat ./x/../secrets/a",
        "cat secrets//a",
        "cat x/.././secrets/a",
        "cat \"$PWD/secrets/a\"",
        "cat $PWD/secrets/a",
        "cd docs && echo x > a",
        "cd secrets; cat a",
        "cd x && cd ../secrets && cat a",
        "d=secrets; cd $d; cat a",
        "cat x.pem",
        "cat $HOME/keys/a",
        "cat ~/keys/a",
        "x=.env; cat < $x",
    ] {
        assert_eq!(decide(&policy, text), Decision::Deny, "{text}");
    }
    for text in [
        "cat .e*",
        "cat .en?",
        "cat .en[v]",
        "cat sec*/a",
        "cat */a",
        "grep -r x *",
        "cat $x",
        "cat \"$x\"",
        "cat {.env,x}",
        "cat $(echo .env)",
        "cat < sec*/a",
        "for f in *; do cat $f; done",
        "cat x/sub/.en*",
        "tee do*/a",
        "cd do* && echo x > a",
        "cd $x && cat a/b",
        "cd $x; echo x > a",
        "cat x.p*",
        "cat ~/ke*/a",
        "export x=a; cat $x",
    ] {
        assert!(decide(&policy, text) >= Decision::Ask, "{text}");
    }
    for text in [
        "cat *.rs",
        "cat src/*.c",
        "ls",
        "cat a",
        "x=a; cat $x",
        "cd src && cat a",
        "cd src && tee a",
        "cat docs/a",
        "tee src/docs2/a",
        "echo $x",
        "for f in a b; do cat $f; done",
    ] {
        assert_eq!(decide(&policy, text), Decision::Allow, "{text}");
    }
}

/// A path of many parts takes no more time than its length.
#[test]
fn a_deep_path_is_told_at_once() {
    let policy = with_denied("\"Read(a/**/b/**/c)\"");
    let started = std::time::Instant::now();
    let request = CommandRequest::argv(["cat".to_owned(), "/a".repeat(30_000)]);
    assert_eq!(policy.judge(&request).unwrap().decision, Decision::Deny);
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn codex_rules_are_read_where_they_are_literal() {
    let policy = CommandPolicy::from_codex_rules(
        r#"
        # comment
        prefix_rule(pattern=["make", ["test", "check"]], decision="allow", match=["make test -j2", ["make", "check"]], not_match=["make"])
        prefix_rule(
            pattern = ['gh', 'pr'],
            decision = "prompt",   # ask
            justification = "people look at pull requests",
        )
        prefix_rule(pattern=["rm"], decision="forbidden")
        "#,
    )
    .unwrap();
    assert_eq!(decide(&policy, "make check"), Decision::Allow);
    assert_eq!(decide(&policy, "make all"), Decision::Ask);
    assert_eq!(decide(&policy, "gh pr list"), Decision::Ask);
    assert_eq!(decide(&policy, "ls; rm x"), Decision::Deny);
    for (text, expected) in [
        ("prefix_rule(pattern=[\"a\"], match=[\"b\"])", "line 1: the rule does not match its example"),
        ("\n\nx = 1", "line 3: only calls of prefix_rule"),
        ("prefix_rule(pattern=[\"a\" + \"b\"])", "is expected"),
        ("prefix_rule(decision=\"allow\")", "has no pattern"),
        ("prefix_rule(pattern=[\"a\"], decision=\"maybe\")", "is not allow, prompt or forbidden"),
        ("prefix_rule(pattern=[\"a", "is not closed"),
        ("prefix_rule(pattern=[])", "the prefix is empty"),
    ] {
        let error = CommandPolicy::from_codex_rules(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn modes_and_profiles() {
    let text = r#"
        sandbox_mode = "workspace-write"
        approval_policy = "on-request"
        [profiles.look]
        sandbox_mode = "read-only"
        [profiles.batch]
        approval_policy = "never"
        [profiles.careful]
        approval_policy = "untrusted"
        [profiles.open]
        sandbox_mode = "danger-full-access"
    "#;
    let policy = CommandPolicy::from_toml(text).unwrap();
    let under = |profile: &str| policy.clone().with_profile(profile).unwrap();
    for (profile, reads, writes, unknown) in [
        ("look", Decision::Allow, Decision::Ask, Decision::Ask),
        ("batch", Decision::Allow, Decision::Allow, Decision::Deny),
        ("careful", Decision::Allow, Decision::Ask, Decision::Ask),
        ("open", Decision::Allow, Decision::Allow, Decision::Ask),
    ] {
        let policy = under(profile);
        assert_eq!(decide(&policy, "cat x"), reads, "{profile}");
        assert_eq!(decide(&policy, "touch x"), writes, "{profile}");
        assert_eq!(decide(&policy, "some-unknown-program"), unknown, "{profile}");
    }
    assert_eq!(decide(&policy, "echo x > /etc/x"), Decision::Ask);
    assert_eq!(decide(&under("open"), "echo x > /etc/x"), Decision::Allow);
    assert_eq!(decide(&under("open"), "sudo ls"), Decision::Deny);
    let error = policy.with_profile("none").unwrap_err().to_string();
    assert!(error.contains("batch, careful, look, open"), "{error}");
    let chosen = CommandPolicy::from_toml(&format!("profile = \"look\"\n{text}")).unwrap();
    assert_eq!(chosen.sandbox_mode, SandboxMode::ReadOnly);
    assert!(CommandPolicy::from_toml("profile = \"none\"").is_err());
}

#[test]
fn the_linter_names_rules_without_effect() {
    let policy = CommandPolicy::default()
        .rule(CommandRule::new(["git"], Decision::Ask))
        .rule(CommandRule::new(["git", "status"], Decision::Allow))
        .rule(CommandRule::new(["git", "push"], Decision::Ask))
        .rule(CommandRule::new(["make"], Decision::Allow))
        .rule(CommandRule::new(["git push"], Decision::Deny))
        .rule(CommandRule::new(["ls", "|"], Decision::Deny));
    let found: Vec<String> = policy.lint().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found.iter().any(|lint| lint.starts_with("rule 2: git status: can never decide")), "{found:#?}");
    assert!(found.iter().any(|lint| lint.starts_with("rule 3: git push: changes nothing")), "{found:#?}");
    assert!(found.iter().any(|lint| lint.starts_with("rule 5: git push: can hardly match")), "{found:#?}");
    let mut policy = CommandPolicy::default();
    policy.permissions.deny = vec!["Bash(rm *)".into()];
    policy.permissions.allow = vec!["Bash(rm *)".into(), "WebFetch".into(), "Bash(ls *)".into()];
    let found: Vec<String> = policy.lint().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
}

/// A rule is held against the others as commands are.
#[test]
fn the_linter_knows_commands_by_their_other_names() {
    use Decision::{Allow, Ask, Deny};
    type Prefix = &'static [&'static str];
    let lint = |first: (Prefix, Decision), second: (Prefix, Decision)| -> Vec<String> {
        let rule =
            |(prefix, decision): (Prefix, Decision)| CommandRule::new(prefix.iter().copied(), decision);
        let policy = CommandPolicy::default().rule(rule(first)).rule(rule(second));
        policy.lint().iter().map(ToString::to_string).collect()
    };
    let dead: [(Prefix, Decision, Prefix); 6] = [
        (&["git"], Deny, &["/usr/bin/git"]),
        (&["git", "push"], Ask, &["/usr/bin/git", "push"]),
        (&["git", "push"], Deny, &["git", "-C", "x", "push"]),
        (&["git", "push"], Deny, &["git", "--no-pager", "push", "origin"]),
        (&["git", "push"], Deny, &["/usr/bin/git", "-C", "x", "push"]),
        (&["cargo", "publish"], Deny, &["cargo", "+nightly", "publish"]),
    ];
    for (stricter, decision, prefix) in dead {
        let found = lint((stricter, decision), (prefix, Allow));
        assert!(found.len() == 1 && found[0].contains("can never decide"), "{prefix:?}: {found:#?}");
    }
    let living: [(Prefix, Decision, Prefix); 5] = [
        (&["/usr/bin/git"], Deny, &["git"]),
        (&["git"], Allow, &["/usr/bin/git"]),
        (&["git", "push"], Deny, &["git", "-C", "x"]),
        (&["git", "push"], Deny, &["git", "log", "push"]),
        (&["git", "push"], Allow, &["git", "-C", "x", "push"]),
    ];
    for (stricter, decision, prefix) in living {
        assert_eq!(lint((stricter, decision), (prefix, Allow)), Vec::<String>::new(), "{prefix:?}");
    }
    for prefix in [&["A=1", "make"][..], &["A+=1", "make"], &["for", "x"], &["time", "make"]] {
        let policy = CommandPolicy::default().rule(CommandRule::new(prefix.iter().copied(), Deny));
        let found = policy.lint();
        assert!(
            found.len() == 1 && found[0].problem.starts_with("can hardly match"),
            "{prefix:?}: {found:#?}"
        );
    }
    let across = |text: &str| CommandPolicy::from_toml(text).unwrap().lint();
    for text in [
        "[permissions]\ndeny = ['Bash(git push:*)']\nallow = ['Bash(git -C x push:*)']",
        "[permissions]\ndeny = ['Bash(git:*)']\nask = ['Bash(/usr/bin/git log)']",
        "[[rules]]\nprefix = ['git', 'push']\ndecision = 'deny'\n[permissions]\nallow = ['Bash(git -C x push)']",
        "[[rules]]\nprefix = ['/bin/git', 'push']\ndecision = 'allow'\n[permissions]\ndeny = ['Bash(git push *)']",
    ] {
        assert_eq!(across(text).len(), 1, "{text}");
    }
    assert!(across("[permissions]\ndeny = ['Bash(git push:*)']\nallow = ['Bash(git -* push)']").is_empty());
}

/// Of rules that decide the same the first one counts: its justification is shown, and its result is kept or is not.
#[test]
fn the_linter_looks_at_what_a_rule_says_beside_its_decision() {
    let log = || CommandRule::new(["git", "log"], Decision::Allow);
    let git = || CommandRule::new(["git"], Decision::Allow);
    let lint = |first: CommandRule, second: CommandRule| -> Vec<String> {
        CommandPolicy::default().rule(first).rule(second).lint().iter().map(ToString::to_string).collect()
    };
    assert!(lint(log().pure(), git()).is_empty());
    assert!(lint(log().justification("it only reads"), git()).is_empty());
    let found = lint(git(), log().pure());
    assert!(found.len() == 1 && found[0].contains("its pure included: rule 1"), "{found:#?}");
    let found = lint(git(), log().justification("it only reads"));
    assert!(found.len() == 1 && found[0].contains("its justification included: rule 1"), "{found:#?}");
    let found = lint(log(), git());
    assert!(
        found.len() == 1 && found[0].starts_with("rule 1: git log: changes nothing: rule 2"),
        "{found:#?}"
    );
    let found = lint(log().pure(), git().pure());
    assert!(found.len() == 1 && found[0].starts_with("rule 1: git log: changes nothing"), "{found:#?}");
}

#[test]
fn the_linter_compares_patterns_and_rules_of_both_kinds() {
    let lint = |text: &str| -> Vec<String> {
        CommandPolicy::from_toml(text).unwrap().lint().iter().map(ToString::to_string).collect()
    };
    let dead = [
        ("deny = ['Bash(git:*)']\nallow = ['Bash(git push:*)']", "permissions.allow: Bash(git push:*)"),
        ("deny = ['Bash(git *)']\nask = ['Bash(git push)']", "permissions.ask: Bash(git push)"),
        (
            "deny = ['Bash(* --force)']\nallow = ['Bash(git push --force)']",
            "permissions.allow: Bash(git push --force)",
        ),
        ("deny = ['Bash']\nallow = ['Bash(ls:*)']", "permissions.allow: Bash(ls:*)"),
        ("deny = ['Read(src/**)']\nallow = ['Edit(src/a/*.rs)']", "permissions.allow: Edit(src/a/*.rs)"),
        ("deny = ['Edit(*.env)']\nask = ['Edit(a/x.env)']", "permissions.ask: Edit(a/x.env)"),
        ("allow = ['Bash(ls | wc)']", "permissions.allow: Bash(ls | wc)"),
        ("defaultMode = 'plan'\nallow = ['Bash(make:*)']", "permissions.allow: Bash(make:*)"),
    ];
    for (text, rule) in dead {
        let found = lint(&format!("[permissions]\n{text}\n"));
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].starts_with(rule), "{text}: {found:#?}");
    }
    let living = [
        "deny = ['Bash(git push)']\nallow = ['Bash(git push:*)']",
        "deny = ['Bash(git push:*)']\nallow = ['Bash(git:*)']",
        "deny = ['Bash(gi*)']\nallow = ['Bash(g*)']",
        "deny = ['Edit(src/**)']\nallow = ['Read(src/a)']",
        "deny = ['Edit(src/*.rs)']\nallow = ['Edit(*.rs)']",
        "deny = ['Edit(src/*)']\nallow = ['Edit(src/**)']",
        "deny = ['Bash(a *b)']\nallow = ['Bash(a *c)']",
    ];
    for text in living {
        assert_eq!(lint(&format!("[permissions]\n{text}\n")), Vec::<String>::new(), "{text}");
    }
    let rule = "[[rules]]\nprefix = ['git', 'push']\ndecision = ";
    let across = |decision: &str, permissions: &str| {
        lint(&format!("{rule}'{decision}'\n[permissions]\n{permissions}\n"))
    };
    assert!(across("allow", "deny = ['Bash(git:*)']")[0].starts_with("rule 1: git push: can never decide"));
    assert!(across("deny", "allow = ['Bash(git push origin:*)']")[0].starts_with("permissions.allow"));
    assert!(across("allow", "defaultMode = 'plan'")[0].starts_with("rule 1"));
    assert!(across("deny", "allow = ['Bash(git:*)']").is_empty());
    assert!(across("allow", "deny = ['Bash(git push -f:*)']").is_empty());
}

#[test]
fn a_change_that_does_not_load_leaves_the_rules_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    let rule = |decision: &str| format!("[[rules]]\nprefix = [\"make\"]\ndecision = \"{decision}\"\n");
    std::fs::write(&path, rule("allow")).unwrap();
    let file = PolicyFile::open(&path).unwrap();
    assert_eq!(decide(&file.current(), "make"), Decision::Allow);
    assert!(!file.refresh().unwrap());
    std::fs::write(&path, rule("refuse it")).unwrap();
    let error = file.refresh().unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains(&path.display().to_string()), "{error}");
    assert!(error.contains("loaded before holds") && !error.contains("blocked"), "{error}");
    assert_eq!(file.problem(), Some(error));
    assert_eq!(decide(&file.current(), "make"), Decision::Allow);
    assert!(!file.refresh().unwrap(), "told once");
    std::fs::write(&path, rule("deny") + "\n").unwrap();
    assert!(file.refresh().unwrap());
    assert_eq!(decide(&file.current(), "make"), Decision::Deny);
    std::fs::remove_file(&path).unwrap();
    assert!(file.refresh().is_err());
    assert_eq!(decide(&file.current(), "make"), Decision::Deny);
    assert!(PolicyFile::open(&path).unwrap_err().to_string().contains("commands stay blocked"));
}

#[test]
fn a_change_that_looks_like_none_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    let rule = |decision: &str| format!("[[rules]]\nprefix = [\"make\"]\ndecision = \"{decision}\"\n");
    std::fs::write(&path, rule("allow") + " ").unwrap();
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let file = PolicyFile::open(&path).unwrap();
    for (content, expected) in [
        (rule("deny") + "  ", Decision::Deny),
        (rule("allow") + " ", Decision::Allow),
        (rule("deny") + "  ", Decision::Deny),
    ] {
        // As long as it was, with the time that it had, at once after the last look.
        std::fs::write(&path, content).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        file.refresh().unwrap();
        assert_eq!(decide(&file.current(), "make"), expected);
    }
}

#[test]
fn whoever_has_refreshed_never_decides_by_older_rules() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    // Long enough that reading it takes a while.
    let rest: String =
        (0..100).map(|n| format!("[[rules]]\nprefix = [\"tool-{n}\"]\ndecision = \"ask\"\n")).collect();
    let rule = |decision: &str| format!("{rest}[[rules]]\nprefix = [\"make\"]\ndecision = \"{decision}\"\n");
    let replace = |decision: &str| {
        std::fs::write(directory.path().join("new"), rule(decision)).unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();
    };
    replace("allow");
    let file = PolicyFile::open(&path).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    file.refresh().unwrap();
                    file.reload().unwrap();
                }
            });
        }
        for round in 0..40 {
            let (name, expected) =
                if round % 2 == 0 { ("deny", Decision::Deny) } else { ("allow", Decision::Allow) };
            replace(name);
            file.refresh().unwrap();
            assert_eq!(decide(&file.current(), "make"), expected, "round {round}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Files that no word names by itself: a script names them, or they come to lie there.
#[test]
fn what_is_denied_is_found_in_scripts_and_targets() {
    let policy = with_denied(r#""Edit(src/**)", "Read(keys/**)""#);
    for text in [
        "awk '{print > \"src/a\"}' b",
        "awk '{print >> \"src/a\"}' b",
        "awk '{print > \"./src/a\"}' b",
        "gawk -e '{print > \"src/a\"}' b",
        "cd src && awk '{print > \"a\"}' b",
        "sed 'w src/a' b",
        "sed -n 's/a/b/w src/a' b",
        "sed -e 'W src/a' b",
        "sed 'r keys/a' b",
        "sed -e '1R keys/a' b",
        "timeout 5 sed 'w src/a' b",
        "find . -exec sed 'w src/a' {} +",
        "cp -r other/src .",
        "cp -r other/src/ .",
        "cp -rt . other/src",
        "cp -r --target-directory=. other/src",
        "cp -r \"other/src\" ./",
        "x=other/src; cp -r $x .",
        "cp -r other/{src,x} .",
        "cd sub && cp -r other/src ..",
        "mv other/src .",
        "mv -t . other/src",
        "ln -s other/src .",
        "install other/src .",
        "git mv other/src .",
        "sh -c 'cp -r other/src .'",
        "gunzip src.gz",
    ] {
        assert_eq!(decide(&policy, text), Decision::Deny, "{text}");
    }
    for text in [
        "awk '{print > \"s\" \"rc/a\"}' b",
        "awk '{print > f}' b",
        "cp -r other/* .",
        "cp -r other/s* .",
        "mv other/* .",
        "cp -r other/. .",
        "cp -rT other .",
        "ln -s . x",
    ] {
        assert_eq!(decide(&policy, text), Decision::Ask, "{text}");
    }
    for text in [
        "awk '{print > \"other/a\"}' b",
        "sed 'w other/a' b",
        "sed 'r other/a' b",
        "cp -r other/lib .",
        "cp -r other/src x",
        "cp other/*.txt x",
        "mv a b",
        "ln -s other/lib .",
    ] {
        assert_eq!(decide(&policy, text), Decision::Allow, "{text}");
    }
    // By a rule that allows the program, too.
    let lax = r#"{"permissions": {"allow": ["Bash(sed *)", "Bash(cp *)"], "deny": ["Edit(src/**)"]}}"#;
    let lax = CommandPolicy::from_json(lax).unwrap();
    for text in ["sed 'w src/a' b", "cp -r other/src ."] {
        assert_eq!(decide(&lax, text), Decision::Deny, "{text}");
    }
}
