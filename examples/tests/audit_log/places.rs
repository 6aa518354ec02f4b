//! Where a log is not made, and that nothing is left of the attempt.

use std::path::Path;
use std::process::{Command, Stdio};

use super::program;

/// Everything below a directory.
fn names(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        found.push(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            found.extend(names(&entry.path()));
        }
    }
    found.sort();
    found
}

fn append(home: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(program());
    let out = child.arg("append").args(arguments).current_dir(home).stdin(Stdio::null()).output().unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn keys_in_the_log_are_refused_before_anything_is_made() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::create_dir(home.join("made")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("made", home.join("link")).unwrap();
    let before = names(home);
    for (dir, keys) in [
        ("new", "new"),
        ("new", "./new/"),
        ("new", "new/keys"),
        ("new", "made/../new/keys"),
        ("made", "made"),
        ("made", "made/a/b"),
        ("made/.", "made/../made/keys"),
        #[cfg(unix)]
        ("made", "link"),
        #[cfg(unix)]
        ("made", "link/keys"),
        #[cfg(unix)]
        ("link", "made/keys"),
    ] {
        let (status, said) = append(home, &["--dir", dir, "--keys", keys]);
        assert_eq!(status, Some(1), "{dir} {keys}");
        assert!(said.contains("would lie in the log"), "{dir} {keys}: {said}");
        assert_eq!(names(home), before, "{dir} {keys}");
    }
    // A name that only begins as that of the log is another one.
    assert_eq!(append(home, &["--dir", "made", "--keys", "made2"]).0, Some(0));
}

#[test]
fn what_cannot_be_a_log_leaves_no_keys() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("file"), "text").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", home.join("link")).unwrap();
    let before = names(home);
    for (arguments, why) in [
        (&["--dir", "file"][..], "\"file\" is not a directory"),
        #[cfg(unix)]
        (&["--dir", "link"], "\"link\" is not a directory"),
        (&["--dir", "file/log", "--keys", "keys"], "does not exist"),
        (&["--dir", "no/log", "--keys", "keys"], "does not exist"),
    ] {
        let (status, said) = append(home, arguments);
        assert_eq!((status, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(why), "{said}");
        assert_eq!(names(home), before, "{arguments:?}");
    }
}
