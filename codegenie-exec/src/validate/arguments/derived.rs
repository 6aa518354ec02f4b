//! What a use writes that no word of it names as written: files under names that are made of its words.

use super::Reader;
use crate::command::Word;
use crate::sandbox::defaults;
use crate::validate::class::Class;
use crate::validate::knowledge::{Effect, Role};
use crate::validate::languages::Script;
use crate::validate::place;
use crate::validate::shape;

pub(super) const TRUSTED: &str = "writes a file that other programs run or trust";

impl<'a> Reader<'a, '_> {
    /// What the operands make of the files that are written.
    pub(super) fn derived(&mut self, operands: &[&'a Word]) {
        let program = self.current();
        let copies = self.chain.iter().any(|program| program.last == Some(Role::Write));
        if copies || program.effect == Effect::Writes {
            for text in operands.iter().filter_map(|word| word.literal()) {
                // `cp -r x/.git .`, `gunzip x/.envrc.gz`
                if place::is_protected(text) || unpacked(text).is_some_and(place::is_protected) {
                    self.found(Class::ExecutesCode, format!("{text}: {TRUSTED}"));
                }
                if let Some(name) = unpacked(text).filter(|_| !copies) {
                    self.files.push((shape::literal(name), true));
                }
                // Links there lead anywhere, and copies of them do too.
                let path = shape::normalized(&shape::literal(text)).and_then(|path| shape::text(&path));
                let of_the_system = |path: &str| {
                    ["/proc", "/sys", "/dev"].iter().any(|dir| {
                        path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    })
                };
                if copies && text != "/dev/null" && path.as_deref().is_some_and(of_the_system) {
                    let why = format!("{text}: copies what the system shows of itself");
                    self.found(Class::WritesOutside, why);
                }
            }
        }
    }

    /// What a script that it is given does.
    pub(super) fn scripted(&mut self, script: Script) {
        script.found.into_iter().for_each(|(class, why)| self.found(class, why));
        self.files.extend(script.files);
    }

    /// The beginning of the names of what is written.
    pub(super) fn prefix(&mut self, word: Option<&Word>, attached: Option<&str>) {
        let place = self.place_of(word, attached);
        let text = attached.or_else(|| word.map(Word::as_written)).unwrap_or_default();
        self.written(place, text);
        if defaults::may_begin_protected(text) {
            self.found(Class::ExecutesCode, format!("{text}: {TRUSTED}, or one of such a name"));
        }
    }
}

/// The name that a program leaves which takes an ending off.
fn unpacked(path: &str) -> Option<&str> {
    const ENDINGS: &[&str] = &["gz", "z", "bz2", "bz", "xz", "lzma", "zst", "lz4", "lz", "br", "lzo", "zip"];
    let (name, ending) = path.rsplit_once(['.', '-', '_'])?;
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)).then_some(name)
}

/// Whether copies that are kept under a name with this at its end are only that.
pub(super) fn keeps_apart(ending: &str) -> bool {
    matches!(
        ending,
        "" | "~" | ".bak" | ".backup" | ".bck" | ".old" | ".orig" | ".save" | ".tmp" | "_bak" | "-bak"
    )
}
