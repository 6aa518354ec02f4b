use codegenie_exec::*;
#[tokio::test]
async fn runs() {
    let dir = tempfile::tempdir().unwrap();
    let sb = NativeSandbox::new().unwrap();
    let req = SandboxRequest::new("sh", SandboxPolicy::workspace_write(dir.path())).arg("-c").arg("id; pwd; ls -la / /tmp /dev /proc/1 2>&1; echo hi > f; cat f; ls -la; cat /etc/shadow; cat /proc/self/status | grep -E 'Cap|Sec|NoNew'; ip a; mount; ulimit -a; env; echo err > /dev/stderr; unshare -U true; exit 3");
    let out = match sb.run(&req).await {
        Ok(o) => o,
        Err(e) => panic!("{e}"),
    };
    println!("{}", String::from_utf8_lossy(&out.stdout));
    println!("ERR {}", String::from_utf8_lossy(&out.stderr));
    println!("{:?}", out.status);
    for l in &out.report.layers {
        println!("{} {} | {}", l.layer, l.status, l.detail);
    }
    for i in 0..5 {
        let t = std::time::Instant::now();
        let o =
            sb.run(&SandboxRequest::new("true", SandboxPolicy::workspace_write(dir.path()))).await.unwrap();
        println!("{i} {:?} {:?}", t.elapsed(), o.status);
    }
}
#[tokio::test]
async fn witness() {
    let dir = tempfile::tempdir().unwrap();
    let sb = NativeSandbox::new().unwrap();
    let r = sb.enforcement(&SandboxPolicy::workspace_write(dir.path())).await.unwrap();
    for a in &r.witness {
        println!("{:?}", a);
    }
    let v = |s: &str| {
        println!(
            "{s} => {:?}",
            CommandPolicy::default()
                .judge(&CommandRequest::shell(s))
                .map(|v| (v.decision, v.rule, v.reason, v.pure))
        )
    };
    for s in [
        "git status",
        "ls *.rs | wc -l",
        "cat 'a b' > out.txt",
        "echo hi >> ../x",
        "git -c core.pager=x log",
        "find . -exec rm {} ;",
        "sudo ls",
        "rm -rf d",
        "echo $(id)",
        "echo {a,b}",
        "for i in 1; do ls; done",
        "ls &",
        "LD_PRELOAD=x ls",
        "git log --outp=/x",
        "uname -a",
        "'l's",
        "echo \"$HOME\"",
        "echo 'unterminated",
        "ls 2>&1",
        "sort -uo f x",
        "((((((",
        "cargo test --offline",
        "ls\u{202e}x",
    ] {
        v(s);
    }
}
