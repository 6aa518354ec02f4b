//! Secrets by a name that the shell puts together, and connections by a file's name.

use super::{assert_allowed, assert_asked, decide};
use codegenie_exec::{CommandPolicy, CommandRequest, Decision};

#[test]
fn a_redirection_from_what_is_not_known_is_asked() {
    assert_asked(&[
        "x=/dev/tcp/1.1.1.1/80; cat < $x",
        "x=/dev/tcp/1.1.1.1/80; cat < \"$x\"",
        "x=/dev/tcp/1.1.1.1/80; cat < ${x}",
        "for x in a /dev/tcp/1.1.1.1/80; do cat < $x; done",
        "d=/dev; cat < $d/tcp/1.1.1.1/80",
        "d=/dev p=tcp; cat < \"$d/$p/1.1.1.1/80\"",
        "d=/dev; e=$d/tcp; cat < $e/1.1.1.1/80",
        "export x=/dev/tcp/1.1.1.1/80; cat < $x",
        "read x; cat < $x",
        "cat < $x",
        "cat < \"$HOME/x\"",
        "cat < $(echo x)",
        "x=a; x=/dev/tcp/1.1.1.1/80; cat < $x",
        "x=/dev/tc; x+=p/1.1.1.1/80; cat < $x",
        "x=/dev/tcp/1.1.1.1/80 bash -c 'cat < $x'",
        "x=/dev/tcp/1.1.1.1/80; exec 3< $x",
        "x=/etc/shadow; cat < $x",
        "x=/etc; cat < $x/shadow",
        "f() { cat < $1; }; f /dev/tcp/1.1.1.1/80",
    ]);
    assert_allowed(&[
        "x=a.txt; cat < $x",
        "x=a; wc -l < \"src/$x.txt\"",
        "for f in a b; do wc -l < $f; done",
        "for i in {1..3}; do wc -l < part$i; done",
        "cat < a",
    ]);
    let request = CommandRequest::shell("cat < $x").env("x", "/dev/tcp/1.1.1.1/80");
    assert_eq!(CommandPolicy::default().judge(&request).unwrap().decision, Decision::Ask);
}

#[test]
fn a_secret_by_what_the_shell_makes_is_asked() {
    assert_asked(&[
        "x=/etc/shadow; cat $x",
        "x=/etc; cat $x/shadow",
        "a=/et; b=c/sha; cat $a${b}dow",
        "x=/etc; y=$x/shadow; cat \"$y\"",
        "for d in /var /etc; do cat $d/shadow; done",
        "cat /et*/shadow",
        "cat /e?c/shadow",
        "cat /[e]tc/shadow",
        "cat /*/shadow",
        "cat /e{tc,x}/shadow",
        "cat /e''t*/'sha'dow",
        "cat /$(echo etc)/shadow",
        "cat $'/\\x65tc/shadow'",
        "cat /etc$x/shadow",
        "cat /usr/../etc/shadow",
        "cat ~/.ss*/id*",
        "cat ~/.*/id*",
        "cat ~/.net*",
        "cat $HOME/.s*/id*",
        "cat \"$HOME\"/.s*/id*",
        "cat .ss*/config",
        "cat id_*",
        "cd /; cat etc/shadow",
        "cd /; cat et*/shadow",
        "cd /etc; cat hostname",
        "cd /etc && cat *",
        "cd / && cd etc && cat shadow",
        "cd $x; cat shadow",
        "cd ~; cat .ss*/x",
        "cd ..; cat etc/shadow",
        "pushd /; cat etc/shadow",
        "find /et* -name x",
        "grep x < /etc/../etc/shadow",
    ]);
    assert_allowed(&[
        "cat *",
        "cat *.json",
        "cat src/*.{js,ts}",
        "cat src/*/mod.rs",
        "ls -d .*",
        "cd src && cat *.rs",
        "cd src; cat main.rs",
        "cd /tmp && cat x",
        "cat $dir/*.rs",
        "for f in *.rs; do wc -l $f; done",
        "for d in src tests; do ls $d/*; done",
        "x=src; cat $x/main.rs",
        "cat ~/notes/*",
        "echo $PWD",
        "ls $HOME",
    ]);
    assert!(decide("cat a").is_some());
    let request = CommandRequest::shell("cat environ").cwd("/proc/self");
    assert_eq!(CommandPolicy::default().judge(&request).unwrap().decision, Decision::Ask);
}

/// What a project keeps for itself is a person's to show; its name, and an example of it, are anybody's.
#[test]
fn what_a_project_keeps_secret_is_asked() {
    assert_asked(&[
        "cat .env",
        "cat ./.env",
        "cat app/.env.local",
        "head -5 .env.production",
        "grep KEY .env",
        "grep -n x config/prod.env",
        "sed -n 1,5p .env",
        "awk '{print $1}' .env",
        "cat < .env",
        "while read l; do echo $l; done < .env",
        "f=.env; cat $f",
        "f=.env; cat < $f",
        "for f in .env .env.test; do cat \"$f\"; done",
        "cat .env*",
        "cat .e*",
        "cat .ENV",
        "cat src/../.env",
        "cd app && cat .env",
        "git show HEAD:.env",
        "git diff .env",
        "cp .env x",
        "cp .env a/ b/",
        "mv .env x",
        "diff .env .env.example",
        "base64 .env",
        "xxd server.key",
        "cat certs/privkey.pem",
        "cat tls/server-key.pem",
        "strings store.jks",
        "cat config/credentials.json",
        "jq . service-account-prod.json",
        "cat secrets.yaml",
        "cat *.key",
        "cat terraform.tfstate",
        "cat .htpasswd",
    ]);
    assert_allowed(&[
        "cat .env.example",
        "cat .env.sample",
        "diff .env.dist .env.template",
        "cp .env.example .env",
        "touch .env",
        "echo .env >> .gitignore",
        "echo 'copy .env first'",
        "ls -la .env",
        "test -f .env",
        "[ -f .env ]",
        "stat .env.local",
        "git check-ignore .env",
        "find . -name '.env*'",
        "grep -rn process.env src",
        "grep -rn config.key src",
        "jq .tls.key x.json",
        "cat cert.pem",
        "cat src/secrets.rs",
        "cat environment.ts",
        "cat .envoy.yaml",
        "cat *",
        "cat *.json",
        "cat $x.txt",
    ]);
}
