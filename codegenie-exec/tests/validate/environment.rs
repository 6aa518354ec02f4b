//! Variables that steer programs, given to them or taken from them.

use super::{assert_allowed, assert_asked, judge};
use codegenie_exec::{CommandPolicy, CommandRequest, Decision};

/// The sandbox's environment keeps git from running what a folder names that looks like a repository.
#[test]
fn what_guards_git_is_not_taken_away_unasked() {
    let run = ["git -C e status", "git log", "ls", "find . -name x", "bash -c 'git status'", "LANG=C sort a"];
    let clears = [
        "env -i",
        "env --ignore-environment",
        "env --ignore-env",
        "env -vi",
        "env -i LANG=C",
        "env -",
        "genv -i",
        "exec -c",
        "env -u GIT_CONFIG_COUNT",
        "env -uGIT_CONFIG_KEY_0",
        "env --unset=GIT_CONFIG_VALUE_0",
        "env -u LANG -u GIT_CONFIG_COUNT",
        "env -u $x",
        "env -u \"$x\"",
        "env -u PATH",
        "unset GIT_CONFIG_COUNT;",
        "export -n GIT_CONFIG_COUNT;",
        "declare +x GIT_CONFIG_COUNT;",
        "GIT_CONFIG_COUNT=0",
        "GIT_CONFIG_COUNT=0;",
        "env GIT_CONFIG_COUNT=0",
        "read GIT_CONFIG_COUNT < a;",
        "printf -v GIT_CONFIG_COUNT 0;",
        "for GIT_CONFIG_COUNT in 0; do ls; done;",
        ": ${GIT_CONFIG_COUNT:=0};",
    ];
    for (clear, command) in clears.iter().flat_map(|clear| run.iter().map(move |command| (clear, command))) {
        for around in ["", "cd e && "] {
            let text = format!("{around}{clear} {command}");
            let decision = judge(&CommandPolicy::default(), &text).map(|verdict| verdict.decision);
            assert!(!matches!(decision, Ok(Decision::Allow)), "{text}");
        }
    }
    let request = CommandRequest::shell("git status").env("GIT_CONFIG_COUNT", "0");
    assert_eq!(CommandPolicy::default().judge(&request).unwrap().decision, Decision::Ask);
    assert_asked(&["find . -exec env -i git log \\;", "setsid env -i git log", "ls | xargs env -i git log"]);
    assert_allowed(&["env -u LINES ls", "env -u FOO git status", "env LANG=C git status", "exec git status"]);
}

/// What programs have in their environment, an assignment changes for them.
#[test]
fn what_steers_programs_is_asked() {
    let names = [
        "KUBECONFIG",
        "DOCKER_HOST",
        "http_proxy",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "no_proxy",
        "GIT_SSH_COMMAND",
        "PAGER",
        "EDITOR",
        "SVN_EDITOR",
        "LD_PRELOAD",
        "PYTHONPATH",
        "NODE_OPTIONS",
        "RUSTC_WRAPPER",
        "AWS_CONFIG_FILE",
        "AWS_ENDPOINT_URL",
        "GH_HOST",
        "HGRCPATH",
        "MAVEN_OPTS",
        "NPM_CONFIG_REGISTRY",
        "_JAVA_OPTIONS",
        "BAT_CONFIG_PATH",
        "C_INCLUDE_PATH",
        "ANSIBLE_CONFIG",
    ];
    for name in names {
        for text in [
            format!("{name}=x ls"),
            format!("{name}=x; ls"),
            format!("{name}+=x; ls"),
            format!("export {name}=x; ls"),
            format!("env {name}=x ls"),
            format!("read {name} < a; ls"),
            format!("for {name} in a b; do ls; done"),
            format!("printf -v {name} x; ls"),
            format!("{name}=x bash -c ls"),
        ] {
            assert_asked(&[&text]);
        }
        let request = CommandRequest::shell("ls").env(name, "x");
        assert_eq!(CommandPolicy::default().judge(&request).unwrap().decision, Decision::Ask, "{name}");
    }
    assert_allowed(&[
        "x=5; echo $x",
        "OUT=a; ls $OUT",
        "dir=src name=b; ls $dir/$name",
        "VERSION=1; echo $VERSION",
    ]);
}
