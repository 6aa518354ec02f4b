//! Bash computes with the text of variables, and runs the command that stands in a subscript there.

use super::{assert_allowed, assert_asked};

/// Text by which `touch` ran in bash.
const TEXT: &str = "'x[$(touch y)]'";

#[track_caller]
fn assert_asked_with_text(texts: &[&str]) {
    let texts: Vec<String> = texts.iter().map(|text| text.replace("TEXT", TEXT)).collect();
    assert_asked(&texts.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Its value is computed when it is set, whatever sets it.
#[test]
fn a_variable_that_is_an_integer() {
    assert_asked_with_text(&[
        "RANDOM=TEXT",
        "RANDOM=TEXT; ls",
        "SRANDOM=TEXT",
        "OPTIND=TEXT; getopts a b",
        "HISTCMD=TEXT",
        "x=TEXT; RANDOM=x",
        "x=TEXT; RANDOM=$x",
        "RANDOM+=TEXT",
        "RANDOM=(TEXT)",
        "read RANDOM <<< TEXT",
        "read -r x RANDOM <<< TEXT",
        "for RANDOM in TEXT; do ls; done",
        "printf -v RANDOM %s TEXT",
        "printf -vRANDOM %s TEXT",
        "mapfile -t RANDOM <<< TEXT",
        "a=TEXT; getopts a RANDOM -a",
        "env LC_X=TEXT bash -c 'RANDOM=LC_X'",
        "echo $(RANDOM=TEXT)",
        "f() { RANDOM=$1; }; f TEXT",
    ]);
    assert_allowed(&["OPTIND=1; ls", "SECONDS=0; ls; echo $SECONDS", "RANDOM=7; echo $((RANDOM % 6))"]);
}

/// The shell gives it text: an argument, what matched, what was read.
#[test]
fn a_variable_that_the_shell_sets() {
    assert_asked_with_text(&[
        "echo TEXT; echo $((_))",
        "echo TEXT; echo $(( $_ ))",
        "echo TEXT; (( _ ))",
        "echo TEXT; [[ $_ -eq 1 ]]",
        "[[ TEXT =~ .* ]]; echo $((BASH_REMATCH))",
        "[[ TEXT =~ .* ]]; [[ $BASH_REMATCH -eq 1 ]]",
        "[[ TEXT =~ .* ]]; [[ ${BASH_REMATCH} -eq 1 ]]",
        "getopts a: o -a TEXT; echo $((OPTARG))",
        "getopts a: o -a TEXT; [[ $OPTARG -eq 1 ]]",
        "mapfile -t <<< TEXT; echo $((MAPFILE))",
        "read <<< TEXT; echo $((REPLY))",
        "echo $((BASH_EXECUTION_STRING))",
        "f() { echo $(($1)); }; f TEXT",
        "f() { echo $((${1})); }; f TEXT",
        "f() { echo $((${10})); }; f 1 2 3 4 5 6 7 8 9 TEXT",
        "f() { echo $(($*)); }; f TEXT",
        "f() { echo $((${*})); }; f TEXT",
        "f() { echo $(($@)); }; f TEXT",
        "f() { (( $1 > 1 )) && ls; }; f TEXT",
    ]);
}

/// What its text names is computed in turn.
#[test]
fn a_variable_whose_text_names_another() {
    assert_asked_with_text(&[
        "x86_64=TEXT; echo $((HOSTTYPE))",
        "gnu=TEXT; echo $((OSTYPE))",
        "root=TEXT; echo $((USER))",
        "x86_64=TEXT; (( HOSTTYPE ))",
        "x86_64=TEXT; echo $((x = HOSTTYPE))",
        "x86_64=TEXT; for ((i = HOSTTYPE; i < 1; i++)); do ls; done",
        "bash=TEXT; echo $(($0))",
        "bash=TEXT; echo $((${0}))",
        "hBc=TEXT; echo $(($-))",
        "LANG=TEXT bash -c 'echo $((LANG))'",
        "LANG=x bash -c 'x=TEXT; echo $((LANG))'",
        "COLUMNS=x bash -c 'ls; x=1; echo $((COLUMNS))'",
        "env LC_X=TEXT bash -c '[[ $LC_X -eq 1 ]]'",
        "x=1; a1=TEXT; echo $((a$x))",
        "x=1; a1=TEXT; echo $((a${x}))",
        "x=1; a11=TEXT; echo $((a$x$x))",
        "x=1; ab=TEXT; echo $((${x/1/a}${x/1/b}))",
        "x=a; a=TEXT; echo $((x))",
        "x=a; a=TEXT; echo $((${!x}))",
        "x=1; a=TEXT; echo $((${x:+a}))",
    ]);
}

/// Bash expands what the parser takes for a group within a group, also within quotes.
#[test]
fn a_group_that_is_an_expression() {
    assert_asked(&[
        "(( ls 'a`touch y`' ))",
        "(( echo 'a$(touch y)' ))",
        "((echo 'a`touch y`'; ls))",
        "ls; ((echo '$(touch y)'))",
        "if ((echo '$(touch y)')); then ls; fi",
        "((  #-'x[$(touch y)]'\n ))",
        "(( 1 + #'x[$(touch y)]'\n 1 ))",
        "for (( i = 0; #'x[$(touch y)]'\n i < 1; i++ )); do ls; done",
    ]);
    assert_allowed(&[
        "( ( ls ); ls )",
        "(ls; (ls) )",
        "(( 1 + 1 ))",
        "(( 16#ff > $# ))",
        "(( 1 + 1 )) # (a comment)",
        "# (a comment)\n(( 1 + 1 ))",
    ]);
}

#[test]
fn numbers_are_computed_with() {
    assert_allowed(&[
        "echo $((1 + 2 * 3))",
        "x=5; echo $((x + 1)) $(( $x - 1 )) $((${x} % 2))",
        "for i in 1 2 3; do echo $((i * i)); done",
        "for ((i = 0; i < 3; i++)); do echo $i; done",
        "i=0; while (( i < 3 )); do i=$((i + 1)); done",
        "x=$((2 + 2)); [[ $x -eq 4 ]]",
        "echo $((RANDOM % 6)) $((SECONDS + 1)) $((COLUMNS - 1))",
        "f() { echo $(($# - 1)); }; f a b",
        "echo $((${#x} + 1)) $((10#$x)) $((0x1f))",
        "ls; [[ $? -eq 0 ]]",
        "COLUMNS=80 ls",
        "N=5; (( N++ )); echo $((N - 1))",
    ]);
}
