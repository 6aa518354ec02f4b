//! What the table of programs does not state asks: options, further operands, files of options.

use super::{assert_allowed, assert_asked};

#[test]
fn an_option_that_is_not_stated_asks() {
    assert_asked(&[
        "file --frobnicate a",
        "file -Y a",
        "rg --frobnicate x",
        "tree --frobnicate",
        "diff --frobnicate a b",
        "git log --frobnicate",
        "git status --frobnicate=x",
        "git ls-files -Y",
        "kubectl get pods --frobnicate",
        "docker ps --frobnicate",
        "gh pr list --frobnicate x",
        "aws ec2 describe-instances --frobnicate",
        "apt list --frobnicate",
        "objdump --frobnicate a",
        "journalctl --frobnicate",
        "systemctl status --frobnicate x",
        "jq --frobnicate . a",
        "csvlook --frobnicate a",
        // Abbreviated, it is not what was looked up.
        "file --mime-typ a",
    ]);
    assert_allowed(&[
        "file --mime-type -b a",
        "rg --hidden -n -C3 x src",
        "tree -a -L 2 --dirsfirst",
        "diff -ru5 a b",
        "git log -5 --oneline --graph --author=x --since=yesterday",
        "git status --porcelain=v2 -uno",
        "kubectl get pods -A -o wide --show-labels",
        "docker ps -a --no-trunc",
        "gh pr list --state open --limit 5 --json title",
        "aws ec2 describe-instances --instance-ids i-1 --output json",
        "apt list --installed",
        "objdump -d --no-show-raw-insn -M intel a",
        "journalctl -u nginx -n 10 --no-pager",
        "systemctl status --no-pager x",
        "jq -r --arg name x '.[$name]' a",
    ]);
}

/// Those of programs in Go, Java or Tcl: one dash before a long name, its value behind `=` or in the next word.
#[test]
fn a_long_option_with_one_dash_is_no_cluster() {
    assert_asked(&[
        "gofmt -cpuprofile=./x -l .",
        "gofmt -l -cpuprofile ./x .",
        "actionlint -shellcheck=./x",
        "actionlint -shellcheck ./x a.yml",
        "go vet -vettool=./x ./...",
        "csearch -cpuprofile=/etc/x foo",
        "csearch -cpuprofile /etc/x foo",
        "terraform fmt -write=true .",
        "terraform fmt -recursive",
        "ffprobe -frobnicate x a.mp4",
        "javap -frobnicate x A",
        "duf -frobnicate",
        "nomad status -ca-path=./x",
        "nomad job status -address http://x y",
    ]);
    assert_allowed(&[
        "gofmt -l .",
        "csearch -i -f go foo",
        "terraform fmt -check modules",
        "ffprobe -hide_banner -v error -show_entries format=duration a.mp4",
        "javap -c -p A",
        "duf -json",
        "nomad job status -json x",
    ]);
}

#[test]
fn an_operand_that_is_not_stated_asks() {
    assert_asked(&[
        "pogrep --search x in out",
        "pepstats a x",
        "qprint -e in out",
        "youplot bar --pass /etc/x",
        "mmencode -o /etc/x a",
        "mmencode a b",
        "appstream-util convert a b",
        "pdftotext -f 1 -l 2 a /etc/x",
        "pdftotext -layout a ../x",
        "csearch foo bar",
        "consolemd a b",
        "youplot bar a b c",
        "pesec a b",
        "jacksum -o x a",
        "jacksum -u /etc/x a",
        "cramfsck -x d a",
        "diff a b c",
        "zdiff a b c",
        "gdiff -l a b",
        "h5stat a b",
        "gh config get a b c d",
        "git check-ref-format a b",
        "yj a",
    ]);
    assert_allowed(&[
        "qprint -e in",
        "pdftotext -f 1 -l 2 a b.txt",
        "pdftotext -layout a -",
        "consolemd a",
        "jacksum -a crc32 a b",
        "diff a b",
        "nm a.o b.o",
        "objdump -d src/*.o",
        "file a b c",
        "dpkg -L a b",
        "apt show a b",
        "kubectl get pod a b",
        "docker inspect a b",
        "git diff a b -- c d",
        "systemctl status a b",
        "aws ec2 describe-instances --instance-ids i-1 i-2 i-3",
    ]);
}

/// A word that begins with `@` names a file of more options to programs of many kinds.
#[test]
fn a_file_of_options_asks() {
    assert_asked(&[
        "nm @x",
        "nm -A @x",
        "nm -- @x",
        "nm @$x",
        "nm @*",
        "nm -- \"@$x\"",
        "f=@x; nm $f",
        "for f in @x; do nm $f; done",
        "find @x -exec nm {} +",
        "env nm @x",
        "readelf -a @x",
        "size @x",
        "objdump -M @x a",
        "csvlook @x",
        "yamllint -d @x a",
        "pycodestyle @x",
        "javap @x",
        "pip show @x",
        "bandit -r @x",
        "kubectl get @x",
    ]);
    assert_allowed(&[
        "git diff @ @{u}",
        "git show @~1",
        "git log --format=%h @",
        "npm view @scope/x",
        "npm ls @types/node",
        "gh pr list --author @me",
        "date -d @0",
        "date --date @0",
        "rg @todo src",
        "rg -e @todo src",
        "grep @x a",
        "echo @x",
        "jq -r @csv a",
        "mkdir @types",
        "c++filt @x",
        "find . -name '@*' -exec nm {} +",
        "for f in *.o; do nm \"./$f\"; done",
    ]);
}

#[test]
fn formats_that_check_signatures_run_a_program() {
    assert_asked(&[
        "git log --format=%G?",
        "git log --format='%h %GK'",
        "git show -s --pretty=format:%GF",
        "git log --pretty='%GG'",
        "git for-each-ref --format='%(signature)'",
        "git for-each-ref --format '%(signature:grade)'",
        "git branch --format='%(signature:key)'",
        "git tag --list '--format=%(signature)'",
        "git log --format=\"$x\"",
    ]);
    assert_allowed(&[
        "git log --format=%h",
        "git log --format='%h %an %s'",
        "git log --pretty=oneline",
        "git log --pretty HEAD",
        "git for-each-ref --format='%(refname)'",
        "git branch --format '%(refname:short)'",
    ]);
}

#[test]
fn what_the_environment_holds_is_asked_about() {
    assert_asked(&[
        "jq -n env",
        "jq -n '$ENV'",
        "jq -n '$ENV.HOME'",
        "jq -n 'env.HOME'",
        "jq -n '{a: env}'",
        "jq -n '\"\\(env)\"'",
        "jq -n --arg x y env",
        "jq -n --arg -r x env",
        "jq -n \"env|$x\"",
        "x=env; jq -n \"$x\"",
        "x=env; yq -n \"$x\"",
        "gojq -n env",
        "gh pr list --json title --jq env",
        "gh pr list -q '$ENV.HOME'",
        "yq 'env(HOME)' a.yml",
        "yq '.a = strenv(HOME)' a.yml",
        "yq e '.a = load(\"b\")' a.yml",
        "yq '.a = load_str(\"b\")' a.yml",
        "yq '.a = system(\"id\")' a.yml",
        "yq '.a |= envsubst' a.yml",
        "yq -n env",
        "awk 'BEGIN { print ENVIRON[\"HOME\"] }'",
        "envsubst < a",
    ]);
    assert_allowed(&[
        "jq .env a",
        "gh pr list --json title --jq '.[].title'",
        "jq '.environment' env.json",
        "jq '{env: .x}' a",
        "jq --arg x y '.[$x]' a",
        "yq .env a.yml",
        "yq '.environment.name' env.yml",
        "yq '.load' loads.yml",
        "yq e .a a.yml",
        "awk '{ print $1 }' a",
    ]);
}

/// Through what they are told, or what the project holds.
#[test]
fn programs_that_reach_further_than_their_words() {
    assert_asked(&[
        "eximstats a",
        "exigrep x a",
        "cargo version",
        "cargo locate-project",
        "cargo read-manifest",
        "go version",
        "go list ./...",
        "go mod graph",
        "go mod why x",
        "hg status",
        "hg log",
        "jj log",
        "darcs log",
        "p4 info",
        "helm list --repo https://x",
        "helm --repo https://x list",
        "helm get values x",
        "ffprobe tcp:host:1",
        "ffprobe http:host/x",
        "ffprobe -i rtmp:host",
        "ffprobe 'concat:a|http:x'",
        "ffprobe -f lavfi a",
        "kubeconform a.yml",
        "gopass show x",
        "lpass show x",
        "pass show x",
        "oc whoami -t",
        "docker compose config",
        "kubectl config view --raw",
        "codespell -w a",
        "ruff check",
        "ruff check src",
        "ruff check --no-fix --fix src",
        "aws ec2 describe-instances --filters file://.env",
        "aws ec2 describe-instances --filters=http://x/y",
        "git blame -n .env",
        "git blame -l .env",
        "jo x=@.env",
        "mv a /tmp/a",
        "mv -t /tmp/d a",
        "mv a b /tmp/",
        "mv README.md /dev/null",
        "cp -f a /dev/null",
        "jsonnet -e 'importstr \".env\"'",
        "jsonnet --ext-code 'x=importstr \".env\"' a.jsonnet",
        "rustup show",
        "cargo --version",
        "tofu state list",
        "tofu output",
        "hledger balance",
        "mmd README.md",
        "cp -P /srv/x y",
        "cp -d /srv/x y",
        "cp -a /srv/x y",
    ]);
    assert_allowed(&[
        "helm list -A",
        "ffprobe a.mp4",
        "kubectl config view",
        "docker compose ps",
        "codespell a b",
        "ruff check --no-fix src",
        "ruff check --diff .",
        "mv a b",
        "jsonnet a.jsonnet",
        "tofu version",
        "mv /tmp/a /tmp/b",
        "mv /tmp/a b",
        "cp a /tmp/a",
        "cp -P a b",
        "cp -a a b",
    ]);
}
