//! What the validator allows, run: commands made of the tables' own programs, options and of others that they do not
//! list, in a copy-on-write copy of a small home with a project in it. What is judged to only read changes nothing there;
//! what is judged to work within the workspace changes nothing beside it, and nothing that other programs trust. What is
//! judged to need no network looks for no way to another machine, and no file with secrets is shown by its name.
//!
//! `CODEGENIE_SEED` names another seed than the fixed one, `CODEGENIE_RUNS` how many of the allowed commands are run.

#![cfg(all(target_os = "linux", feature = "native", feature = "executor"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use codegenie_exec::{
    Class, CommandPolicy, CommandRequest, CowErrorKind, CowLimits, CowWorkspace, Decision, Layer,
    NativeSandbox, Sandbox, SandboxPolicy, SandboxRequest,
};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TABLES: [&str; 12] = [
    include_str!("../src/validate/knowledge/core.table"),
    include_str!("../src/validate/knowledge/text.table"),
    include_str!("../src/validate/knowledge/files.table"),
    include_str!("../src/validate/knowledge/shell.table"),
    include_str!("../src/validate/knowledge/system.table"),
    include_str!("../src/validate/knowledge/network.table"),
    include_str!("../src/validate/knowledge/packages.table"),
    include_str!("../src/validate/knowledge/vcs.table"),
    include_str!("../src/validate/knowledge/develop.table"),
    include_str!("../src/validate/knowledge/inspect.table"),
    include_str!("../src/validate/knowledge/services.table"),
    include_str!("../src/validate/knowledge/tail.table"),
];

/// Builtins of the shell, which are on no path.
const BUILTINS: [&str; 8] = ["printf", "echo", "test", "[", "read", "cd", "mapfile", "type"];

/// What is tried beside what a table lists: what writes, runs or deletes in some program or other.
const TRIED: [&str; 34] = [
    "-o new.txt",
    "-o ../new.txt",
    "-onew.txt",
    "--output=new.txt",
    "--output new.txt",
    "--out new.txt",
    "-w new.txt",
    "-w",
    "-O new.txt",
    "-f new.txt",
    "-d new",
    "-D",
    "-i",
    "-I",
    "-e new.txt",
    "-c new.txt",
    "-C new.txt",
    "-p new",
    "-s",
    "-t new.txt",
    "-T new.txt",
    "-l new.txt",
    "-x",
    "-z",
    "-u",
    "-r",
    "-n 1",
    "-k",
    "-a",
    "-b",
    "-m",
    "--log=new.txt",
    "--file=new.txt",
    "--dump=new.txt",
];

const OPERANDS: [&str; 24] = [
    "a.txt",
    "b.csv",
    "data.json",
    "src",
    "src/lib.rs",
    "new.txt",
    "archive.tar",
    "packed.gz",
    "../outside.txt",
    "../new.txt",
    ".",
    "1",
    "x",
    "+%s",
    "*.txt",
    "a.txt b.csv new.txt",
    ".env",
    "server.key",
    "*.key",
    "src/.env*",
    "credentials.json",
    "http://192.0.2.1/a",
    "192.0.2.1",
    "192.0.2.1:a.txt",
];

/// What stands around a command: directories, variables, loops, input and output, other shells.
const AROUND: [&str; 28] = [
    "cd src && {}",
    "(cd src; {})",
    "file=new.txt; {} $file",
    "file=../new.txt; {} \"$file\"",
    "for file in a.txt new.txt; do {} $file; done",
    "echo new.txt | xargs {}",
    "echo new.txt | {}",
    "{} | head -3",
    "{} > made.txt",
    "if {}; then echo yes; fi",
    "{ {}; } 2>/dev/null",
    "echo $({})",
    "{} <<E\nnew.txt\nE\n",
    "{} <<-'E'\n\tnew.txt\n\tE\n",
    "cat <<E | {}\nnew.txt\nE\n",
    "{ {}; } <<E > made.txt\nnew.txt\nE\n",
    "while read file; do {} $file; done <<E\nnew.txt\n../new.txt\nE\n",
    "{} <<< new.txt",
    "xargs {} <<< new.txt",
    "{} {out}> made.txt",
    "{in}< a.txt {}",
    "{ {}; } {out}>> made.txt",
    "eval '{}'",
    "exec {}",
    "trap '{}' EXIT; cat a.txt",
    "bash -c '{}'",
    "timeout 5 {}",
    "{} | less",
];

/// Files of a project that some program or other runs, or takes its settings from, where it starts. `RAN` is what they do.
const HOSTILE: [(&str, &str); 16] = [
    ("Makefile", "x := $(shell RAN)\nall:\n\tRAN\n"),
    (
        "package.json",
        r#"{"name":"a","version":"1.0.0","scripts":{"preversion":"RAN","test":"RAN","install":"RAN"}}"#,
    ),
    ("json.py", "import os; os.system('RAN')\n"),
    ("sitecustomize.py", "import os; os.system('RAN')\n"),
    ("conftest.py", "import os; os.system('RAN')\n"),
    ("setup.py", "import os; os.system('RAN')\n"),
    ("setup.cfg", "[metadata]\nname = a\n"),
    ("CMakeLists.txt", "execute_process(COMMAND sh -c \"RAN\")\n"),
    ("configure", "#!/bin/sh\nRAN\n"),
    ("Rakefile", "system('RAN')\n"),
    (".ackrc", "--pager=RAN\n"),
    (".pylintrc", "[MASTER]\ninit-hook=import os; os.system('RAN')\n"),
    (".eslintrc.js", "require('child_process').execSync('RAN')\n"),
    (".perltidyrc", "-b\n"),
    ("src/ls", "#!/bin/sh\nRAN\n"),
    ("src/HEAD", "ref: refs/heads/main\n"),
];

/// Files with secrets, and what stands in them.
const SECRETS: [&str; 4] = [".env", "server.key", "src/.env.local", "credentials.json"];
const PLANTED: &str = "planted-5ec2e7";

/// Runs a command line in a shell of its own, and says how often the kernel found no route to what was wanted: the sandbox's
/// network has nothing but a loopback, and counts for itself.
const COUNTED: &str =
    r#"bash -c "$1"; printf '\nCOUNTED\n' >&2; exec cat /proc/net/snmp /proc/net/snmp6 >&2"#;

/// What a command did.
struct Did {
    changed: Vec<PathBuf>,
    /// It looked for a way to another machine.
    connected: bool,
    /// It showed what a file with secrets holds.
    told: bool,
}

/// How often there was no route, by the tables of the network's counters.
fn without_route(counters: &str) -> u64 {
    let mut found = 0;
    let mut names: Vec<&str> = Vec::new();
    for line in counters.lines() {
        if let Some(count) = line.strip_prefix("Ip6OutNoRoutes") {
            found += count.trim().parse::<u64>().unwrap_or_default();
        }
        let Some(fields) = line.strip_prefix("Ip: ") else { continue };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        match names.iter().position(|name| *name == "OutNoRoutes") {
            Some(at) => found += fields[at].parse::<u64>().unwrap_or_default(),
            None => names = fields,
        }
    }
    found
}

/// Numbers from a seed, by xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.roll(things.len())]
    }
}

/// One use of a program: its name with subcommands, and what is listed of its options.
#[derive(Clone)]
struct Use {
    words: String,
    options: Vec<(String, String)>,
}

/// The uses of the programs that are installed here.
fn uses() -> Vec<Use> {
    let path = std::env::var("PATH").unwrap();
    let installed = |name: &str| {
        BUILTINS.contains(&name) || path.split(':').any(|dir| Path::new(dir).join(name).is_file())
    };
    let (mut uses, mut seen) = (Vec::new(), BTreeSet::new());
    for table in TABLES {
        let mut above: Vec<Vec<Use>> = Vec::new();
        for line in table.lines() {
            let depth = (line.len() - line.trim_start().len()) / 2;
            let mut words = line.split_whitespace();
            let Some(names) = words.next().filter(|names| !names.starts_with('#')) else { continue };
            let attributes: Vec<&str> = words.skip(1).collect();
            let listed: Vec<(String, String)> = attributes
                .iter()
                .filter_map(|attribute| attribute.rsplit_once(':'))
                .filter(|(options, _)| options.starts_with(['-', '+']))
                .flat_map(|(options, role)| options.split(',').map(|one| (one.to_owned(), role.to_owned())))
                .collect();
            above.truncate(depth);
            let names = names.split(',').filter(|name| !name.contains('*'));
            let here: Vec<Use> = match above.last() {
                None if depth == 0 => names
                    .filter(|name| installed(name) && seen.insert((*name).to_owned()))
                    .map(|name| Use { words: name.to_owned(), options: listed.clone() })
                    .collect(),
                None => Vec::new(),
                Some(parents) => {
                    let pairs = names.flat_map(|name| parents.iter().map(move |parent| (name, parent)));
                    pairs
                        .map(|(name, parent)| Use {
                            words: format!("{} {name}", parent.words),
                            options: [parent.options.clone(), listed.clone()].concat(),
                        })
                        .collect()
                }
            };
            uses.extend(here.iter().cloned());
            above.push(here);
        }
    }
    uses
}

fn command(one: &Use, dice: &mut Dice) -> String {
    let mut words = vec![one.words.clone()];
    for _ in 0..dice.roll(3) {
        if dice.roll(2) == 0 && !one.options.is_empty() {
            let (option, role) = dice.of(&one.options).clone();
            let value = match role.as_str() {
                "ok" | "reads" | "remote" | "inplace" => String::new(),
                _ if dice.roll(2) == 0 && option.starts_with("--") => format!("={}", dice.of(&OPERANDS)),
                _ => format!(" {}", dice.of(&OPERANDS)),
            };
            words.push(format!("{option}{value}"));
        } else {
            words.push((*dice.of(&TRIED)).to_owned());
        }
    }
    for _ in 0..dice.roll(3) {
        words.push((*dice.of(&OPERANDS)).to_owned());
    }
    let line = words.join(" ");
    if dice.roll(3) == 0 { dice.of(&AROUND).replace("{}", &line) } else { line }
}

/// A home with a project in it.
struct Home {
    root: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let home = root.path().join("home");
        let project = home.join("project");
        std::fs::create_dir_all(project.join("src")).unwrap();
        std::fs::write(home.join("outside.txt"), "outside\n").unwrap();
        std::fs::write(project.join("a.txt"), "one\ntwo\nthree\n").unwrap();
        std::fs::write(project.join("b.csv"), "a,b\n1,2\n").unwrap();
        std::fs::write(project.join("data.json"), "{\"a\": [1, 2]}\n").unwrap();
        std::fs::write(project.join("src/lib.rs"), "pub fn one() {}\n").unwrap();
        let ran = format!("touch {}/ran", project.display());
        for (name, text) in HOSTILE {
            std::fs::write(project.join(name), text.replace("RAN", &ran)).unwrap();
            std::fs::set_permissions(project.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        // A folder that git could take for a repository.
        for folder in ["objects", "refs"] {
            std::fs::create_dir(project.join("src").join(folder)).unwrap();
        }
        let config = format!("[core]\n\tworktree = {}\n\tfsmonitor = {ran};\n", project.display());
        std::fs::write(project.join("src/config"), config).unwrap();
        // Where these tools are, programs find something to work on; where they are not, an error.
        for line in [
            "git init -q . && git -c user.name=a -c user.email=a@b add -A && git -c user.name=a -c user.email=a@b commit -qm a",
            "tar cf archive.tar a.txt",
            "gzip -c a.txt > packed.gz",
        ] {
            let _ = Command::new("sh").args(["-c", line]).current_dir(&project).output();
        }
        // Not committed: what version control has of them is shown without their names.
        for name in SECRETS {
            std::fs::write(project.join(name), format!("KEY={PLANTED}\n")).unwrap();
        }
        Self { root }
    }

    fn home(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("home")
    }

    /// What a command did that may write all of the home.
    async fn run(&self, sandbox: &NativeSandbox, line: &str) -> Did {
        let cow = CowWorkspace::begin_in(self.home(), self.root.path().join("state"), CowLimits::default())
            .unwrap();
        let policy =
            SandboxPolicy::workspace_write(self.home()).overlay(&cow).timeout(Duration::from_secs(1));
        let request = SandboxRequest::new("/bin/bash", policy.clone())
            .args(["-c", COUNTED, "-", line])
            .cwd(self.home().join("project"));
        // Whether it worked does not matter here.
        let output = sandbox.run(&request).await;
        let (mut connected, mut told) = (false, false);
        if let Ok(output) = &output {
            let said = String::from_utf8_lossy(&output.stderr);
            let (said, counters) = said.rsplit_once("\nCOUNTED\n").unwrap_or((&said, ""));
            let by_message = output.denials(&policy, &request.cwd);
            connected = without_route(counters) > 0
                || by_message.iter().any(|denial| denial.layer == Layer::NetworkNamespace);
            // What reads whatever a folder holds comes across secrets as well, and is not asked about.
            let folder = line.split([' ', ';', ')', '}', '\'']).any(|word| matches!(word, "." | "src"));
            told = !folder
                && (String::from_utf8_lossy(&output.stdout).contains(PLANTED) || said.contains(PLANTED));
        }
        let changed = match cow.diff() {
            Ok(diff) => diff.changes.into_iter().map(|change| change.path).collect(),
            // A FIFO, say, which is a change too.
            Err(error) if error.kind() == CowErrorKind::Refused => error.paths().to_vec(),
            Err(error) => panic!("{line}: {error}"),
        };
        cow.rollback().unwrap();
        Did { changed, connected, told }
    }
}

/// Why what a command did is more than its class says, and than it needs of a network.
fn exceeds(class: Class, network: bool, did: &Did) -> Option<String> {
    if did.connected && !network {
        return Some("needs no network, and looked for a way to another machine".to_owned());
    }
    if did.told {
        return Some("shows what a file with secrets holds".to_owned());
    }
    let changed = &did.changed;
    // Directories are told as changed where something in them is.
    let outside = changed.iter().find(|path| {
        !path.starts_with("project")
            || path.ends_with("project/ran")
            || path.starts_with("project/.git/hooks")
            || path.ends_with(".git/config")
    });
    match class {
        Class::ReadOnly if !changed.is_empty() => Some(format!("only reads, and changed {changed:?}")),
        _ => outside.map(|path| format!("works within the workspace, and changed {}", path.display())),
    }
}

#[test]
fn what_is_allowed_does_no_more_than_its_class() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (seed, runs) = (number("CODEGENIE_SEED", 0x5eed_c0de), number("CODEGENIE_RUNS", 2000));
    let mut dice = Dice(seed | 1);
    let policy = CommandPolicy::default();
    let mut allowed = Vec::new();
    let mut lines = BTreeSet::new();
    let uses = uses();
    // Each use as often as it takes, as long as there are others.
    for _ in 0..64 {
        for one in &uses {
            let line = command(one, &mut dice);
            let Ok(verdict) = policy.judge(&CommandRequest::shell(&line)) else { continue };
            if verdict.decision == Decision::Allow && lines.insert(line.clone()) {
                allowed.push((line, verdict.class, verdict.network));
            }
        }
        if allowed.len() as u64 >= runs {
            break;
        }
    }
    assert!(allowed.len() > 300, "only {} commands are allowed and installed here", allowed.len());
    while allowed.len() as u64 > runs {
        let which = dice.roll(allowed.len());
        allowed.swap_remove(which);
    }
    // Two at a time: most of them wait for the kernel.
    let halves: Vec<Vec<(String, Class, bool)>> =
        (0..2).map(|half| allowed.iter().skip(half).step_by(2).cloned().collect()).collect();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = halves
            .iter()
            .map(|half| {
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    let (home, sandbox) = (Home::new(), NativeSandbox::new().unwrap());
                    let mut wrong = Vec::new();
                    for (line, class, network) in half {
                        let did = runtime.block_on(home.run(&sandbox, line));
                        wrong.extend(exceeds(*class, *network, &did).map(|why| format!("{line}: {why}")));
                    }
                    wrong
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    println!("{} commands run, seed {seed}", allowed.len());
    assert!(wrong.is_empty(), "seed {seed}, {} of {}:\n{}", wrong.len(), allowed.len(), wrong.join("\n"));
}

/// The means by which it is told would tell.
#[test]
fn what_exceeds_its_class_is_seen() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (home, sandbox) = (Home::new(), NativeSandbox::new().unwrap());
    let run = |line: &str| runtime.block_on(home.run(&sandbox, line));
    let exceeds = |class, did: &Did| exceeds(class, false, did);
    assert!(exceeds(Class::ReadOnly, &run("cat a.txt")).is_none());
    assert!(exceeds(Class::ReadOnly, &run("touch new.txt")).is_some());
    assert!(exceeds(Class::WritesWorkspace, &run("touch new.txt")).is_none());
    assert!(exceeds(Class::WritesWorkspace, &run("touch ../new.txt")).is_some());
    assert!(exceeds(Class::WritesWorkspace, &run("rm ../outside.txt")).is_some());
    assert!(exceeds(Class::WritesWorkspace, &run("./configure")).is_some());
    assert!(exceeds(Class::WritesWorkspace, &run("cd src; ./ls")).is_some());
    assert!(run("cat .env").told && run("cat server.key >&2").told && !run("cat a.txt").told);
    assert!(
        run("exec 3<> /dev/tcp/192.0.2.1/80").connected && run("echo x > /dev/udp/2001:db8::1/53").connected
    );
    assert!(!run("cat a.txt < /dev/null").connected);
    if run("cd src; GIT_CONFIG_COUNT=0 git status").changed.is_empty() {
        println!("no git here, or one that takes no folder for a repository");
    }
}
