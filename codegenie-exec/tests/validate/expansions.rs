//! Words of which the shell makes none, several or other words than it seems.

use super::{assert_allowed, assert_asked};

/// The names of files take the place of a pattern: `-delete`, or one more word than there was.
#[test]
fn a_pattern_does_not_become_an_action_of_find() {
    assert_asked(&[
        "find . -name *",
        "find . -name * -delete",
        "find . -name * -type f",
        "find . -name ?x",
        "find . -name [a-]*",
        "find . -name *e",
        "find . -name *{e,x}",
        "find *",
        "find * -name x",
        "find -name *",
        "find . -newer *",
        "find . -type f -name * -print",
        "find . -name {x,-delete}",
        "find . -name $(cat x)",
        "find . -name `cat x`",
        "find . -printf * -print",
        "x=-delete; find . -name $x",
        "read x; find . -name $x",
        "x='a -delete'; find . -name $x",
        "f() { find . -name $1; }; f 'a -delete'",
        "find . -name \"$@\"; set -- a -delete",
        "find . -exec cat {} * \\;",
        "find . -exec cat * -delete \\;",
        "find . -exec echo \"$(cat x)\" -delete \\;",
        "find . -exec echo $(cat x) \\;",
        "bfs . -name *",
        "find . {$x,-delete}",
        "find . -exec cat {} $x + -delete \\;",
        "x=+; find . -exec cat {} $x -delete \\;",
        "x=';'; find . -exec cat \"$x\" -delete \\;",
        "x=';' y=-delete; find . -exec cat \"$x\" \"$y\" \\;",
        "find . -fprintf out $x -name -delete",
        "find . -fprint $x -name -delete",
        "find . -name $x -name -fprint -name -delete",
        "find . -name $x -fprint -delete",
        "find . -ok sort {} + -o /etc/x \\;",
        "cd 'a -delete'; find $PWD",
        "cd 'a -delete' && cd .. && find $OLDPWD",
        "cd a\\ -delete; find . -name $PWD",
        "x=(a -delete); find \"./${x[@]}\"",
    ]);
    assert_allowed(&[
        "find . -name '*'",
        "find . -name \"*\"",
        "find . -name \\*",
        "find . -name '*.rs'",
        "find . -name \"$x\"",
        "find . -name \"$(cat x)\"",
        "find . -name 'a'*",
        "find src/* -name x",
        "find ./* -name x",
        "find . -name '*.rs' -exec cat {} src/* \\;",
    ]);
}

/// Every name that it becomes ends in what no action of find is called, whatever it begins with.
#[test]
fn a_pattern_with_an_extension_is_no_action_of_find() {
    assert_allowed(&[
        "find . -name *.rs",
        "find . -iname *.tar.gz -type f",
        "find . -name *.c -o -name *.h",
        "find src -name test_*.py",
        "find . -name *.[ch]",
        "find . -name *.*",
        "find . -name .*",
        "find . -path */x",
        "find . -name -$x",
    ]);
    assert_asked(&[
        "find . -name *.rs -delete",
        "find . -name *rs",
        "find . -name *[.e]",
        "find . -name *[].e]",
        "find . -name *[[:alpha:].]",
        "find . -name *.r$x",
        "find . -name *{.rs,e}",
        "find . -fprint *",
    ]);
}

/// A variable that nobody set is no word at all, and what seemed to be the next is its value.
#[test]
fn a_word_that_vanishes_frees_none_that_follows() {
    assert_asked(&[
        "find . -name $x -name -delete",
        "find . -name $x -newer -fprint /etc/y",
        "find . -name $x -name -exec rm {} \\;",
        "find . -name $@ -name -delete",
        "awk -v $x a=1 'BEGIN { system(\"rm y\") }'",
        "awk -F $x 1 'BEGIN { system(\"rm y\") }'",
        "env -u $x ls rm y",
        "xargs -I $x ls rm",
        "xargs -n $x 1 rm",
        "git -C $x status push",
        "kubectl -n $x get delete pod y",
        "timeout -s $x 5 9 rm y",
        "stdbuf -o $x ls rm y",
        "pod2man $x a /etc/y",
        "sed -n $x p 'w /etc/y'",
        "for x in 1; do true; done; env -u $y ls rm",
        "rg -e $x -- --pre=evil y",
        "sort -k $x -- --output=/etc/x",
        "jq $x",
        "x=(a -o /etc/y); sort \"./${x[@]}\"",
    ]);
    assert_allowed(&[
        "find . -name $x",
        "find $dir -name $x -type f",
        "find . -mtime $n -name '*.log'",
        "find . -name $x -size +10k -mtime -7",
        "awk -v \"$x\" 1 y",
        "git -C \"$x\" status",
        "git -C src/$x status",
        "timeout \"$x\" ls",
        "sort -k $x y",
        "head -n $x y",
    ]);
}

/// `*` as an option's value is several words: the first is the value, the others options and operands.
#[test]
fn a_pattern_does_not_free_an_option_or_a_command() {
    assert_asked(&[
        "awk -F * '{ print }'",
        "env -u * ls",
        "env -u a* ls",
        "env * ls",
        "git -C * status",
        "git -C a* status",
        "git log *",
        "git diff *",
        "git -C ?x log",
        "kubectl -n * get pods",
        "timeout * ls",
        "timeout 1* ls",
        "nice -n * ls",
        "xargs -n * ls",
        "xargs -I * ls",
        "tar tf *",
        "tar -tf *",
        "tar tf *.tar",
        "tar -tzf [a-z]*.tgz",
        "tar tf a.tar *",
        "tar cf a.tar *",
        "tar czf a.tgz * --exclude=x",
        "rsync * x",
        "rsync -a * x:",
        "chown a *",
        "chown -R a:b *",
        "chmod 644 *",
        "sed -n p *",
        "sed * x",
        "sed -e * x",
        "sort *",
        "sort -k *",
        "sort -t ? x",
        "sort -o * x",
        "sort -T * x",
        "uniq *",
        "diff *",
        "tree *",
        "tree -L *",
        "rg x *",
        "rg -e * x",
        "cp * a",
        "mv * a",
        "ln * a",
        "touch *",
        "mkdir *",
        "tee *",
        "zip a.zip *",
        "7z a x.7z *",
        "gzip *",
        "split *",
        "date *",
        "date -d *",
        "file -f *",
        "less *",
        "man *",
        "xargs *",
        "*",
        "? x",
        "[a-z]* x",
        "bash *",
        "bash -c *",
        "zegrep foo *",
        "yamllint *.yml",
        "cat x | xargs zegrep foo",
        "jq * x",
        "jq . *",
    ]);
    assert_allowed(&[
        "ls *",
        "cat *",
        "wc -l *.c",
        "grep foo *",
        "head -n 5 *",
        "sort ./*",
        "sort -- *",
        "sort -k 2 a*",
        "tar tf a.tar",
        "sed -n p ./*",
        "du -sh *",
        "git log -- *",
        "echo *",
    ]);
}

/// Bash expands the name of a file after `>&` again, when its quotes are gone.
#[test]
fn a_duplicated_descriptor_expands_nothing_twice() {
    assert_asked(&[
        "echo a >&'$(rm x)'",
        "echo a >& '$(rm x)'",
        "echo a 2>&1'x[$(rm x)]'",
        "echo a >&\\$\\(rm\\ x\\)",
        "echo a >&\"\\$(rm x)\"",
        "echo a >&\"$y\"",
        "y='$(rm x)'; echo a >&$y",
    ]);
    assert_allowed(&["ls >&2", "ls 2>&1", "ls >&out", "ls >& dir/out.txt", "ls &>'$(rm x)'", "ls >&-"]);
}

#[test]
fn what_follows_an_array_at_once_is_a_mistake() {
    use codegenie_exec::{CommandPolicy, CommandRequest, Decision};
    let policy = CommandPolicy::default();
    let decision = |text: &str| policy.judge(&CommandRequest::shell(text)).map(|verdict| verdict.decision);
    for text in ["C=()C=()", "C=(a)ls", "x=(a b)y=1 ls", "C=()\"x\"", "C=()''", "C=()}"] {
        assert!(!matches!(decision(text), Ok(Decision::Allow)), "{text}");
    }
    for text in ["C=(); ls", "C=(a b)", "C=(a) D=(b)\nls"] {
        assert!(matches!(decision(text), Ok(Decision::Allow)), "{text}: {:?}", decision(text));
    }
}

#[test]
fn parentheses_apart_are_groups_and_no_expression() {
    use codegenie_exec::{CommandPolicy, CommandRequest, Decision};
    let policy = CommandPolicy::default();
    let decision = |text: &str| policy.judge(&CommandRequest::shell(text)).map(|verdict| verdict.decision);
    for text in [
        "( (reboot) )",
        "((reboot) )",
        "( (reboot))",
        "(\\n(reboot)\\n)",
        "echo $( (reboot) )",
        "echo $((reboot) )",
        "echo $( (reboot))",
        "echo `( (reboot) )`",
        "cat <( (reboot) )",
        "cat <((reboot) )",
        "x=$( (reboot) ); ls",
        "f() ( (reboot) ); f",
        "f() ((reboot) ); f",
        "cat <<E\\n$( (reboot) )\\nE",
        "if ( (reboot) ); then ls; fi",
        "for ((;;) ); do ls; done",
        "( ( ))",
        "( ( 1 ))",
        "((1) )",
        "(\\\n(1))",
        "ls; ( (1 ))",
    ] {
        assert!(!matches!(decision(text), Ok(Decision::Allow)), "{text}");
    }
    assert_allowed(&["((1))", "((1)) \n", "( (ls); ls )", "( ls ) && ( ls )", "((1 + (2))) && ls"]);
}
