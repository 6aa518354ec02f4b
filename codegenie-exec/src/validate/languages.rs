//! Programs that come as an argument: what sed, awk and find are told to do.
//!
//! Each reader knows the harmless part of its language. What it does not recognize is asked about.

mod awk;
pub(super) mod find;
mod jq;
mod sed;

use super::class::Class;
use super::context::Context;
use super::knowledge::Language;
use super::shape::Shape;
use crate::command::Word;

const UNKNOWN: &str = "its script is not known before it runs";

/// What a script does beyond its input and output.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) found: Vec<(Class, String)>,
    /// The files that it names, and whether it writes them.
    pub(super) files: Vec<(Shape, bool)>,
}

impl Script {
    fn of(class: Class, why: &str) -> Self {
        Self { found: vec![(class, why.to_owned())], files: Vec::new() }
    }
}

/// Judges the operands of a program that takes a script first. Scripts in options are judged there.
pub(super) fn read(language: Language, operands: &[&Word], context: &Context<'_>) -> Script {
    let script = match language {
        // Read from its words, elsewhere.
        Language::Find => return Script::default(),
        Language::Awk | Language::Jq | Language::Sed => operands.first(),
        // One file is as good as an expression, and the other way round.
        Language::Yq => return filters(language, operands, context),
    };
    if language == Language::Jq {
        return filters(language, script.map(std::slice::from_ref).unwrap_or_default(), context);
    }
    let Some(script) = script else { return Script::default() };
    let Some(text) = script.literal() else {
        // What stands in a variable that nobody set is nothing; in one that was set, anything.
        let known = matches!(script, Word::Dynamic(word) if !word.computed && context.benign(script));
        return if known {
            dynamic(language, script, context)
        } else {
            Script::of(Class::ExecutesCode, UNKNOWN)
        };
    };
    literal(language, text, context)
}

/// Filters of jq or yq, as they are written, and as the variables in them make them.
fn filters(language: Language, words: &[&Word], context: &Context<'_>) -> Script {
    let mut all = Script::default();
    for word in words {
        let made = word.literal().is_none().then(|| context.known_texts(word)).flatten().unwrap_or_default();
        for text in std::iter::once(word.as_written()).chain(made.iter().map(String::as_str)) {
            all.found.extend(literal(language, text, context).found);
        }
    }
    all
}

pub(super) fn literal(language: Language, text: &str, context: &Context<'_>) -> Script {
    match language {
        Language::Awk => awk::read(text, context),
        Language::Sed => sed::read(text, context),
        Language::Jq => jq::read(text),
        Language::Yq => jq::read_yq(text),
        Language::Find => Script::default(),
    }
}

/// A script in double quotes with variables of which nothing is known but that they are harmless.
fn dynamic(language: Language, script: &Word, context: &Context<'_>) -> Script {
    let Word::Dynamic(word) = script else { return Script::default() };
    let mut found = literal(language, word.written.trim_matches('"'), context);
    found.found.push((Class::ExecutesCode, UNKNOWN.to_owned()));
    found
}
