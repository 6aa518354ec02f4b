//! Tests of private seams: a commit that fails or ends at every point, and the readers over random input.

use super::fault::{Fault, arm};
use super::journal::{Attributes, Journal, Known, Node, Step};
use super::{CowLimits, CowWorkspace, Recovered, fuzzing, tree};
use crate::native;
use nix::sys::stat::{Mode, SFlag, mknod};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

type Picture = BTreeMap<PathBuf, (u32, u32, Vec<u8>, (i64, i64), Option<Vec<u8>>)>;

/// Names, kinds, modes, contents, times of modification, one extended attribute.
fn picture(root: &Path) -> Picture {
    let mut all = Picture::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let mut own = None;
        let content = if meta.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            own = native::attribute(fs::File::open(&path).unwrap(), c"user.own").unwrap();
            if meta.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            }
        };
        let time = (meta.mtime(), meta.mtime_nsec());
        all.insert(path.strip_prefix(root).unwrap().into(), (meta.mode(), meta.uid(), content, time, own));
    }
    all
}

/// A workspace and a transaction whose layer changes something of every kind.
struct Scene {
    root: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join("workspace").join(name);
        for dir in ["", "kept", "gone", "gone/deep", "opaque", "to-file", "locked"] {
            fs::create_dir(at(dir)).unwrap();
        }
        for file in
            ["kept/same", "kept/changed", "gone/deep/x", "opaque/y", "to-file/z", "to-dir", "locked/in"]
        {
            fs::write(at(file), format!("original {file}")).unwrap();
        }
        native::set_attribute(fs::File::open(at("kept/changed")).unwrap(), c"user.own", b"1").unwrap();
        symlink("kept", at("link")).unwrap();
        fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o555)).unwrap();
        Self { root }
    }

    fn workspace(&self) -> PathBuf {
        self.root.path().join("workspace")
    }

    fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn begin(&self) -> CowWorkspace {
        let cow = CowWorkspace::begin_in(self.workspace(), self.state(), CowLimits::default()).unwrap();
        let at = |name: &str| cow.state().join("layers/upper").join(name);
        let gone = |name: &str| mknod(&at(name), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
        for dir in ["kept", "opaque", "to-dir", "new", "new/er", "locked"] {
            fs::create_dir(at(dir)).unwrap();
        }
        native::set_attribute(fs::File::open(at("opaque")).unwrap(), c"user.overlay.opaque", b"y").unwrap();
        for file in ["kept/changed", "opaque/z", "to-file", "to-dir/in", "new/er/file", "locked/in"] {
            fs::write(at(file), format!("agent {file}")).unwrap();
        }
        fs::hard_link(at("new/er/file"), at("new/twin")).unwrap();
        symlink("/somewhere", at("link")).unwrap();
        gone("gone");
        fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(at("new"), fs::Permissions::from_mode(0o555)).unwrap();
        cow
    }

    fn recover(&self) -> Vec<Recovered> {
        CowWorkspace::recover_in(self.state()).unwrap()
    }

    fn picture(&self) -> Picture {
        picture(&self.workspace())
    }

    fn left_behind(&self) -> usize {
        fs::read_dir(self.state()).unwrap().count()
    }
}

/// Times of what the layer writes are those of its making; they differ from one scene to the next.
fn without_times(picture: &Picture) -> Picture {
    let mut timeless = picture.clone();
    for entry in timeless.values_mut() {
        entry.3 = (0, 0);
    }
    timeless
}

fn committed() -> Picture {
    let scene = Scene::new();
    let mut cow = scene.begin();
    cow.commit().unwrap();
    let after = without_times(&scene.picture());
    let twin = |name: &str| fs::metadata(scene.workspace().join(name)).unwrap().ino();
    assert_eq!(twin("new/twin"), twin("new/er/file"));
    assert!(!after.contains_key(Path::new("gone")) && after.contains_key(Path::new("to-dir/in")));
    after
}

#[test]
fn a_commit_that_ends_anywhere_is_recovered_as_a_whole() {
    let after = committed();
    let mut seen = [0; 2];
    for point in 0.. {
        let scene = Scene::new();
        let before = scene.picture();
        let mut cow = scene.begin();
        arm(Fault::Die(point));
        let ended = cow.commit();
        arm(Fault::None);
        let finished = ended.is_ok();
        drop(cow);
        if point % 2 == 1 {
            // The recovery is interrupted too, once or twice.
            for again in [point / 2, point / 3] {
                arm(Fault::Die(again));
                let _ = CowWorkspace::recover_in(scene.state());
                arm(Fault::None);
            }
        }
        scene.recover();
        let now = scene.picture();
        let is_after = without_times(&now) == after;
        assert!(is_after || now == before, "point {point}: {now:#?}");
        assert_eq!(scene.left_behind(), 0, "point {point}");
        seen[usize::from(is_after)] += 1;
        if finished {
            break;
        }
    }
    assert!(seen[0] > 10 && seen[1] > 30, "{seen:?}");
}

#[test]
fn a_commit_that_fails_anywhere_is_undone_and_can_be_tried_again() {
    let after = committed();
    for point in 0.. {
        let scene = Scene::new();
        let before = scene.picture();
        let mut cow = scene.begin();
        arm(Fault::Fail(point));
        let result = cow.commit();
        arm(Fault::None);
        if result.is_ok() {
            assert!(point > 30, "{point}");
            break;
        }
        let failed = scene.state();
        let left = fs::read_dir(failed).unwrap().count();
        if left > 0 && scene.picture() == before {
            cow.commit().unwrap();
        } else {
            // It failed where the work was done already, or where the journal stays: recovery ends it.
            drop(cow);
            scene.recover();
        }
        let now = scene.picture();
        assert!(without_times(&now) == after || now == before, "point {point}: {now:#?}");
        assert_eq!(scene.left_behind(), 0, "point {point}");
    }
}

#[test]
fn nothing_begins_on_an_interrupted_commit() {
    let scene = Scene::new();
    let mut cow = scene.begin();
    arm(Fault::Die(30));
    assert!(cow.commit().is_err());
    arm(Fault::None);
    drop(cow);
    let begun = CowWorkspace::begin_in(scene.workspace(), scene.state(), CowLimits::default());
    assert_eq!(begun.unwrap_err().kind(), super::CowErrorKind::Interrupted);
    assert!(matches!(scene.recover().as_slice(), [Recovered::Completed(_)]));
    CowWorkspace::begin_in(scene.workspace(), scene.state(), CowLimits::default()).unwrap();
}

/// A path, and what is done to it.
type Edit = (&'static str, fn(&Path));

/// What somebody may do to a path of the scene between a crash and the recovery. Each is an edit that must stay.
const EDITS: [Edit; 9] = [
    ("kept/changed", |path| fs::write(path, "somebody's").unwrap()),
    // Into the very file that the pre-image is another name of, and as long as what was there.
    ("kept/changed", |path| {
        use std::io::Write;
        let length = fs::metadata(path).unwrap().len();
        let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(&vec![b'!'; usize::try_from(length).unwrap()]).unwrap();
    }),
    ("kept/changed", |path| {
        // By another file in its place, as editors do.
        let other = path.with_extension("tmp");
        fs::write(&other, "somebody's").unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("kept/changed", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap()),
    ("link", |path| {
        let _ = fs::remove_file(path);
        symlink("elsewhere", path).unwrap();
    }),
    ("to-dir", |path| {
        let _ = fs::remove_dir_all(path);
        let _ = fs::remove_file(path);
        fs::write(path, "somebody's").unwrap();
    }),
    ("gone", |path| {
        let _ = fs::remove_dir_all(path);
        fs::write(path, "somebody's").unwrap();
    }),
    ("opaque/z", |path| fs::write(path, "somebody's").unwrap()),
    ("new", |path| {
        let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        let _ = open(path).map(|()| fs::remove_dir_all(path).unwrap());
        fs::write(path, "somebody's").unwrap();
    }),
];

#[test]
fn what_somebody_did_before_the_recovery_is_not_overwritten() {
    let (after, mut stopped) = (committed(), 0);
    for (name, edit) in EDITS {
        // Where the journal is, early, in the middle and late.
        for point in (20..75).step_by(9) {
            let scene = Scene::new();
            let mut cow = scene.begin();
            arm(Fault::Die(point));
            let ended = cow.commit().is_ok();
            arm(Fault::None);
            drop(cow);
            let journal = fs::read_dir(scene.state())
                .unwrap()
                .any(|entry| entry.unwrap().path().join("journal").exists());
            let path = scene.workspace().join(name);
            // Something that is not there at this point can be made only where its directory is.
            if ended || !journal || !path.parent().unwrap().is_dir() {
                continue;
            }
            if name.starts_with("kept/") && !path.exists() {
                continue;
            }
            edit(&path);
            let edited = scene.picture();
            let error = CowWorkspace::recover_in(scene.state()).unwrap_err();
            assert_eq!(error.kind(), super::CowErrorKind::Drift, "{name}, point {point}: {error}");
            assert!(error.paths().contains(&PathBuf::from(name)), "{name}, point {point}: {error}");
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(scene.picture(), edited, "{name}, point {point}: nothing is overwritten");
            assert_eq!(scene.left_behind(), 1);
            stopped += 1;
            // Out of the way, and the recovery is what it would have been.
            fs::rename(&path, scene.root.path().join("saved")).unwrap();
            assert!(matches!(scene.recover().as_slice(), [Recovered::Completed(_)]));
            assert_eq!(without_times(&scene.picture()), after, "{name}, point {point}");
            assert_eq!(scene.left_behind(), 0);
        }
    }
    assert!(stopped > 30, "{stopped}");
}

#[test]
fn one_that_needs_a_person_does_not_hold_up_the_others() {
    let (stuck, other) = (Scene::new(), Scene::new());
    let mut cow = stuck.begin();
    arm(Fault::Die(40));
    assert!(cow.commit().is_err());
    arm(Fault::None);
    drop(cow);
    fs::write(stuck.workspace().join("kept/changed"), "somebody's").unwrap();
    // Another transaction in the same directory of state, interrupted too.
    let mut cow = CowWorkspace::begin_in(other.workspace(), stuck.state(), CowLimits::default()).unwrap();
    fs::write(cow.state().join("layers/upper/new"), "agent").unwrap();
    arm(Fault::Die(6));
    let _ = cow.commit();
    arm(Fault::None);
    drop(cow);
    assert!(CowWorkspace::recover_in(stuck.state()).is_err());
    assert_eq!(stuck.left_behind(), 1);
    CowWorkspace::begin_in(other.workspace(), stuck.state(), CowLimits::default()).unwrap();
}

#[test]
fn journals_of_version_1_are_read() {
    let mut journal = sample();
    for step in &mut journal.steps {
        if let Node::File { known, .. } = &mut step.before {
            *known = None;
        }
    }
    // Version 1 has no byte that says what a file is known by: here the zeros before which a `same_as` ends.
    let bytes = journal.encode();
    let body = &bytes[..bytes.len() - 8];
    assert_eq!(Journal::parse_body(body), Some(journal.clone()));
    let mut old = body.to_vec();
    old[7] = 1;
    let mut from = 0;
    let mut without = Vec::new();
    // Each file's node: its `same_as`, and the zero behind it.
    for (at, word) in body.windows(9).enumerate() {
        let same_as = &word[..8];
        let is_end = same_as == [0xff; 8] || same_as == 3u64.to_le_bytes() && at > body.len() - 20;
        if is_end && at >= from {
            without.extend_from_slice(&old[from..at + 8]);
            from = at + 9;
        }
    }
    without.extend_from_slice(&old[from..]);
    assert_eq!(Journal::parse_body(&without), Some(journal));
}

#[test]
fn a_removal_knows_no_depth() {
    let root = tempfile::tempdir().unwrap();
    let dir = super::recover::open_workspace(&root.path().canonicalize().unwrap()).unwrap();
    let mut at = dir.try_clone().unwrap();
    for _ in 0..3000 {
        nix::sys::stat::mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
        at = tree::open_dir(&at, Path::new("d")).unwrap();
    }
    tree::remove(&dir, std::ffi::OsStr::new("d")).unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

/// xorshift64.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn sample() -> Journal {
    let attributes = Attributes {
        mode: 0o640,
        uid: 7,
        gid: 8,
        mtime: (5, 6),
        extended: vec![(b"user.own".to_vec(), b"value".to_vec())],
    };
    let file = |same_as| Node::File { attributes: attributes.clone(), same_as, known: None };
    let known = |ctime| Node::File {
        attributes: attributes.clone(),
        same_as: None,
        known: Some(Known { dev: 3, ino: 4, size: 5, ctime }),
    };
    let steps = vec![
        Step {
            path: "a".into(),
            before: Node::Directory { attributes: attributes.clone() },
            after: Node::Symlink { attributes: attributes.clone(), target: "target".into() },
        },
        Step { path: "a/b".into(), before: known(None), after: Node::Absent },
        Step { path: "b".into(), before: known(Some((9, 10))), after: file(None) },
        Step { path: "c".into(), before: Node::Absent, after: file(None) },
        Step { path: "d".into(), before: Node::Absent, after: file(Some(3)) },
    ];
    Journal { workspace: "/workspace".into(), root: (1, 2), steps }
}

#[test]
fn the_readers_keep_their_promises_on_random_input() {
    let mut state = 0x2026_1123;
    let whole = sample().encode();
    assert_eq!(Journal::parse(&whole), Some(sample()));
    let body = &whole[..whole.len() - 8];
    for cut in 0..whole.len() {
        assert_eq!(Journal::parse(&whole[..cut]), None);
    }
    for _ in 0..60_000 {
        let mut bytes = body.to_vec();
        for _ in 0..=next(&mut state) % 3 {
            let at = usize::try_from(next(&mut state)).unwrap() % bytes.len();
            bytes[at] = next(&mut state).to_le_bytes()[0];
        }
        fuzzing::journal(&bytes);
    }
    for _ in 0..20_000 {
        let length = next(&mut state) % 200;
        let bytes: Vec<u8> = (0..length).map(|_| next(&mut state).to_le_bytes()[3]).collect();
        fuzzing::commit_reader(&bytes);
        fuzzing::journal(&bytes);
    }
}
