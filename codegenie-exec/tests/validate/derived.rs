//! Files that get another name, another owner or another place than the words of a command say.

use super::{assert_allowed, assert_asked};
use codegenie_exec::{Class, CommandPolicy, CommandRequest, Decision, SandboxMode};

#[test]
fn a_name_that_a_program_makes_is_judged() {
    assert_asked(&[
        "cp -r x/.git .",
        "cp --parents x/.git/config .",
        "install x/.envrc .",
        "gunzip x/.envrc.gz",
        "xz -d sub/.git.xz",
        "unzstd .bashrc.zst",
        "split -a1 x sub/.gi",
        "split x .g",
        "split x rust-toolchai",
        "csplit -f sub/.en x 1",
        "csplit --prefix=mise.tom x 1",
        "sed --in-place=c s/a/b/ .envr",
        "sed -ic s/a/b/ .envr",
        "sed -ni.toml p mise",
        "sed -in p x",
        "sed -i.toml s/a/b/ mise",
        "install -S c a .envr",
    ]);
    assert_allowed(&[
        "cp -r x/src y",
        "gunzip x/data.gz",
        "split -l 100 big part-",
        "split big",
        "csplit -f part x 10",
        "sed -i.bak s/a/b/ x",
        "sed -i s/a/b/ x",
        "sed -ni p x",
        "sed -i~ s/a/b/ x",
    ]);
}

#[test]
fn permissions_that_lend_an_owner_are_asked() {
    assert_asked(&[
        "mkdir -m 4755 x",
        "mkdir -m2755 x",
        "mkdir --mode=u+s x",
        "mkdir -m 06000 x",
        "install -m 4755 a b",
        "install -m u=rwxs a b",
        "install --mode=6755 a b",
        "mkfifo -m $m x",
    ]);
    assert_allowed(&["mkdir -m 755 x", "mkdir -m 1777 x", "install -m 0644 a b", "install -m u=rw,go=r a b"]);
}

#[test]
fn a_copy_of_what_lies_elsewhere_lends_no_owner() {
    assert_asked(&[
        "cp --preserve=mode /usr/bin/sudo x",
        "cp --preserve=timestamps,mode /usr/bin/sudo x",
        "cp --preserve=all ../x y",
        "cp --pres=mo /usr/bin/sudo x",
        "cp --preserve /usr/bin/sudo x",
        "cp --archive /usr/bin x",
        "cp --arch /usr/bin x",
        "cp -a /usr/bin/sudo x",
        "cp -pv /usr/bin/sudo x",
        "cp -rp ~/x y",
        "cp -p $x y",
        "cp -pt x /usr/bin/sudo",
        "gcp -p /usr/bin/sudo x",
        "busybox cp -p /bin/su x",
        "find /usr/bin -exec cp -p {} x \\;",
        "cd /usr/bin && cp -p sudo /tmp/x",
        "install -m 4755 a b",
        "install -Dm 6755 a b",
        "install -m u+s a b",
        "rsync -p /usr/bin/sudo x",
        "rsync -a /usr/bin/sudo x",
        "rsync --chmod=u+s a b",
    ]);
    assert_allowed(&[
        "cp -p a b",
        "cp -a src copy",
        "cp --preserve=timestamps /usr/share/x y",
        "cp -r /usr/share/x y",
        "cp -a /tmp/x y",
        "install -p -m 755 a b",
    ]);
    let mut policy = CommandPolicy::default();
    policy.sandbox_mode = SandboxMode::DangerFullAccess;
    for text in
        ["rsync -p /usr/bin/sudo x", "rsync -rlp host:x y", "scp -p host:x y", "cp -p /usr/bin/sudo x"]
    {
        assert_eq!(policy.judge(&CommandRequest::shell(text)).unwrap().decision, Decision::Ask, "{text}");
    }
}

#[test]
fn what_a_program_works_on_lies_within_the_workspace() {
    assert_asked(&[
        "terraform fmt ../..",
        "codespell -w ../x",
        "codespell -w /home/x",
        "codespell -w $y/x",
        "git add ../x",
        "cd sub && git add ../../x",
        "git -C .. add x",
        "git -C /srv/other add x",
        "git -C ~ stash push",
        "git -C .git/modules/x add y",
        "git -C $d add x",
        "git mv x .envrc",
        "codespell -w .envrc",
        "cp -P /proc/self/root r",
        "cp -a /proc/self/cwd r",
        "cp -d /dev/fd/0 r",
        "cp -r ////proc/1 r",
    ]);
    assert_allowed(&[
        "terraform fmt modules",
        "codespell src",
        "git add .",
        "git add src/x",
        "git -C sub status",
        "git -C sub add x",
        "git -C ../other log",
        "cat /proc/cpuinfo",
        "cp /usr/share/x y",
    ]);
}

#[test]
fn a_package_is_what_the_service_has() {
    assert_asked(&[
        "npm view github:a/b",
        "npm view x@gitlab:a/b",
        "npm view git+ssh://a/b",
        "npm info file:x",
    ]);
    assert_allowed(&["npm view left-pad", "npm view @scope/name version"]);
}

#[test]
fn options_before_a_subcommand_do_not_hide_it_from_rules() {
    let policy = CommandPolicy::from_toml(
        "[[rules]]\nprefix = ['git', 'push']\ndecision = 'deny'\n\
         [[rules]]\nprefix = ['git', 'log']\ndecision = 'ask'\n\
         [permissions]\ndeny = ['Bash(npm publish:*)']\n",
    )
    .unwrap();
    let decide = |text: &str| policy.judge(&CommandRequest::shell(text)).unwrap().decision;
    for text in [
        "git push",
        "git -C x push",
        "git -C x --no-pager push origin",
        "git --git-dir=x push",
        "git -c a.b=c -c d.e=f push",
        "env git -p push",
        "npm --silent publish",
        "npm --prefix x publish --tag y",
    ] {
        assert_eq!(decide(text), Decision::Deny, "{text}");
    }
    for count in [1, 16, 64, 65, 1000] {
        assert_eq!(decide(&format!("git {}push", "--no-pager ".repeat(count))), Decision::Deny, "{count}");
        assert_eq!(decide(&format!("git {}push", "-C x ".repeat(count))), Decision::Deny, "{count}");
    }
    assert_eq!(decide("npm +x publish"), Decision::Deny);
    assert_eq!(decide("git --no-pager log"), Decision::Ask);
    assert_eq!(decide("git --no-pager diff push"), Decision::Allow);
    // What allows is taken by its words.
    let policy = CommandPolicy::from_toml("[[rules]]\nprefix = ['x', 'y']\ndecision = 'allow'\n").unwrap();
    let decide = |text: &str| policy.judge(&CommandRequest::shell(text)).unwrap().decision;
    assert_eq!(decide("x y"), Decision::Allow);
    assert_eq!(decide("x -C / y"), Decision::Ask);
}

/// What lies in a folder need not be seen in the words that copy it.
#[test]
fn a_copy_of_all_that_a_folder_holds_is_asked() {
    assert_asked(&[
        "cp e/.* .",
        "cp -r e/.* .",
        "cp -r e/.[a-z]* .",
        "cp -r e/.[!.]* .",
        "cp e/.e* .",
        "cp -r e/.gi? .",
        "cp -r e/. .",
        "cp -a e/./ .",
        "cp -R e/.. .",
        "cp -r . x",
        "cp -rT e .",
        "cp -r --no-target-directory e .",
        "cp -r --no-t e .",
        "cp -rt . e/.",
        "cp -r --target-directory=. e/.*",
        "cp -r \"$x\"/. .",
        "x=e/.; cp -r $x .",
        "x=e/.git; cp -r $x .",
        "for f in e/.*; do cp -r $f .; done",
        "cp -r e/{.git,x} .",
        "install e/.* .",
        "mv e/.e* .",
        "find e -exec cp -r {} . \\;",
        "find e -name '.*' -exec cp -r {} . \\;",
        "find e -name '.env*' -exec env cp {} . \\;",
        "find e -iname '.ENVR*' -exec cp -t . {} +",
        "find e -name a -o -name .envrc -exec cp {} . \\;",
        "find e ! -name '*.txt' -exec install {} . \\;",
        "git mv e/.* .",
    ]);
    assert_allowed(&[
        "cp -r e f",
        "cp -r src/* dst",
        "cp e/*.txt .",
        "cp -t dst a b",
        "find . -name '*.txt' -exec cp {} dst \\;",
        "find . -iname '*.JPG' -exec cp -t dst {} +",
        "mv a b dst/",
        "mv e/*.txt .",
        "cp .gitignore .dockerignore dst",
        "for f in a b; do cp $f dst; done",
    ]);
}

#[test]
fn emptying_a_file_destroys_it() {
    for text in [
        "cp /dev/null a",
        "cp -f /dev/null src/main.rs",
        "cp -t src /dev/null",
        "mv /dev/null a",
        "install /dev/null a",
        "x=/dev/null; cp $x a",
        "cat /dev/null > a",
        "git stash push -a",
        "git stash push --all",
        "git stash push -u",
        "git stash save -a",
    ] {
        let verdict = CommandPolicy::default().judge(&CommandRequest::shell(text)).unwrap();
        assert_eq!((verdict.decision, verdict.class), (Decision::Ask, Class::Destroys), "{text}");
    }
    assert_allowed(&["cat /dev/null", "cat a > b", "git stash push", "git stash push -m x"]);
}
