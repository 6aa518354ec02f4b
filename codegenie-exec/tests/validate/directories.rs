//! Where a command runs decides what its relative paths mean.

use codegenie_exec::{CommandPolicy, CommandRequest, Decision};
use std::path::Path;

fn in_workspace(policy: &CommandPolicy, text: &str, cwd: &str) -> Decision {
    policy.judge_in(&CommandRequest::shell(text).cwd(cwd), Path::new("/ws")).unwrap().decision
}

fn without_workspace(policy: &CommandPolicy, text: &str, cwd: &str) -> Decision {
    policy.judge(&CommandRequest::shell(text).cwd(cwd)).unwrap().decision
}

#[test]
fn a_protected_or_secret_directory_is_not_the_workspace() {
    let policy = CommandPolicy::default();
    for (text, cwd) in [
        ("tee pre-commit", "/ws/.git/hooks"),
        ("touch x", "/ws/.git"),
        ("echo x > authorized_keys2", "/root/.ssh"),
        ("cat shadow", "/etc"),
        ("cat *", "/etc"),
        ("grep -r x .", "/etc"),
        ("touch x", "/elsewhere"),
        ("touch x", "/ws2"),
        ("touch x", "/ws/../elsewhere"),
        ("touch x", "relative"),
        ("tee ../x", "/ws/sub"),
        ("bash -c 'tee pre-commit'", "/ws/.git/hooks"),
    ] {
        assert_eq!(in_workspace(&policy, text, cwd), Decision::Ask, "{text} in {cwd}");
        assert_eq!(without_workspace(&policy, text, cwd), Decision::Ask, "{text} in {cwd}");
    }
    assert_eq!(without_workspace(&policy, "touch x", "/ws"), Decision::Ask);
    for (text, cwd) in [
        ("tee x", "/ws"),
        ("tee x", "/ws/"),
        ("tee x", "/ws/sub"),
        ("cat x", "/ws/sub"),
        ("cat x", "/elsewhere"),
        ("touch x", "/tmp/a"),
    ] {
        assert_eq!(in_workspace(&policy, text, cwd), Decision::Allow, "{text} in {cwd}");
    }
}

#[test]
fn a_rule_about_files_holds_wherever_the_command_runs() {
    let policy = CommandPolicy::from_claude_settings(
        r#"{"permissions": {"deny": ["Read(secrets/**)", "Edit(docs/**)", "Read(~/keys/**)"]}}"#,
    )
    .unwrap();
    for (text, cwd) in [
        ("cat a", "/ws/secrets"),
        ("cat < a", "/ws/secrets"),
        ("cat secrets/a", "/ws"),
        ("cat ../secrets/a", "/ws/x"),
        ("cat /ws/secrets/a", "/ws/x"),
        ("tee a", "/ws/docs"),
        ("tee a/b", "/ws/docs/c"),
        ("echo x > a", "/ws/docs"),
        ("bash -c 'cat a'", "/ws/secrets"),
        ("cat ~/keys/a", "/ws"),
    ] {
        assert_eq!(in_workspace(&policy, text, cwd), Decision::Deny, "{text} in {cwd}");
    }
    assert_eq!(without_workspace(&policy, "cat a", "/ws/secrets"), Decision::Deny);
    assert_eq!(without_workspace(&policy, "tee a", "/ws/docs"), Decision::Deny);
    assert_eq!(in_workspace(&policy, "cat a", "/ws/docs"), Decision::Allow);
    assert_eq!(in_workspace(&policy, "cat a", "/ws/sub"), Decision::Allow);
    assert_eq!(in_workspace(&policy, "tee a", "/ws/sub"), Decision::Allow);
}
