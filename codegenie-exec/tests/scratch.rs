use codegenie_exec::*;
#[tokio::test]
async fn runs() {
    let dir = tempfile::tempdir().unwrap();
    let sb = NativeSandbox::new().unwrap();
    let req = SandboxRequest::new("sh", SandboxPolicy::workspace_write(dir.path())).arg("-c").arg("id; pwd; ls -la / /tmp /dev /proc/1 2>&1; echo hi > f; cat f; ls -la; cat /etc/shadow; cat /proc/self/status | grep -E 'Cap|Sec|NoNew'; ip a; mount; ulimit -a; env; echo err > /dev/stderr; unshare -U true; exit 3");
    let out = match sb.run(&req).await { Ok(o) => o, Err(e) => panic!("{e}") };
    println!("{}", String::from_utf8_lossy(&out.stdout));
    println!("ERR {}", String::from_utf8_lossy(&out.stderr));
    println!("{:?}", out.status);
    for l in &out.report.layers { println!("{} {} | {}", l.layer, l.status, l.detail); }
    for i in 0..5 { let t = std::time::Instant::now(); let o = sb.run(&SandboxRequest::new("true", SandboxPolicy::workspace_write(dir.path()))).await.unwrap(); println!("{i} {:?} {:?}", t.elapsed(), o.status); }
}
