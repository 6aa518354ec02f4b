//! Where a use works: the directory that it is told to work in, and what it is told to work on there.

use super::Reader;
use super::derived::TRUSTED;
use crate::command::Word;
use crate::validate::class::Class;
use crate::validate::knowledge::Effect;
use crate::validate::place::{self, Place};
use crate::validate::shape::{self, Piece};

impl<'a> Reader<'a, '_> {
    /// What a program that works where it runs is told to work on.
    pub(super) fn works(&mut self, operands: &[&'a Word]) {
        if self.current().effect != Effect::Is(Class::WritesWorkspace) {
            return;
        }
        operands.iter().for_each(|word| self.worked_on(word));
        if let Some(directory) = self.directory {
            self.written(directory, "the directory that it works in");
        }
    }

    /// Whether a word may lead out of the workspace.
    pub(super) fn leads_outside(&self, word: &Word) -> bool {
        let outside = |path: &[Piece]| {
            let own = shape::literal("/tmp/");
            matches!(path.first(), Some(Piece::Char('/' | '~') | Piece::Unknown)) && !path.starts_with(&own)
        };
        // What `find` was told to look for elsewhere.
        let found = matches!(word, Word::Dynamic(word) if word.prefix.starts_with(['/', '~']));
        found || self.context.reach.paths(word).iter().any(|path| outside(path))
    }

    fn worked_on(&mut self, word: &Word) {
        if self.leads_outside(word) {
            let why = format!("{}: works outside of the workspace", word.as_written());
            return self.found(Class::WritesOutside, why);
        }
        // What is handed to version control stays as it is.
        let kept = matches!(self.name.as_str(), "git add" | "git stage" | "svn add");
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
    pub(super) fn place_of(&self, word: Option<&Word>, attached: Option<&str>) -> Place {
        match (attached, word) {
            (Some(path), _) => place::of(path, self.context),
            (None, Some(word)) => place::of_word(word, self.context),
            (None, None) => Place::Outside,
        }
    }
}
