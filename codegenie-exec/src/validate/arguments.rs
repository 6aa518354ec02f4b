//! What one use of a known program does: its options and operands against the table.

pub(super) mod copied;
mod derived;
mod directory;
mod mode;
mod operands;
mod options;
pub(super) mod secrets;
mod settings;
mod within;
mod wrapper;

use super::class::Class;
use super::context::{Context, Count};
use super::knowledge::{Effect, Language, Program, Role};
use super::languages;
use super::place::{self, Place};
use super::shape::Shape;
use crate::command::Word;

/// What a use does, and why that is so.
#[derive(Debug)]
pub(super) struct Use<'a> {
    pub(super) class: Class,
    pub(super) reason: String,
    /// The program and its subcommands.
    pub(super) name: String,
    /// It is of use only with a network, whatever its class.
    pub(super) remote: bool,
    /// Commands that it runs.
    pub(super) runs: Vec<Run<'a>>,
    /// The shell itself runs them.
    pub(super) here: bool,
    /// It takes command lines from its standard input.
    pub(super) reads_lines: bool,
    /// Variables that it sets for what it runs.
    pub(super) assignments: Vec<(&'a str, &'a str)>,
    /// Files that none of its words names by itself, and whether it writes them.
    pub(super) files: Vec<(Shape, bool)>,
}

/// A command within a command.
#[derive(Debug)]
pub(super) enum Run<'a> {
    /// A program and its arguments; whether more arguments follow that are not known.
    Words(&'a [Word], bool),
    /// Words that were put together here.
    Made(Vec<Word>),
    /// Words that others may take the place of: only what the host's rules say of those counts.
    Perhaps(Vec<Word>),
    /// A command line for a shell.
    Text(&'a str),
    /// A command line that was put together from words.
    Joined(String),
}

struct Reader<'a, 'c> {
    context: &'c Context<'c>,
    first: &'static Program,
    /// The program, then its subcommands.
    chain: Vec<&'static Program>,
    name: String,
    worst: Option<(Class, String)>,
    reads: bool,
    /// What follows are operands.
    ended: bool,
    remote: bool,
    /// An option gave the script.
    scripted: bool,
    /// What its options say of a search.
    search: secrets::Search,
    /// Its operands are changed where they are.
    in_place: bool,
    /// What it copies has the permissions that it had.
    keeps: bool,
    /// It shows what its operands hold.
    shows: bool,
    /// What lies in its operand comes to lie in its target.
    merges: bool,
    /// The folder that its operands are copied or moved to.
    target: Option<Word>,
    /// Its operands are patterns of what is listed.
    lists: bool,
    /// Where it is told to work.
    directory: Option<Place>,
    /// A subcommand that is about secrets.
    secret: Option<String>,
    /// An option that the table does not list.
    unlisted: Option<String>,
    /// The second value of an option follows.
    pair: bool,
    /// An option's value may be no word, or several.
    shifted: bool,
    operands: Vec<&'a Word>,
    runs: Vec<Run<'a>>,
    assignments: Vec<(&'a str, &'a str)>,
    files: Vec<(Shape, bool)>,
}

/// Reads one use. `words` begins with the program.
pub(super) fn examine<'a>(
    program: &'static Program,
    name: &str,
    words: &'a [Word],
    more: bool,
    context: &Context<'_>,
) -> Use<'a> {
    let mut reader = Reader {
        context,
        first: program,
        chain: vec![program],
        name: name.to_owned(),
        worst: None,
        reads: false,
        ended: false,
        remote: false,
        scripted: false,
        search: secrets::Search::by(words.get(1..).unwrap_or_default()),
        in_place: false,
        keeps: false,
        shows: false,
        merges: false,
        target: None,
        lists: false,
        directory: None,
        secret: None,
        unlisted: None,
        pair: false,
        shifted: false,
        operands: Vec::new(),
        runs: Vec::new(),
        assignments: Vec::new(),
        files: Vec::new(),
    };
    let arguments = words.get(1..).unwrap_or_default();
    if let [only] = arguments
        && matches!(only.literal(), Some("--help" | "--version"))
        && !more
        && program.effect != Effect::Wraps
        && !program.project
    {
        return Use {
            class: Class::ReadOnly,
            reason: "tells about itself".to_owned(),
            name: format!("{name} {}", only.as_written()),
            remote: false,
            runs: Vec::new(),
            here: false,
            reads_lines: false,
            assignments: Vec::new(),
            files: Vec::new(),
        };
    }
    if let Some(Language::Find) = program.language {
        languages::find::read(
            arguments,
            &mut |class, why| reader_worst(&mut reader.worst, class, why),
            context,
        )
        .into_iter()
        .for_each(|run| reader.runs.push(run));
        reader.sensitive(arguments);
        if more {
            reader.found(Class::Unknown, "what it is told to do is not known before it runs");
        }
        return reader.finish();
    }
    reader.arguments(arguments, more);
    if more {
        reader.given_secrets();
    }
    let reads_lines = reader.reads_lines(arguments);
    Use { reads_lines, ..reader.finish() }
}

/// Whether a subcommand is by its name about secrets.
fn tells_secrets(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "secret",
        "credential",
        "token",
        "password",
        "kubeconfig",
        "connection-string",
        "apikey",
        "api-key",
        "access-key",
        "admin-key",
        "publishing-cred",
        "publishing-profile",
    ];
    name == "keys" || name == "list-keys" || PARTS.iter().any(|part| name.contains(part))
}

fn reader_worst(worst: &mut Option<(Class, String)>, class: Class, why: String) {
    if worst.as_ref().is_none_or(|(known, _)| class > *known) {
        *worst = Some((class, why));
    }
}

impl<'a> Reader<'a, '_> {
    fn found(&mut self, class: Class, why: impl Into<String>) {
        reader_worst(&mut self.worst, class, why.into());
    }

    /// The program or subcommand that was named last.
    fn current(&self) -> &'static Program {
        self.chain.last().copied().unwrap_or(self.first)
    }

    fn any(&self) -> bool {
        self.current().any
    }

    fn arguments(&mut self, arguments: &'a [Word], more: bool) {
        let mut at = 0;
        while let Some(word) = arguments.get(at) {
            at += 1;
            if at == 1
                && self.first.bundled
                && let Some(text) = word.literal().filter(|text| !text.starts_with('-'))
            {
                // Each letter that takes a value takes the next word.
                for letter in text.chars() {
                    let option = format!("-{letter}");
                    let role = self.exact_role(&option);
                    let value = arguments.get(at);
                    if self.effect_of(&option, role, None, value) {
                        value.into_iter().for_each(|value| self.value(value));
                        at += 1;
                    }
                }
                continue;
            }
            if self.current().effect == Effect::Joins && !self.is_option(word) {
                self.joined(arguments.get(at - 1..).unwrap_or_default(), more);
                return;
            }
            if !self.is_option(word) && self.within(arguments.get(at - 1..).unwrap_or_default(), more) {
                return;
            }
            if self.current().effect == Effect::Wraps && !self.is_option(word) {
                if self.wrapped(arguments, at - 1, more) {
                    return;
                }
                continue;
            }
            match word {
                Word::Literal(text) if self.is_option(word) => {
                    let value = arguments.get(at);
                    if self.exact_role(text) == Some(Role::Rest) {
                        self.runs.push(Run::Words(arguments.get(at..).unwrap_or_default(), true));
                    }
                    if self.option(text, value) {
                        at += 1;
                    }
                    if std::mem::take(&mut self.pair) {
                        if let Some(second) = arguments.get(at) {
                            self.value(second);
                            self.told(second.as_written());
                            self.read_by_option(text, second.as_written());
                        }
                        at += 1;
                    }
                }
                Word::Literal(text) => {
                    if !self.subcommand(text) {
                        self.operands.push(word);
                    }
                }
                Word::Dynamic(dynamic) => {
                    let begins_known = !dynamic.prefix.is_empty() && !dynamic.prefix.starts_with('-');
                    let benign = self.context.benign(word);
                    let known = begins_known && (!dynamic.splits || benign);
                    let option_value =
                        dynamic.prefix.starts_with("--") && dynamic.prefix.contains('=') && !dynamic.splits;
                    if option_value {
                        // What the value is does not matter to a harmless option.
                        let role = self.long_role(dynamic.prefix.split('=').next().unwrap_or_default());
                        if !matches!(role, Some(Role::Value | Role::Flag)) && !self.any() {
                            self.found(
                                Class::Unknown,
                                format!("{}: its value is not known before it runs", word.as_written()),
                            );
                        }
                    } else if (self.any() && (self.harmless_options() || !self.operands.is_empty()))
                        || known
                        || self.ended
                        || (benign && !dynamic.prefix.starts_with(['-', '+']))
                    {
                        if !self.current().subcommands.is_empty() && self.current().effect == Effect::Group {
                            self.found(Class::Unknown, "which subcommand runs is decided by the shell");
                        }
                        self.operands.push(word);
                    } else {
                        self.found(
                            Class::Unknown,
                            format!("{}: it may become an option of {}", word.as_written(), self.name),
                        );
                        self.operands.push(word);
                    }
                }
            }
        }
        if more && !self.any() {
            self.found(Class::Unknown, "arguments are added that are not known before it runs");
        }
        let bounded = self.current().most() != usize::MAX;
        if more && (bounded || self.current().operands.or(self.current().last).is_some()) {
            self.found(Class::Unknown, "the files it is given are not known before it runs");
        }
    }

    /// Whether no option of it does what a name of a file in its place could be made for.
    fn harmless_options(&self) -> bool {
        self.current().options.iter().all(|(_, role)| *role == Role::Is(Class::Unknown))
    }

    /// Whether what its operands are does not depend on how many there are.
    fn takes_any_operands(&self) -> bool {
        let program = self.current();
        let wraps = matches!(program.effect, Effect::Wraps | Effect::Joins | Effect::Group);
        let ordered = |program: &Program| {
            program.operands.is_some()
                || program.last.is_some()
                || !program.nth.is_empty()
                || program.most() != usize::MAX
                || program.least > 0
                || program.language.is_some()
        };
        !wraps && program.subcommands.is_empty() && (program.any || !self.chain.iter().any(|p| ordered(p)))
    }

    /// An option's value of which the shell may make no word or several: then another word is the value, or
    /// what it becomes are options and operands.
    fn value(&mut self, word: &Word) {
        self.may_list_options(word);
        let count = self.context.count(word);
        if count == Count::One {
            return;
        }
        self.shifted = true;
        let begins_known = matches!(word, Word::Dynamic(word)
            if !word.splits && !word.prefix.is_empty() && !word.prefix.starts_with(['-', '+']));
        let no_option = count == Count::AtMostOne || begins_known || self.any();
        if !self.takes_any_operands() || !no_option {
            let why =
                format!("{}: it may become none or several arguments of {}", word.as_written(), self.name);
            self.found(Class::Unknown, why);
        }
    }

    /// Some programs read further options from a file that is named so.
    fn may_list_options(&mut self, word: &Word) {
        let literal = |program: &Program| program.any || program.literal || program.language.is_some();
        if !self.chain.iter().any(|program| literal(program)) && self.context.begins_with_at(word) {
            self.found(Class::Unknown, format!("{}: it may be a file of options", word.as_written()));
        }
    }

    fn is_option(&self, word: &Word) -> bool {
        !self.ended
            && (self.operands.is_empty() || !self.current().ordered)
            && word.literal().is_some_and(|text| {
                text.len() > 1
                    && (text.starts_with('-')
                        || (text.starts_with('+')
                            && self.chain.iter().any(|p| p.options.iter().any(|(o, _)| o.starts_with('+')))))
            })
    }

    fn subcommand(&mut self, text: &str) -> bool {
        if !self.operands.is_empty() {
            return false;
        }
        let Some(found) = self.current().subcommand(text) else { return false };
        if let Some(option) = self.unlisted.as_ref().filter(|_| self.chain.len() == 1) {
            let why = format!("{option}: whether it takes {text} for its value is not known");
            self.found(Class::Unknown, why);
        }
        if tells_secrets(text) {
            self.secret.get_or_insert_with(|| text.to_owned());
        }
        self.chain.push(found);
        self.reads = false;
        self.name = format!("{} {text}", self.name);
        true
    }

    fn written(&mut self, place: Place, what: &str) {
        match place {
            Place::Nowhere => {}
            Place::Inside => {
                self.found(Class::WritesWorkspace, format!("{what}: writes within the workspace"))
            }
            Place::Protected => self.found(
                Class::ExecutesCode,
                format!("{what}: writes a file that other programs run or trust"),
            ),
            Place::Outside => {
                self.found(
                    Class::WritesOutside,
                    format!(
                        "{what}: writes to a place outside of the workspace, or not known before it runs"
                    ),
                );
            }
        }
    }

    fn sensitive(&mut self, words: &[Word]) {
        for word in words {
            if let Some(what) = self.context.sensitive(word) {
                self.found(Class::Escalates, format!("{}: {what}", word.as_written()));
            }
        }
    }

    /// An option's value that may be a file that is read.
    fn told(&mut self, text: &str) {
        let a_path = text.contains('/') || text.starts_with(['.', '~']);
        if matches!(self.name.split(' ').next(), Some("gh" | "glab")) && operands::names_a_host(text) {
            self.found(Class::Network, format!("{text}: names a machine of its own"));
        }
        if let Some(what) = place::sensitive(text).filter(|_| a_path) {
            self.found(Class::Escalates, format!("{text}: {what}"));
        }
    }

    /// What such a program opens: `tcp:HOST`, `concat:FILE|http:…`, where a file's name has no colon before its first slash.
    fn address(&mut self, text: &str) {
        if text.split('/').next().unwrap_or_default().contains(':') {
            self.found(Class::Network, format!("{text}: an address of another machine"));
        }
    }

    /// The name of a variable that is set.
    fn variable(&mut self, name: &str) {
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.found(
                Class::ExecutesCode,
                format!("{name}: what stands in a subscript is run by the shell"),
            );
        }
    }
}
