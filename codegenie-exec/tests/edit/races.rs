//! Somebody else is at work in the same tree.

use crate::place::Place;
use codegenie_exec::{ContentGate, Edit, EditError, GateFinding, GateSeverity};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What somebody else does at the root.
type Way = fn(&Path);

/// Does something at the moment between reading and writing.
pub(crate) struct Meanwhile<F>(pub(crate) F);

impl<F: Fn() + Send + Sync> ContentGate for Meanwhile<F> {
    fn inspect(&self, _: &Path, _: Option<&[u8]>, _: &[u8]) -> Vec<GateFinding> {
        (self.0)();
        Vec::new()
    }
}

#[test]
fn what_is_changed_between_reading_and_writing_is_not_overwritten() {
    let place = Place::new(&[("a", "1\n"), ("b", "2\n"), ("c", "3\n")]);
    let edits = [
        Edit::replace("a", "1", "one"),
        Edit::replace("b", "2", "two"),
        Edit::delete("c"),
        Edit::create("d", "4\n"),
    ];
    let ways: [(&str, Way); 5] = [
        ("b", |root| fs::write(root.join("b"), "theirs\n").unwrap()),
        ("b", |root| {
            fs::write(root.join("other"), "theirs\n").unwrap();
            fs::rename(root.join("other"), root.join("b")).unwrap();
        }),
        ("c", |root| fs::write(root.join("c"), "theirs\n").unwrap()),
        ("d", |root| fs::write(root.join("d"), "theirs\n").unwrap()),
        ("b", |root| {
            let _ = fs::remove_file(root.join("b"));
            let _ = symlink("/etc/passwd", root.join("b"));
        }),
    ];
    for (path, way) in ways {
        let place = Place::new(&[("a", "1\n"), ("b", "2\n"), ("c", "3\n")]);
        let root = place.workspace.path().to_path_buf();
        let once = AtomicBool::new(false);
        let editor = place.editor().gate(
            Meanwhile(move || {
                if !once.swap(true, Ordering::SeqCst) {
                    way(&root);
                }
            }),
            GateSeverity::Info,
        );
        let error = editor.apply(&edits).unwrap_err();
        let EditError::Drift { paths, .. } = &error else { panic!("{error}") };
        assert_eq!(paths, &[Path::new(path)]);
        assert_eq!(place.read("a"), b"1\n");
        assert!(place.at("c").exists());
        assert_eq!(place.at("d").exists(), path == "d");
        assert!(
            place.seen().keys().all(|path| !path.to_str().unwrap().contains("codegenie")),
            "{:?}",
            place.seen()
        );
    }
    drop(place);
}

/// A directory that turns into a link and back all the time: nothing is ever written where the link leads.
#[test]
fn a_directory_that_becomes_a_link() {
    let place = Place::new(&[("d/f", "0\n")]);
    let outside = tempfile::tempdir_in(place.workspace.path().parent().unwrap()).unwrap();
    fs::write(outside.path().join("f"), "0\n").unwrap();
    symlink(outside.path(), place.at("link")).unwrap();
    let (done, dir, link) = (AtomicBool::new(false), place.at("d"), place.at("link"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat2(AT_FDCWD, &dir, AT_FDCWD, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        // Plain code is led outside before long.
        let mut led = false;
        for _ in 0..100_000 {
            let _ = fs::write(place.at("d/f"), "plain\n");
            if fs::read(outside.path().join("f")).unwrap() == b"plain\n" {
                led = true;
                break;
            }
        }
        assert!(led, "the race did not happen");
        fs::write(outside.path().join("f"), "0\n").unwrap();
        let editor = place.editor();
        let (mut made, mut refused) = (0, 0);
        for round in 0..400 {
            match editor.apply(&[Edit::overwrite("d/f", format!("{round}\n")), Edit::create("d/new", "x")]) {
                Ok(applied) => {
                    made += 1;
                    // The new file goes again; while it is elsewhere that is tried until it is not.
                    while editor.undo(&applied.undo).is_err() {}
                }
                Err(EditError::Refused { .. } | EditError::Drift { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
            assert_eq!(fs::read(outside.path().join("f")).unwrap(), b"0\n");
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(made + refused, 400);
    });
}

#[test]
fn editors_at_once_make_one_transaction_after_the_other() {
    // The number is framed: what was read before the others' ten more is no part of theirs.
    let place = Place::new(&[("count", "<0>")]);
    let increments = |times: usize| {
        let editor = place.editor_with(|limits| limits.lock_wait = std::time::Duration::from_secs(300));
        let mut done = 0;
        while done < times {
            let text = fs::read_to_string(editor.root().join("count")).unwrap();
            let next = text.trim_matches(['<', '>']).parse::<usize>().unwrap() + 1;
            match editor.apply(&[Edit::replace("count", text, format!("<{next}>"))]) {
                Ok(_) => done += 1,
                // Somebody was faster between the reading here and there.
                Err(EditError::Mismatch { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| increments(10));
        }
    });
    assert_eq!(place.read("count"), b"<40>");
}

#[test]
fn a_commit_that_holds_the_workspace_is_waited_for_and_then_told() {
    let place = Place::new(&[("f", "a\n")]);
    let editor = place.editor_with(|limits| limits.lock_wait = std::time::Duration::ZERO);
    let held = fs::File::open(place.workspace.path()).unwrap();
    held.lock().unwrap();
    assert!(matches!(editor.apply(&[Edit::replace("f", "a", "b")]), Err(EditError::Busy(_))));
    held.unlock().unwrap();
    editor.apply(&[Edit::replace("f", "a", "b")]).unwrap();
}
