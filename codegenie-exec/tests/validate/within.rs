//! Commands that are handed to another shell, another machine or a container.

use super::*;
use codegenie_exec::{Class, SandboxMode};

fn refusing() -> CommandPolicy {
    CommandPolicy::default()
        .rule(CommandRule::new(["rm", "-rf"], Decision::Deny))
        .rule(CommandRule::new(["git", "push"], Decision::Deny))
}

#[track_caller]
fn assert_denied(policy: &CommandPolicy, texts: &[&str]) {
    let others: Vec<_> = texts
        .iter()
        .map(|text| (text, judge(policy, text).map(|verdict| (verdict.decision, verdict.parts))))
        .filter(|(_, judged)| judged.as_ref().map_or(true, |(decision, _)| *decision != Decision::Deny))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn what_is_handed_to_another_shell_is_denied_in_turn() {
    assert_denied(
        &refusing(),
        &[
            "eval 'rm -rf x'",
            "eval rm -rf x",
            "eval \"rm -rf $x\"",
            "builtin eval 'rm -rf x'",
            "exec rm -rf x",
            "exec -a y rm -rf x",
            "exec -c env rm -rf x",
            "trap 'rm -rf x' EXIT",
            "trap -- \"rm -rf $x\" EXIT INT",
            "coproc rm -rf x",
            "coproc NAME { rm -rf x; }",
            "sh -c \"rm -rf $x\"",
            "bash <<< 'rm -rf x'",
            "bash <<< \"rm -rf $x\"",
            "env bash <<< 'rm -rf x'",
            "bash -c 'sh' <<< 'rm -rf x'",
            "bash -s a b <<< 'rm -rf x'",
            "bash /dev/stdin <<< 'rm -rf x'",
            "source /dev/stdin <<< 'rm -rf x'",
            "sh <<E\nrm -rf x\nE\n",
            "sh <<'E'\nls\nrm -rf x\nE\n",
            "sh <<E\nrm -rf $x\nE\n",
            "sh <<-E\n\tgit push\n\tE\n",
            "{ ls; sh; } <<'E'\nrm -rf x\nE\n",
            "while true; do sh; done <<< 'rm -rf x'",
            "cat <<'E' | sh\nrm -rf x\nE\n",
            "echo rm -rf x | sh",
            "echo 'rm -rf x' | bash",
            "echo -e 'ls\\nrm -rf x' | bash",
            "printf 'rm -rf x' | bash",
            "printf '%s\\n' 'rm -rf x' | bash",
            "printf 'ls\\nrm -rf x\\n' | bash",
            "( echo ls; echo rm -rf x ) | { cat y; bash; }",
            "bash <(echo rm -rf x)",
            "bash < <(echo rm -rf x)",
            "ls $(echo rm -rf x | sh)",
            "at now <<< 'rm -rf x'",
        ],
    );
}

#[test]
fn what_is_run_elsewhere_is_denied_in_turn() {
    assert_denied(
        &refusing(),
        &[
            "ssh host rm -rf x",
            "ssh host 'ls; rm -rf x'",
            "ssh -p 22 -i key user@host 'rm -rf x'",
            "ssh host -p 22 rm -rf x",
            "ssh -- host rm -rf x",
            "ssh host bash -c \"'rm -rf x'\"",
            "ssh host <<'E'\nrm -rf x\nE\n",
            "ssh host bash <<'E'\nrm -rf x\nE\n",
            "echo rm -rf x | ssh host",
            "ssh host \"rm -rf $x\"",
            "sshpass -p x ssh host rm -rf x",
            "docker exec c rm -rf x",
            "docker exec -it -u root -w /x c rm -rf x",
            "docker exec -i c sh -c 'rm -rf x'",
            "docker exec -i c sh <<< 'rm -rf x'",
            "docker container exec c rm -rf x",
            "docker compose exec -T web rm -rf x",
            "docker-compose exec web rm -rf x",
            "docker run --rm -v a:b image rm -rf x",
            "podman exec c rm -rf x",
            "kubectl exec pod -- rm -rf x",
            "kubectl exec -it -n y pod -c z -- sh -c 'rm -rf x'",
            "kubectl -n y exec deploy/z -- rm -rf x",
            "chroot d rm -rf x",
            "unshare -r rm -rf x",
            "nsenter -t 1 -m rm -rf x",
            "fakeroot rm -rf x",
            "systemd-run --user rm -rf x",
            "proxychains rm -rf x",
            "parallel rm -rf ::: x",
            "parallel -j 2 rm -rf {} ::: x",
            "echo rm -rf x | parallel",
            "hyperfine -w 3 ls 'rm -rf x'",
            "git submodule foreach 'rm -rf x'",
            "git bisect run rm -rf x",
            "poetry run rm -rf x",
            "uv run -p 3.12 git push",
            "bundle exec rm -rf x",
        ],
    );
    // What nobody's rule names is asked about, as before.
    assert_asked(&[
        "ssh host ls",
        "docker exec c ls",
        "kubectl exec pod -- ls",
        "bash <<< 'ls'",
        "echo ls | sh",
    ]);
    assert_asked(&[
        "ssh host",
        "docker exec c",
        "chroot d ls",
        "sh <<E\nls\nE\n",
        "coproc ls",
        ". /dev/stdin <<< ls",
    ]);
}

/// A text is judged where something reads its commands from it, and only there.
#[test]
fn a_text_that_no_shell_reads_is_a_text() {
    let policy = refusing();
    for (decision, text) in [
        (Decision::Allow, "cat <<< 'rm -rf x'"),
        (Decision::Allow, "cat > x <<'E'\nrm -rf x\nE\n"),
        (Decision::Allow, "echo rm -rf x | grep rm"),
        (Decision::Allow, "grep x <<< 'rm -rf x'; bash -c ls"),
        (Decision::Ask, "grep x <<< 'rm -rf x'; bash"),
        (Decision::Ask, "bash script <<< 'rm -rf x'"),
        (Decision::Ask, "cat <<'E' > x; bash y\nrm -rf x\nE\n"),
    ] {
        assert_eq!(judge(&policy, text).unwrap().decision, decision, "{text}");
    }
}

#[test]
fn what_the_shell_itself_runs_may_be_harmless() {
    assert_allowed(&[
        "eval ls",
        "eval 'ls | wc -l'",
        "exec ls -l",
        "exec env LANG=C sort x",
        "trap 'echo done' EXIT",
        "trap -p",
        "trap 'ls > x' INT TERM SIGHUP 15; cat y",
    ]);
    assert_asked(&[
        "eval 'cd /'",
        "eval 'x=--output=/etc/x'; sort $x",
        "eval \"$x\"",
        "eval 'alias ls=rm'; ls",
        "eval 'ls() { cat x; }'; ls",
        "eval 'set -- x'",
        "eval 'eval cd /'",
        "eval",
        "exec",
        "exec > x; exec 3< y",
        "exec -a bash env ls",
        "trap - INT",
        "trap '' INT TERM",
        "trap INT",
        "trap 'echo x >> y' DEBUG",
        "trap 'echo x' ERR",
        "trap 'echo x' $y",
        "trap 'rm x' EXIT",
        "trap 'cd /' DEBUG; ls > x",
        "trap 'x=1' EXIT",
        "trap \"$x\" EXIT",
        "trap 'read x' EXIT",
    ]);
}

/// That a shell may run says nothing of what another rule refuses it.
#[test]
fn a_rule_that_allows_a_shell_does_not_allow_what_another_refuses() {
    let mut policy = refusing();
    for shell in ["bash", "env", "ssh", "docker", "eval", "find"] {
        policy = policy.rule(CommandRule::new([shell], Decision::Allow));
    }
    policy = policy.rule(CommandRule::new(["make"], Decision::Ask));
    for (decision, text) in [
        (Decision::Deny, "bash -c 'rm -rf x'"),
        (Decision::Deny, "bash <<< 'rm -rf x'"),
        (Decision::Deny, "bash -c 'env sh' <<< 'rm -rf x'"),
        (Decision::Deny, "env A=b rm -rf x"),
        (Decision::Deny, "ssh host rm -rf x"),
        (Decision::Deny, "docker exec c rm -rf x"),
        (Decision::Deny, "eval 'git push'"),
        (Decision::Deny, "git fetch --upload-pack='rm -rf x' y"),
        (Decision::Deny, "git clone -u 'rm -rf x' y"),
        (Decision::Deny, "git archive --remote=y --exec='rm -rf x' HEAD"),
        (Decision::Deny, "git ls-remote --upload-pack='rm -rf x' y"),
        (Decision::Deny, "git -c interactive.diffFilter='rm -rf x' add -p"),
        (Decision::Deny, "git -c remote.y.uploadpack='rm -rf x' fetch y"),
        (Decision::Deny, "find . -exec rm -rf x ;"),
        (Decision::Ask, "bash -c make"),
        (Decision::Ask, "bash <<< make"),
        (Decision::Allow, "bash -c 'cargo build'"),
        (Decision::Allow, "bash <<< 'cargo build'"),
        (Decision::Allow, "ssh host cargo build"),
        (Decision::Allow, "bash script"),
    ] {
        assert_eq!(judge(&policy, &text.replace(" ;", " \\;")).unwrap().decision, decision, "{text}");
    }
}

/// It connects, and executes code elsewhere: what may connect may not do this yet.
#[test]
fn a_shell_on_another_machine_is_more_than_a_connection() {
    let mut policy = CommandPolicy::default();
    policy.sandbox_mode = SandboxMode::DangerFullAccess;
    for text in
        ["ssh host ls", "ssh host", "rsh host ls", "mosh host", "sftp host", "pdsh -w a,b ls", "sshfs h:x y"]
    {
        let verdict = judge(&policy, text).unwrap();
        assert_eq!((verdict.decision, verdict.class), (Decision::Ask, Class::ExecutesCode), "{text}");
        assert!(verdict.network, "{text}");
    }
    let copied = judge(&policy, "scp x host:y").unwrap();
    assert_eq!((copied.decision, copied.class), (Decision::Allow, Class::Network));
    assert_eq!(judge(&policy, "scp -S ./x y host:z").unwrap().decision, Decision::Ask);
}

/// Many shells and many texts, each of which could be judged for each.
#[test]
fn a_text_is_judged_once() {
    let shells = "sh\n".repeat(4_000);
    let text = "ls\n".repeat(4_000);
    let verdict = judge(&CommandPolicy::default(), &format!("{{\n{shells}}} <<'E'\n{text}E\n")).unwrap();
    assert_eq!((verdict.decision, verdict.parts.len()), (Decision::Ask, 8_000));
}
