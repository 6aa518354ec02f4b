//! Names of secrets by a program's own patterns, and by what other commands make up.

use super::{assert_allowed, assert_asked};

#[test]
fn a_pattern_that_picks_out_a_secret_is_asked() {
    assert_asked(&[
        "rg -g '.e*' x",
        "rg -g '.en[v]' x",
        "rg -g '.??v' x",
        "rg -g '*.pem' x",
        "rg --iglob '.EN*' x",
        "rg -g '*.{pem,key}' x",
        "grep -r --include='.e*' x .",
        "grep -r --include='*.pem' x .",
        "grep -r --include='*.k?y' x .",
        "ag -G '\\.env$' x",
        "find . -iname '.E*' -exec cat {} +",
        "find . -regex './\\.en.' -exec cat {} +",
        "fd -H '^.env$' | xargs cat",
        "git grep '' -- '.en[v]'",
        "git log -p -- '.e*'",
        "git show HEAD -- '.e*'",
        "git diff HEAD~3 -- '*nv'",
        "git diff HEAD~3 -- ':(icase).ENV'",
        "git diff HEAD~3 -- ':/.e*'",
        "cat *.pem",
    ]);
}

#[test]
fn a_pattern_of_ordinary_names_is_allowed() {
    assert_allowed(&[
        "rg -g '*.json' x",
        "rg -g '*' x",
        "rg -g '*.{py,js}' x",
        "rg -g '!.env' x",
        "rg -g '.*' x",
        "rg -g '*test*' x",
        "rg -g 'key*' x",
        "grep -r --include='*.py' x .",
        "grep -r --include='*.[ch]' x .",
        "ag -G '\\.py$' x",
        "find . -name '*.py' -exec cat {} +",
        "find . -not -path '*/node_modules/*' -exec wc -l {} +",
        "find . -regex '.*\\.rs' -exec cat {} +",
        "fd '\\.py$' | xargs cat",
        "git grep x -- '*.py'",
        "git log -p -- 'src/*'",
        "git diff HEAD~3 -- ':!*.pem'",
        "git diff HEAD~3 -- ':/src'",
        "git ls-files '*.pem'",
        "cat *.md",
        "cat *.txt",
        "ls *.pem",
    ]);
}

#[test]
fn a_name_that_is_made_up_is_asked() {
    assert_asked(&[
        "cat $(printf .%s env)",
        "cat \"$(printf '\\x2fetc\\x2fshadow')\"",
        "x=$(printf '\\057etc/shadow'); cat $x",
        "printf -v x '%b' '\\057etc/shadow'; cat $x",
        "cat $(echo wodahs/cte/ | rev)",
        "cat $(expr substr x.env 2 4)",
        "cat $(seq -f '.%.0fenv' 1)",
        "cat $(jq -rn '\".e\"+\"nv\"')",
        "cat $(awk 'BEGIN{print \".e\" \"nv\"}')",
        "cat .$(echo env)",
        "cat $(echo .e)nv",
        "cat \"$(echo .e)$(echo nv)\"",
        "printf '.e%s' nv | xargs cat",
        "echo LmVudgo= | base64 -d | xargs cat",
        "echo .xenv | tr -d x | xargs cat",
        "echo .fnv | sed s/f/e/ | xargs cat",
        "cat $(dirname .env/x)",
        "printf 'HEAD:.%s' env | git cat-file --batch",
    ]);
}

#[test]
fn a_name_that_is_listed_is_allowed() {
    assert_allowed(&[
        "cat $(ls -t | head -1)",
        "cat $(git ls-files | grep md | sort | uniq)",
        "wc -l $(git diff --name-only)",
        "grep -rl x src | xargs wc -l",
        "find . -name '*.py' | xargs cat",
        "find . -name '*.py' | head -3 | xargs cat",
        "ls | awk '{print $1}' | xargs wc -l",
        "cat \"logs/$(date +%F).log\"",
        "cat \"logs/$(printf '%02d' 3).log\"",
        "cat \"logs/$(echo LmVudgo= | base64 -d).log\"",
        "cat src/$(echo main).rs",
        "printf '%s\\n' a.txt b.txt | xargs cat",
        "echo a.txt | xargs cat",
        "printf '%s\\0' a.txt | xargs -0 cat",
    ]);
}

/// A variable's part of a name is not what picks a secret out.
#[test]
fn a_name_with_a_part_that_varies_is_allowed() {
    assert_allowed(&[
        "for f in a b; do cat \"$f.txt\"; done",
        "for f in *.py; do wc -l \"$f\"; done",
        "for f in *; do wc -l \"$f\"; done",
        "for d in src/*/; do cat \"$d/main.rs\"; done",
        "cat src/*/*.rs",
        "head -3 a*",
    ]);
}

#[test]
fn a_name_that_is_put_together_in_other_ways_is_asked() {
    assert_asked(&[
        "cat `echo .e`nv",
        "cat $(printf '%s%s' .e nv)",
        "fd -g '.e*' -H | xargs cat",
        "cat $(echo -e '\\x2eenv')",
        "for f in $(echo vne. | rev); do cat $f; done",
        "cat < $(echo vne. | rev)",
        "cat $(echo 'x .env' | cut -d' ' -f2)",
        "head -c 99 $(base64 -d <<< LmVudgo=)",
        "cat $(cut -c2- <<< x.env)",
    ]);
}

#[test]
fn what_is_computed_for_something_else_is_allowed() {
    assert_allowed(&[
        "x=$(basename a/b.txt .txt); cat $x.md",
        "cat $(basename src/main.rs)",
        "n=$(expr 1 + 2); head -n $n a.txt",
        "ls | sed 's/a/b/' | xargs wc -l",
        "cat $(jq -r .main package.json)",
        "find . -name '*.c' | tr '\\n' ' ' | xargs wc -l",
    ]);
}
