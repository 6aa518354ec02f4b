//! The validator through the public API.

#![cfg(feature = "executor")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by panicking"
)]

use codegenie_exec::{
    CommandPolicy, CommandRequest, CommandRule, Decision, ParseError, UnknownCommand, Verdict,
};
use proptest::prelude::*;

#[path = "validate/computed.rs"]
mod computed;
#[path = "validate/derived.rs"]
mod derived;
#[path = "validate/directories.rs"]
mod directories;
#[path = "validate/environment.rs"]
mod environment;
#[path = "../fuzz/exercises/validate.rs"]
mod exercise;
#[path = "validate/expansions.rs"]
mod expansions;
#[path = "validate/folders.rs"]
mod folders;
#[path = "validate/followed.rs"]
mod followed;
#[path = "validate/functions.rs"]
mod functions;
#[path = "validate/hostile.rs"]
mod hostile;
#[path = "validate/least.rs"]
mod least;
#[path = "validate/parsed.rs"]
mod parsed;
#[path = "validate/ruled.rs"]
mod ruled;
#[path = "validate/secrets.rs"]
mod secrets;
#[path = "validate/sought.rs"]
mod sought;
#[path = "validate/stated.rs"]
mod stated;
#[path = "validate/told.rs"]
mod told;
#[path = "validate/within.rs"]
mod within;

fn judge(policy: &CommandPolicy, text: &str) -> Result<Verdict, ParseError> {
    policy.judge(&CommandRequest::shell(text))
}

/// The default policy's decision and rule; `None` where the text is refused.
fn decide(text: &str) -> Option<(Decision, String)> {
    judge(&CommandPolicy::default(), text).ok().map(|verdict| (verdict.decision, verdict.rule))
}

#[track_caller]
fn assert_all(decision: Decision, rule: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(decide(text), Some((decision, rule.to_owned())), "{text}");
    }
}

#[track_caller]
fn assert_asked(texts: &[&str]) {
    let others: Vec<_> = texts
        .iter()
        .map(|text| (text, decide(text)))
        .filter(|(_, decided)| decided.as_ref().is_none_or(|(decision, _)| *decision != Decision::Ask))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[track_caller]
fn assert_allowed(texts: &[&str]) {
    let others: Vec<_> = texts
        .iter()
        .map(|text| (text, judge(&CommandPolicy::default(), text).unwrap()))
        .filter(|(_, verdict)| verdict.decision != Decision::Allow)
        .map(|(text, verdict)| (text, verdict.rule, verdict.reason))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn what_attacks_is_never_allowed() {
    let lines: Vec<&str> = include_str!("validate/never_allowed.txt").lines().collect();
    assert!(lines.len() > 500);
    let allowed: Vec<&&str> = lines
        .iter()
        .filter(|line| decide(line).is_some_and(|(decision, _)| decision == Decision::Allow))
        .collect();
    assert!(allowed.is_empty(), "{allowed:#?}");
}

#[test]
fn what_everybody_runs_needs_no_question() {
    let lines = include_str!("validate/needs_no_question.txt").lines();
    let asked: Vec<&str> =
        lines.filter(|line| decide(line).is_none_or(|(decision, _)| decision != Decision::Allow)).collect();
    assert!(asked.is_empty(), "{asked:#?}");
}

#[test]
fn known_uses_are_allowed_and_named() {
    assert_all(
        Decision::Allow,
        "known: ls",
        &["ls", "ls -la src", r"\ls", "'l's", r"l\s", "\"ls\"", "ls # rest", "/bin/ls"],
    );
    assert_all(Decision::Allow, "known: git log", &["git log", "git log --oneline -3"]);
    assert_allowed(&[
        "cat a 'b c' \"d e\"",
        "grep 'foo$' file",
        "grep \"foo$\" file",
        "git diff HEAD~1",
        "git show HEAD~2:src/x",
        "find . -name 'x*'",
        "[ -f x ]",
        "echo a{b",
        "echo a=b",
        "cat <<< 'text'",
        "cat << 'E'\n$(rm x) `rm x`\nE\n",
        "cat <<E\nplain\nE\n",
        "sort < in | uniq > out",
        "ls 2>&1 | head -3 2>/dev/null",
        "LANG=C ls",
        "! ls",
        "time ls",
        "( cat x; ls )",
        "{ cat x; ls; }",
        "ls; cat x && wc x || pwd",
        "ls\ncat x\n",
        "ls &",
        "git --version",
        "mkdir -p a/b",
        "touch a",
        "cp a b",
        "git add .",
    ]);
}

#[test]
fn what_is_not_known_is_asked() {
    assert_all(
        Decision::Ask,
        "default",
        &["./ls", "unknown-program", "unknown-program --version", "/opt/ls"],
    );
    assert_asked(&["make", "python3 x.py", "alias ls=rm; ls", ". x", "cargo build"]);
    assert_asked(&["env rm x", "xargs rm", "sh -c 'rm x'", "rm x", "git push", "npm test", "curl x"]);
    assert_all(Decision::Ask, "program", &["$x", "$'ls'", "$\"ls\"", "l?", "{ls,-l}", "~/ls", "*"]);
}

/// What the project brings runs also where a program only tells about itself.
#[test]
fn a_version_is_not_told_by_what_runs_the_project() {
    for name in [
        "pytest",
        "scons",
        "rails",
        "bazel",
        "gulp",
        "tox",
        "mvn",
        "yarn",
        "rustc",
        "npx",
        "jest",
        "gradle",
        "eslint",
        "stylelint",
        "vite",
        "bundle",
        "jekyll",
        "composer",
        "wp",
        "poetry",
        "pdm",
        "dotnet",
        "serverless",
    ] {
        assert_asked(&[&format!("{name} --version"), &format!("{name} --help")]);
    }
    assert_allowed(&["gcc --version", "npm --help", "node --version", "make --version"]);
}

/// Variables that nobody set hold nothing; those that the command sets hold anything.
#[test]
fn what_the_shell_puts_into_arguments() {
    assert_allowed(&["ls $x", "ls *.rs", "ls {a,b}", "ls ~", "cat \"$x\"", "wc -l *.c", "echo $(ls)"]);
    assert_allowed(&[
        "find $dir -name x",
        "find \"$HOME\" -name x",
        "sort ./*.txt",
        "for i in 1 2; do head -n $i x; done",
    ]);
    assert_asked(&[
        "sort *",
        "x=-o; sort $x y",
        "find $(cat x)",
        "read x; find $x",
        "find \"$(cat x)\"",
        "sort {-o,/x}",
    ]);
    assert_asked(&[
        "find . $IFS-delete",
        "find .${IFS}-delete",
        "r$@m -rf x",
        "for i in -delete; do find . $i; done",
    ]);
    assert_asked(&[
        "set -- -delete; find . $1",
        "f() { find . $1; }; f -delete",
        "printf -v x -- -delete; find . $x",
    ]);
    let request = CommandRequest::shell("find . $x").env("x", "-delete");
    assert_eq!(CommandPolicy::default().judge(&request).unwrap().decision, Decision::Ask);
    let request = CommandRequest::shell("echo $((x))").env("x", "a[$(rm y)]");
    assert_eq!(CommandPolicy::default().judge(&request).unwrap().decision, Decision::Ask);
}

/// What stands in a substitution, a function or a loop is judged like any other command.
#[test]
fn what_runs_inside_is_judged() {
    let harmless = "ls";
    for around in [
        "echo $(X)",
        "echo `X`",
        "echo \"$(X)\"",
        "cat <(X)",
        "cat < <(X)",
        "( X ) > y",
        "f() { X; }; f",
        "for i in $(X); do echo $i; done",
        "for i in 1; do X; done",
        "if X; then cat y; fi",
        "while X; do cat y; done",
        "case $(X) in y) cat y;; esac",
        "[[ -f $(X) ]]",
        "cat <<E\n$(X)\nE\n",
        "cat <<< $(X)",
        "x=$(X); echo $x",
        "timeout 5 X",
        "nice X",
        "env X",
        "bash -c 'X'",
        "bash -c \"X\"",
        "find . -exec X {} +",
        "echo $(echo $(X))",
        "xargs X",
        "echo \"$(echo \"$(X)\")\"",
        "command X",
        "time X",
        "nohup X",
        "X &",
        "{ X; } 2>&1",
    ] {
        assert_eq!(decide(&around.replace('X', harmless)).unwrap().0, Decision::Allow, "{around}");
        for grave in ["rm -rf y", "unknown-program", "./y", "sort -o /y", "curl y", "tee /etc/y", "python3 y"]
        {
            let text = around.replace('X', grave);
            assert!(decide(&text).is_none_or(|(decision, _)| decision > Decision::Allow), "{text}");
        }
        let text = around.replace('X', "sudo y");
        assert!(decide(&text).is_none_or(|(decision, _)| decision > Decision::Allow), "{text}");
    }
}

#[test]
fn what_cannot_be_followed_is_asked() {
    assert_asked(&["ls; coproc cat", "a[$(rm x)]=1 ls", "echo ${x[$(rm x)]}", "echo ${!x}", "echo ${x@P}"]);
    assert_asked(&[
        "ls $[x]",
        "ls > $(ls)",
        "cat <<E$x\nE$x\n",
        "ls <&x",
        "echo $((a[$(rm x)]))",
        "(( a[$(rm x)] ))",
    ]);
    assert_asked(&[
        "read x; echo $((x))",
        "x=$(cat y); [[ $x -eq 1 ]]",
        "[[ -v $x ]]",
        "$((ls) || (rm x))",
        "echo $((ls) || (rm x))",
    ]);
    assert_asked(&[
        "echo ${x:-$(rm x)}",
        "echo ${x:-`rm x`}",
        "echo \"${x:=`rm x`}\"",
        "echo > $(rm x)",
        "PATH=. ls",
    ]);
    assert_asked(&["echo $(cat <<E\nE\n)", "echo $(ls # )\nrm x)", "trap 'rm x' EXIT"]);
    assert_allowed(&[
        "echo $((1 + 2))",
        "i=1; echo $((i + 1))",
        "for ((i = 0; i < 3; i++)); do echo $i; done",
        "(( 1 < 2 ))",
    ]);
    assert_allowed(&["[[ -f x && $y == z* ]]", "[[ $x =~ ^a(b|c) ]]", "echo ${x%.*} ${#x} ${x:-y} ${x/a/b}"]);
}

/// Programs run where an expansion computes: none of them may hide behind a rule that allows the
/// command whose argument it is.
#[test]
fn an_expansion_that_computes_is_not_covered_by_a_rule() {
    let policy = CommandPolicy::default().rule(CommandRule::new(["echo"], Decision::Allow));
    assert_eq!(judge(&policy, "echo $x ${x}").unwrap().decision, Decision::Allow);
    for text in [
        "echo ${x:-$(rm x)}",
        "echo ${x:-`rm x`}",
        "echo ${x[$(rm x)]}",
        "echo ${x@P}",
        "echo ${!x}",
        "echo $((x[$(rm x)]))",
        "echo $[x[$(rm x)]]",
        "echo \"${x:=`rm x`}\"",
        "echo $(rm x)",
        "echo <(rm x)",
        "echo > $(rm x)",
    ] {
        assert_eq!(judge(&policy, text).unwrap().decision, Decision::Ask, "{text}");
    }
}

/// Scripts that come as an argument are read.
#[test]
fn sed_awk_and_find_are_read() {
    assert_allowed(&[
        "sed -n '1,5p' x",
        "sed 's/a/b/g; /x/d' x",
        "sed -e 's|a|b|' -e '$d' x",
        "sed -n '/begin/,/end/{p;q}' x",
        "sed -i 's/a/b/' x",
        "awk '{print $1}' x",
        "awk -F: '$3 > 5 && /a|b/ {n++} END {print n / 2}' x",
        "awk '{ print $1 > \"out\" }' x",
        "find . -type f -size +1M -printf '%p\\n'",
        "find . -name '*.c' -exec grep -l main {} +",
        "find . -name '*.c' | xargs wc -l",
    ]);
    assert_asked(&[
        "sed 's/a/b/e' x",
        "sed '1e rm x' x",
        "sed -n 'w /etc/x' x",
        "sed 's/a/b/w /etc/x' x",
        "sed -i 's/a/b/' /etc/x",
        "sed -i 's/a/b/' ../x",
        "sed -f script x",
        "sed \"$(cat y)\" x",
        "awk 'BEGIN { system(\"rm x\") }'",
        "awk '{ print | \"sh\" }' x",
        "awk '{ print > \"/etc/x\" }' x",
        "awk '{ print > $1 }' x",
        "awk '{ \"date\" | getline d }' x",
        "awk '/\"/ { system(\"rm x\") }' x",
        "awk -f script x",
        "gawk '@load \"filefuncs\"'",
        "find . -delete",
        "find . -fprint /etc/x",
        "find . -exec rm {} +",
        "find . -exec sh -c 'rm $1' {} ';'",
        "find . -unknown-action",
        "find . -name x | xargs rm",
        "find . -name x | xargs sort",
        "echo -delete | xargs find .",
    ]);
}

/// Where bash joins lines, the end of a here-document is elsewhere than it seems.
#[test]
fn a_here_document_does_not_hide_commands() {
    assert_asked(&["cat <<E\nE\\\n\nrm -rf x\nE\n", "cat <<E\\ F\nx\nE F\n", "cat <<'E'\"F\"\nx\nEF\n"]);
    assert_eq!(decide("cat <<E\nx\nE\nsudo ls\n").unwrap().0, Decision::Deny);
}

/// Bash ends the redirection at the dash, and runs the rest.
#[test]
fn a_closed_descriptor_does_not_hide_a_command() {
    assert_asked(&[">&-reboot", ">& -reboot", "<&-reboot", "ls >&--", "2>&-x", "! && ls", "!", "time"]);
    assert_asked(&["{ <x }", "{ x=1 }", "ls &>>x=1"]);
    assert_allowed(&["ls >&-", "ls 2>&-", "ls 2>&1-", "ls <&-"]);
}

#[test]
fn options_take_a_program_out_of_what_is_known() {
    assert_asked(&[
        "sort -o /x y",
        "sort -uo /x y",
        "sort -o/x y",
        "sort --output=/x y",
        "sort --outp /x y",
        "sort --out=/x",
        "sort --compress-program=x y",
        "sort --compress-prog=x y",
    ]);
    assert_asked(&[
        "find . -exec rm {} ;",
        r"find . -delete",
        "find . -okdir rm {} +",
        "uniq in out",
        "date -s x",
    ]);
    assert_asked(&[
        "git log --output=/x",
        "git log --outp=/x",
        "git diff --ext-diff",
        "git -c core.pager=x log",
    ]);
    assert_asked(&["rg --pre x y", "tree -o /x", "cargo test --config x", "hostname x", "git -c a=b log"]);
    assert_asked(&["true; test -v 'a[$(rm x)]'", "[ -v 'a[$(rm x)]' ]", "[ x = y -o -v 'a[$(rm x)]' ]"]);
    assert_allowed(&["sort -- -o", "cat -- -x", "find . -name output"]);
}

#[test]
fn redirections_and_assignments_are_judged() {
    assert_all(
        Decision::Allow,
        "redirection",
        &["echo x > out", "echo x >> a/b", "echo x > /tmp/y", "echo x &> o"],
    );
    assert_all(
        Decision::Ask,
        "redirection",
        &["echo x > ../y", "echo x > /etc/y", "echo x > $y", "echo x >| /y"],
    );
    assert_all(
        Decision::Ask,
        "redirection",
        &["echo x >& /y", "echo x &>> /y", "echo x 2> ../y", "echo x <> /y"],
    );
    assert_all(
        Decision::Ask,
        "redirection",
        &["echo x > a/../../y", "echo x > ''", "echo x > ~/y", "cd ..; echo x > y", "cat x > .git/config"],
    );
    assert_all(Decision::Ask, "redirection", &["cat < /dev/tcp/127.0.0.1/80", "cat < /dev/udp/127.0.0.1/53"]);
    for name in
        ["PATH", "LD_PRELOAD", "GIT_PAGER", "BASH_ENV", "IFS", "MY_PAGER", "XDG_CONFIG_HOME", "GOFLAGS"]
    {
        assert_all(Decision::Ask, "assignment", &[&format!("{name}=x ls"), &format!("{name}=x; ls")]);
        let request = CommandRequest::shell("ls").env(name, "x");
        assert_eq!(CommandPolicy::default().judge(&request).unwrap().decision, Decision::Ask, "{name}");
    }
    let harmless = CommandRequest::shell("ls").env("LANG", "C");
    assert_eq!(CommandPolicy::default().judge(&harmless).unwrap().decision, Decision::Allow);
}

#[test]
fn what_edits_are_refused_for_is_asked_about() {
    let executed = [
        ".codex/config.toml",
        ".gemini/settings.json",
        ".yarnrc",
        "rust-toolchain.toml",
        ".mise.toml",
        ".pre-commit-config.yaml",
        ".local/bin/ls",
        ".config/any",
        ".CARGO/./config.toml",
        ".zed/tasks.json",
        "a/CVS/Root",
        ".gitmodules",
    ];
    for path in executed {
        assert_asked(&[&format!("echo x > {path}"), &format!("echo x > sub//{path}")]);
    }
    // What the next agent, editor, debugger or interpreter in the folder runs or follows.
    let obeyed = [
        "AGENTS.md",
        "CLAUDE.md",
        "claude.local.md",
        ".cursorrules",
        ".cursor/rules/a.mdc",
        ".windsurfrules",
        ".windsurf/workflows/a.md",
        ".clinerules/a.md",
        ".roo/mcp.json",
        ".kiro/hooks/a",
        ".continue/config.json",
        ".opencode/plugin/a.js",
        "opencode.json",
        ".aider.conf.yml",
        ".github/copilot-instructions.md",
        ".hgrc",
        ".irbrc",
        ".pryrc",
        ".pdbrc",
        ".perldb",
        ".ghci",
        ".octaverc",
        ".iex.exs",
        ".vimrc",
        ".exrc",
        ".lvimrc",
        ".githooks/pre-commit",
        "lefthook.yml",
    ];
    for path in obeyed {
        assert_asked(&[
            &format!("echo x > {path}"),
            &format!("tee sub/{path}"),
            &format!("cp x {path}"),
            &format!("sed -i s/a/b/ {path}"),
        ]);
    }
    assert_asked(&["cp sub/AGENTS.md .", "mv x/CLAUDE.md .", "split x .cursor", "ln -s x .windsurfrules"]);
    assert_asked(&["echo x > AGENTS.m?", "echo x > A*.md", "sed -i s/a/b/ CLAUDE*", "echo x > sub/mise.t*"]);
    assert_allowed(&["sed -i s/a/b/ src/*.rs", "echo x > b*.txt"]);
    assert_allowed(&["cat AGENTS.md", "git add CLAUDE.md", "git diff AGENTS.md", "echo x > agents.txt"]);
    for path in [".gitattributes", ".github/workflows/ci.yml", ".yarnrc.md", "config/any", ".editorconfig"] {
        assert_allowed(&[&format!("echo x > {path}")]);
    }
    assert_asked(&[
        "cat .codex/auth.json",
        "cat .m2/settings.xml",
        "cat x/.gradle/gradle.properties",
        "cat .vault-token",
        "cat .boto",
    ]);
}

#[test]
fn what_is_denied_is_denied_wherever_it_stands() {
    let denied = ["sudo ls", "/usr/bin/sudo ls", r"\sudo ls", "'su'do ls", "mkfs.ext4 /dev/x", "x=1 sudo ls"];
    for command in denied {
        for text in [
            command.to_owned(),
            format!("ls | {command}"),
            format!("{command} | ls"),
            format!("ls; {command}"),
            format!("ls && {command} || ls"),
            format!("( ls; {command} )"),
            format!("{{ {command}; }}"),
            format!("! {command}"),
            format!("{command} &"),
            format!("{command} > x"),
            format!("if ls; then {command}; else ls; fi"),
            format!("if {command}; then ls; fi"),
            format!("for i in 1 2; do {command}; done"),
            format!("while ls; do {command}; done"),
            format!("case x in x) {command};; esac"),
            format!("f() {{ {command}; }}; f"),
            format!("ls $(x); {command}"),
            format!("cat <<E\nx\nE\n{command}"),
        ] {
            assert_eq!(decide(&text).unwrap().0, Decision::Deny, "{text}");
        }
    }
}

#[test]
fn rules_of_the_host() {
    let policy = CommandPolicy::default()
        .rule(CommandRule::new(["make"], Decision::Allow))
        .rule(CommandRule::new(["make", "deploy"], Decision::Deny).justification("releases are for people"))
        .rule(CommandRule::new(["make", "install"], Decision::Ask))
        .rule(CommandRule::new(["ls"], Decision::Deny))
        .rule(CommandRule::new(["sudo", "true"], Decision::Allow));
    let decided = |text: &str| judge(&policy, text).map(|v| (v.decision, v.rule, v.reason)).unwrap();
    assert_eq!(decided("make all").0, Decision::Allow);
    let denied = (Decision::Deny, "rule 2: make deploy".to_owned(), "releases are for people".to_owned());
    assert_eq!(decided("make deploy"), denied, "the strictest holds, whatever the order");
    assert_eq!(decided("make all | make deploy"), denied);
    assert_eq!(decided("make install").0, Decision::Ask);
    assert_eq!(decided("ls").0, Decision::Deny, "a rule is stronger than what is known");
    assert_eq!(decided("/bin/ls").0, Decision::Deny, "by its path as well");
    assert_eq!(decided("sudo true").0, Decision::Allow);
    assert_eq!(decided("sudo ls").0, Decision::Deny);
    assert_eq!(
        decided("./make").0,
        Decision::Ask,
        "a rule that allows a name does not allow any file of that name"
    );
    assert_eq!(decided("make $x").0, Decision::Ask, "it may become what is refused");
    assert_eq!(decided("make all $x").0, Decision::Allow);
    assert_eq!(decided("make $(x)").0, Decision::Ask);
    assert_eq!(decided("timeout 5 make deploy").0, Decision::Deny, "within a wrapper");
    assert_eq!(decided("$make").0, Decision::Ask);
    let parts = judge(&policy, "make a; make deploy > ../x").unwrap().parts;
    assert_eq!(
        parts.iter().map(|part| part.part.as_str()).collect::<Vec<_>>(),
        ["make a", "make deploy", "> ../x"]
    );
}

#[test]
fn an_empty_prefix_made_in_code_matches_nothing() {
    let policy = CommandPolicy::default().rule(CommandRule::new(Vec::<String>::new(), Decision::Allow));
    assert_eq!(judge(&policy, "rm -rf x").unwrap().decision, Decision::Ask);
}

#[test]
fn a_default_of_deny_denies_everything_that_is_not_known() {
    let mut policy = CommandPolicy::default();
    policy.default = UnknownCommand::Deny;
    for text in ["make", "$x", "ls $(x)", "sort -o /x y", "coproc ls", "f() { make; }"] {
        assert_eq!(judge(&policy, text).unwrap().decision, Decision::Deny, "{text}");
    }
    assert_eq!(judge(&policy, "ls | wc -l").unwrap().decision, Decision::Allow);
}

#[test]
fn deceptive_text_is_asked() {
    let rule = "deceptive text";
    assert_all(
        Decision::Ask,
        rule,
        &["ls a\u{202e}b", "ls a\u{200b}b", "ls \u{feff}", "ls 'a\u{2066}b'", "ls a\rb"],
    );
    assert_all(Decision::Ask, rule, &["ls 'a\u{1b}[2Kb'", "ls a\u{a0}b", "ls '\u{3164}'", "ls \u{e0041}"]);
    let argv = CommandRequest::argv(["ls", "a\u{202e}b"]);
    assert_eq!(CommandPolicy::default().judge(&argv).unwrap().rule, rule);
    let env = CommandRequest::shell("ls").env("LANG", "a\u{202e}b");
    assert_eq!(CommandPolicy::default().judge(&env).unwrap().rule, rule);
    assert_allowed(&["ls 'größe'", "echo 日本語"]);
}

#[test]
fn what_no_shell_would_run_is_refused() {
    let long = "x".repeat(65 << 10);
    for text in [
        "",
        " ",
        "# only a comment",
        "\\\n",
        "'open",
        "\"open",
        "ls |",
        "&& ls",
        "( ls",
        "ls )",
        r"ls \",
        r"ls \\\",
        "ls <2>x",
        "ls\0",
        &long,
    ] {
        let error = judge(&CommandPolicy::default(), text).unwrap_err().to_string();
        assert!(error.starts_with("the command was not understood: ") && !error.contains('\n'), "{error}");
    }
    for words in [vec![], vec![""], vec!["ls", "a\0b"]] {
        assert!(CommandPolicy::default().judge(&CommandRequest::argv(words)).is_err());
    }
}

mod files {
    use super::*;

    fn load(name: &str, text: &str) -> Result<CommandPolicy, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        CommandPolicy::load(&path).map_err(|error| error.to_string().replace(path.to_str().unwrap(), "FILE"))
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = load(
            "p.toml",
            "default = \"deny\"\n[[rules]]\nprefix = [\"make\", \"test\"]\ndecision = \"allow\"\npure = true\n\
             justification = \"tests\"\nmatch = [\"make test x\", \"ls | make test\"]\nnot_match = [\"make\"]\n",
        );
        let json = load(
            "p.json",
            r#"{"default": "deny", "rules": [{"prefix": ["make", "test"], "decision": "allow", "pure": true,
                "justification": "tests", "match": ["make test x", "ls | make test"], "not_match": ["make"]}]}"#,
        );
        assert_eq!(toml, json);
        let policy = toml.unwrap();
        assert_eq!(policy.default, UnknownCommand::Deny);
        let verdict = judge(&policy, "make test").unwrap();
        assert!(verdict.decision == Decision::Allow && verdict.pure);
        assert_eq!(load("p.toml", "").unwrap(), CommandPolicy::default());
    }

    #[test]
    fn a_mistake_is_placed_and_blocks() {
        let rule = "[[rules]]\nprefix = [\"a\"]\ndecision = \"allow\"\n";
        let cases: [(&str, &str, String, &str); 12] = [
            ("p.toml", "line", "default = \n".into(), "FILE: line 1 column 1"),
            (
                "p.toml",
                "decision",
                rule.replace("allow", "alow"),
                "FILE: line 3 column 12: unknown variant `alow`",
            ),
            (
                "p.toml",
                "field",
                format!("{rule}excuse = 1\n"),
                "FILE: line 4 column 1: unknown field `excuse`",
            ),
            (
                "p.toml",
                "top field",
                "defaults = \"ask\"\n".into(),
                "FILE: line 1 column 1: unknown field `defaults`",
            ),
            (
                "p.toml",
                "default",
                "default = \"allow\"\n".into(),
                "FILE: line 1 column 11: unknown variant `allow`",
            ),
            (
                "p.toml",
                "match",
                format!("{rule}match = [\"b\"]"),
                "FILE: rule 1 (a): it does not match its example \"b\"",
            ),
            (
                "p.toml",
                "not",
                format!("{rule}{rule}not_match = [\"a b\"]"),
                "FILE: rule 2 (a): it matches its example \"a b\"",
            ),
            (
                "p.toml",
                "example",
                format!("{rule}match = [\"a |\"]"),
                "FILE: rule 1 (a): example \"a |\" is not understood",
            ),
            ("p.toml", "prefix", rule.replace("[\"a\"]", "[]"), "FILE: rule 1: the prefix is empty"),
            ("p.toml", "prefix", rule.replace("\"a\"", "\"\""), "FILE: rule 1: the prefix is empty"),
            (
                "p.json",
                "json",
                "{\n \"rules\": 1}".into(),
                "FILE: invalid type: integer `1`, expected a sequence at line 2 column",
            ),
            ("p.yaml", "name", rule.into(), "FILE: the name must end in .toml or .json"),
        ];
        for (name, what, text, expected) in cases {
            let error = load(name, &text).unwrap_err();
            // Where the value is missing, the parser may point before or behind the gap.
            let expected = if what == "line" { "FILE: line " } else { expected };
            assert!(error.starts_with(expected), "{what}: {error}");
            assert!(
                error.ends_with("commands stay blocked until it loads") && !error.contains('\n'),
                "{error}"
            );
        }
        let error = CommandPolicy::load("/missing/policy.toml").unwrap_err().to_string();
        assert!(error.starts_with("/missing/policy.toml: cannot be read: "), "{error}");
    }
}

/// Pieces that shell text is made of.
fn shell_text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "ls",
        "cat",
        "echo",
        "sudo",
        "rm",
        "a",
        "b",
        "-o",
        "x=1",
        " ",
        " ",
        " ",
        " ",
        "\n",
        "\t",
        ";",
        "&",
        "&&",
        "||",
        "|",
        "|&",
        "(",
        ")",
        "{ ",
        "}",
        "'",
        "\"",
        "\\",
        "$",
        "`",
        "$(",
        "${",
        "}",
        "$((",
        "))",
        "<",
        ">",
        ">>",
        "<<E\n",
        "E\n",
        "<<<",
        ">&",
        "2>",
        "&>",
        "<(",
        "if ",
        "then ",
        "fi",
        "for ",
        "in ",
        "do ",
        "done",
        "case ",
        "esac",
        "while ",
        "function ",
        "()",
        "[[ ",
        "]]",
        "!",
        "#",
        "*",
        "?",
        "[",
        "]",
        "~",
        "{a,b}",
        "1",
        "99999999999",
        "é",
        "=",
        "+=",
        "-",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(text in "\\PC{0,80}") {
        if let Err(error) = judge(&CommandPolicy::default(), &text) {
            prop_assert!(!error.to_string().contains("gave up"), "the parser panics");
        }
    }

    #[test]
    fn nothing_that_looks_like_shell_panics(text in shell_text()) {
        if let Err(error) = judge(&CommandPolicy::default(), &text) {
            prop_assert!(!error.to_string().contains("gave up"), "the parser panics");
        }
    }

    /// Refused text counts as the strictest of all.
    #[test]
    fn appending_a_command_never_makes_it_laxer(
        text in shell_text(),
        joint in prop::sample::select(vec!["; ", " | ", " && ", " || ", "\n"]),
        appended in prop::sample::select(vec!["ls", "cat x", "make", "sudo ls", "echo $x"]),
    ) {
        let policy = CommandPolicy::default();
        if let (Ok(before), Ok(after)) = (judge(&policy, &text), judge(&policy, &format!("{text}{joint}{appended}"))) {
            prop_assert!(after.decision >= before.decision, "{:?} then {:?}", before, after);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_holds_for_any_bytes_holds_for_shell_text(text in shell_text()) {
        exercise::validate(text.as_bytes());
    }

    #[test]
    fn what_holds_for_any_bytes_holds_for_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        exercise::validate(&bytes);
    }
}
