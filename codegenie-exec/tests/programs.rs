//! Programs that agents run, confined, by both launchers.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "support/host.rs"]
mod host;

use codegenie_exec::SandboxPolicy;
use host::{DIRECT, Host, POOL, text};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Runs `script` by both launchers in a fresh workspace; it must succeed and print `expected` at last.
async fn works(prepare: impl Fn(SandboxPolicy) -> SandboxPolicy, script: &str, expected: &str) {
    for launcher in [DIRECT, POOL] {
        let host = Host::new(launcher);
        let policy = prepare(host.policy().timeout(Duration::from_secs(300)));
        let output = host.confined_under(policy, &format!("set -e; {script}")).await;
        assert!(output.status.reason.is_success(), "{:?}: {}", output.status, text(&output));
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.trim_end().ends_with(expected), "{}", text(&output));
    }
}

fn as_is(policy: SandboxPolicy) -> SandboxPolicy {
    policy
}

/// The toolchain that runs these tests, readable and in the path.
fn with_rust(policy: SandboxPolicy) -> SandboxPolicy {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let path = format!("{}:{}", sysroot.join("bin").display(), policy.environment["PATH"]);
    policy.read(sysroot).env("PATH", path).env("CARGO_NET_OFFLINE", "true")
}

#[tokio::test]
#[ignore = "needs the Rust toolchain at run time, and a minute"]
async fn cargo_builds_and_tests() {
    let script = "cargo init --quiet --lib --vcs none --name small . && cat >> src/lib.rs <<'E'\n\
                  #[test]\nfn threads() { for t in (0..8).map(|i| std::thread::spawn(move || i * 2)).collect::<Vec<_>>() { t.join().unwrap(); } }\nE\n\
                  mkdir src/bin; echo 'fn main() { println!(\"built {}\", small::add(20, 22)); }' > src/bin/run.rs; \
                  cargo build --quiet && cargo test --quiet && cargo run --quiet --bin run";
    works(with_rust, script, "built 42").await;
}

#[tokio::test]
#[ignore = "needs git"]
async fn git_makes_a_repository() {
    let script = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; \
                  git init --quiet repository; cd repository; for i in 1 2 3; do echo $i > file; git add file; \
                  git commit --quiet -m \"commit $i\"; done; git checkout --quiet -b side HEAD~1; git stash list; \
                  git merge --quiet - ; git gc --quiet; git clone --quiet . ../copy; git -C ../copy log --oneline | wc -l";
    works(as_is, script, "3").await;
}

#[tokio::test]
#[ignore = "needs python3 with venv"]
async fn python_makes_an_environment() {
    let script = "/usr/bin/python3 -m venv --without-pip environment; . environment/bin/activate; \
                  python -c 'import multiprocessing, sqlite3, ssl, subprocess, sys, tempfile, threading\n\
                  if __name__ == \"__main__\":\n\
                  \x20   with multiprocessing.Pool(3) as pool: total = sum(pool.map(abs, range(-9, 1)))\n\
                  \x20   sqlite3.connect(\"data.db\").execute(\"create table t (a)\")\n\
                  \x20   print(subprocess.check_output([\"echo\", \"sum\"]).decode().strip(), total, sys.prefix != sys.base_prefix)'";
    works(as_is, script, "sum 45 True").await;
}

#[tokio::test]
#[ignore = "needs node"]
async fn node_runs() {
    let script = "cat > main.js <<'E'\n\
                  const { Worker, isMainThread } = require('worker_threads');\n\
                  const { execFileSync } = require('child_process');\n\
                  const server = require('http').createServer((q, r) => r.end('served'));\n\
                  if (!isMainThread) { process.exit(0); }\n\
                  new Worker(__filename).on('exit', () => server.listen(0, '127.0.0.1', () =>\n\
                    require('http').get({ port: server.address().port, host: '127.0.0.1' }, r => r.on('data', d => {\n\
                      console.log(execFileSync('echo', ['child']).toString().trim(), d.toString()); server.close(); }))));\n\
                  E\n\
                  node main.js";
    works(as_is, script, "child served").await;
}

#[tokio::test]
#[ignore = "needs make and gcc"]
async fn make_and_gcc_build() {
    let script = "printf '#include <stdio.h>\\nint f(int);\\nint main(void){printf(\"%%d\\\\n\", f(6));return 0;}\\n' > main.c; \
                  printf 'int f(int a){return a*7;}\\n' > f.c; \
                  printf 'run: main.o f.o\\n\\tgcc -o $@ $^\\n%%.o: %%.c\\n\\tgcc -g -O2 -flto -c $<\\n' > Makefile; \
                  make -s -j4 run; ./run";
    works(as_is, script, "42").await;
}

#[tokio::test]
async fn pipelines_run() {
    let script = "seq 100000 | sort -rn | head -1000 | tee >(wc -l > count) | awk '{s+=$1} END {print s}' | tr -d '\\n' | \
                  xargs printf 'sum %s\\n' > sum; wait; until [ -s count ]; do sleep 0.05; done; cat count sum";
    works(as_is, script, "sum 99500500").await;
}

#[tokio::test]
async fn two_hundred_threads_run() {
    let script = "cat > t.c <<'E'\n#include <pthread.h>\n#include <stdio.h>\n\
                  static pthread_barrier_t all; static void *f(void *a) { pthread_barrier_wait(&all); return a; }\n\
                  int main(void) { pthread_t t[200]; int made = 0; pthread_barrier_init(&all, 0, 201);\n\
                  for (int i = 0; i < 200; i++) made += pthread_create(&t[i], 0, f, 0) == 0;\n\
                  if (made < 200) { printf(\"made %d\\n\", made); return 1; }\n\
                  pthread_barrier_wait(&all); for (int i = 0; i < 200; i++) pthread_join(t[i], 0);\n\
                  printf(\"threads %d\\n\", made); return 0; }\nE\ncc -pthread -o t t.c; ./t";
    works(as_is, script, "threads 200").await;
}

/// A folder that looks like a bare repository, whose configuration runs a program: `git status` in it is a reading command.
#[tokio::test]
#[ignore = "needs git"]
async fn git_obeys_no_repository_that_a_folder_pretends_to_be() {
    let trap = "git init --quiet --bare trap; git -C trap config core.bare false; git -C trap config core.worktree /work-is-elsewhere; \
                printf '#!/bin/sh\\necho ran > /tmp/ran\\n' > hook; chmod +x hook; cd trap; git config core.worktree $PWD; \
                git config core.fsmonitor $PWD/../hook";
    let trap = format!("export GIT_CONFIG_COUNT=0; {trap}");
    works(as_is, &format!("{trap}; git status > /dev/null || true; cat /tmp/ran"), "ran").await;
    let confined = format!(
        "count=$GIT_CONFIG_COUNT; {trap}; export GIT_CONFIG_COUNT=$count; git status || true; ls /tmp/ran || echo kept"
    );
    works(as_is, &confined, "kept").await;
}

/// A repository that came along within the project, whose settings watch its files by a program.
#[tokio::test]
#[ignore = "needs git"]
async fn git_runs_nothing_to_watch_the_files_of_a_repository() {
    let trap = "git init --quiet inner; printf '#!/bin/sh\\necho ran > /tmp/ran\\n' > hook; chmod +x hook; cd inner; \
                git config core.fsmonitor $PWD/../hook";
    let free = format!("{trap}; GIT_CONFIG_COUNT=0 git status > /dev/null || true; cat /tmp/ran");
    works(as_is, &free, "ran").await;
    works(as_is, &format!("{trap}; git status > /dev/null; ls /tmp/ran || echo kept"), "kept").await;
}
