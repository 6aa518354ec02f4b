//! A rule of the host's says whether a command runs; what it does is what the tables know.

use super::judge;
use codegenie_exec::{Class, CommandPolicy, Decision};

#[track_caller]
fn assert_classes(policy: &str, cases: &[(&str, Decision, Class, bool)]) {
    let policy = CommandPolicy::from_toml(policy).unwrap();
    for (text, decision, class, network) in cases {
        let verdict = judge(&policy, text).unwrap();
        let told = (verdict.decision, verdict.class, verdict.network);
        assert_eq!(told, (*decision, *class, *network), "{text}: {verdict:#?}");
    }
}

#[test]
fn what_a_rule_allows_has_the_class_that_is_known() {
    use Class::{Destroys, Escalates, ExecutesCode, Network, ReadOnly, Unknown, WritesWorkspace};
    use Decision::Allow;
    assert_classes(
        r#"
        [permissions]
        allow = ["Bash(git log:*)", "Bash(touch *)", "Bash(curl *)", "Bash(gh pr *)", "Bash(own-tool *)", "Bash(./ls)",
                 "Bash(rm *)", "Bash(xargs *)", "Bash(timeout *)", "Bash(bash *)", "Bash(sudo ls)"]

        [[rules]]
        prefix = ["make", "test"]
        decision = "allow"
        "#,
        &[
            ("git log -3", Allow, ReadOnly, false),
            ("/usr/bin/git log", Decision::Allow, ReadOnly, false),
            ("touch a", Allow, WritesWorkspace, false),
            ("curl http://localhost", Allow, Network, true),
            ("gh pr list", Allow, ReadOnly, true),
            ("make test", Allow, ExecutesCode, false),
            ("own-tool a", Allow, Unknown, false),
            // A path names a file, which may be anything.
            ("./ls", Allow, ExecutesCode, false),
            ("rm a", Allow, Destroys, false),
            ("sudo ls", Allow, Escalates, false),
            // What it runs is part of what it does.
            ("xargs cat", Allow, ReadOnly, false),
            ("xargs rm", Allow, Destroys, false),
            ("timeout 5 cat a", Allow, ReadOnly, false),
            ("timeout 5 wget http://localhost", Allow, Network, true),
            ("timeout 5 gh pr list", Allow, ReadOnly, true),
            ("bash -c 'touch a'", Allow, WritesWorkspace, false),
            ("bash -c 'own-tool; cat a'", Allow, Unknown, false),
            ("git log && touch a", Allow, WritesWorkspace, false),
        ],
    );
}

#[test]
fn what_a_rule_asks_about_has_the_class_that_is_known() {
    use Class::{Destroys, Escalates, ReadOnly, Unknown};
    assert_classes(
        r#"
        [permissions]
        ask = ["Bash(git log:*)", "Bash(timeout *)", "Bash(own-tool *)", "Bash(sudo *)"]
        deny = ["Bash(cat *)", "Bash(rm *)"]
        "#,
        &[
            ("git log", Decision::Ask, ReadOnly, false),
            ("own-tool", Decision::Ask, Unknown, false),
            ("timeout 5 ls", Decision::Ask, ReadOnly, false),
            ("timeout 5 cat a", Decision::Deny, ReadOnly, false),
            ("timeout 5 rm a", Decision::Deny, Destroys, false),
            // To ask about what runs it is no reason to let pass what is refused.
            ("timeout 5 shutdown", Decision::Deny, Escalates, false),
            ("sudo ls", Decision::Ask, Escalates, false),
        ],
    );
    let everything = "[permissions]\nask = ['Bash']\n";
    assert_classes(everything, &[("sudo ls", Decision::Deny, Escalates, false)]);
}

/// Of a long line somebody is asked, where rules could speak of its end.
#[test]
fn many_words_hide_nothing() {
    let policy = |deny: &str| {
        CommandPolicy::from_toml(&format!("[permissions]\nallow = [\"Bash(own-tool *)\"]\n{deny}")).unwrap()
    };
    let strict = policy("deny = [\"Bash(rm *)\"]\n");
    let line = |words: usize| format!("own-tool {}", "a ".repeat(words));
    let decide = |policy: &CommandPolicy, text: &str| judge(policy, text).unwrap().decision;
    assert_eq!(decide(&strict, &line(60)), Decision::Allow);
    assert_eq!(decide(&strict, &format!("{} rm b", line(58))), Decision::Ask);
    assert_eq!(decide(&strict, &format!("{} rm b", line(70))), Decision::Ask);
    assert_eq!(decide(&strict, &format!("{} 'rm b'", line(700))), Decision::Ask);
    assert_eq!(decide(&policy(""), &line(700)), Decision::Allow);
}
