//! Rules of the host that refuse or ask, against words that the shell or an input makes.

use super::judge;
use codegenie_exec::{CommandPolicy, Decision};

/// What is wanted of the subject is allowed, but for one use of it.
fn policy() -> CommandPolicy {
    CommandPolicy::from_toml(
        r#"
        [permissions]
        allow = ["Bash(git *)", "Bash(xargs *)", "Bash(parallel *)", "Bash(env *)", "Bash(cargo *)", "Bash(fd *)",
                 "Bash(rg *)", "Bash(sort *)", "Bash(tar *)", "Bash(script *)"]
        deny = ["Bash(git push *)"]

        [[rules]]
        prefix = ["cargo", "publish"]
        decision = "deny"
        "#,
    )
    .unwrap()
}

#[track_caller]
fn assert_decided(decision: Decision, texts: &[&str]) {
    let policy = policy();
    let others: Vec<_> = texts
        .iter()
        .map(|text| (text, judge(&policy, text).unwrap()))
        .filter(|(_, verdict)| verdict.decision != decision)
        .map(|(text, verdict)| (text, verdict.decision, verdict.rule))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn what_is_certain_to_become_what_is_refused_is_refused() {
    assert_decided(
        Decision::Deny,
        &[
            "git push",
            "x=push; git $x",
            "x=push; git \"$x\" origin",
            "x=pu; git ${x}sh",
            "g=git; $g push",
            "g=git; /usr/bin/$g push",
            "x='push --force'; git $x",
            "for x in log push; do git $x; done",
            "git $'push'",
            "$'git' push",
            "git $\"push\"",
            "x=push; git -C sub $x",
            "x=push; timeout 5 git $x",
            "git $'\\x70ush'",
            "git ${x:-push}",
            "f() { git \"$@\"; }; f push",
            "git {push,origin}",
            "git pus{h,}",
            "g{i,}t push",
            "x=publish; cargo $x",
            "x=publish; cargo +nightly $x",
        ],
    );
}

#[test]
fn what_may_become_what_is_refused_is_asked() {
    assert_decided(
        Decision::Ask,
        &[
            "git p*",
            "git pu?h",
            "git pus[h]",
            "git *",
            "git p{u,o}*",
            "git $x",
            "git $x origin",
            "git p$x",
            "git \"$(echo push)\"",
            "git `echo push`",
            "git $x push",
            "read x; git $x",
            "$x push",
            "cargo pub*",
            "cargo $x",
            "bash -c 'git p*'",
            "eval \"git $x\"",
            "xargs git",
            "xargs git < f",
            "echo push | xargs git",
            "xargs -I{} git {}",
            "xargs -I% git % origin",
            "xargs -i git {}",
            "xargs env git",
            "find . -exec git {} \\;",
            "parallel git ::: push",
            "parallel git {} ::: push",
            "parallel git {1} ::: push",
        ],
    );
}

/// What configuration calls so may be any subcommand; it takes no known one's place.
#[test]
fn an_alias_may_be_what_is_refused() {
    assert_decided(Decision::Ask, &["git frob", "git -C sub frob", "cargo frob", "cargo +nightly frob"]);
    assert_decided(Decision::Allow, &["git log", "git -C sub log", "cargo test", "cargo +nightly build"]);
}

#[test]
fn what_an_option_runs_is_held_against_the_rules() {
    assert_decided(
        Decision::Deny,
        &[
            "git -c alias.x=push x",
            "git -c alias.x='!git push' x",
            "git -c core.pager='git push' log",
            "git -c core.sshCommand='git push' fetch",
            "git rebase -x 'git push' main",
            "git rebase --exec='git push' main",
            "git difftool -y -x 'git push'",
            "git difftool --extcmd='git push'",
            "git filter-branch --tree-filter 'git push' HEAD",
            "git bisect run git push",
            "git submodule foreach git push",
            "git submodule foreach --recursive 'git push'",
            "git for-each-repo --config=x push",
            "git for-each-repo --config=x -- push",
            "git grep -O'git push' x",
            "env -S 'git push'",
            "fd -x git push",
            "fd --exec-batch git push",
            "rg --pre 'git push' x",
            "sort --compress-program='git push' x",
            "tar -cf x -I 'git push' y",
            "tar -xf x --to-command='git push'",
            "tar -cf x --checkpoint-action=exec='git push' y",
            "script -c 'git push' x",
        ],
    );
    assert_decided(
        Decision::Ask,
        &[
            "fd -x git {}",
            "git -c $y x",
            "git -c \"alias.x=$y\" x",
            "git rebase -x \"$x\" main",
            "git bisect run git $x",
        ],
    );
}

#[test]
fn what_cannot_become_it_is_as_before() {
    assert_decided(
        Decision::Allow,
        &[
            "git log $x",
            "git log -- *.rs",
            "git checkout $x",
            "git commit -m \"git push $x\"",
            "git -C $x log",
            "git -c user.name=sudo commit",
            "git rebase -x 'cargo test' main",
            "git for-each-repo --config=x log",
            "for x in log status; do git $x; done",
            "xargs git log",
            "xargs -I% git log %",
            "ls *",
            "cargo test $x",
        ],
    );
}

#[test]
fn a_rule_that_asks_is_met_too_and_a_default_of_deny_holds() {
    let text = "[permissions]\nallow = [\"Bash(make *)\"]\nask = [\"Bash(make deploy)\"]\n";
    let policy = CommandPolicy::from_toml(text).unwrap();
    assert_eq!(judge(&policy, "make $x").unwrap().decision, Decision::Ask);
    assert_eq!(judge(&policy, "make all $x").unwrap().decision, Decision::Allow);
    let strict = CommandPolicy::from_toml(&format!("default = \"deny\"\n{text}")).unwrap();
    assert_eq!(judge(&strict, "make $x").unwrap().decision, Decision::Ask);
    let refuses =
        CommandPolicy::from_toml(&format!("default = \"deny\"\n{}", text.replace("ask =", "deny =")))
            .unwrap();
    assert_eq!(judge(&refuses, "make $x").unwrap().decision, Decision::Deny);
    assert_eq!(judge(&refuses, "make all $x").unwrap().decision, Decision::Allow);
    // No rule that refuses or asks speaks about commands: nothing is held against them.
    let lax = CommandPolicy::from_toml("[permissions]\nallow = [\"Bash(make *)\"]\n").unwrap();
    assert_eq!(judge(&lax, "make $x").unwrap().decision, Decision::Allow);
}

/// Programs that run others take them in many ways: whatever of their words may be what a rule refuses is asked about.
#[test]
fn what_an_allowed_program_may_run_is_held_against_the_rules() {
    let allowed = [
        "bash",
        "zsh",
        "fish",
        "tar",
        "flock",
        "chrt",
        "taskset",
        "perf",
        "docker",
        "npm",
        "npx",
        "conda",
        "mise",
        "watchexec",
        "oc",
        "split",
        "socat",
        "go",
        "git",
        "unknown-tool",
    ];
    let allowed: Vec<String> = allowed.iter().map(|name| format!("\"Bash({name} *)\"")).collect();
    let text = format!(
        "[permissions]\nallow = [{}]\ndeny = [\"Bash(git push *)\", \"Bash(rm *)\"]\n",
        allowed.join(", ")
    );
    let policy = CommandPolicy::from_toml(&text).unwrap();
    for line in [
        "bash -eo pipefail -c 'git push'",
        "bash -O extglob -c 'git push'",
        "bash +e -c 'git push'",
        "bash -c -- 'git push'",
        "zsh -c 'git push'",
        "fish -c 'cd x; git push'",
        "tar xf a --to-command='git push'",
        "flock x git push",
        "chrt -i 0 git push",
        "taskset 1 rm -r x",
        "perf stat git push origin",
        "docker run --entrypoint rm alpine x",
        "docker compose -f a exec c rm x",
        "npm exec -c 'git push'",
        "npx -c 'git push'",
        "conda run git push",
        "mise exec -- rm x",
        "watchexec git push",
        "oc exec pod -- rm x",
        "go test -exec 'rm x' ./...",
        "unknown-tool --then 'rm x'",
        "unknown-tool rm x",
    ] {
        let verdict = judge(&policy, line).unwrap();
        assert_ne!(verdict.decision, Decision::Allow, "{line}: {verdict:?}");
    }
    for line in [
        "git log",
        "git rm --cached x",
        "git commit -m 'rm x and git push'",
        "unknown-tool 'remove x'",
        "docker ps",
    ] {
        let verdict = judge(&policy, line).unwrap();
        assert_eq!(verdict.decision, Decision::Allow, "{line}: {verdict:?}");
    }
}

/// What is refused whatever the arguments is allowed only by a rule that names it.
#[test]
fn a_rule_about_everything_does_not_speak_of_what_gains_privileges() {
    let policy = CommandPolicy::from_toml("[permissions]\nallow = [\"Bash\"]\n").unwrap();
    assert_eq!(judge(&policy, "some-tool x").unwrap().decision, Decision::Allow);
    assert_eq!(judge(&policy, "sudo ls").unwrap().decision, Decision::Deny);
    let policy = CommandPolicy::from_toml("[permissions]\nallow = [\"Bash(sudo ls)\"]\n").unwrap();
    assert_eq!(judge(&policy, "sudo ls").unwrap().decision, Decision::Allow);
}
