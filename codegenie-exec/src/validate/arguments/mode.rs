//! The permissions of what a use makes or copies.

use super::Reader;
use super::options::Value;
use crate::command::Word;
use crate::validate::class::Class;

impl<'a> Reader<'a, '_> {
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

    /// An option by which copies have the permissions of what is copied. `--preserve=LIST` may name what else they have.
    pub(super) fn keeps(&mut self, name: &str, attached: Option<Value<'_>>) {
        let harmless = |Value::Attached(list): Value<'_>| {
            name.starts_with("--") && list.split(',').all(|part| matches!(part, "timestamps" | "links"))
        };
        self.keeps |= !attached.is_some_and(harmless);
    }

    /// A copy of what lies elsewhere, with its permissions, may be a program that lends its owner.
    pub(super) fn kept(&mut self, operands: &[&'a Word]) {
        if !self.keeps {
            return;
        }
        let elsewhere = |word: &&&Word| self.leads_outside(word) || word.as_written().contains(':');
        if let Some(word) = operands.iter().find(elsewhere) {
            let why = format!(
                "{}: copied with permissions by which others may become its owner",
                word.as_written()
            );
            self.found(Class::Escalates, why);
        }
    }
}
