//! Texts that a parser may take for something else than bash does. Each was once, or would be.

use super::{assert_allowed, assert_asked};
use codegenie_exec::{CommandPolicy, CommandRequest, Decision};

#[track_caller]
fn assert_never_allowed(texts: &[&str]) {
    let policy = CommandPolicy::default();
    let allowed: Vec<&&str> = texts
        .iter()
        .filter(|text| {
            let judged = policy.judge(&CommandRequest::shell(**text));
            judged.is_ok_and(|verdict| verdict.decision == Decision::Allow)
        })
        .collect();
    assert!(allowed.is_empty(), "{allowed:#?}");
}

#[test]
fn what_stands_on_the_line_of_a_here_document_runs() {
    assert_never_allowed(&[
        "cat > a.txt <<'EOF'; echo done $(make)\nfoo\nEOF",
        "cat <<E; echo $(reboot)\nE",
        "cat <<E $(reboot)\nE",
        "cat <<E > $(make)\nE",
        "cat <<E 2> a$(reboot)\nE",
        "cat <<E <<< $(reboot)\nE",
        "cat <<E; a=($(reboot))\nE",
        "cat <<-E; for i in $(reboot); do ls; done\nE",
        "cat <<\"E\"; printf %s $(reboot)\nE",
        "cat <<\\E; printf %s $(reboot)\nE",
        "cat 3<<E; printf %s \"$(reboot)\"\nE",
        "(cat <<E; printf %s $(reboot)\nE\n)",
        "! cat <<E && echo `reboot`\nE",
        "cat <<A a$(reboot) <<B\na\nA\nb\nB",
        "wc -l <<E > $((a[$(reboot)]))\nE",
        "cat <<E && echo ${x:-$(reboot)}\nE",
        "cat <<E\\\n; echo $(reboot)\nE",
        "echo $(cat <<E; echo $(reboot)\nE\n)",
        "cat <<'true'\nfoo\\\ntrue\necho {PATH}>f\nls\ntrue\n",
        "cat <<\"true\"\nfoo\\\ntrue\ncat <<X $(reboot)\nX\ntrue\n",
        "cat <<-'true'\nfoo\\\n\ttrue\necho {PATH}>f\nls\ntrue\n",
        "cat <<true\nfoo\\\ntrue\ntrue\necho {PATH}>f\nls\ntrue\n",
        "cat <<E && echo ${#$((1+1))reboot\nfoo{ \nE\n",
    ]);
    assert_allowed(&[
        "cat <<E\nplain\nE",
        "cat <<'E' > new.txt\n$(x)\nE",
        "cat <<E | sort\nb\nE",
        "cat <<< x",
    ]);
}

#[test]
fn a_descriptor_that_the_shell_names_sets_a_variable() {
    assert_never_allowed(&[
        ": {PATH}>x; ls",
        ": {PATH}</dev/null; ls",
        ": {PATH}>&1; ls",
        ": {PATH}<<<x; ls",
        ": {IFS}>>x; ls",
        "[ -f x ] {PATH}>y; ls",
        "(: {PATH}>x; ls)",
        "if true {PATH}>y; then ls; fi",
        "echo {PATH}>&2; ls",
        "ls {PA\\\nTH}>x",
        "ls {a[0]}>x",
        "echo {x}<{x}>&y",
        "{ ls; } {PATH}>x",
    ]);
    assert_allowed(&["echo {a,b} > x", "ls {a} > x", "x=1; echo \"${x}\" > y"]);
}

#[test]
fn a_reserved_word_is_one_only_where_a_command_may_begin() {
    assert_never_allowed(&[
        "if ls; then x= fi",
        "if ls;a= then ls; fi",
        "while ls; do a=1 done",
        "while ls; do <<<x done",
        "for i in a; do >x done",
        "until ls== do cat; done",
        "until a=1lstime do cat ; done",
        "case x in x) a= esac",
        "if [ -f x ]; then ls; else cat;2>&1 fi",
        "until ls; do >catls done",
    ]);
    assert_allowed(&[
        "if ls; then x=; fi",
        "for i in a; do echo then do; done",
        "if [[ -f x ]]; then ls; fi",
        "case x in x) a=1;; esac",
        "while read -r x; do echo \"what to do $x\"; done < list",
    ]);
}

#[test]
fn where_words_and_expressions_end_is_clear() {
    assert_never_allowed(&[
        "[[ a =~ (b)]]",
        "[[ a =~ (b|c)]] && ls",
        "[[ a =~ (b )]]",
        "[[ x =~ ()]]",
        "[[ x =~ (reboot&> )]]",
        "cat << <<B\nB",
        "cat <<- <<B\na\nB",
        "cat 1<< <<B\nB",
        "cat << <<'B'\nB",
        "cat < (ls)",
        "cat >\t(ls)",
        "for $$((i=0;i<3;i++)); do ls; done",
    ]);
    assert_allowed(&["[[ a =~ ^b ]] && ls", "for ((i=0;i<3;i++)); do ls; done"]);
    assert_asked(&["[[ a =~ (b)]] && ls || ls"]);
}
