//! The parent and the child of the crash test.

use codegenie_exec::{Edit, EditError, Editor, Refusal, UndoId};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const ACT: &str = "CODEGENIE_EDIT_CRASH_ACT";

/// What the child does.
fn act() -> Option<()> {
    let act = env::var(ACT).ok()?;
    let mut args = env::args_os().skip(1);
    let (workspace, state) = (PathBuf::from(args.next()?), PathBuf::from(args.next()?));
    if act == "mount" {
        mount_is_not_crossed(&workspace, &state);
        return Some(());
    }
    if act == "recover_grown" {
        // Far less than the files have grown to.
        let room = 1 << 30;
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_AS, room, room).unwrap();
        match Editor::open(workspace, state) {
            Ok(_) | Err(EditError::Interrupted(_)) => return Some(()),
            Err(error) => panic!("{error}"),
        }
    }
    if act == "recover" {
        stop();
        Editor::open(workspace, state).unwrap();
        return Some(());
    }
    let editor = Editor::open(workspace, state).unwrap();
    let edits = edits();
    let last = editor.undoable().unwrap().pop();
    stop();
    match act.as_str() {
        "apply" => drop(editor.apply(&edits).unwrap()),
        "undo" => drop(editor.undo(&last?).unwrap()),
        other => panic!("{other}"),
    }
    Some(())
}

/// In namespaces of its own, with another file system on a directory and another file on a file.
fn mount_is_not_crossed(workspace: &Path, state: &Path) {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).unwrap();
    fs::write("/proc/self/setgroups", "deny").unwrap();
    fs::write("/proc/self/uid_map", format!("{user} {user} 1")).unwrap();
    fs::write("/proc/self/gid_map", format!("{group} {group} 1")).unwrap();
    let (on, file) = (workspace.join("sub"), workspace.join("replaced"));
    mount(Some("none"), &on, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    fs::write(on.join("f"), "plain code is led there\n").unwrap();
    mount(Some(&workspace.join("renamed")), &file, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    fs::write(&file, "plain code is led there\n").unwrap();
    let editor = Editor::open(workspace, state).unwrap();
    let edits = [
        Edit::overwrite("sub/f", "crossed\n"),
        Edit::create("sub/new", "crossed\n"),
        Edit::overwrite("replaced", "crossed\n"),
        Edit::rename("deleted", "sub/moved"),
    ];
    for edit in edits {
        let error = editor.apply(std::slice::from_ref(&edit)).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::Outside), "{edit:?}: {error}");
    }
    assert_eq!(fs::read(on.join("f")).unwrap(), b"plain code is led there\n");
}

fn stop() {
    ptrace::traceme().unwrap();
    raise(Signal::SIGSTOP).unwrap();
}

fn edits() -> Vec<Edit> {
    vec![
        Edit::create("new/file", "created\n"),
        Edit::replace("replaced", "two", "2"),
        Edit::delete("deleted"),
        Edit::rename("renamed", "sub/renamed"),
    ]
}

type Seen = BTreeMap<PathBuf, (Vec<u8>, u32, (i64, i64))>;

struct Place {
    workspace: PathBuf,
    state: PathBuf,
    _held: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let held = tempfile::tempdir().unwrap();
        let place = Self { workspace: held.path().join("w"), state: held.path().join("s"), _held: held };
        for (path, content) in
            [("replaced", "one two three\n"), ("deleted", "d\n"), ("renamed", "r\n"), ("sub/stays", "s\n")]
        {
            let path = place.workspace.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
        }
        place
    }

    fn editor(&self) -> Editor {
        Editor::open(&self.workspace, &self.state).unwrap()
    }

    fn seen(&self) -> Seen {
        let mut seen = Seen::new();
        let mut waiting = vec![self.workspace.clone()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                let below = path.strip_prefix(&self.workspace).unwrap().to_path_buf();
                if meta.is_dir() {
                    waiting.push(path);
                    seen.insert(below, (Vec::new(), meta.mode(), (0, 0)));
                } else {
                    let content = fs::read(&path).unwrap();
                    seen.insert(below, (content, meta.mode(), (meta.mtime(), meta.mtime_nsec())));
                }
            }
        }
        seen
    }

    fn spawn(&self, act: &str) -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.arg0("edit_crash").arg(&self.workspace).arg(&self.state).env(ACT, act).spawn().unwrap()
    }

    fn spawn_and_wait(&self, act: &str) -> bool {
        self.spawn(act).wait().unwrap().success()
    }

    /// Lets a child act up to its system call of this number, and kills it there. Whether it came so far.
    fn killed_at(&self, act: &str, call: usize) -> bool {
        let mut child = self.spawn(act);
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let mut at = 0;
        match waitpid(pid, None).unwrap() {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            other => panic!("the child did not stop before it acted: {other:?}"),
        }
        ptrace::setoptions(pid, ptrace::Options::PTRACE_O_EXITKILL | ptrace::Options::PTRACE_O_TRACESYSGOOD)
            .unwrap();
        let mut entering = false;
        let came = loop {
            ptrace::syscall(pid, None).unwrap();
            match waitpid(pid, None).unwrap() {
                WaitStatus::PtraceSyscall(_) => entering = !entering,
                WaitStatus::Exited(_, 0) => break false,
                other => panic!("{act} ended by itself: {other:?}"),
            }
            if entering {
                if at == call {
                    // It has asked the kernel for this call, which is not made.
                    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
                    break true;
                }
                at += 1;
            }
        };
        if came {
            loop {
                match waitpid(pid, None).unwrap() {
                    WaitStatus::Signaled(_, Signal::SIGKILL, _) => break,
                    WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_) | WaitStatus::Stopped(..) => {}
                    other => panic!("the child did not end: {other:?}"),
                }
            }
        }
        // It has been waited for already.
        let _ = child.try_wait();
        came
    }
}

/// What the transaction leads to: times of new files aside.
fn without_times(seen: &Seen) -> BTreeMap<&Path, (&[u8], u32)> {
    seen.iter().map(|(path, (content, mode, _))| (path.as_path(), (content.as_slice(), *mode))).collect()
}

fn apply_is_all_or_nothing() -> (usize, usize) {
    let (mut nothing, mut all) = (0, 0);
    let mut stages = Vec::new();
    for call in 0.. {
        let place = Place::new();
        let before = place.seen();
        drop(place.editor());
        let came = place.killed_at("apply", call);
        let editor = place.editor();
        let after = place.seen();
        if after == before {
            assert!(came, "the transaction ended well and did nothing");
            assert!(editor.undoable().unwrap().is_empty(), "call {call}");
            nothing += 1;
        } else {
            is_applied(&after, call);
            let undo: UndoId = editor.undoable().unwrap().pop().unwrap();
            editor.undo(&undo).unwrap();
            assert_eq!(place.seen(), before, "call {call}");
            all += 1;
        }
        if !came {
            break;
        }
        stages.push(call);
    }
    assert!(nothing > 20 && all > 2, "{nothing} {all}");
    recovery_reads_no_more_than_was_written(stages.len());
    // Recovery is killed too, on what the first half, the middle and the end of a transaction have left.
    let mut recoveries = 0;
    for part in [5, 8, 9] {
        recoveries += recovery_is_all_or_nothing(stages.len() * part / 10);
    }
    println!("recovery was killed at {recoveries} system calls");
    (nothing, all)
}

/// A command that still runs makes files larger than any memory: recovery does not read them.
fn recovery_reads_no_more_than_was_written(calls: usize) {
    for call in (calls / 3..calls).step_by(3) {
        let place = Place::new();
        drop(place.editor());
        assert!(place.killed_at("apply", call));
        for path in place.seen().keys() {
            let path = place.workspace.join(path);
            if path.is_file() {
                fs::File::options().write(true).open(path).unwrap().set_len(64 << 30).unwrap();
            }
        }
        assert!(place.spawn_and_wait("recover_grown"), "killed at system call {call}");
    }
}

fn is_applied(after: &Seen, call: usize) {
    let expected: [(&str, &[u8]); 6] = [
        ("new", b""),
        ("new/file", b"created\n"),
        ("replaced", b"one 2 three\n"),
        ("sub", b""),
        ("sub/renamed", b"r\n"),
        ("sub/stays", b"s\n"),
    ];
    let found: Vec<(&str, &[u8])> =
        after.iter().map(|(path, (content, ..))| (path.to_str().unwrap(), content.as_slice())).collect();
    assert_eq!(found, expected, "killed at system call {call}");
}

fn recovery_is_all_or_nothing(first: usize) -> usize {
    for call in 0.. {
        let place = Place::new();
        let before = place.seen();
        drop(place.editor());
        assert!(place.killed_at("apply", first));
        let came = place.killed_at("recover", call);
        drop(place.editor());
        let after = place.seen();
        if after != before {
            is_applied(&after, call);
        }
        if !came {
            return call;
        }
    }
    0
}

fn undo_is_all_or_nothing() -> (usize, usize) {
    let (mut nothing, mut all) = (0, 0);
    for call in 0.. {
        let place = Place::new();
        let before = place.seen();
        place.editor().apply(&edits()).unwrap();
        let applied = place.seen();
        let came = place.killed_at("undo", call);
        let editor = place.editor();
        let after = place.seen();
        assert_eq!(editor.undoable().unwrap().len(), 1, "call {call}");
        if after == applied {
            assert!(came, "the undo ended well and did nothing");
            nothing += 1;
        } else {
            assert_eq!(after, before, "killed at system call {call} of the undo");
            all += 1;
        }
        // Either way it can be taken back from here.
        let undo = editor.undoable().unwrap().pop().unwrap();
        editor.undo(&undo).unwrap();
        let back = place.seen();
        if after == applied {
            assert_eq!(back, before, "call {call}");
        } else {
            assert_eq!(without_times(&back), without_times(&applied), "call {call}");
        }
        if !came {
            break;
        }
    }
    assert!(nothing > 20 && all > 2, "{nothing} {all}");
    (nothing, all)
}

pub(crate) fn main() {
    if act().is_some() {
        return;
    }
    if env::args().any(|arg| arg == "--list") {
        return;
    }
    let mounted = Place::new().spawn_and_wait("mount");
    assert!(mounted, "a mount was crossed, or could not be made");
    let (nothing, all) = apply_is_all_or_nothing();
    println!(
        "a transaction was killed at {} system calls: {nothing} times nothing, {all} times all of it was made",
        nothing + all - 1
    );
    let (nothing, all) = undo_is_all_or_nothing();
    println!(
        "an undo was killed at {} system calls: {nothing} times nothing, {all} times all of it was made",
        nothing + all - 1
    );
}
