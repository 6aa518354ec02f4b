//! Laws, over transactions that nobody thought of.

use crate::place::Place;
use codegenie_exec::{Edit, Patch, PatchLimits};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const NAMES: [&str; 7] = ["a", "b", "c.txt", "d/e", "d/f", "g/h/i", "j k"];

fn content() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![Just("x"), Just("y"), Just("zz"), Just(""), Just("\u{e9}")];
    let end = prop_oneof![4 => Just("\n"), 1 => Just("\r\n")];
    (prop::collection::vec((line, end), 0..8), any::<bool>(), 0..12u8).prop_map(|(lines, cut, raw)| {
        let mut text: Vec<u8> = lines.iter().flat_map(|(line, end)| [*line, *end]).collect::<String>().into();
        if cut && text.ends_with(b"\n") {
            text.pop();
        }
        if raw == 0 {
            text.extend_from_slice(b"\xff\xfe\n");
        }
        text
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = || prop::sample::select(&NAMES[..]);
    prop_oneof![
        (name(), content()).prop_map(|(name, content)| Edit::create(name, content)),
        (name(), content()).prop_map(|(name, content)| Edit::overwrite(name, content)),
        (name(), content()).prop_map(|(name, content)| Edit::overwrite(name, content)),
        name().prop_map(Edit::delete),
        (name(), name()).prop_map(|(from, to)| Edit::rename(from, to)),
        (name(), 1..4usize, 0..4usize, content())
            .prop_map(|(name, first, last, text)| Edit::replace_lines(name, first, last, text)),
        (name(), "[xyz]{1,2}", "[xyz]{0,3}").prop_map(|(name, old, new)| Edit::replace(name, old, new)),
    ]
}

fn files() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>, u32)>> {
    let mode = prop::sample::select(&[0o644u32, 0o755, 0o600, 0o444][..]);
    (
        prop::sample::subsequence(&NAMES[..], 0..=NAMES.len()),
        prop::collection::vec((content(), mode), NAMES.len()),
    )
        .prop_map(|(names, rest)| {
            names.into_iter().zip(rest).map(|(name, (content, mode))| (name, content, mode)).collect()
        })
}

/// What else a file may be than one with a content and a mode.
#[derive(Clone, Debug)]
enum Dress {
    /// It has an attribute.
    Note(u8),
    /// A symbolic link to another name, or to what lies outside, stands in its place.
    Link(&'static str),
    /// The file has a second name.
    Twin(&'static str),
    /// A folder of its name.
    Folder,
}

fn dresses() -> impl Strategy<Value = Vec<(&'static str, Dress)>> {
    let name = || prop::sample::select(&NAMES[..]);
    let target = prop::sample::select(&["a", "b", "d", "../d/e", "missing", "/etc/hostname", "."][..]);
    let dress = prop_oneof![
        3 => any::<u8>().prop_map(Dress::Note),
        1 => target.prop_map(Dress::Link),
        1 => name().prop_map(Dress::Twin),
        1 => Just(Dress::Folder),
    ];
    prop::collection::vec((name(), dress), 0..4)
}

/// Dresses what is there, where that can be done.
fn dress(place: &Place, (name, dress): (&str, Dress)) {
    let path = place.at(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match dress {
        Dress::Note(value) => {
            let _ = rustix::fs::setxattr(&path, "user.note", &[value], rustix::fs::XattrFlags::empty());
        }
        Dress::Link(target) => {
            let _ = fs::remove_file(&path);
            let _ = std::os::unix::fs::symlink(target, &path);
        }
        Dress::Twin(twin) => {
            let _ = fs::remove_file(place.at(twin));
            let _ = fs::hard_link(&path, place.at(twin));
        }
        Dress::Folder => {
            let _ = fs::create_dir(&path);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// undo(apply(x)) = x, undo(undo(apply(x))) = apply(x), preview(x) = apply(x), and a transaction
    /// that fails leaves x.
    #[test]
    fn of_transactions(files in files(), dressed in dresses(), edits in prop::collection::vec(edit(), 1..7)) {
        let place = Place::new(&[]);
        for (name, content, mode) in files {
            place.put(name, content);
            fs::set_permissions(place.at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        dressed.into_iter().for_each(|one| dress(&place, one));
        let (editor, before) = (place.editor(), place.seen());
        let preview = editor.preview(&edits);
        prop_assert_eq!(&place.seen(), &before);
        match editor.apply(&edits) {
            Err(error) => {
                prop_assert_eq!(preview.unwrap_err().to_string(), error.to_string());
                prop_assert_eq!(&place.seen(), &before);
            }
            Ok(made) => {
                prop_assert_eq!(&preview.unwrap().files, &made.files);
                let after = place.seen();
                let undone = editor.undo(&made.undo).unwrap();
                prop_assert_eq!(&place.seen(), &before);
                editor.undo(&undone.undo).unwrap();
                prop_assert_eq!(&place.seen(), &after);
            }
        }
    }

    /// The diff that is told leads from one text to the other, and back where the sides are changed.
    #[test]
    fn of_diffs(old in content(), new in content()) {
        let place = Place::new(&[]);
        place.put("f", &old);
        let editor = place.editor();
        let told = editor.preview(&[Edit::overwrite("f", new.clone())]).unwrap();
        if old == new {
            prop_assert!(told.diff().is_empty());
            return Ok(());
        }
        let patch = Patch::parse(told.diff()).unwrap();
        let patched = patch.files()[0].apply(&old, &PatchLimits::exact()).unwrap();
        prop_assert_eq!(&patched.content, &new);
        let edits = patch.edits(1).unwrap();
        editor.apply(&edits).unwrap();
        prop_assert_eq!(place.read("f"), new);
    }
}
