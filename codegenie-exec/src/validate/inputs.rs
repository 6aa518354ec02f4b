//! Which texts a command reads from its standard input, each taken once, however many commands could read it.

use super::judge::Counts;
use crate::command::{InputText, Word};
use std::collections::BTreeMap;

/// The texts, while one command after the other is judged.
pub(super) struct Inputs<'p> {
    /// Those that no command has come to yet, the last one first.
    ahead: Vec<&'p InputText>,
    /// Those that nothing has read yet.
    fresh: Vec<&'p InputText>,
    /// Those of which only the host's rules have counted yet.
    by_rules: Vec<&'p InputText>,
    /// How many end where.
    ends: BTreeMap<usize, usize>,
}

impl<'p> Inputs<'p> {
    pub(super) fn new(inputs: &'p [InputText]) -> Self {
        let mut ahead: Vec<&InputText> = inputs.iter().collect();
        ahead.sort_by_key(|input| std::cmp::Reverse(input.readers.start));
        Self { ahead, fresh: Vec::new(), by_rules: Vec::new(), ends: BTreeMap::new() }
    }

    /// Goes on to this command. Whether it may read any of them.
    pub(super) fn reach(&mut self, at: usize) -> bool {
        while let Some(input) = self.ahead.pop_if(|input| input.readers.start <= at) {
            self.fresh.push(input);
            *self.ends.entry(input.readers.end).or_default() += 1;
        }
        while self.ends.first_key_value().is_some_and(|(end, _)| *end <= at) {
            self.ends.pop_first();
        }
        !self.ends.is_empty()
    }

    /// The texts that this command may read and of which no more has counted before.
    pub(super) fn take(&mut self, at: usize, counts: Counts) -> Vec<&'p Word> {
        let mut taken = std::mem::take(&mut self.fresh);
        if counts == Counts::Everything {
            taken.append(&mut self.by_rules);
        }
        taken.retain(|input| input.readers.contains(&at));
        if counts == Counts::Rules {
            self.by_rules.extend(&taken);
        }
        taken.into_iter().map(|input| &input.text).collect()
    }
}
