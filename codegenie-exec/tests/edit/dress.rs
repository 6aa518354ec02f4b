//! What a file has beside its content: it stays, and where it does not, that is told.

use crate::place::Place;
use codegenie_exec::{Edit, EditError};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn set_mode(place: &Place, path: &str, mode: u32) {
    fs::set_permissions(place.at(path), fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(place: &Place, path: &str) -> u32 {
    fs::metadata(place.at(path)).unwrap().mode() & 0o7777
}

#[test]
fn a_file_that_is_deleted_and_made_anew_keeps_its_mode() {
    for content in ["secret\n", "other\n"] {
        let place = Place::new(&[("key", "secret\n")]);
        set_mode(&place, "key", 0o600);
        let time = fs::metadata(place.at("key")).unwrap().mtime_nsec();
        let made = place.editor().apply(&[Edit::delete("key"), Edit::create("key", content)]).unwrap();
        assert_eq!(mode(&place, "key"), 0o600, "{content}");
        assert_eq!(made.files.len(), usize::from(content == "other\n"));
        assert!(made.files.iter().all(|file| file.mode.is_none()));
        if content == "secret\n" {
            assert_eq!(fs::metadata(place.at("key")).unwrap().mtime_nsec(), time);
        }
    }
}

#[test]
fn what_is_made_elsewhere_and_moved_onto_a_deleted_name_keeps_the_mode_of_that() {
    let place = Place::new(&[("key", "secret\n")]);
    set_mode(&place, "key", 0o600);
    let edits = [Edit::delete("key"), Edit::create("new", "x\n"), Edit::rename("new", "key")];
    place.editor().apply(&edits).unwrap();
    assert_eq!((mode(&place, "key"), place.read("key")), (0o600, b"x\n".to_vec()));
    // Also where the old one went elsewhere.
    let edits = [Edit::rename("key", "old"), Edit::create("key", "y\n")];
    place.editor().apply(&edits).unwrap();
    assert_eq!((mode(&place, "key"), mode(&place, "old")), (0o600, 0o600));
}

#[test]
fn a_mode_that_changes_is_told() {
    let place = Place::new(&[("key", "x\n"), ("open", "x\n")]);
    set_mode(&place, "key", 0o600);
    set_mode(&place, "open", 0o644);
    // The content of the name is the same: only its mode tells of it.
    let edits = [Edit::delete("key"), Edit::rename("open", "key")];
    let seen = place.editor().preview(&edits).unwrap();
    let text = String::from_utf8(seen.diff()).unwrap();
    assert!(text.contains("diff --git a/key b/key\nold mode 100600\nnew mode 100644\n"), "{text}");
    let file = seen.files.iter().find(|file| file.path.as_os_str() == "key").unwrap();
    assert_eq!(file.mode, Some((0o600, 0o644)));
    let made = place.editor().apply(&edits).unwrap();
    assert_eq!(mode(&place, "key"), 0o644);
    place.editor().undo(&made.undo).unwrap();
    assert_eq!((mode(&place, "key"), mode(&place, "open")), (0o600, 0o644));

    let edits = [Edit::delete("key"), Edit::create("key", "x\n").executable()];
    let text = String::from_utf8(place.editor().preview(&edits).unwrap().diff()).unwrap();
    assert_eq!(text, "diff --git a/key b/key\nold mode 100600\nnew mode 100700\n");
    place.editor().apply(&edits).unwrap();
    assert_eq!(mode(&place, "key"), 0o700);
}

#[test]
fn attributes_that_change_are_told() {
    let place = Place::new(&[("key", "x\n"), ("open", "x\n")]);
    let open = fs::File::open(place.at("open")).unwrap();
    if rustix::fs::fsetxattr(&open, "user.note", b"1", rustix::fs::XattrFlags::empty()).is_err() {
        println!("this file system has no attributes of users: nothing to tell of");
        return;
    }
    let edits = [Edit::delete("key"), Edit::rename("open", "key")];
    let seen = place.editor().preview(&edits).unwrap();
    let text = String::from_utf8(seen.diff()).unwrap();
    assert!(text.contains("key: extended attributes change: user.note\n"), "{text}");
}

#[test]
fn an_owner_that_changes_is_told() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("only root has files of several owners: nothing to tell of");
        return;
    }
    let place = Place::new(&[("key", "x\n"), ("open", "y\n")]);
    std::os::unix::fs::chown(place.at("open"), Some(1234), Some(1235)).unwrap();
    let edits = [Edit::delete("key"), Edit::rename("open", "key")];
    let seen = place.editor().preview(&edits).unwrap();
    let text = String::from_utf8(seen.diff()).unwrap();
    assert!(text.contains("key: the owner changes from 0:0 to 1234:1235\n"), "{text}");
    let file = seen.files.iter().find(|file| file.path.as_os_str() == "key").unwrap();
    assert_eq!(file.owner, Some(((0, 0), (1234, 1235))));
}

#[test]
fn what_comes_back_by_an_undo_is_told_as_it_was() {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let place = Place::new(&[("open", "x\n"), ("plain", "x\n")]);
    set_mode(&place, "open", 0o666);
    let file = fs::File::open(place.at("open")).unwrap();
    let noted = rustix::fs::fsetxattr(&file, "user.note", b"1", rustix::fs::XattrFlags::empty()).is_ok();
    if is_root {
        std::os::unix::fs::chown(place.at("open"), Some(1234), Some(1235)).unwrap();
    }
    let gone = place.editor().apply(&[Edit::delete("open")]).unwrap();
    assert!(String::from_utf8(gone.diff()).unwrap().contains("deleted file mode 100666\n"));
    let seen = place.editor().preview_undo(&gone.undo).unwrap();
    let text = String::from_utf8(seen.diff()).unwrap();
    assert!(text.contains("new file mode 100666\n") && !text.contains("old mode"), "{text}");
    assert_eq!(seen.files[0].mode, Some((0, 0o666)));
    if noted {
        assert!(text.contains("open: extended attributes come with it: user.note\n"), "{text}");
        assert_eq!(seen.files[0].attributes, ["user.note"]);
    }
    if is_root {
        let told = "open: the owner of a new file changes from 0:0 to 1234:1235\n";
        assert!(text.contains(told), "{text}");
        assert_eq!(seen.files[0].owner, Some(((0, 0), (1234, 1235))));
    }
    place.editor().undo_previewed(&gone.undo, &seen).unwrap();
    assert_eq!(mode(&place, "open"), 0o666);

    // What somebody agreed to has that mode: a copy of a file whose mode changed since is another change.
    let edits = [Edit::rename("plain", "copy"), Edit::create("plain", "y\n")];
    let seen = place.editor().preview(&edits).unwrap();
    set_mode(&place, "plain", 0o777);
    let error = place.editor().apply_previewed(&edits, &seen).unwrap_err();
    assert!(matches!(error, EditError::Drift { .. }), "{error}");
    // An ordinary new file says nothing of it.
    let seen = place.editor().preview(&[Edit::create("new", "x\n")]).unwrap();
    let file = &seen.files[0];
    assert_eq!((file.mode, file.owner, file.attributes.len()), (None, None, 0));
}

#[test]
fn what_was_agreed_to_is_made_whatever_its_diff_looked_like() {
    let place = Place::new(&[("f", "a\n")]);
    let edits = [Edit::replace("f", "a", "b")];
    let mut seen = place.editor().preview(&edits).unwrap();
    // A diff whose making was cut short on a busy machine is coarser, and means the same.
    seen.files[0].diff = b"another way to say it".to_vec();
    (seen.files[0].added, seen.files[0].removed) = (7, 7);
    place.editor().apply_previewed(&edits, &seen).unwrap();
    assert_eq!(place.read("f"), b"b\n");
    // But nothing else.
    let edits = [Edit::replace("f", "b", "c")];
    let seen = place.editor().preview(&edits).unwrap();
    let other = [Edit::replace("f", "b", "d")];
    let error = place.editor().apply_previewed(&other, &seen).unwrap_err();
    assert!(matches!(error, EditError::Drift { .. }), "{error}");
}

#[test]
fn of_binary_files_size_and_hash_are_told() {
    let place = Place::new(&[]);
    place.put("binary", b"a\0b\n");
    let seen = place.editor().preview(&[Edit::overwrite("binary", b"a\0cd\n")]).unwrap();
    let hash = |content: &[u8]| codegenie_exec::ContentHash::of(content);
    let expected = format!(
        "Binary files a/binary and b/binary differ: 4 bytes with SHA-256 {} become 5 bytes with SHA-256 {}\n",
        hash(b"a\0b\n"),
        hash(b"a\0cd\n")
    );
    assert!(String::from_utf8(seen.diff()).unwrap().ends_with(&expected));
}
