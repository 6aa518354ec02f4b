//! What a use writes that no word of it names as written: files under names that are made of its words, and what a program
//! that works where it runs is told to work on.

use super::Reader;
use crate::command::Word;
use crate::sandbox::defaults;
use crate::validate::class::Class;
use crate::validate::knowledge::{Effect, Role};
use crate::validate::place::{self, Place};
use crate::validate::shape::{self, Piece};

const TRUSTED: &str = "writes a file that other programs run or trust";

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
        if program.effect == Effect::Is(Class::WritesWorkspace) {
            operands.iter().for_each(|word| self.worked_on(word));
            if let Some(directory) = self.directory {
                self.written(directory, "the directory that it works in");
            }
        }
    }

    fn worked_on(&mut self, word: &Word) {
        let outside = |path: &[Piece]| {
            let own = shape::literal("/tmp/");
            matches!(path.first(), Some(Piece::Char('/' | '~') | Piece::Unknown)) && !path.starts_with(&own)
        };
        if self.context.reach.paths(word).iter().any(|path| outside(path)) {
            let why = format!("{}: works outside of the workspace", word.as_written());
            return self.found(Class::WritesOutside, why);
        }
        // What is handed to version control stays as it is.
        let kept = matches!(self.name.as_str(), "git add" | "git stage" | "hg add" | "svn add");
        if !kept && word.literal().is_some_and(place::is_protected) {
            self.found(Class::ExecutesCode, format!("{}: {TRUSTED}", word.as_written()));
        }
    }

    /// The directory that a program is told to work in. Its operands are relative to it.
    pub(super) fn works_in(&mut self, word: Option<&Word>, attached: Option<&str>) {
        let place = self.place_of(word, attached);
        let shown = attached.or_else(|| word.map(Word::as_written)).unwrap_or_default();
        let secret = match (attached, word) {
            (None, Some(word)) => self.context.sensitive(word),
            _ => place::sensitive(shown),
        };
        if let Some(what) = secret {
            self.found(Class::Escalates, format!("{shown}: {what}"));
        }
        self.directory = Some(match (self.directory, place) {
            (Some(Place::Outside), _) | (_, Place::Outside) => Place::Outside,
            (Some(Place::Protected), _) | (_, Place::Protected) => Place::Protected,
            _ => place,
        });
    }

    /// Where an option's value lies, which is attached to it or is the next word.
    fn place_of(&self, word: Option<&Word>, attached: Option<&str>) -> Place {
        match (attached, word) {
            (Some(path), _) => place::of(path, self.context),
            (None, Some(word)) => place::of_word(word, self.context),
            (None, None) => Place::Outside,
        }
    }

    /// The permissions of what is made.
    pub(super) fn mode(&mut self, text: Option<&str>) {
        // Set-user-id and set-group-id: whoever runs the file becomes its owner. A directory that is sticky is none of it.
        let lends = |mode: &str| match u32::from_str_radix(mode, 8) {
            Ok(bits) => bits & 0o6000 != 0,
            Err(_) => mode.contains('s') || !mode.bytes().all(|b| b"ugoarwxXt+-=,01234567".contains(&b)),
        };
        if text.is_none_or(lends) {
            let why = format!("{}: permissions by which others become its owner", text.unwrap_or("a mode"));
            self.found(Class::Escalates, why);
        }
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
