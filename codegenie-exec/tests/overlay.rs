//! Copy-on-write workspaces: what commands do to them, and what becomes of it.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use codegenie_exec::{
    Change, ChangeKind, CowErrorKind, CowLimits, CowWorkspace, DangerousNoSandbox, Layer, NativeSandbox,
    Requirement, RunOutput, Sandbox, SandboxErrorKind, SandboxPolicy, SandboxRequest,
};
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A workspace and a place for the state, side by side.
struct Bench {
    root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("workspace")).unwrap();
        Self { root }
    }

    fn workspace(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("workspace")
    }

    fn state(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("state")
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.workspace().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn get(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.workspace().join(name)).ok()
    }

    fn begin(&self) -> CowWorkspace {
        CowWorkspace::begin_in(self.workspace(), self.state(), CowLimits::default()).unwrap()
    }

    fn policy(&self, cow: &CowWorkspace) -> SandboxPolicy {
        SandboxPolicy::workspace_write(self.workspace()).overlay(cow).timeout(Duration::from_secs(60))
    }

    async fn run(&self, cow: &CowWorkspace, script: &str) -> RunOutput {
        let request = SandboxRequest::new("bash", self.policy(cow)).arg("-c").arg(script);
        NativeSandbox::new().unwrap().run(&request).await.unwrap()
    }

    async fn must_run(&self, cow: &CowWorkspace, script: &str) -> String {
        let output = self.run(cow, script).await;
        assert!(output.status.reason.is_success(), "{script}: {}", text(&output));
        text(&output)
    }

    /// Transactions that have left something behind.
    fn left_behind(&self) -> usize {
        std::fs::read_dir(self.state()).map_or(0, Iterator::count)
    }
}

fn text(output: &RunOutput) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File(u32, Vec<u8>),
    Directory(u32),
    Link(PathBuf),
    Other,
}

/// Everything below a directory: names, kinds, modes, contents.
fn picture(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let mode = meta.mode() & 0o7777;
            let entry = if meta.is_dir() {
                waiting.push(path.clone());
                Entry::Directory(mode)
            } else if meta.is_file() {
                Entry::File(mode, std::fs::read(&path).unwrap())
            } else if meta.is_symlink() {
                Entry::Link(std::fs::read_link(&path).unwrap())
            } else {
                Entry::Other
            };
            all.insert(path.strip_prefix(root).unwrap().to_path_buf(), entry);
        }
    }
    all
}

/// The same with everything that `stat` tells, but for the times of access.
fn fingerprint(root: &Path) -> Vec<String> {
    let mut all: Vec<String> = picture(root)
        .keys()
        .map(|path| path.as_path())
        .chain([Path::new("")])
        .map(|path| {
            let m = std::fs::symlink_metadata(root.join(path)).unwrap();
            let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
            format!(
                "{path:?} {} {:o} {} {} {} {} {times:?}",
                m.ino(),
                m.mode(),
                m.uid(),
                m.gid(),
                m.size(),
                m.nlink()
            )
        })
        .collect();
    all.sort();
    all
}

fn kinds(changes: &[Change]) -> BTreeMap<String, ChangeKind> {
    changes.iter().map(|change| (change.path.to_string_lossy().into_owned(), change.kind)).collect()
}

#[tokio::test]
async fn writes_go_to_the_layer_until_they_are_committed() {
    let bench = Bench::new();
    bench.put("kept", "one\n");
    bench.put("changed", "one\ntwo\nthree\n");
    bench.put("deleted", "x");
    let before = fingerprint(&bench.workspace());
    let mut cow = bench.begin();
    bench.must_run(&cow, "sed -i s/two/2/ changed; rm deleted; mkdir -p d/e; echo new > d/e/new").await;
    // The next command sees what the one before has written.
    assert_eq!(
        bench.must_run(&cow, "cat changed d/e/new; ls").await,
        "one\n2\nthree\nnew\nchanged\nd\nkept\n"
    );
    assert_eq!(fingerprint(&bench.workspace()), before);
    let diff = cow.diff().unwrap();
    let expected = [
        ("changed", ChangeKind::Modified),
        ("d", ChangeKind::DirectoryCreated),
        ("d/e", ChangeKind::DirectoryCreated),
        ("d/e/new", ChangeKind::Created),
        ("deleted", ChangeKind::Deleted),
    ];
    assert_eq!(kinds(&diff.changes), expected.map(|(path, kind)| (path.to_owned(), kind)).into());
    assert!(diff.unified.contains("--- a/changed\n+++ b/changed\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"));
    let committed = cow.commit().unwrap();
    assert_eq!(committed.changes, diff.changes);
    assert!(committed.elsewhere.is_empty());
    assert_eq!(bench.get("changed").as_deref(), Some("one\n2\nthree\n"));
    assert_eq!(bench.get("d/e/new").as_deref(), Some("new\n"));
    assert_eq!(bench.get("deleted"), None);
    assert_eq!(bench.left_behind(), 0);
    assert_eq!(cow.commit().unwrap_err().kind(), CowErrorKind::Unsuitable);
}

/// Runs scripts over a copy-on-write workspace and directly over a copy of it, and compares.
async fn compare(bench: &Bench, scripts: &[String]) {
    let direct = bench.root.path().canonicalize().unwrap().join("direct");
    let status =
        std::process::Command::new("cp").arg("-a").arg(bench.workspace()).arg(&direct).status().unwrap();
    assert!(status.success());
    let before = fingerprint(&bench.workspace());
    let mut cow = bench.begin();
    for script in scripts {
        let confined = bench.run(&cow, script).await;
        let request = SandboxRequest::new("bash", SandboxPolicy::default())
            .arg("-c")
            .arg(format!("umask 022; {script}"));
        let unconfined =
            DangerousNoSandbox.run(&request.cwd(&direct).env("LC_ALL", "C.UTF-8")).await.unwrap();
        assert_eq!(text(&confined), text(&unconfined), "{script}");
        assert_eq!(confined.status.reason, unconfined.status.reason, "{script}");
    }
    assert_eq!(fingerprint(&bench.workspace()), before, "nothing is changed before the commit");
    let diff = cow.diff().unwrap();
    cow.commit().unwrap();
    let (now, wanted) = (picture(&bench.workspace()), picture(&direct));
    for path in now.keys().chain(wanted.keys()) {
        assert_eq!(now.get(path), wanted.get(path), "{} after {scripts:#?}", path.display());
    }
    // The list says what became different, and nothing else but times.
    for change in &diff.changes {
        assert_eq!(
            change.after.is_some(),
            now.contains_key(&change.path) || change.path.as_os_str().is_empty()
        );
    }
    assert_eq!(bench.left_behind(), 0);
}

#[tokio::test]
async fn every_kind_of_change_is_as_if_it_was_made_directly() {
    let bench = Bench::new();
    for name in
        ["edit", "append", "delete", "move-me", "mode", "dir/a", "dir/sub/b", "gone/deep/c", "as-file/x/y"]
    {
        bench.put(name, format!("{name}\n"));
    }
    bench.put("sub/renamed/inner", "inner");
    bench.put("emptied", "content");
    symlink("edit", bench.workspace().join("link")).unwrap();
    symlink("/nonexistent", bench.workspace().join("dangling")).unwrap();
    let scripts = [
        "echo changed > edit; echo more >> append; rm delete; mv move-me moved; chmod 700 mode; : > emptied",
        "mkdir new new/er; echo n > new/er/n; rm -r gone; mv sub/renamed sub/named; rmdir new/er 2>&1; touch empty",
        "rm -r as-file; echo now-a-file > as-file; rm dir/a; mkdir dir/a; echo in > dir/a/in",
        "rm -r dir/sub; mkdir dir/sub; echo fresh > dir/sub/fresh; rm as-file; mkdir as-file; echo back > as-file/x",
        "ln -sfn moved link; rm dangling; ln -s ../somewhere dangling; ln edit hard; ln -s nowhere fresh-link",
        "head -c 3000000 /dev/zero | tr '\\0' x > large; truncate -s 20M sparse; printf end >> sparse",
        "printf 'a\\nb' > $'new\\nline'; echo ü > 'grüße ☃'; echo q > 'quo\"te'; echo s > ' lead'; mkdir $'d\\nir'",
        "chmod 755 new; chmod 700 dir; mkdir -m 1777 sticky; cat link fresh-link 2>/dev/null; ls -A | sort",
    ];
    compare(&bench, &scripts.map(str::to_owned)).await;
    use std::os::unix::fs::MetadataExt;
    let meta = |name: &str| std::fs::metadata(bench.workspace().join(name)).unwrap();
    assert_eq!(meta("hard").ino(), meta("edit").ino(), "two names of one file stay two names");
    assert!(meta("sparse").blocks() * 512 < 4 << 20, "holes stay holes");
    let owner = (meta("").uid(), meta("").gid());
    for path in picture(&bench.workspace()).keys() {
        let meta = std::fs::symlink_metadata(bench.workspace().join(path)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), owner, "{}", path.display());
    }
}

/// xorshift64: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn path(&mut self) -> String {
        let names = ["a", "b", "c", "d d", "é"];
        let depth = 1 + self.below(3);
        (0..depth).map(|_| names[self.below(names.len())]).collect::<Vec<_>>().join("/")
    }

    fn operation(&mut self, number: usize) -> String {
        let (one, other) = (self.path(), self.path());
        let mode = ["644", "600", "755", "700"][self.below(4)];
        match self.below(11) {
            // Written anew rather than in place: a name that shares its file keeps the old content then.
            0 | 1 => format!("echo {number} > .new && mv -fT .new '{one}'"),
            2 => format!("mkdir -p '{one}'"),
            3 => format!("rm -rf '{one}'"),
            4 => format!("mv -fT '{one}' '{other}'"),
            5 => format!("rmdir '{one}'"),
            6 => format!("ln -sfn '{other}' '{one}'"),
            7 => format!("[ -L '{one}' ] || [ -d '{one}' ] || chmod {mode} '{one}'"),
            8 => format!("rm -rf '{one}'; mkdir '{one}'; echo {number} > '{one}/x'"),
            9 => format!("[ -d '{one}' ] || [ -L '{one}' ] || [ -e '{other}' ] || ln '{one}' '{other}'"),
            _ => format!(
                "[ -L '{one}' ] || [ ! -d '{one}' ] || chmod 7{} '{one}'",
                ["00", "50", "55"][self.below(3)]
            ),
        }
    }
}

#[tokio::test]
async fn random_commands_commit_to_what_they_do_directly() {
    for seed in 1..=12u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let bench = Bench::new();
        for _ in 0..12 {
            let path = random.path();
            let full = bench.workspace().join(&path);
            if full.parent().unwrap().ancestors().all(|up| !up.is_file()) && !full.is_dir() {
                bench.put(&path, format!("first {path}"));
            }
        }
        let scripts: Vec<String> = (0..4)
            .map(|_| {
                let all: Vec<String> = (0..10).map(|number| random.operation(number)).collect();
                format!("exec 2>/dev/null; {}; true", all.join("; "))
            })
            .collect();
        compare(&bench, &scripts).await;
    }
}

#[tokio::test]
async fn a_rollback_leaves_everything_as_it_was() {
    let bench = Bench::new();
    bench.put("a/b/c", "x");
    bench.put("d", "y");
    let before = fingerprint(&bench.workspace());
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = mounts();
    let cow = bench.begin();
    bench
        .must_run(&cow, "rm -r a; echo z > d; mkdir -m 000 closed; mkdir -m 500 e; touch f; chmod 000 f")
        .await;
    cow.rollback().unwrap();
    assert_eq!(fingerprint(&bench.workspace()), before);
    assert_eq!(bench.left_behind(), 0);
    // Dropping does the same.
    let cow = bench.begin();
    bench.must_run(&cow, "rm -r a").await;
    drop(cow);
    assert_eq!(fingerprint(&bench.workspace()), before);
    assert_eq!(bench.left_behind(), 0);
    assert_eq!(mounts(), mounted);
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_not_overwritten() {
    let bench = Bench::new();
    for name in ["both", "theirs", "ours", "removed/old", "deleted"] {
        bench.put(name, "first");
    }
    let mut cow = bench.begin();
    bench
        .must_run(&cow, "echo agent > both; echo agent > ours; rm -r removed deleted; echo agent > fresh")
        .await;
    let before = picture(&bench.workspace());
    assert!(cow.diff().unwrap().conflicts.is_empty());
    type Meddling = fn(&Bench);
    let meddlings: [(&str, Meddling, Meddling); 4] = [
        ("both", |b| b.put("both", "user"), |_| ()),
        ("fresh", |b| b.put("fresh", "user"), |b| std::fs::remove_file(b.workspace().join("fresh")).unwrap()),
        ("removed", |b| b.put("removed/new", "user"), |_| ()),
        ("deleted", |b| std::fs::remove_file(b.workspace().join("deleted")).unwrap(), |_| ()),
    ];
    for (path, meddle, undo) in meddlings {
        meddle(&bench);
        let meddled = picture(&bench.workspace());
        assert_ne!(meddled, before);
        assert_eq!(cow.diff().unwrap().conflicts.iter().filter(|p| **p == Path::new(path)).count(), 1);
        let error = cow.commit().unwrap_err();
        assert_eq!(error.kind(), CowErrorKind::Drift, "{error}");
        assert!(error.paths().contains(&PathBuf::from(path)) && error.to_string().contains(path), "{error}");
        assert_eq!(picture(&bench.workspace()), meddled);
        undo(&bench);
    }
    cow.rollback().unwrap();
    // Elsewhere it is allowed, stays, and is told.
    let mut cow = bench.begin();
    bench.must_run(&cow, "echo agent > ours").await;
    bench.put("theirs", "user");
    bench.put("another", "user");
    let committed = cow.commit().unwrap();
    assert_eq!(committed.elsewhere, ["another", "theirs"].map(PathBuf::from));
    assert_eq!(
        (bench.get("theirs").as_deref(), bench.get("ours").as_deref()),
        (Some("user"), Some("agent\n"))
    );
}

#[tokio::test]
async fn one_command_at_a_time_has_the_workspace() {
    let bench = Bench::new();
    let mut cow = bench.begin();
    let sandbox = NativeSandbox::new().unwrap();
    let request = SandboxRequest::new("bash", bench.policy(&cow)).arg("-c").arg("echo ready; sleep 50; :");
    let mut first = sandbox.start(&request).await.unwrap();
    assert!(first.next_output().await.is_some());
    let error = sandbox.start(&request).await.unwrap_err();
    assert_eq!(error.kind(), SandboxErrorKind::InvalidRequest);
    assert!(error.to_string().contains("one command at a time"), "{error}");
    assert_eq!(cow.diff().unwrap_err().kind(), CowErrorKind::Busy);
    assert_eq!(cow.commit().unwrap_err().kind(), CowErrorKind::Busy);
    first.kill();
    first.wait().await.unwrap();
    bench.must_run(&cow, "echo after > it").await;
    assert_eq!(cow.commit().unwrap().changes.len(), 1);
}

#[tokio::test]
async fn protected_parts_stay_read_only_in_the_overlay() {
    let bench = Bench::new();
    bench.put(".git/hooks/pre-commit", "original");
    bench.put("a/b/protected/file", "original");
    bench.put("a/b/free", "original");
    bench.put("secret/key", "hidden-7f3a");
    let cow = bench.begin();
    let attempt = "echo bad > .git/hooks/pre-commit; echo bad > .git/new; mv .git git; mv a a2; mv a/b a/b2; \
                   echo bad > a/b/protected/file; echo bad > a/b/protected/new; cat secret/key; rm -rf .git; true";
    let policy = bench
        .policy(&cow)
        .read(bench.workspace().join("a/b/protected"))
        .hide(bench.workspace().join("secret"));
    // Without the protection the same attempts succeed, in the layer.
    let open = SandboxPolicy::default().overlay(&cow);
    let request = |policy| SandboxRequest::new("bash", policy).arg("-c").arg(attempt);
    let sandbox = NativeSandbox::new().unwrap();
    let done = sandbox.run(&request(open)).await.unwrap();
    assert!(text(&done).contains("hidden-7f3a"), "{}", text(&done));
    let changed = kinds(&cow.diff().unwrap().changes);
    assert!(changed.contains_key(".git/hooks/pre-commit") && changed.contains_key("a/b/protected/file"));
    cow.rollback().unwrap();
    let cow = bench.begin();
    let policy = policy.overlay(&cow);
    let done = sandbox.run(&request(policy.clone())).await.unwrap();
    assert!(!text(&done).contains("hidden-7f3a"), "{}", text(&done));
    assert!(cow.diff().unwrap().changes.is_empty(), "{:?}", cow.diff().unwrap().changes);
    // What is beside it is writable, and goes to the layer.
    let request =
        SandboxRequest::new("bash", policy).arg("-c").arg("echo new > a/b/free && echo new > a/b/new");
    assert!(sandbox.run(&request).await.unwrap().status.reason.is_success());
    assert_eq!(kinds(&cow.diff().unwrap().changes).len(), 2);
    assert_eq!(bench.get("a/b/free").as_deref(), Some("original"));
    let report = sandbox.enforcement(&bench.policy(&cow)).await.unwrap();
    assert!(report.layers.iter().any(|layer| layer.detail.contains("1 copy-on-write")), "{report:?}");
    assert!(report.witness.iter().all(|attempt| attempt.stopped));
}

#[tokio::test]
async fn a_command_reaches_the_layers_by_no_other_way() {
    let bench = Bench::new();
    bench.put("file", "original");
    let cow = bench.begin();
    let top = bench.root.path().canonicalize().unwrap();
    let policy = SandboxPolicy::default().read(&top).overlay(&cow);
    let script = format!(
        "echo new > file; ls -A {}; cat {}/layers/upper/file; ls -A / | grep -E 'lower|layers' | xargs -I @ ls -A /@",
        cow.state().display(),
        cow.state().display()
    );
    let request = SandboxRequest::new("bash", policy).arg("-c").arg(script);
    let output = NativeSandbox::new().unwrap().run(&request).await.unwrap();
    assert!(output.stdout.is_empty(), "{}", text(&output));
    let error =
        NativeSandbox::new().unwrap().run(&SandboxRequest::new("true", bench.policy(&cow).write(&top))).await;
    assert_eq!(error.unwrap_err().kind(), SandboxErrorKind::InvalidPolicy);
    let unconfined = DangerousNoSandbox.run(&SandboxRequest::new("true", bench.policy(&cow))).await;
    assert_eq!(unconfined.unwrap_err().kind(), SandboxErrorKind::InvalidPolicy);
    cow.rollback().unwrap();
    // A policy that outlives its transaction is refused.
    let cow = bench.begin();
    let stale = bench.policy(&cow);
    cow.rollback().unwrap();
    let error = NativeSandbox::new().unwrap().run(&SandboxRequest::new("true", stale)).await.unwrap_err();
    assert_eq!(error.kind(), SandboxErrorKind::InvalidPolicy, "{error}");
}

#[tokio::test]
async fn special_files_and_forged_attributes_are_refused() {
    use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
    let bench = Bench::new();
    bench.put("dir/inside", "original");
    bench.put("file", "original");
    let before = fingerprint(&bench.workspace());
    let refused = |mut cow: CowWorkspace, path: &str| {
        let diffed = cow.diff();
        let error = cow.commit().unwrap_err();
        assert_eq!(error.kind(), CowErrorKind::Refused, "{error}");
        assert_eq!(error.paths(), [PathBuf::from(path)], "{error}");
        assert!(diffed.is_err());
        assert_eq!(fingerprint(&bench.workspace()), before);
        cow.rollback().unwrap();
    };
    // A FIFO that would hold whoever opens it.
    let cow = bench.begin();
    bench.must_run(&cow, "mkfifo trap; rm file; mkfifo file").await;
    let layer = cow.state().join("layers/upper");
    assert!(std::fs::symlink_metadata(layer.join("trap")).unwrap().file_type().is_fifo());
    refused(cow, "file");
    let forge = |name: &str, value: &[u8], at: &str| {
        let cow = bench.begin();
        let layer = cow.state().join("layers/upper").join(at);
        if at == "dir" {
            std::fs::create_dir(&layer).unwrap();
        } else {
            std::fs::write(&layer, "forged").unwrap();
        }
        setxattr(&layer, name, value, XattrFlags::empty()).unwrap();
        cow
    };
    refused(forge("user.overlay.redirect", b"/elsewhere", "dir"), "dir");
    refused(forge("user.overlay.metacopy", b"", "file"), "file");
    refused(forge("user.overlay.whiteout", b"y", "new"), "new");
    refused(forge("user.overlay.opaque", b"x", "dir"), "dir");
    refused(forge("user.overlay.opaque", b"y", "file"), "file");
    refused(forge("user.overlay.overlay.opaque", b"y", "dir"), "dir");
    refused(forge("user.overlay.unheard-of", b"", "new"), "new");
    let cow = bench.begin();
    let path = cow.state().join("layers/upper/setuid");
    std::fs::write(&path, "x").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o4755)).unwrap();
    refused(cow, "setuid");
    let cow = bench.begin();
    std::os::unix::net::UnixListener::bind(cow.state().join("layers/upper/socket")).unwrap();
    refused(cow, "socket");
    if rustix::process::geteuid().is_root() {
        let cow = bench.begin();
        let device = rustix::fs::makedev(1, 3);
        mknodat(CWD, cow.state().join("layers/upper/device"), FileType::CharacterDevice, Mode::RUSR, device)
            .unwrap();
        refused(cow, "device");
    }
    assert_eq!(bench.left_behind(), 0);
}

/// Runs inside of the sandbox, in a process of its own.
#[test]
fn helper_that_forges_attributes() {
    if std::env::var_os("FORGE_HERE").is_none() {
        return;
    }
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    for (name, value) in [("user.overlay.opaque", "y"), ("user.overlay.redirect", "/elsewhere")] {
        let result = setxattr("dir", name, value.as_bytes(), XattrFlags::empty());
        let seen = getxattr("dir", name, &mut [0u8; 64][..]);
        println!("forged {name}: {result:?} {seen:?}");
    }
}

#[tokio::test]
async fn a_command_that_forges_attributes_hides_nothing() {
    let bench = Bench::new();
    bench.put("dir/inside", "original");
    let mut cow = bench.begin();
    let program = std::env::current_exe().unwrap();
    let policy = bench.policy(&cow).read(&program).env("FORGE_HERE", "1");
    let request = SandboxRequest::new(&program, policy).args([
        "--exact",
        "helper_that_forges_attributes",
        "--nocapture",
    ]);
    let output = NativeSandbox::new().unwrap().run(&request).await.unwrap();
    assert_eq!(text(&output).matches("forged user.overlay").count(), 2, "{}", text(&output));
    // Newer kernels keep such attributes under another name, which is refused; older ones refuse to set them.
    assert_eq!(bench.must_run(&cow, "cat dir/inside").await, "original");
    match cow.commit() {
        Ok(committed) => assert!(committed.changes.is_empty(), "{:?}", committed.changes),
        Err(error) => assert_eq!(error.kind(), CowErrorKind::Refused, "{error}"),
    }
    assert_eq!(bench.get("dir/inside").as_deref(), Some("original"));
}

#[tokio::test]
async fn nothing_is_written_through_links() {
    let bench = Bench::new();
    let outside = bench.root.path().canonicalize().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "precious").unwrap();
    bench.put("dir/file", "original");
    // The way is swapped in the workspace, behind the transaction's back.
    let mut cow = bench.begin();
    bench.must_run(&cow, "echo agent > dir/file; echo agent > dir/new").await;
    std::fs::rename(bench.workspace().join("dir"), bench.workspace().join("was")).unwrap();
    symlink(&outside, bench.workspace().join("dir")).unwrap();
    let naive = cow.state().join("layers/upper/dir/new");
    std::fs::copy(&naive, bench.workspace().join("dir/naive")).unwrap();
    assert!(outside.join("naive").exists(), "a plain copy does write through it");
    std::fs::remove_file(outside.join("naive")).unwrap();
    assert_eq!(cow.commit().unwrap_err().kind(), CowErrorKind::Drift);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "precious");
    cow.rollback().unwrap();
    // The command itself makes links: they are committed as links.
    let mut cow = bench.begin();
    let script = format!(
        "rm dir; ln -s {} dir; ln -s /etc/passwd was/passwd; ln -sf {0}/file was/file",
        outside.display()
    );
    bench.must_run(&cow, &script).await;
    cow.commit().unwrap();
    assert_eq!(std::fs::read_link(bench.workspace().join("was/file")).unwrap(), outside.join("file"));
    assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "precious");
}

#[tokio::test]
async fn too_much_is_an_error_and_still_removed() {
    let bench = Bench::new();
    let mut limits = CowLimits::default();
    (limits.entries, limits.depth, limits.bytes) = (50, 20, 1 << 20);
    for script in [
        "for i in {1..100}; do : > $i; done",
        "for i in {1..400}; do mkdir d && cd d || exit 1; done",
        "truncate -s 2M big",
    ] {
        let mut cow = CowWorkspace::begin_in(bench.workspace(), bench.state(), limits.clone()).unwrap();
        bench.must_run(&cow, script).await;
        assert_eq!(cow.commit().unwrap_err().kind(), CowErrorKind::TooLarge, "{script}");
        cow.rollback().unwrap();
        assert_eq!(bench.left_behind(), 0, "{script}");
        assert!(picture(&bench.workspace()).is_empty());
    }
}

#[test]
fn what_cannot_be_a_workspace_is_refused() {
    let bench = Bench::new();
    let begin =
        |workspace: &Path, state: &Path| CowWorkspace::begin_in(workspace, state, CowLimits::default());
    assert!(begin(&bench.workspace().join("missing"), &bench.state()).is_err());
    let inside = begin(&bench.workspace(), &bench.workspace().join("state")).unwrap_err();
    assert_eq!(inside.kind(), CowErrorKind::Unsuitable, "{inside}");
    let open = bench.root.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
    let open = begin(&bench.workspace(), &open).unwrap_err();
    assert_eq!(open.kind(), CowErrorKind::Unsuitable, "{open}");
}

const FILES: usize = 60;

/// Begins a transaction, writes to its layer, and commits when it is told to.
#[test]
fn helper_that_commits() {
    let Some(root) = std::env::var_os("COMMIT_HERE").map(PathBuf::from) else { return };
    let mut cow =
        CowWorkspace::begin_in(root.join("workspace"), root.join("state"), CowLimits::default()).unwrap();
    let layer = cow.state().join("layers/upper");
    for i in 0..FILES {
        let dir = layer.join(format!("dir{}", i % 7));
        std::fs::create_dir_all(&dir).unwrap();
        match i % 3 {
            0 => std::fs::write(dir.join(format!("{i}")), format!("changed {i}")).unwrap(),
            1 => rustix::fs::mknodat(
                rustix::fs::CWD,
                dir.join(format!("{i}")),
                rustix::fs::FileType::CharacterDevice,
                rustix::fs::Mode::empty(),
                0,
            )
            .unwrap(),
            _ => std::fs::write(dir.join(format!("new{i}")), format!("new {i}")).unwrap(),
        }
    }
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    cow.commit().unwrap();
    println!("done");
}

#[test]
fn a_killed_commit_is_recovered_to_before_or_after() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    use std::time::Instant;
    const ROUNDS: u32 = 110;
    let (mut took, mut outcomes) = (Duration::ZERO, [0u32; 2]);
    let mut after = None;
    for round in 0..=ROUNDS {
        let bench = Bench::new();
        for i in 0..FILES {
            bench.put(&format!("dir{}/{i}", i % 7), format!("original {i}"));
        }
        let before = picture(&bench.workspace());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "helper_that_commits", "--nocapture"])
            .env("COMMIT_HERE", bench.root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(output.any(|line| line.ends_with("ready")));
        let since = Instant::now();
        // The first round tells how long it takes, the last one is killed before it begins.
        if round < ROUNDS {
            child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        }
        if round == 0 {
            assert!(output.any(|line| line == "done"));
            took = since.elapsed();
        } else if round < ROUNDS {
            let moment = took * round / (ROUNDS - 10);
            while since.elapsed() < moment {
                std::hint::spin_loop();
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        CowWorkspace::recover_in(bench.state()).unwrap();
        let now = picture(&bench.workspace());
        let after = after.get_or_insert_with(|| now.clone());
        assert!(now == before || now == *after, "round {round}: {now:?}");
        outcomes[usize::from(now == *after)] += 1;
        assert_eq!(bench.left_behind(), 0, "round {round}");
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}

#[tokio::test]
async fn a_policy_without_writing_shows_the_layer_and_keeps_it_as_it_is() {
    let bench = Bench::new();
    bench.put("old", "old");
    bench.put("dir/inner", "inner");
    bench.put(".git/config", "[core]\n");
    let cow = bench.begin();
    bench.must_run(&cow, "echo new > new; echo more >> old; mkdir made").await;
    let writes = [
        "echo x > x",
        "echo x >> old",
        "echo x >> new",
        "echo x > dir/inner",
        "mkdir y",
        "rm new",
        "mv dir d",
        "chmod 777 old",
        "ln -s /tmp link",
        "ln old hard",
        "touch -d 2001-01-01 old",
        "truncate -s 0 new",
        "rmdir made",
    ];
    let sandbox = NativeSandbox::new().unwrap();
    for relaxed in [false, true] {
        let mut policy = bench.policy(&cow);
        if relaxed {
            // The mount alone.
            policy = policy.dangerous_relax(Layer::Landlock, Requirement::Off);
        }
        let policy = std::sync::Arc::new(policy.without_writing());
        let run = |script: &str| {
            let request =
                SandboxRequest::new("bash", policy.clone()).cwd(bench.workspace()).args(["-c", script]);
            let sandbox = sandbox.clone();
            async move { sandbox.run(&request).await.unwrap() }
        };
        assert_eq!(text(&run("cat new old dir/inner .git/config").await), "new\noldmore\ninner[core]\n");
        for write in writes {
            let output = run(write).await;
            assert!(!output.status.reason.is_success(), "{write} was done");
        }
        let detail =
            run("true").await.report.layers.iter().map(|layer| layer.detail.clone()).collect::<String>();
        assert!(detail.contains("1 copy-on-write (1 of them read-only)"), "{detail}");
    }
    let changed = |cow: &CowWorkspace| {
        cow.diff().unwrap().changes.iter().map(|change| change.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(changed(&cow), ["made", "new", "old"].map(PathBuf::from));
    // Where it may write, each of them succeeds.
    for write in writes {
        bench.must_run(&cow, write).await;
    }
    cow.rollback().unwrap();
}

/// What the executor says that a command may write is what it may.
#[cfg(feature = "executor")]
#[tokio::test]
async fn an_executor_over_it_gives_commands_that_read_no_layer_to_write() {
    use codegenie_exec::{AccessControl, CommandRequest, Privileges, SecureExecutor};
    use codegenie_security::{Policy, Role, SessionRequest};

    let bench = Bench::new();
    bench.put("old", "old\n");
    let mut cow = bench.begin();
    let role = Role::new("developer").allow("execute:**");
    let policy = Policy::builder().role(role).user("alice", ["developer"]).build().unwrap();
    let access = std::sync::Arc::new(AccessControl::new(policy));
    let (token, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    let executor = SecureExecutor::builder(NativeSandbox::new().unwrap(), access, bench.policy(&cow))
        .dangerous_without_audit()
        .build()
        .unwrap();
    let run = async |line: &str| executor.execute(&token, &CommandRequest::shell(line)).await.unwrap();
    let writable = |privileges: &Privileges| privileges.writes;

    let writes = run("cat old | tee new").await;
    assert!(writable(&writes.privileges) && writes.output.status.reason.is_success(), "{writes:?}");
    let reads = run("cat new | head -n 1").await;
    assert_eq!((writable(&reads.privileges), reads.output.stdout.as_slice()), (false, &b"old\n"[..]));
    let detail = |report: &codegenie_exec::EnforcementReport| {
        report.layers.iter().map(|layer| layer.detail.clone()).collect::<String>()
    };
    assert!(detail(&reads.output.report).contains("(1 of them read-only)"), "{reads:?}");
    assert!(detail(&writes.output.report).contains("(0 of them read-only)"), "{writes:?}");
    assert_eq!(bench.get("new"), None);
    cow.commit().unwrap();
    assert_eq!(bench.get("new").as_deref(), Some("old\n"));
}
