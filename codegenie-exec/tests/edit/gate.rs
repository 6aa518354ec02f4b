//! Content that a gate does not let through.

use crate::place::Place;
use codegenie_exec::{ContentGate, Edit, EditError, GateFinding, GateSeverity};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Finds words.
#[derive(Default)]
struct Words {
    asked: Mutex<Vec<(String, Option<Vec<u8>>)>>,
}

impl ContentGate for Words {
    fn inspect(&self, path: &Path, before: Option<&[u8]>, after: &[u8]) -> Vec<GateFinding> {
        self.asked.lock().unwrap().push((path.display().to_string(), before.map(<[u8]>::to_vec)));
        let text = String::from_utf8_lossy(after);
        let found = |word: &str, severity| {
            let line = text.lines().position(|line| line.contains(word))?;
            Some(GateFinding::new(severity, word.to_owned(), "bad \u{1b}[2J word").at_line(line as u64 + 1))
        };
        [found("todo", GateSeverity::Low), found("password", GateSeverity::High)]
            .into_iter()
            .flatten()
            .collect()
    }
}

#[test]
fn a_finding_above_the_threshold_refuses_all_of_it() {
    let place = Place::new(&[("a", "password\n"), ("b", "x\n")]);
    let gate = Arc::new(Words::default());
    let (without, with) = (place.editor(), place.editor().gate(Arc::clone(&gate), GateSeverity::High));
    let edits = [Edit::replace("b", "x", "todo"), Edit::create("c", "ok\npassword = 1\n")];
    let before = place.seen();
    for error in [with.apply(&edits).unwrap_err(), with.preview(&edits).unwrap_err()] {
        let EditError::Gate { path, findings, .. } = &error else { panic!("{error}") };
        assert_eq!((path.as_path(), findings.len(), findings[0].line), (Path::new("c"), 1, Some(2)));
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
    assert_eq!(place.seen(), before);
    // Without a gate the same goes through.
    without.apply(&edits).unwrap();
    let made = with.apply(&[Edit::replace("b", "todo", "todo todo")]).unwrap();
    assert_eq!(gate.asked.lock().unwrap().last().unwrap(), &("b".to_owned(), Some(b"todo\n".to_vec())));
    // An undo is asked about too: it writes what was there.
    with.apply(&[Edit::delete("c")]).and_then(|made| with.undo(&made.undo)).unwrap_err();
    with.undo(&made.undo).unwrap();
}
