//! Texts that exhaust a parser: each ends, with a verdict or an error.

use super::{assert_allowed, judge};
use codegenie_exec::CommandPolicy;

/// Each alone exhausts the stack of the parser, its time, or its arithmetic.
#[test]
fn hostile_text_ends() {
    let full = 64 << 10;
    let many = |piece: &str| piece.repeat(full / piece.len());
    let nested = |open: &str, close: &str| {
        let levels = full / (open.len() + close.len()) - 1;
        format!("{}:{}", open.repeat(levels), close.repeat(levels))
    };
    let mut texts: Vec<String> = [
        "(",
        "( ",
        ")",
        "{ ",
        "[",
        "[[ ",
        "[[ ( ",
        "[[ ! ",
        "$(",
        "${",
        "$[",
        "$((",
        "`",
        "\"",
        "'",
        "\\",
        "\"$(",
        "${a:-",
        "\"${a:-\"",
        "${a[",
        "a[",
        "a[$",
        "a=(",
        "a=(b ",
        "if ",
        "while ",
        "until ",
        "for ",
        "case x in x) ",
        "coproc ",
        "function f ",
        "f() ",
        "f() { ",
        "! ",
        "time ",
        "a|",
        "a&&",
        "a;",
        "<",
        ">",
        "<<",
        "<<<",
        "<<E ",
        "<(",
        "< a ",
        "&",
        "$",
        "~",
        "*",
        "{a,",
        "{1..",
        "#",
        "\n",
        "\\\n",
        "x=$y ",
        "if (",
        "@(",
        "cat <<E\nE\n",
        "sh<<<a;",
        "sh<<E\nE\n",
        "echo a|sh|",
        "echo a|cat|",
        "cat<<<a|",
        "eval ",
        "exec ",
        "trap ",
        "env sh -c ",
        "ssh a ",
        "sh <(echo ",
        "git $x;",
        "git -c a=b ",
        "git -c alias.x=y ",
        "$x ",
        "a/{b,c} ",
        "xargs git {} ",
        "xargs cat;ls a;",
        "ls .env;xargs cat;",
        "find a -name .env -exec cat {} +;",
        "cp -r $x/. ",
        "cp a b;",
        "sed 'w a' ",
    ]
    .map(many)
    .into();
    let pairs = [
        ("(", ")"),
        ("$(", ")"),
        ("\"$(", ")\""),
        ("${a:-", "}"),
        ("\"a${x:-", "}\""),
        ("$((", "))"),
        ("{ ", ";}"),
        ("{a,", "}"),
        ("if :;then ", ";fi "),
        ("case x in x) ", ";; esac"),
        ("[[ ( ", " ) ]]"),
        ("${a[", "]}"),
        ("`", "`"),
        ("{ sh; ", "; } <<<a;"),
        ("bash <(echo ", ")"),
    ];
    texts.extend(pairs.map(|(open, close)| nested(open, close)));
    // Deeper than some limit, and short; and right below every limit at once.
    for levels in [6, 20, 48, 100] {
        texts.extend(pairs.map(|(open, close)| format!("{}:{}", open.repeat(levels), close.repeat(levels))));
        texts.extend(["(", "a[", "{a,", "${a[", "a${b[", "if ", "[[ ! "].map(|open| open.repeat(levels)));
    }
    texts.push(format!("{}{}", "case x in x) ".repeat(8), "a;".repeat(25_000)));
    texts.push(format!("(((((( {}; ))))))", "a ".repeat(25_000)));
    texts.push(format!("cat <<'{0}'\n{1}.\n{0}\n", "T".repeat(20_000), "\n".repeat(20_000)));
    texts.push(format!("[[ a {}]]", "&& a ".repeat(12_000)));
    texts.extend(
        ["echo {1..99999999999999999999}", "ls 99999999999999999999>x", "ls ~99999999999999999999"]
            .map(Into::into),
    );

    // Where the tokenizer would not end, or takes an end for granted that is not there.
    let here =
        ["<<'' ", "''''<<'' ", "<<''($(", "<<$(''|n ", r"<<''\\", "${[[ ||<<-''}", "!>>&><<$[$( ()))?"];
    texts.extend(here.map(Into::into));

    texts.push(format!("cp -r {}", "a/{b,c}/. ".repeat(6_000)));
    texts.push(format!("for x in {}; do {} done", "a ".repeat(60), "git $x $x $x $x;".repeat(3_000)));

    // Rules that refuse and ask are held against what words may become.
    let rules = "[[rules]]\nprefix = ['git', 'push']\ndecision = 'deny'\n\
                 [permissions]\ndeny = ['Read(**/*.env)', 'Bash(git push *)', 'Bash(* --force*)', 'Edit(src/**)']\n";
    let ruled = CommandPolicy::from_toml(rules).unwrap();

    // What a thread has by default.
    let (begins, begun) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for text in texts {
            let start: String = text.chars().take(20).collect();
            begins.send(start.clone()).unwrap();
            if let Err(error) = judge(&CommandPolicy::default(), &text) {
                assert!(!error.to_string().contains("gave up"), "the parser panics at {start:?}");
            }
            let _ = judge(&ruled, &text);
        }
    });
    // Each takes a fraction of a second. What takes more than linear time takes hours.
    const WATCHDOG: std::time::Duration = std::time::Duration::from_secs(120);
    let mut last = String::new();
    loop {
        match begun.recv_timeout(WATCHDOG) {
            Ok(start) => last = start,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("does not end: {last:?}"),
        }
    }
    thread.unwrap().join().unwrap();
}

#[test]
fn long_work_that_is_not_hostile_is_read() {
    let code = "int main() { if (x) { cout << \"a\" << 'b'; } while (1) { ((y)); } }\n".repeat(500);
    assert_allowed(&[&format!("cat > main.cc <<'END'\n{code}END\n"), &"echo one two three\n".repeat(2_000)]);
}
