//! Programs that come as an argument: what sed, awk and find are told to do.
//!
//! Each reader knows the harmless part of its language. What it does not recognize is asked about.

mod awk;
pub(super) mod find;
mod sed;

use super::class::Class;
use super::context::Context;
use super::knowledge::Language;
use crate::command::Word;

/// Judges the operands of a program that takes a script first. Scripts in options are judged there.
pub(super) fn read(language: Language, operands: &[&Word], context: &Context<'_>) -> Vec<(Class, String)> {
    let script = match language {
        // It neither writes nor runs anything.
        Language::Jq => return Vec::new(),
        // Read from its words, elsewhere.
        Language::Find => return Vec::new(),
        Language::Awk | Language::Sed => operands.first(),
    };
    let Some(script) = script else { return Vec::new() };
    let Some(text) = script.literal() else {
        // What stands in a variable that nobody set is nothing; in one that was set, anything.
        let known = matches!(script, Word::Dynamic(word) if !word.computed && context.benign(script));
        let why = "its script is not known before it runs".to_owned();
        return if known { dynamic(language, script, context) } else { vec![(Class::ExecutesCode, why)] };
    };
    literal(language, text, context)
}

pub(super) fn literal(language: Language, text: &str, context: &Context<'_>) -> Vec<(Class, String)> {
    match language {
        Language::Awk => awk::read(text, context),
        Language::Sed => sed::read(text, context),
        Language::Find | Language::Jq => Vec::new(),
    }
}

/// A script in double quotes with variables of which nothing is known but that they are harmless.
fn dynamic(language: Language, script: &Word, context: &Context<'_>) -> Vec<(Class, String)> {
    let Word::Dynamic(word) = script else { return Vec::new() };
    let mut found = literal(language, word.written.trim_matches('"'), context);
    found.push((Class::ExecutesCode, "its script is not known before it runs".to_owned()));
    found
}
