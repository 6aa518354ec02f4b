//! Where copies, moved files and links come to lie: under names that no word says.

use super::Reader;
use super::derived::TRUSTED;
use crate::command::Word;
use crate::sandbox::defaults;
use crate::validate::class::Class;
use crate::validate::shape::{self, Piece, Shape, meets};
use std::sync::LazyLock;

const COPY: &[&str] = &["cp", "gcp", "install", "ginstall"];
const MOVE: &[&str] = &["mv", "gmv", "git mv"];

/// Hidden names that other programs run or trust.
static HIDDEN: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let first = defaults::asked_about().filter_map(|name| name.split('/').next());
    first.filter(|name| name.starts_with('.')).map(shape::literal).collect()
});

impl<'a> Reader<'a, '_> {
    /// What the operands are copied, moved or linked to.
    pub(super) fn copied(&mut self, operands: &[&'a Word]) {
        let name = self.name.as_str();
        let name = name.to_owned();
        let name = name.as_str();
        let (copies, moves) = (COPY.contains(&name), MOVE.contains(&name));
        if !copies && !moves && name != "ln" {
            return;
        }
        let target = self.target.take();
        let (sources, target) = match (&target, operands) {
            (Some(target), sources) => (sources, target),
            (None, [sources @ .., target]) if !sources.is_empty() => (sources, *target),
            _ => return,
        };
        let targets = self.context.reach.texts(target);
        // The sandbox's own folder ends with the command.
        let own = shape::literal("/tmp/");
        let ends = |target: &Shape| target.starts_with(&own);
        // What takes the place of a device, where it may, is no file any more.
        let devices = shape::literal("/dev/");
        if targets.iter().any(|target| target.starts_with(&devices)) {
            let why = format!("{}: a device is no place to copy or move to", target.as_written());
            self.found(Class::Destroys, why);
        }
        if moves
            && targets.iter().any(ends)
            && !sources.iter().all(|word| self.context.reach.texts(word).iter().all(ends))
        {
            let why = format!("{}: what is moved there is lost with the command", target.as_written());
            self.found(Class::Destroys, why);
        }
        for word in sources.iter().copied() {
            for source in self.context.reach.texts(word) {
                let last = last_segment(&source);
                let whole = last.is_empty()
                    || matches!(last, [Piece::Char('.')] | [Piece::Char('.'), Piece::Char('.')]);
                if copies && (whole || self.merges) {
                    let why = format!("{}: {TRUSTED}, where one lies in that folder", word.as_written());
                    self.found(Class::ExecutesCode, why);
                }
                if (copies || moves) && may_be_protected(last) {
                    self.found(Class::ExecutesCode, format!("{}: {TRUSTED}, or may", word.as_written()));
                }
                if (copies || moves) && shape::text(&source).as_deref() == Some("/dev/null") {
                    self.found(Class::Destroys, "/dev/null: empties what is there");
                }
                if name == "ln" && whole {
                    // By the link, all that lies in that folder has another name.
                    self.files.push((vec![Piece::Unknown], true));
                    continue;
                }
                for target in &targets {
                    let mut lies: Shape = [target.as_slice(), &[Piece::Char('/')]].concat();
                    match whole || self.merges {
                        true => lies.push(Piece::Unknown),
                        false => lies.extend_from_slice(last),
                    }
                    self.files.push((lies, true));
                }
            }
        }
    }
}

/// Whether a command that `find` runs copies or moves what it finds.
pub(in super::super) fn places(words: &[Word]) -> bool {
    words.iter().filter_map(Word::literal).any(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        COPY.contains(&name) || MOVE.contains(&name)
    })
}

/// Whether a pattern of `find` may mean a hidden name that other programs run or trust.
pub(in super::super) fn may_find_protected(pattern: &str) -> bool {
    let mut pattern = shape::pattern(pattern);
    // To `find`, `*` is also what a hidden name begins with.
    pattern.iter_mut().filter(|piece| **piece == Piece::Any).for_each(|piece| *piece = Piece::Unknown);
    HIDDEN.iter().any(|hidden| meets(&pattern, hidden))
}

/// What a path is called in its folder.
fn last_segment(path: &[Piece]) -> &[Piece] {
    let end = path.iter().rposition(|piece| *piece != Piece::Char('/')).map_or(0, |at| at + 1);
    let path = path.get(..end).unwrap_or_default();
    shape::segments(path).last().unwrap_or_default()
}

/// Whether a hidden name, of which a part is not known, may be one that other programs run or trust.
fn may_be_protected(name: &[Piece]) -> bool {
    match shape::text(name) {
        Some(text) => defaults::is_protected(&text),
        None => name.first() == Some(&Piece::Char('.')) && HIDDEN.iter().any(|hidden| meets(name, hidden)),
    }
}
