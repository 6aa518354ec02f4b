//! What the host's rules about commands say of a program, and of what it may run.

use super::{Counts, Judge, base_name, is_of_the_system, refused, shown};
use crate::command::Word;
use crate::validate::arguments::{self, Run, Use};
use crate::validate::class::Class;
use crate::validate::knowledge::{self, Program, Role};
use crate::validate::policy::Matched;
use crate::validate::uncertain;
use crate::validate::verdict::{Decision, Judgement};

/// How many words of a program that may run others are looked at as commands.
const MAX_WORDS: usize = 64;

impl Judge<'_> {
    /// What the host's rules say of what the words may become.
    pub(super) fn may_be_ruled(&mut self, words: &[Word], more: bool, depth: usize) {
        if let Some((decision, rule)) = uncertain::match_in(words, more, &self.context) {
            let reason = "the host's policy, of what it may become";
            self.add(&shown(words), decision, Class::Unknown, rule, reason, depth);
        }
    }

    /// A program that a rule of the host's decides about. Its class is the one that the tables know, so that by a rule it
    /// gets no more of the sandbox than without.
    pub(super) fn by_rule(
        &mut self,
        ruled: Matched,
        program: &str,
        words: &[Word],
        more: bool,
        depth: usize,
    ) {
        let (decision, rule, reason, pure) = ruled;
        let (part, name, at) = (shown(words), base_name(program), self.parts.len());
        let known = knowledge::program(name).filter(|_| is_of_the_system(program));
        let used = known.map(|known| arguments::examine(known, name, words, more, &self.context));
        let class = match &used {
            _ if refused(name).is_some() => Class::Escalates,
            _ if !is_of_the_system(program) => Class::ExecutesCode,
            Some(used) => used.class,
            None => Class::Unknown,
        };
        self.add(&part, decision, class, rule, reason, depth);
        if let Some(judged) = self.parts.last_mut() {
            judged.pure = pure && !more;
        }
        let Some((known, used)) = known.zip(used) else {
            return if decision == Decision::Allow {
                self.words_within(words, &[], class, depth)
            };
        };
        self.remote |= used.remote;
        match decision {
            Decision::Deny => {}
            // To ask is no reason to pass over what it runs.
            Decision::Ask => self.follows(&part, used, depth),
            Decision::Allow => self.allowed_by_rule(at, known, used, words, depth),
        }
    }

    /// What the host's other rules say of a program that one of them allows: it may run what they speak about.
    fn allowed_by_rule(&mut self, at: usize, known: &Program, used: Use<'_>, words: &[Word], depth: usize) {
        self.reads_lines = self.reads_lines.max(used.reads_lines.then_some(Counts::Rules));
        self.named(&shown(words), &used.files, depth);
        let runs = matches!(used.class, Class::ExecutesCode | Class::Escalates | Class::Unknown)
            || !used.runs.is_empty();
        // Most of what git is told are messages and names, and its ways to run something are followed one by one.
        let may_run =
            runs && words.first().and_then(Word::literal).is_none_or(|name| base_name(name) != "git");
        let gravest = self.runs(used.runs, used.here, Counts::Rules, depth + 1);
        self.includes(at, gravest);
        if may_run {
            let below = words.iter().skip(1).find_map(|word| known.subcommand(word.literal()?));
            let options = known.options.iter().chain(below.into_iter().flat_map(|below| &below.options));
            let text_only = options.filter(|(_, role)| *role == Role::Value).map(|(option, _)| *option);
            let class = self.parts.get(at).map_or(Class::Unknown, |part| part.class);
            self.words_within(words, &text_only.collect::<Vec<_>>(), class, depth);
        }
    }

    /// What a rule allows, from this part on, does what it runs as well.
    pub(super) fn includes(&mut self, from: usize, class: Option<Class>) {
        let allowed = |part: &&mut Judgement| part.decision == Decision::Allow && is_by_rule(part);
        let Some(part) = self.parts.iter_mut().skip(from).find(allowed) else { return };
        let Some(class) = class.filter(|class| *class > part.class) else { return };
        part.class = class;
        part.reason.push_str(&format!("; what it runs {}", class.described()));
    }

    /// A program that runs others, or may, takes them in ways of its own: any of its words may begin a command that a
    /// rule speaks of, or hold one. Then somebody is asked. The values of some options are known to be none. Its class is that of the program.
    fn words_within(&mut self, words: &[Word], values_of: &[&str], class: Class, depth: usize) {
        let policy = self.context.policy;
        let reason = "the host's policy, of what the program may run";
        if words.len() > MAX_WORDS && policy.has_strict_rules() {
            let reason = "more words than are looked at, and rules that may speak of them";
            return self.add(&shown(words), policy.asked(), class, "words", reason, depth);
        }
        for at in 1..words.len().min(MAX_WORDS) {
            let Some(rest @ [word, ..]) = words.get(at..) else { return };
            let ruled = policy.strictest_match(rest).filter(|(decision, ..)| *decision > Decision::Allow);
            if let Some((_, rule, ..)) = ruled {
                return self.add(&shown(rest), policy.asked(), class, rule, reason, depth);
            }
            let text = word.as_written();
            let previous = words.get(at - 1).map_or("", |word| word.as_written());
            let (option, value) = match text.split_once('=') {
                Some((option, value)) if option.starts_with('-') => (option, value),
                _ => (previous, text),
            };
            if values_of.contains(&option) || values_of.contains(&previous) {
                continue;
            }
            if !value.trim().contains(char::is_whitespace) {
                continue;
            }
            let (before, remote) = (self.parts.len(), self.remote);
            self.runs(vec![Run::Text(value)], false, Counts::Rules, depth + 1);
            self.remote = remote;
            for part in self.parts.iter_mut().skip(before) {
                part.decision = part.decision.min(policy.asked());
            }
        }
    }
}

/// Whether a rule of the host's decided.
pub(super) fn is_by_rule(part: &Judgement) -> bool {
    part.rule.starts_with("rule ") || part.rule.starts_with("permissions: ")
}
