//! Every kind of edit, and what it keeps.

use crate::place::Place;
use codegenie_exec::{ContentHash, Edit, EditError, Patch, Refusal};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

#[test]
fn files_are_created_with_their_directories() {
    let place = Place::new(&[]);
    let made = place
        .editor()
        .apply(&[Edit::create("a/b/c.txt", "hello\n"), Edit::create("run.sh", "#!/bin/sh\n").executable()])
        .unwrap();
    assert_eq!(place.read("a/b/c.txt"), b"hello\n");
    assert_eq!(fs::metadata(place.at("run.sh")).unwrap().mode() & 0o100, 0o100);
    assert_eq!(fs::metadata(place.at("a/b/c.txt")).unwrap().mode() & 0o111, 0);
    assert_eq!(made.files.len(), 2);
    assert_eq!(made.files[0].path, Path::new("a/b/c.txt"));
    assert_eq!((made.files[0].before, made.files[0].after), (None, Some(ContentHash::of(b"hello\n"))));
    let diff = String::from_utf8(made.files[0].diff.clone()).unwrap();
    assert_eq!(
        diff,
        "diff --git a/a/b/c.txt b/a/b/c.txt\nnew file mode 100644\n--- /dev/null\n+++ b/a/b/c.txt\n@@ -0,0 +1 @@\n+hello\n"
    );
    let again = place.editor().apply(&[Edit::create("run.sh", "")]).unwrap_err();
    assert_eq!(again.refusal(), Some(Refusal::Exists));
}

#[test]
fn exact_text_is_replaced_if_it_is_unique_or_counted() {
    let place = Place::new(&[("f", "one two one\n")]);
    let editor = place.editor();
    let error = editor.apply(&[Edit::replace("f", "one", "1")]).unwrap_err();
    assert!(error.to_string().contains("2 times, not 1"), "{error}");
    let error = editor.apply(&[Edit::replace("f", "one", "1").occurrences(3)]).unwrap_err();
    assert!(error.to_string().contains("2 times, not 3"), "{error}");
    for (old, new) in [("", "x"), ("none", "x"), ("two", "two")] {
        assert!(
            matches!(editor.apply(&[Edit::replace("f", old, new)]), Err(EditError::Mismatch { .. })),
            "{old}"
        );
    }
    assert_eq!(place.read("f"), b"one two one\n");
    editor.apply(&[Edit::replace("f", "one", "1").occurrences(2), Edit::replace("f", "two", "2")]).unwrap();
    assert_eq!(place.read("f"), b"1 2 1\n");
    place.put("overlap", "aaa");
    assert!(matches!(
        editor.apply(&[Edit::replace("overlap", "aa", "b").occurrences(2)]),
        Err(EditError::Mismatch { .. })
    ));
}

#[test]
fn lines_are_replaced_inserted_and_removed() {
    let cases: [(&str, usize, usize, &str, &str); 9] = [
        ("a\nb\nc\n", 2, 2, "x\ny\n", "a\nx\ny\nc\n"),
        ("a\nb\nc\n", 2, 3, "x", "a\nx\n"),
        ("a\nb\n", 1, 0, "x\n", "x\na\nb\n"),
        ("a\nb\n", 3, 2, "x\n", "a\nb\nx\n"),
        ("a\nb\nc\n", 1, 2, "", "c\n"),
        // The last line stays without a line feed.
        ("a\nb", 2, 2, "x\n", "a\nx"),
        ("a\nb", 3, 2, "x\n", "a\nb\nx"),
        ("a\r\nb\r\n", 2, 2, "x\ny\n", "a\r\nx\r\ny\r\n"),
        ("\u{feff}a\nb\n", 1, 1, "x\n", "\u{feff}x\nb\n"),
    ];
    for (before, first, last, text, after) in cases {
        let place = Place::new(&[("f", before)]);
        place.editor().apply(&[Edit::replace_lines("f", first, last, text)]).unwrap();
        assert_eq!(String::from_utf8(place.read("f")).unwrap(), after, "{before:?} {first} {last} {text:?}");
    }
    let place = Place::new(&[("f", "a\nb\n")]);
    for (first, last) in [(0, 0), (0, 1), (2, 4), (4, 3), (2, 0), (usize::MAX, usize::MAX)] {
        let error = place.editor().apply(&[Edit::replace_lines("f", first, last, "x\n")]).unwrap_err();
        assert!(matches!(error, EditError::Mismatch { .. }), "{first} {last} {error}");
    }
}

#[test]
fn files_are_renamed_and_deleted() {
    let place = Place::new(&[("old", "content\n"), ("gone", "x")]);
    fs::set_permissions(place.at("old"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(place.at("old")).unwrap();
    let made = place.editor().apply(&[Edit::rename("old", "d/new"), Edit::delete("gone")]).unwrap();
    let after = fs::metadata(place.at("d/new")).unwrap();
    assert_eq!(
        (before.mode(), before.mtime(), before.mtime_nsec()),
        (after.mode(), after.mtime(), after.mtime_nsec())
    );
    assert!(!place.at("old").exists() && !place.at("gone").exists());
    assert_eq!(made.files.len(), 2);
    let renamed = &made.files[0];
    assert_eq!(
        (renamed.path.as_path(), renamed.from.as_deref()),
        (Path::new("d/new"), Some(Path::new("old")))
    );
    assert_eq!(renamed.before, renamed.after);
    let diff = String::from_utf8(made.diff()).unwrap();
    assert!(diff.contains("rename from old\nrename to d/new\n"), "{diff}");
    assert!(
        diff.contains(
            "deleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\\ No newline"
        ),
        "{diff}"
    );
}

#[test]
fn one_transaction_may_edit_a_file_more_than_once() {
    let place = Place::new(&[("a", "1\n2\n3\n")]);
    let made = place
        .editor()
        .apply(&[
            Edit::replace("a", "2", "two"),
            Edit::rename("a", "b"),
            Edit::replace_lines("b", 3, 3, "three\n"),
            Edit::create("a", "new\n"),
            Edit::create("c", "short-lived"),
            Edit::delete("c"),
        ])
        .unwrap();
    assert_eq!((place.read("a"), place.read("b")), (b"new\n".to_vec(), b"1\ntwo\nthree\n".to_vec()));
    assert!(!place.at("c").exists());
    assert_eq!(made.files.len(), 2);
    let none = place.editor().apply(&[Edit::delete("none")]).unwrap_err();
    assert_eq!(none.refusal(), Some(Refusal::Missing));
}

#[test]
fn all_or_nothing_and_nothing_is_left_beside() {
    let place = Place::new(&[("a", "1\n"), ("b", "2\n")]);
    let before = place.seen();
    let error = place
        .editor()
        .apply(&[Edit::replace("a", "1", "x"), Edit::create("d/new", "y"), Edit::replace("b", "absent", "z")])
        .unwrap_err();
    assert!(matches!(error, EditError::Mismatch { .. }), "{error}");
    assert_eq!(place.seen(), before);
    place.editor().apply(&[Edit::replace("a", "1", "x"), Edit::delete("b")]).unwrap();
    let names: Vec<_> = place.seen().into_keys().collect();
    assert_eq!(names, [Path::new("a")]);
}

#[test]
fn a_hash_guards_against_stale_content() {
    let place = Place::new(&[("f", "read by the agent\n")]);
    let hash = ContentHash::of(b"read by the agent\n");
    place.put("f", "written since\n");
    let error = place.editor().apply(&[Edit::overwrite("f", "mine\n").expect(hash)]).unwrap_err();
    assert!(matches!(error, EditError::Stale { .. }), "{error}");
    assert_eq!(place.read("f"), b"written since\n");
    let hash: ContentHash = ContentHash::of(b"written since\n").to_string().parse().unwrap();
    place.editor().apply(&[Edit::overwrite("f", "mine\n").expect(hash)]).unwrap();
    assert_eq!(place.read("f"), b"mine\n");
    let error = place.editor().apply(&[Edit::create("g", "").expect(hash)]).unwrap_err();
    assert!(matches!(error, EditError::Stale { found: None, .. }), "{error}");
    assert!("zz".repeat(32).parse::<ContentHash>().is_err() && "00".parse::<ContentHash>().is_err());
}

#[test]
fn line_endings_marks_and_bytes_stay() {
    let place = Place::new(&[("crlf", "\u{feff}a\r\nb\r\nc\r\n"), ("mixed", "a\r\nb\nc\n")]);
    place.put("latin", b"caf\xe9\nb\n");
    let editor = place.editor();
    let diff = "--- a/crlf\n+++ b/crlf\n@@ -2,2 +2,3 @@\n B\n-c\n+C\n+D\n";
    let made = editor
        .apply(&[
            Edit::replace("crlf", "a\nb\n", "A\nB\n"),
            Edit::patch("crlf", Patch::parse(diff).unwrap().files()[0].clone()),
            Edit::replace("mixed", "b\n", "x\ny\n"),
            Edit::replace("latin", "b", "\u{e9}"),
        ])
        .unwrap();
    assert_eq!(place.read("crlf"), "\u{feff}A\r\nB\r\nC\r\nD\r\n".as_bytes());
    assert!(made.files[0].line_endings_adapted && !made.files[2].line_endings_adapted);
    assert_eq!(place.read("mixed"), b"a\r\nx\ny\nc\n");
    assert_eq!(place.read("latin"), b"caf\xe9\n\xc3\xa9\n");
    assert!(made.files[1].diff.windows(5).any(|window| window == b"caf\xe9\n"));
}

#[test]
fn mode_owner_and_attributes_stay() {
    let place = Place::new(&[("f", "text\n"), ("ro", "text\n")]);
    fs::set_permissions(place.at("f"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(place.at("ro"), fs::Permissions::from_mode(0o400)).unwrap();
    // File systems without user attributes keep none.
    let file = fs::File::open(place.at("f")).unwrap();
    let has_attributes =
        rustix::fs::fsetxattr(&file, "user.label", b"secret", rustix::fs::XattrFlags::empty()).is_ok();
    place.editor().apply(&[Edit::replace("f", "text", "other"), Edit::overwrite("ro", "new\n")]).unwrap();
    assert_eq!(fs::metadata(place.at("f")).unwrap().mode() & 0o7777, 0o751);
    assert_eq!(fs::metadata(place.at("ro")).unwrap().mode() & 0o7777, 0o400);
    if has_attributes {
        let mut value = [0; 16];
        let file = fs::File::open(place.at("f")).unwrap();
        let length = rustix::fs::fgetxattr(&file, "user.label", &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"secret");
    }
}

#[test]
fn a_preview_says_what_apply_does_and_writes_nothing() {
    let place = Place::new(&[("a", "1\n2\n"), ("b", "x\n")]);
    let edits = [Edit::replace("a", "1", "one"), Edit::rename("b", "c"), Edit::create("d/e", "new\n")];
    let (editor, before) = (place.editor(), place.seen());
    let preview = editor.preview(&edits).unwrap();
    assert_eq!(place.seen(), before);
    assert_eq!(editor.apply(&edits).unwrap().files, preview.files);
}

#[test]
fn absolute_paths_below_the_root_are_taken() {
    let place = Place::new(&[("f", "a\n")]);
    let editor = place.editor();
    editor.apply(&[Edit::replace(editor.root().join("f"), "a", "b"), Edit::create("./g", "")]).unwrap();
    assert_eq!(place.read("f"), b"b\n");
    assert!(place.at("g").exists());
}
