//! Unified diffs: what is read, where hunks go, and what other programs make of the same diff.

#[path = "../../fuzz/exercises/patch.rs"]
mod exercise;

use crate::place::Place;
use codegenie_exec::{EditError, Patch, PatchError, PatchLimits};
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn numbered(count: usize) -> String {
    (1..=count).map(|n| format!("line {n}\n")).collect()
}

const CHANGES_FIVE: &str =
    "--- a/f\n+++ b/f\n@@ -3,5 +3,5 @@\n line 3\n line 4\n-line 5\n+FIVE\n line 6\n line 7\n";

/// Line, offset and fuzz of a hunk.
type Hunk = (usize, isize, usize);

fn applied(diff: &str, text: &str) -> Result<(String, Vec<Hunk>), PatchError> {
    let patched = Patch::parse(diff)?.files()[0].apply(text.as_bytes(), &PatchLimits::default())?;
    let hunks = patched.hunks.iter().map(|hunk| (hunk.line, hunk.offset, hunk.fuzz)).collect();
    Ok((String::from_utf8(patched.content).unwrap(), hunks))
}

#[test]
fn hunks_are_found_near_their_place_and_that_is_told() {
    let five = |text: &str| text.replace("line 5\n", "FIVE\n");
    let text = numbered(10);
    assert_eq!(applied(CHANGES_FIVE, &text).unwrap(), (five(&text), vec![(3, 0, 0)]));
    let below = format!("x\ny\n{text}");
    assert_eq!(applied(CHANGES_FIVE, &below).unwrap(), (five(&below), vec![(5, 2, 0)]));
    let above = text.replace("line 1\n", "");
    assert_eq!(applied(CHANGES_FIVE, &above).unwrap(), (five(&above), vec![(2, -1, 0)]));
    // The outer context differs: it stays as the file has it.
    let other = text.replace("line 3\n", "LINE 3\n");
    assert_eq!(applied(CHANGES_FIVE, &other).unwrap(), (five(&other), vec![(3, 0, 1)]));
    let more = other.replace("line 4\n", "LINE 4\n").replace("line 7\n", "LINE 7\n");
    assert_eq!(applied(CHANGES_FIVE, &more).unwrap(), (five(&more), vec![(3, 0, 2)]));
    let limits = PatchLimits::default().fuzz(1);
    let patch = Patch::parse(CHANGES_FIVE).unwrap();
    assert!(patch.files()[0].apply(more.as_bytes(), &limits).is_err());
    let limits = PatchLimits::default().offset(1);
    assert!(patch.files()[0].apply(below.as_bytes(), &limits).is_err());
}

#[test]
fn what_fits_in_two_places_is_not_guessed() {
    let twice = format!("x\n{}{}", numbered(10), numbered(10));
    let error = applied(CHANGES_FIVE, &twice).unwrap_err();
    assert!(error.to_string().contains("lines 4 and 14"), "{error}");
    // At the very line that the diff names there is nothing to guess.
    let twice = format!("{}{}", numbered(10), numbered(10));
    assert_eq!(applied(CHANGES_FIVE, &twice).unwrap().1, [(3, 0, 0)]);
}

#[test]
fn what_is_no_diff_or_no_edit_of_text() {
    let malformed = [
        "",
        "hello\n",
        "--- a/f\n+++ b/f\n@@ nonsense @@\n",
        "@@ -1 +1 @@\n-a\n+b\n",
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+b\n",
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n+c\n",
        "--- a/f\n+++ b/f\n@@ -1,9999999999999999999999 +1 @@\n-a\n+b\n",
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n\\ No newline at end of file\n-a\n+b\n",
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n\\ No newline at end of file\n-a\n+b\n",
        "--- a/f\n+++ b/f\n@@ -0,1 +1 @@\n-a\n+b\n",
        "--- /dev/null\n+++ /dev/null\n@@ -0,0 +1 @@\n+b\n",
        "--- /dev/null\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n",
        "--- \"a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/f b/f\nnew file mode 100644\ndeleted file mode 100644\n",
        "diff --git a/f b/g\nrename from f\n",
    ];
    for diff in malformed {
        let error = Patch::parse(diff).and_then(|patch| patch.edits(1)).unwrap_err();
        assert!(matches!(error, PatchError::Malformed { .. }), "{diff:?}: {error}");
    }
    let not_text = [
        "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n",
        "diff --git a/f b/f\nnew file mode 120000\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n",
        "diff --git a/f b/g\ncopy from f\ncopy to g\n",
        "diff --git a/f b/f\nindex 1..2 100644\nGIT binary patch\n",
        "diff --git a/f b/f\nindex 1..2 160000\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n",
    ];
    for diff in not_text {
        let error = Patch::parse(diff).unwrap_err();
        assert!(matches!(error, PatchError::NotText { .. }), "{diff:?}: {error}");
    }
}

#[test]
fn a_diff_of_many_files_with_text_around_it() {
    let place = Place::new(&[("changed", "a\nb\n"), ("gone", "x\n"), ("old name", "1\n2\n"), ("empty", "")]);
    let diff = "From: somebody\nSubject: things\n\n---\n 3 files changed\n\n\
        diff --git a/changed b/changed\nindex 1..2 100644\n--- a/changed\n+++ b/changed\n@@ -1,2 +1,2 @@ fn context()\n-a\n+A\n b\n\
        diff --git a/gone b/gone\ndeleted file mode 100644\nindex 1..0\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
        diff --git a/old name b/new/name\nsimilarity index 50%\nrename from old name\nrename to new/name\n--- a/old name\t\n+++ b/new/name\n@@ -1,2 +1,2 @@\n-1\n+one\n 2\n\
        diff --git a/empty b/empty\ndeleted file mode 100644\nindex e69de29..0000000\n\
        diff --git a/run.sh b/run.sh\nnew file mode 100755\nindex 0000000..e69de29\n\
        diff --git \"a/t\\303\\244b\\t\" b/x\nnew file mode 100644\n--- /dev/null\n+++ \"b/t\\303\\244b\"\n@@ -0,0 +1 @@\n+q\n\\ No newline at end of file\n-- \n2.40\n";
    let edits = Patch::parse(diff).unwrap().edits(1).unwrap();
    place.editor().apply(&edits).unwrap();
    let names: Vec<String> = place.seen().into_keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["changed", "new", "new/name", "run.sh", "täb"]);
    assert_eq!(place.read("changed"), b"A\nb\n");
    assert_eq!(place.read("new/name"), b"one\n2\n");
    assert_eq!(place.read("täb"), b"q");
    // Names of a diff are paths like any others.
    for name in ["../f", ".git/config", "/etc/passwd"] {
        let diff = format!("--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+x\n");
        let error = place.editor().apply(&Patch::parse(diff).unwrap().edits(0).unwrap()).unwrap_err();
        assert!(matches!(error, EditError::Refused { .. }), "{name}: {error}");
    }
    // Whoever deletes a file says what was in it.
    place.put("more", "x\ny\n");
    let diff = "--- a/more\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";
    let error = place.editor().apply(&Patch::parse(diff).unwrap().edits(1).unwrap()).unwrap_err();
    assert!(matches!(error, EditError::Patch { .. }), "{error}");
}

/// Lines that are all different: where more than one place fits, programs differ in which they take.
fn text() -> impl Strategy<Value = String> {
    (0..30usize, any::<bool>()).prop_map(|(lines, ended)| {
        let mut text = numbered(lines);
        if !ended {
            text.pop();
        }
        text
    })
}

/// The text with a few lines changed, taken out and put in.
fn changed(text: &str, changes: &[(usize, u8)]) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (at, how) in changes {
        let at = at % (lines.len() + 1);
        match how % 3 {
            0 if at < lines.len() => drop(lines.remove(at)),
            1 if at < lines.len() && lines[at].ends_with('\n') => lines[at] = "changed\n",
            _ if at < lines.len() => lines.insert(at, "new\n"),
            _ => {}
        }
    }
    lines.concat()
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0..40usize, any::<u8>()), 0..5)
}

fn diff_of(place: &Place, old: &str, new: &str) -> Vec<u8> {
    place.put("f", old);
    place.editor().preview(&[codegenie_exec::Edit::overwrite("f", new)]).unwrap().diff()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_keep_the_parsers_promises(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise::patch(&bytes);
    }

    /// Bytes that are nearly a diff, applied to what it nearly fits.
    #[test]
    fn damaged_diffs_keep_the_parsers_promises(
        lines in prop::collection::vec(prop::sample::select(&[
            "--- a/f\n", "+++ b/f\n", "@@ -1,2 +1,2 @@\n", "@@ -2 +2,3 @@\n", "@@ -0,0 +1 @@\n", " a\n", "-a\n", "+b\n", " b\n",
            "-b\r\n", "\n", "\\ No newline at end of file\n", "diff --git a/f b/f\n", "new file mode 100644\n", "+++ /dev/null\n",
            "rename from f\n", "rename to g\n", "--- \"a\\303\"\n", "+",
        ][..]), 0..16),
        text in "[ab\n]{0,12}",
    ) {
        let mut bytes = text.into_bytes();
        bytes.push(0);
        bytes.extend(lines.concat().into_bytes());
        exercise::patch(&bytes);
    }
}

/// Runs a program that applies `diff` to `text`; `None`: it refuses.
fn by(program: &str, args: &[&str], text: &str, diff: &[u8]) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), text).unwrap();
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir.path())
        .env("LC_ALL", "C")
        .env("GIT_CEILING_DIRECTORIES", "/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(diff).unwrap();
    let path = dir.path().join("f");
    child.wait().unwrap().success().then(|| fs::read(path).unwrap())
}

fn differs_nowhere(program: &'static str, args: &'static [&'static str], fuzz: usize) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (both, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let cases = (text(), changes(), changes());
    runner
        .run(&cases, |(old, ours, theirs)| {
            let place = Place::new(&[]);
            let new = changed(&old, &ours);
            let diff = diff_of(&place, &old, &new);
            if diff.is_empty() {
                return Ok(());
            }
            // On what it was made from, and on what somebody else has made of that.
            for text in [old.clone(), changed(&old, &theirs)] {
                let limits = PatchLimits::default().fuzz(fuzz);
                let here = Patch::parse(&diff).unwrap().files()[0].apply(text.as_bytes(), &limits);
                let there = by(program, args, &text, &diff);
                match (here, there) {
                    (Ok(here), Some(there)) => {
                        prop_assert_eq!(
                            String::from_utf8_lossy(&here.content),
                            String::from_utf8_lossy(&there),
                            "{} on {:?}: {}",
                            program,
                            text,
                            String::from_utf8_lossy(&diff)
                        );
                        both.set(both.get() + 1);
                    }
                    // Where it is ambiguous or anchored at an end the two may differ in whether, not in what.
                    _ => refused.set(refused.get() + 1),
                }
                if text == old {
                    prop_assert_eq!(refused.get(), 0, "the diff does not fit what it was made from");
                }
                refused.set(0);
            }
            Ok(())
        })
        .unwrap();
    assert!(both.get() > 150, "only {} diffs were compared", both.get());
}

#[test]
#[ignore = "needs GNU patch"]
fn gnu_patch_makes_the_same_of_a_diff() {
    differs_nowhere(
        "patch",
        &["-p1", "--forward", "--silent", "--fuzz=2", "--no-backup-if-mismatch", "f"],
        2,
    );
}

#[test]
#[ignore = "needs git"]
fn git_apply_makes_the_same_of_a_diff() {
    differs_nowhere("git", &["apply", "-p1"], 0);
}

#[test]
#[ignore = "needs git"]
fn diffs_of_git_are_read() {
    let place =
        Place::new(&[("a b", "1\n2\n3\n"), ("\u{e4}", "x\n"), ("same", &numbered(20)), ("gone", "g")]);
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"])
            .args(args)
            .current_dir(place.workspace.path())
            .env("HOME", "/nonexistent")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "first"]);
    place
        .editor()
        .apply(&[
            codegenie_exec::Edit::replace("a b", "2", "two"),
            codegenie_exec::Edit::overwrite("\u{e4}", "y"),
            codegenie_exec::Edit::rename("same", "moved/there"),
            codegenie_exec::Edit::replace("moved/there", "line 10\n", ""),
            codegenie_exec::Edit::delete("gone"),
            codegenie_exec::Edit::create("run", "").executable(),
        ])
        .unwrap();
    let after: Vec<_> = place.seen().into_iter().filter(|(path, _)| !path.starts_with(".git")).collect();
    git(&["add", "-A"]);
    let diff = git(&["diff", "--cached", "-M"]);
    git(&["reset", "-q", "--hard"]);
    assert!(place.at("same").exists());
    place.editor().apply(&Patch::parse(&diff).unwrap().edits(1).unwrap()).unwrap();
    let again: Vec<_> = place.seen().into_iter().filter(|(path, _)| !path.starts_with(".git")).collect();
    let without_times = |seen: Vec<(std::path::PathBuf, crate::place::Seen)>| {
        seen.into_iter().map(|(path, seen)| (path, seen.content, seen.mode)).collect::<Vec<_>>()
    };
    assert_eq!(without_times(again), without_times(after));
    assert!(place.at("moved/there").exists() && !place.at(Path::new("same")).exists());
}
