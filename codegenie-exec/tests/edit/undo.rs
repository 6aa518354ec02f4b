//! What is taken back, and when it is not.

use crate::place::Place;
use crate::races::Meanwhile;
use codegenie_exec::{Edit, EditError, Editor, UndoId};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What somebody else does.
type Way = fn(&Place);

fn edits() -> Vec<Edit> {
    vec![
        Edit::replace("a", "1", "one"),
        Edit::create("new/deep/file", "n\n"),
        Edit::delete("b"),
        Edit::rename("c", "d/c"),
    ]
}

fn place() -> Place {
    let place = Place::new(&[("a", "1\n"), ("b", "2\n"), ("c", "3\n"), ("d/x", "4\n")]);
    fs::set_permissions(place.at("b"), fs::Permissions::from_mode(0o600)).unwrap();
    place
}

#[test]
fn an_undo_brings_everything_back_and_can_be_undone() {
    let place = place();
    let before = place.seen();
    let made = place.editor().apply(&edits()).unwrap();
    let after = place.seen();
    // By another editor, as after a restart.
    let editor = place.editor();
    assert_eq!(editor.undoable().unwrap(), std::slice::from_ref(&made.undo));
    let undone = editor.undo(&made.undo.to_string().parse().unwrap()).unwrap();
    assert_eq!(place.seen(), before);
    assert!(matches!(editor.undo(&made.undo), Err(EditError::NothingToUndo(_))));
    editor.undo(&undone.undo).unwrap();
    assert_eq!(place.seen(), after);
    assert!("../../etc".parse::<UndoId>().is_err());
}

#[test]
fn what_somebody_has_changed_since_is_not_undone() {
    let changes: [(&str, Way); 6] = [
        ("a", |place| fs::write(place.at("a"), "theirs\n").unwrap()),
        ("a", |place| fs::set_permissions(place.at("a"), fs::Permissions::from_mode(0o777)).unwrap()),
        ("b", |place| fs::write(place.at("b"), "again\n").unwrap()),
        ("new/deep/file", |place| fs::remove_dir_all(place.at("new")).unwrap()),
        ("d/c", |place| {
            fs::rename(place.at("d/c"), place.at("moved")).unwrap();
            std::os::unix::fs::symlink("../moved", place.at("d/c")).unwrap();
        }),
        ("c", |place| fs::create_dir(place.at("c")).unwrap()),
    ];
    for (path, change) in changes {
        let place = place();
        let made = place.editor().apply(&edits()).unwrap();
        change(&place);
        let before = place.seen();
        let error = place.editor().undo(&made.undo).unwrap_err();
        let EditError::Drift { paths, .. } = &error else { panic!("{path}: {error}") };
        assert_eq!(paths.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(), [path]);
        assert_eq!(place.seen(), before);
    }
}

#[test]
fn directories_that_others_use_stay() {
    let place = place();
    let made = place.editor().apply(&edits()).unwrap();
    place.put("new/theirs", "x");
    place.editor().undo(&made.undo).unwrap();
    assert!(place.at("new/theirs").exists() && !place.at("new/deep").exists());
}

#[test]
fn the_journal_is_bounded_and_private() {
    let place = Place::new(&[("f", "0")]);
    let editor = place.editor_with(|limits| limits.undo_transactions = 3);
    let made: Vec<UndoId> =
        (1..=6).map(|n| editor.apply(&[Edit::overwrite("f", n.to_string())]).unwrap().undo).collect();
    assert_eq!(editor.undoable().unwrap(), made[3..]);
    for id in made[3..].iter().rev() {
        editor.undo(id).unwrap();
    }
    assert_eq!(place.read("f"), b"3");
    let editor = place.editor_with(|limits| limits.undo_bytes = 250);
    for n in 0..6u8 {
        editor.apply(&[Edit::overwrite("f", [b'0' + n; 100])]).unwrap();
    }
    assert_eq!(editor.undoable().unwrap().len(), 2);
    for (path, seen) in crate::place::seen(place.state.path()) {
        assert_eq!(seen.mode & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn what_is_dropped_by_an_undo_is_not_more_than_what_was_there() {
    // An edit that changes nothing can be undone as well.
    let place = Place::new(&[("f", "same\n")]);
    let before = place.seen();
    let made = place.editor().apply(&[Edit::overwrite("f", "same\n")]).unwrap();
    assert!(made.files.is_empty() && made.diff().is_empty());
    place.editor().undo(&made.undo).unwrap();
    assert_eq!(place.seen(), before);
}

#[test]
fn a_torn_journal_is_told_and_not_taken() {
    let place = Place::new(&[("f", "a\n")]);
    let made = place.editor().apply(&[Edit::replace("f", "a", "b")]).unwrap();
    let states = crate::place::seen(place.state.path());
    let record = states.keys().find(|path| path.ends_with("record")).unwrap();
    let record = place.state.path().join(record);
    let mut bytes = fs::read(&record).unwrap();
    bytes[20] ^= 1;
    fs::write(&record, bytes).unwrap();
    let error = Editor::open(place.workspace.path(), place.state.path()).unwrap_err();
    assert!(matches!(error, EditError::Interrupted(_)), "{error}");
    assert!(error.to_string().contains(&made.undo.to_string()), "{error}");
}

#[test]
fn an_edit_that_fails_drops_nothing_that_can_be_undone() {
    let place = Place::new(&[("f", "0\n")]);
    let editor = place.editor_with(|limits| limits.undo_transactions = 2);
    editor.apply(&[Edit::overwrite("f", "1\n")]).unwrap();
    editor.apply(&[Edit::overwrite("f", "2\n")]).unwrap();
    let before = editor.undoable().unwrap();
    // The directory cannot be made where a file lies meanwhile: it fails while it is made, not before.
    let root = place.workspace.path().to_path_buf();
    let editor = place.editor_with(|limits| limits.undo_transactions = 2).gate(
        Meanwhile(move || fs::write(root.join("d"), "theirs").unwrap()),
        codegenie_exec::GateSeverity::Info,
    );
    editor.apply(&[Edit::create("d/new", "x\n")]).unwrap_err();
    assert_eq!(editor.undoable().unwrap(), before);
    let made = editor.apply(&[Edit::overwrite("f", "3\n")]).unwrap();
    assert_eq!(editor.undoable().unwrap(), [before[1].clone(), made.undo]);
}

/// Makes of a transaction that is complete one whose process ended before it said so.
fn interrupt(place: &Place) {
    let states = crate::place::seen(place.state.path());
    let record = states.keys().find(|path| path.ends_with("record")).unwrap();
    let record = place.state.path().join(record);
    let mut bytes = fs::read(&record).unwrap();
    let end = bytes.len() - 8;
    // The stage follows the magic; a checksum ends it.
    assert_eq!(bytes[8], 3);
    bytes[8] = 1;
    let sum = bytes[..end].iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    fs::write(&record, bytes).unwrap();
}

#[test]
fn an_interrupted_transaction_can_be_given_up() {
    let place = Place::new(&[("d/f", "old\n"), ("g", "x\n")]);
    place.editor().apply(&[Edit::replace("d/f", "old", "new")]).unwrap();
    interrupt(&place);
    fs::rename(place.at("d"), place.at("moved")).unwrap();
    place.put("d/f", "theirs\n");
    let before = place.seen();
    let error = Editor::open(place.workspace.path(), place.state.path()).unwrap_err();
    assert!(matches!(error, EditError::Interrupted(_)), "{error}");
    assert!(error.to_string().contains("dangerously_forget_interrupted"), "{error}");
    let aside = Editor::dangerously_forget_interrupted(place.workspace.path(), place.state.path()).unwrap();
    assert_eq!(place.seen(), before);
    assert_eq!(fs::read(aside[0].join("before-0")).unwrap(), b"old\n");
    assert!(error.to_string().contains(aside[0].parent().unwrap().to_str().unwrap()), "{error}");
    let editor = place.editor();
    assert!(editor.undoable().unwrap().is_empty() && editor.recovered().is_empty());
    editor.apply(&[Edit::overwrite("d/f", "y\n")]).unwrap();
    // What can be recovered is, and what is complete stays.
    let forget = || Editor::dangerously_forget_interrupted(place.workspace.path(), place.state.path());
    assert!(forget().unwrap().is_empty());
    assert_eq!(editor.undoable().unwrap().len(), 1);

    let place = Place::new(&[("f", "old\n")]);
    place.editor().apply(&[Edit::replace("f", "old", "new")]).unwrap();
    interrupt(&place);
    let aside = Editor::dangerously_forget_interrupted(place.workspace.path(), place.state.path()).unwrap();
    assert!(aside.is_empty());
    assert_eq!(place.read("f"), b"old\n");
}
