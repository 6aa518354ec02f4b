//! The host's rules that refuse or ask, against words of which the shell or an input decides a part.
//!
//! A rule speaks of words; `git p*`, `x=push; git $x` and `xargs git` may become what it speaks of. All that a command
//! line may become is one text in pieces, and so is all that a rule speaks of: where the two meet, somebody is asked.

use super::context::Context;
use super::knowledge::{self, Role};
use super::permissions;
use super::policy::{CommandPolicy, without_leading_options};
use super::shape::{self, Piece, Shape, meets};
use super::verdict::Decision;
use crate::command::Word;

/// How many texts a line is followed to, and how long each of them is.
const MAX_LINES: usize = 16;
const MAX_LENGTH: usize = 512;

/// The rule that may speak of the words, and what follows from it: what it says where they are certain to become what
/// it speaks of, and a question where they only may.
pub(super) fn match_in(words: &[Word], more: bool, context: &Context<'_>) -> Option<(Decision, String)> {
    let open = |word: &Word| match word {
        Word::Literal(text) => text.contains("{}") || text.starts_with(":::"),
        Word::Dynamic(_) => true,
    };
    if !more && !words.iter().any(open) && !words.first().is_some_and(has_aliases) {
        return None;
    }
    let rules = strict_rules(context.policy);
    if rules.is_empty() {
        return None;
    }
    // `git -C $x push` is a `git push`, too.
    let mut without = without_leading_options(words).unwrap_or_default();
    without.retain(|rest| !begins_with_a_value(words, rest));
    let aliased = || may_be_an_alias(words) || without.iter().any(|words| may_be_an_alias(words));
    if !more && !words.iter().any(open) && !aliased() {
        return None;
    }
    let all = without.iter().map(Vec::as_slice).chain([words]);
    let lines: Vec<Shape> = all.flat_map(|words| lines(words, more, context)).collect();
    let mut strictest: Option<(Decision, String)> = None;
    for (decision, name, meant) in rules {
        let said = lines
            .iter()
            .filter(|line| meant.iter().any(|meant| meets(line, meant)))
            .map(|line| match shape::text(line) {
                Some(_) => decision,
                None => decision.min(context.policy.asked()),
            })
            .max();
        if let Some(said) = said.filter(|said| strictest.as_ref().is_none_or(|(known, _)| said > known)) {
            strictest = Some((said, name));
        }
    }
    strictest
}

/// Each rule about commands that refuses or asks: its name, and the lines that it speaks of.
fn strict_rules(policy: &CommandPolicy) -> Vec<(Decision, String, Vec<Shape>)> {
    let prefixes = policy.rules.iter().enumerate().filter(|(_, rule)| rule.decision != Decision::Allow);
    let mut rules: Vec<_> = prefixes
        .filter(|(_, rule)| !rule.prefix.is_empty())
        .map(|(index, rule)| {
            let prefix = rule.prefix.join(" ");
            let name = format!("rule {}: {prefix}", index + 1);
            (rule.decision, name, with_more(shape::literal(&prefix)))
        })
        .collect();
    let speaks =
        |rule| matches!(permissions::read(rule), Some(rule) if rule.tool == permissions::Tool::Command);
    for (decision, rule) in policy.permissions.rules().filter(|(decision, _)| *decision != Decision::Allow) {
        if !speaks(rule) {
            continue;
        }
        let pattern = permissions::read(rule).and_then(|rule| rule.pattern);
        let meant = match pattern {
            None => vec![vec![Piece::Unknown]],
            Some(pattern) => {
                let trailing = pattern.strip_suffix(":*").or_else(|| pattern.strip_suffix(" *"));
                match trailing {
                    Some(prefix) => with_more(any_text(prefix)),
                    None => vec![any_text(pattern)],
                }
            }
        };
        rules.push((decision, format!("permissions: {rule}"), meant));
    }
    rules
}

/// The words themselves, alone or with more behind them.
fn with_more(words: Shape) -> Vec<Shape> {
    let longer = [words.as_slice(), &[Piece::Char(' '), Piece::Unknown]].concat();
    vec![words, longer]
}

/// `*` stands for any text.
fn any_text(pattern: &str) -> Shape {
    pattern.chars().map(|c| if c == '*' { Piece::Unknown } else { Piece::Char(c) }).collect()
}

/// Whether what is left of the words, behind the program, begins with what is known to be the value of an option.
fn begins_with_a_value(words: &[Word], rest: &[Word]) -> bool {
    let before = words.len().checked_sub(rest.len()).and_then(|at| words.get(at)).and_then(Word::literal);
    let program = words.first().and_then(Word::literal).map(|path| path.rsplit('/').next().unwrap_or(path));
    let Some((option, known)) = before.zip(program.and_then(knowledge::program)) else { return false };
    let valued = |role: Role| matches!(role, Role::Value | Role::Directory | Role::Setting | Role::Unset);
    known.options.iter().any(|(name, role)| *name == option && valued(*role))
}

fn has_aliases(program: &Word) -> bool {
    program.literal().is_some_and(|path| matches!(path.rsplit('/').next(), Some("git" | "cargo")))
}

/// Whether a program that has aliases does not know its subcommand: what configuration makes of it may be any.
fn may_be_an_alias(words: &[Word]) -> bool {
    let [program, Word::Literal(subcommand), ..] = words else { return false };
    let name = program.literal().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    has_aliases(program)
        && !subcommand.starts_with(['-', '+'])
        && knowledge::program(name).is_some_and(|known| known.subcommand(subcommand).is_none())
}

/// What the words may become, joined by spaces; also with the program by its name where that is by a path.
fn lines(words: &[Word], more: bool, context: &Context<'_>) -> Vec<Shape> {
    let mut lines: Vec<Shape> = vec![Vec::new()];
    // What `parallel` puts into the words before comes behind `:::`.
    let given = words.iter().any(|word| word.as_written().starts_with(":::"));
    for (at, word) in words.iter().enumerate() {
        if word.as_written().starts_with(":::") {
            break;
        }
        let alias = at == 1 && may_be_an_alias(words);
        let texts = if alias { vec![vec![Piece::Unknown]] } else { texts(word, given, context) };
        let texts = if texts.len() * lines.len() > MAX_LINES { vec![vec![Piece::Unknown]] } else { texts };
        let may_be_none = matches!(word, Word::Dynamic(word) if word.splits);
        let mut longer = Vec::new();
        for line in &lines {
            for text in &texts {
                let nothing = may_be_none && text.iter().all(|piece| *piece == Piece::Unknown);
                // Where nothing is left of a word, neither is the space beside it.
                let apart = at > 0 && !nothing && !line.iter().all(|piece| *piece == Piece::Unknown);
                let between: &[Piece] = if apart { &[Piece::Char(' ')] } else { &[] };
                longer.push([line.as_slice(), between, text.as_slice()].concat());
                if at == 0
                    && let Some(slash) = text.iter().rposition(|piece| *piece == Piece::Char('/'))
                {
                    longer.push(text.get(slash + 1..).unwrap_or_default().to_vec());
                }
            }
        }
        lines = longer;
        if lines.iter().any(|line| line.len() > MAX_LENGTH) {
            lines.iter_mut().for_each(|line| line.push(Piece::Unknown));
            return lines;
        }
    }
    if more || given {
        lines.iter_mut().for_each(|line| line.push(Piece::Unknown));
    }
    lines
}

fn texts(word: &Word, given: bool, context: &Context<'_>) -> Vec<Shape> {
    let written = word.as_written();
    // What `find`, `xargs` or `parallel` put there.
    let hole = if given { written.find('{') } else { written.find("{}") };
    if let Some(before) = hole.and_then(|at| written.get(..at)) {
        return vec![[shape::literal(before).as_slice(), &[Piece::Unknown]].concat()];
    }
    let mut texts = context.reach.texts(word);
    if let Some(made) = shape::braced(word) {
        texts.push(shape::pattern(&made.join(" ")));
    }
    for piece in texts.iter_mut().flatten().filter(|piece| **piece == Piece::Any) {
        // The name of one file, or those of several.
        *piece = Piece::Unknown;
    }
    texts
}
