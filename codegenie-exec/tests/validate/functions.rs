//! A function hides a program only where it is certain that the function is what runs.

use super::{assert_allowed, assert_asked, decide, judge};
use codegenie_exec::{CommandPolicy, CommandRule, Decision};

#[test]
fn a_function_is_judged_by_its_body_where_it_is_certain_to_run() {
    assert_allowed(&[
        "f() { ls; }; f",
        "f() { ls; } && f x",
        "f() { ls; }\nf | wc -l",
        "f() { ls \"$@\"; }; for i in 1 2; do f $i; done",
        "f() { ls; }; ( f )",
        "f() { ls; }; echo $(f)",
        "f() { ls; }; if f; then f; fi",
        "( f() { ls; }; f )",
        "{ f() { ls; }; f; }; f",
        "f() { ls; }; outer() { f; }; outer",
        "f() { ls; }; cat x; outer() { f; }; outer; f",
        "f() { ls; }\nouter() { f; }\necho x; f; outer",
        "f() { echo $1 | wc -l; }; f $x",
        "f() { f; }; f",
        "function f { ls; }; f",
        "bash -c 'f() { ls; }; f'",
    ]);
    assert_asked(&["f() { rm x; }; f", "f() { rm x; }", "f() { ls; }; f > ../x", "f() { ls > ../x; }; f"]);
}

/// The program of that name runs before the definition, where the definition does not run, and in
/// another shell than that of the definition.
#[test]
fn a_function_that_may_not_be_defined_hides_no_program() {
    for name in ["rm", "make", "unknown-program", "curl"] {
        for text in [
            "NAME x; NAME() { ls; }",
            "NAME x && NAME() { ls; }",
            "false && NAME() { ls; }; NAME x",
            "true || NAME() { ls; }; NAME x",
            "if false; then NAME() { ls; }; fi; NAME x",
            "if true; then true; else NAME() { ls; }; fi; NAME x",
            "while false; do NAME() { ls; }; done; NAME x",
            "until true; do NAME() { ls; }; done; NAME x",
            "for i in; do NAME() { ls; }; done; NAME x",
            "for ((i = 0; i < 0; i++)); do NAME() { ls; }; done; NAME x",
            "case x in y) NAME() { ls; };; esac; NAME x",
            "( NAME() { ls; } ); NAME x",
            "NAME() { ls; } | cat; NAME x",
            "cat x | NAME() { ls; }; NAME x",
            "NAME() { ls; } & NAME x",
            "echo $(NAME() { ls; }); NAME x",
            "echo `NAME() { ls; }`; NAME x",
            "cat <(NAME() { ls; }); NAME x",
            "cat <<E\n$(NAME() { ls; })\nE\nNAME x",
            "outer() { NAME() { ls; }; }; NAME x",
            "{ NAME() { ls; }; } < missing; NAME x",
            "NAME x $(NAME() { ls; })",
            "NAME() { ls; }; unset -f NAME; NAME x",
            "NAME() { ls; }; unset NAME; NAME x",
            "NAME() { ls; }; builtin unset -f NAME; NAME x",
            "NAME() { ls; }; command -p unset -f NAME; NAME x",
            "outer() { unset -f NAME; }; NAME() { ls; }; outer; NAME x",
            "NAME() { ls; }; bash -c 'NAME x'",
            "bash -c 'NAME() { ls; }'; NAME x",
            // An error in an expansion ends the line, and bash goes on with the next.
            "echo $((1 / 0)); NAME() { ls; }\nNAME x",
            "{ echo $((1 / 0)); NAME() { ls; }; }\nNAME x",
            "[[ -n $((1 / 0)) ]]; NAME() { ls; }\nNAME x",
            "cat y && NAME() { ls; }\nNAME x",
        ] {
            assert_asked(&[&text.replace("NAME", name)]);
        }
    }
}

#[test]
fn a_function_hides_nothing_from_what_does_not_see_it() {
    for name in ["rm", "make", "unknown-program"] {
        for text in [
            "command NAME x",
            "command -p NAME x",
            "builtin NAME x",
            "env NAME x",
            "env -u y NAME x",
            "xargs NAME",
            "cat y | xargs -n 1 NAME",
            "find . -exec NAME {} +",
            "find . -exec NAME {} \\;",
            "exec NAME x",
            "timeout 5 NAME x",
            "nice NAME x",
            "nice -n 5 NAME x",
            "nohup NAME x",
            "stdbuf -o0 NAME x",
            "setsid NAME x",
            "watch NAME x",
            "bash -c 'NAME x'",
            "bash -c \"NAME x\"",
            "/bin/NAME x",
            "/usr/bin/NAME x",
            "./NAME x",
            "\\time NAME x",
            "command env NAME x",
            "busybox NAME x",
        ] {
            assert_asked(&[&format!("{name}() {{ ls; }}; {}", text.replace("NAME", name))]);
        }
        assert_eq!(decide(&format!("{name}() {{ ls; }}; sudo {name} x")).unwrap().0, Decision::Deny);
    }
}

/// What the tables know is judged as the program as well, and a builtin may not become another.
#[test]
fn a_function_that_is_called_like_a_program_or_a_builtin() {
    assert_asked(&[
        "rm() { ls; }; rm x",
        "function rm { ls; }; rm x",
        "eval() { ls; }; eval 'rm x'",
        "exec() { ls; }; exec rm x",
        "trap() { ls; }; trap 'rm x' EXIT",
        "export() { ls; }; export PATH=.",
        "sort() { ls; }; sort -o /etc/x y",
        "cd() { rm x; }; cd y",
        "echo() { rm x; }; echo y",
        "test() { rm x; }; test -f y",
        "command() { rm x; }; command ls",
        "[() { rm x; }; [ -f y ]",
        "cd() { builtin cd ..; }; cd y; echo x > z",
        "cd() { :; }; cd ..; echo x > z",
        "read() { x=-delete; }; read x; find . $x",
        "f() { x=-delete; }; f; find . $x",
    ]);
    assert_allowed(&["ls() { command ls -la \"$@\"; }; ls src", "echo() { printf '%s\\n' \"$@\"; }; echo x"]);
    assert_eq!(decide("sudo() { ls; }; sudo x").unwrap().0, Decision::Deny);
}

/// A rule of the host speaks of the program. Where the program may run, and where it may not, it holds.
#[test]
fn a_function_does_not_take_the_place_of_what_a_rule_names() {
    let policy = CommandPolicy::default()
        .rule(CommandRule::new(["deploy"], Decision::Deny))
        .rule(CommandRule::new(["unset"], Decision::Allow));
    for (text, decision) in [
        ("deploy() { ls; }; deploy x", Decision::Deny),
        ("deploy() { ls; }; command deploy x", Decision::Deny),
        ("f() { ls; }; f", Decision::Allow),
        ("f() { ls; }; unset -f f; f", Decision::Ask),
        ("f() { ls; }; unset -f f", Decision::Allow),
    ] {
        assert_eq!(judge(&policy, text).unwrap().decision, decision, "{text}");
    }
}

#[test]
fn an_alias_is_asked_about() {
    assert_asked(&[
        "alias ls=rm; ls x",
        "alias ls=rm\nls x",
        "alias ls='rm x'",
        "alias rm=ls; rm x",
        "shopt -s expand_aliases\nalias ls=rm\nls x",
        "alias -- ls=rm",
        "unalias ls",
        "bash -ic 'alias ls=rm'",
        "sh -c 'alias ls=rm\nls x'",
        "BASH_ALIASES[ls]=rm; ls",
        "builtin alias ls=rm",
        "command alias ls=rm",
    ]);
}
