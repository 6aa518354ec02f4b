//! An editor that is confined to a sandbox policy. Each test first shows that it edits without.

use crate::place::Place;
use codegenie_exec::{Edit, Editor, Refusal, SandboxPolicy};

fn edits(path: &str) -> [Edit; 3] {
    [Edit::overwrite(path, "changed\n"), Edit::delete(path), Edit::rename(path, "moved")]
}

fn confined(place: &Place, change: impl FnOnce(SandboxPolicy) -> SandboxPolicy) -> Editor {
    let policy = change(SandboxPolicy::workspace_write(place.workspace.path()));
    place.editor().confined_to(&policy).unwrap()
}

#[test]
fn what_a_policy_makes_read_only_or_hides_is_neither_edited_nor_looked_at() {
    let place =
        Place::new(&[("kept/f", "one\n"), ("file", "one\n"), ("secret/f", "one\n"), ("free/f", "one\n")]);
    let editor = confined(&place, |policy| {
        policy.read(place.at("kept")).read(place.at("file")).hide(place.at("secret")).hide(place.at("coming"))
    });
    for path in ["kept/f", "file", "secret/f"] {
        for edit in edits(path) {
            let done = place.editor().apply(std::slice::from_ref(&edit)).unwrap();
            place.editor().undo(&done.undo).unwrap();
            let before = place.seen();
            assert_eq!(
                editor.apply(std::slice::from_ref(&edit)).unwrap_err().refusal(),
                Some(Refusal::Confined)
            );
            // Also the diff, which would show what is hidden.
            assert_eq!(editor.preview(&[edit]).unwrap_err().refusal(), Some(Refusal::Confined));
            assert_eq!(place.seen(), before);
        }
    }
    for path in ["kept/new", "secret/new", "secret/a/b", "coming/new", "coming"] {
        let done = place.editor().apply(&[Edit::create(path, "")]).unwrap();
        place.editor().undo(&done.undo).unwrap();
        assert_eq!(
            editor.apply(&[Edit::create(path, "")]).unwrap_err().refusal(),
            Some(Refusal::Confined),
            "{path}"
        );
        let moved = editor.apply(&[Edit::rename("free/f", path)]).unwrap_err();
        assert_eq!(moved.refusal(), Some(Refusal::Confined), "{path}");
    }
    // One that may not be touched spoils the transaction.
    let both = [Edit::overwrite("free/f", "two\n"), Edit::overwrite("kept/f", "two\n")];
    assert_eq!(editor.apply(&both).unwrap_err().refusal(), Some(Refusal::Confined));
    assert_eq!(place.read("free/f"), b"one\n");
    editor.apply(&[Edit::overwrite("free/f", "two\n"), Edit::create("kept-alike", "")]).unwrap();
    let absolute = place.workspace.path().canonicalize().unwrap().join("kept/f");
    assert_eq!(
        editor.apply(&[Edit::overwrite(absolute, "")]).unwrap_err().refusal(),
        Some(Refusal::Confined)
    );
}

#[test]
fn the_deepest_entry_decides_and_every_policy_counts() {
    let place = Place::new(&[("kept/open/f", "one\n"), ("kept/f", "one\n"), ("other/f", "one\n")]);
    let open = |policy: SandboxPolicy| policy.read(place.at("kept")).write(place.at("kept/open"));
    let editor = confined(&place, open);
    editor.apply(&[Edit::overwrite("kept/open/f", "two\n"), Edit::overwrite("other/f", "two\n")]).unwrap();
    assert_eq!(
        editor.apply(&[Edit::overwrite("kept/f", "")]).unwrap_err().refusal(),
        Some(Refusal::Confined)
    );

    let narrow = SandboxPolicy::default().write(place.at("kept"));
    let editor = confined(&place, open).confined_to(&narrow).unwrap();
    assert_eq!(
        editor.apply(&[Edit::overwrite("other/f", "")]).unwrap_err().refusal(),
        Some(Refusal::Confined)
    );
    editor.apply(&[Edit::overwrite("kept/open/f", "three\n")]).unwrap();
    let read_only = place.editor().confined_to(&SandboxPolicy::read_only(place.workspace.path())).unwrap();
    assert_eq!(read_only.apply(&[Edit::create("new", "")]).unwrap_err().refusal(), Some(Refusal::Confined));
}

/// Given free to the editor, and not to commands.
#[test]
fn what_a_host_allows_the_editor_stays_within_the_policy() {
    let place = Place::new(&[(".git/config", "one\n"), (".git/HEAD", "ref: refs/heads/main\n")]);
    let allowed = || place.editor().dangerously_allow_protected(".git/config");
    let done = allowed().apply(&[Edit::overwrite(".git/config", "two\n")]).unwrap();
    let policy = SandboxPolicy::workspace_write(place.workspace.path());
    let editor = allowed().confined_to(&policy).unwrap();
    let error = editor.apply(&[Edit::overwrite(".git/config", "three\n")]).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Confined), "{error}");
    assert_eq!(editor.undo(&done.undo).unwrap_err().refusal(), Some(Refusal::Confined), "an undo is an edit");
    let editor = allowed().confined_to(&policy.write(place.at(".git"))).unwrap();
    editor.undo(&done.undo).unwrap();
    assert_eq!(place.read(".git/config"), b"one\n");
}
