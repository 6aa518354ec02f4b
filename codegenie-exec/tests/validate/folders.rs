//! Folders beside the workspace: `additionalDirectories`.

use codegenie_exec::{CommandPolicy, CommandRequest, Decision};
use std::path::Path;

fn policy() -> CommandPolicy {
    CommandPolicy::from_claude_settings(
        r#"{"permissions": {"additionalDirectories": ["../docs", "/data/sets/", "~/notes", "~/.ssh", "/etc"]}}"#,
    )
    .unwrap()
}

#[test]
fn what_is_written_in_a_further_folder_is_written_inside() {
    let policy = policy();
    let judge = |text: &str| policy.judge_in(&CommandRequest::shell(text), Path::new("/p/ws")).unwrap();
    for text in [
        "touch ../docs/a",
        "echo x > ../docs/a/b",
        "touch /p/docs/a",
        "touch /data/sets/a",
        "cp a /data/sets",
        "touch ~/notes/a",
        "cd ../docs && touch a",
        "cd /data/sets/b; tee a c",
        "touch /p/ws/a",
    ] {
        assert_eq!(judge(text).decision, Decision::Allow, "{text}: {:#?}", judge(text));
    }
    for text in [
        "touch ../a",
        "touch ../docs2/a",
        "touch ../docs/../a",
        "touch /data/sets/../a",
        "touch /data/setsx",
        "touch ../docs/.git/hooks/pre-commit",
        "cd ../docs/.git && touch hooks/pre-commit",
        "touch ../docs/.envrc",
        "touch ~/notes/.ssh/a",
        "touch ~/.ssh/a",
        "touch /etc/a",
        "cd .. && touch a",
        "cd $x && touch ../docs/a",
        "touch /p/ws/.git/config",
        "touch /p/ws/../a",
    ] {
        assert_eq!(judge(text).decision, Decision::Ask, "{text}");
    }
    let there = |text: &str| CommandRequest::shell(text).cwd("/data/sets");
    assert_eq!(policy.judge_in(&there("touch a"), Path::new("/p/ws")).unwrap().decision, Decision::Allow);
    assert_eq!(CommandPolicy::default().judge(&there("touch a")).unwrap().decision, Decision::Ask);
}

#[test]
fn where_the_workspace_is_not_known_a_folder_is_known_as_it_is_written() {
    let policy = policy();
    let decide = |text: &str| policy.judge(&CommandRequest::shell(text)).unwrap().decision;
    assert_eq!(decide("touch ../docs/a"), Decision::Allow);
    assert_eq!(decide("touch /data/sets/a"), Decision::Allow);
    assert_eq!(decide("touch ../docs/../a"), Decision::Ask);
    assert_eq!(decide("touch ../../docs/a"), Decision::Ask);
    assert_eq!(decide("touch /p/docs/a"), Decision::Ask);
}
