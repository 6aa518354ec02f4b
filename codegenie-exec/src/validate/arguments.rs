//! What one use of a known program does: its options and operands against the table.

use super::class::Class;
use super::judge::Context;
use super::knowledge::{Effect, Language, Program, Role};
use super::languages;
use super::place::{self, Place};
use crate::command::Word;

/// What a use does, and why that is so.
#[derive(Debug)]
pub(super) struct Use<'a> {
    pub(super) class: Class,
    pub(super) reason: String,
    /// The program and its subcommands.
    pub(super) name: String,
    /// It reads from the service that its configuration names: a network use that is harmless.
    pub(super) remote: bool,
    /// Commands that it runs.
    pub(super) runs: Vec<Run<'a>>,
    /// Variables that it sets for what it runs.
    pub(super) assignments: Vec<(&'a str, &'a str)>,
}

/// A command within a command.
#[derive(Debug)]
pub(super) enum Run<'a> {
    /// A program and its arguments; whether more arguments follow that are not known.
    Words(&'a [Word], bool),
    /// Words that were put together here.
    Made(Vec<Word>),
    /// A command line for a shell.
    Text(&'a str),
    /// A command line that was put together from words.
    Joined(String),
}

/// Parts of long options by which they mostly write, run, connect or delete.
const SUSPICIOUS: &[&str] = &[
    "exec",
    "command",
    "cmd",
    "script",
    "eval",
    "shell",
    "program",
    "pager",
    "editor",
    "browser",
    "output",
    "outfile",
    "log-file",
    "logfile",
    "config",
    "plugin",
    "module",
    "load",
    "library",
    "preload",
    "hook",
    "rcfile",
    "init-file",
    "write",
    "save",
    "delete",
    "remove",
    "force",
    "upload",
    "proxy",
    "url",
    "host",
    "server",
    "endpoint",
    "listen",
    "daemon",
    "install",
    "update",
    "in-place",
    "inplace",
    "edit",
    "kubeconfig",
    "logfile",
    "socket",
    "connect",
    "send",
    "post",
    "run",
    "require",
    "import",
    "export",
    "filter-",
    "template",
    "agent",
    "helper",
    "purge",
    "kill",
    "reset",
    "fix",
    "apply",
    "interactive",
    "web",
    "open",
    "debug",
    "destroy",
    "clean",
    "rotate",
    "vacuum",
    "flush",
];

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
    /// Its operands are changed where they are.
    in_place: bool,
    /// An option that the table does not list.
    unlisted: Option<String>,
    operands: Vec<&'a Word>,
    runs: Vec<Run<'a>>,
    assignments: Vec<(&'a str, &'a str)>,
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
        in_place: false,
        unlisted: None,
        operands: Vec::new(),
        runs: Vec::new(),
        assignments: Vec::new(),
    };
    let arguments = words.get(1..).unwrap_or_default();
    if let [only] = arguments
        && matches!(only.literal(), Some("--help" | "--version"))
        && !more
        && program.effect != Effect::Wraps
    {
        return Use {
            class: Class::ReadOnly,
            reason: "tells about itself".to_owned(),
            name: format!("{name} {}", only.as_written()),
            remote: false,
            runs: Vec::new(),
            assignments: Vec::new(),
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
    reader.finish()
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

    /// No option of it is known to do more.
    fn harmless_options(&self) -> bool {
        self.chain.iter().all(|program| {
            !program.strict
                && program.language.is_none()
                && program
                    .options
                    .iter()
                    .all(|(_, role)| matches!(role, Role::Flag | Role::Value | Role::Reads))
        })
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
                    if self.effect_of(&option, role, None, arguments.get(at)) {
                        at += 1;
                    }
                }
                continue;
            }
            if self.current().effect == Effect::Joins && !self.is_option(word) {
                let rest = arguments.get(at - 1..).unwrap_or_default();
                match rest.iter().map(Word::literal).collect::<Option<Vec<_>>>() {
                    Some(words) if !more => self.runs.push(Run::Joined(words.join(" "))),
                    _ => self.found(Class::ExecutesCode, "its command is not known before it runs"),
                }
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
                    if self.option(text, value) {
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
                    } else if (self.any() && (self.current().options.is_empty() || !self.operands.is_empty()))
                        || known
                        || self.ended
                        || (benign && !dynamic.prefix.starts_with(['-', '+']))
                        || (dynamic.pattern && !dynamic.splits && self.harmless_options())
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
        if more && !self.any() && !self.harmless_options() {
            self.found(Class::Unknown, "arguments are added that are not known before it runs");
        }
        let bounded = self.current().most != usize::MAX;
        if more && (bounded || self.current().operands.or(self.current().last).is_some()) {
            self.found(Class::Unknown, "the files it is given are not known before it runs");
        }
    }

    fn is_option(&self, word: &Word) -> bool {
        !self.ended
            && word.literal().is_some_and(|text| {
                text.len() > 1
                    && (text.starts_with('-')
                        || (text.starts_with('+')
                            && self.chain.iter().any(|p| p.options.iter().any(|(o, _)| o.starts_with('+')))))
            })
    }

    /// A wrapper's operands: some of its own, then the command. Whether the command was found.
    fn wrapped(&mut self, arguments: &'a [Word], at: usize, more: bool) -> bool {
        let Some(word) = arguments.get(at) else { return false };
        if self.name == "env"
            && let Some((name, value)) = word.literal().and_then(|text| text.split_once('='))
        {
            self.assignments.push((name, value));
            return false;
        }
        if self.operands.len() < self.current().skip {
            self.operands.push(word);
            return false;
        }
        let rest = arguments.get(at..).unwrap_or_default();
        if self.name == "xargs" {
            let strings = replaced(arguments.get(..at).unwrap_or_default());
            let holds = |word: &Word| strings.iter().any(|string| word.as_written().contains(string));
            // What stands in an operand is one; what stands elsewhere makes another program or option of it.
            let (program, others) = (rest.first(), rest.iter().skip(1));
            if program.is_some_and(holds)
                || others.clone().any(|word| word.as_written().starts_with(['-', '+']) && holds(word))
            {
                self.found(Class::ExecutesCode, "what its input makes of the command is not known");
            }
        }
        let adds = more || matches!(self.name.as_str(), "xargs" | "parallel");
        self.runs.push(Run::Words(rest, adds));
        true
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
        self.chain.push(found);
        self.reads = false;
        self.name = format!("{} {text}", self.name);
        true
    }

    /// Judges an option; whether the next word is its value.
    fn option(&mut self, text: &str, next: Option<&'a Word>) -> bool {
        if text == "--" {
            // An option that is not listed may have taken it for its value.
            self.ended = self.unlisted.is_none() && !self.chain.iter().any(|program| program.single);
            return false;
        }
        let single = self.chain.iter().any(|program| program.single);
        if text.starts_with("--") || single || text.starts_with('+') {
            let (name, attached) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            let role = self.long_role(name);
            return self.play(name, role, attached.map(Value::Attached), next);
        }
        // A cluster: letters until one takes the rest as its value.
        let Some(letters) = text.get(1..) else { return false };
        if let Some(role) = self.exact_role(text).filter(|_| letters.len() > 1) {
            return self.play(text, Some(role), None, next);
        }
        self.long_with_one_dash(letters);
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            let option = format!("-{letter}");
            let role = self.exact_role(&option);
            let takes = !matches!(role, None | Some(Role::Flag | Role::Reads | Role::Remote | Role::InPlace));
            if takes {
                let attached = (!rest.is_empty()).then_some(Value::Attached(rest));
                return self.play(&option, role, attached, next);
            }
            self.play(&option, role, None, None);
            if role.is_none() {
                self.told(rest);
            }
            if role.is_none() && letter.is_ascii_punctuation() {
                break;
            }
        }
        false
    }

    /// Some programs have long options with one dash: what would be a cluster of letters that nobody knows may be one.
    fn long_with_one_dash(&mut self, letters: &str) {
        let takes = |letter: char| {
            let role = self.exact_role(&format!("-{letter}"));
            (
                role.is_some(),
                !matches!(role, None | Some(Role::Flag | Role::Reads | Role::Remote | Role::InPlace)),
            )
        };
        let mut unknown = false;
        for letter in letters.chars() {
            let (known, value) = takes(letter);
            if value {
                break;
            }
            unknown |= !known && !letter.is_ascii_digit();
        }
        let long = letters.chars().count() > 3 || letters.contains('=');
        if unknown && long && !self.any() {
            self.found(Class::Unknown, format!("-{letters}: it may be one option of {}", self.name));
        }
    }

    fn exact_role(&self, name: &str) -> Option<Role> {
        self.chain.iter().rev().find_map(|program| {
            program.options.iter().find(|(option, _)| *option == name).map(|(_, role)| *role)
        })
    }

    /// Long options may be abbreviated: what the name may stand for counts, the worst first.
    fn long_role(&self, name: &str) -> Option<Role> {
        if let Some(role) = self.exact_role(name) {
            return Some(role);
        }
        let options = self.chain.iter().flat_map(|program| &program.options);
        let grave = |role: &Role| !matches!(role, Role::Flag | Role::Value | Role::Reads | Role::Remote);
        let mut abbreviated = options.filter(|(option, _)| name.len() > 2 && option.starts_with(name));
        abbreviated.find(|(_, role)| grave(role)).map(|(_, role)| *role)
    }

    /// What an option does; whether the next word is its value and nothing else. One that looks like an option is judged as
    /// one too: the table may be wrong about this option in some version of the program.
    fn play(
        &mut self,
        name: &str,
        role: Option<Role>,
        attached: Option<Value<'_>>,
        next: Option<&'a Word>,
    ) -> bool {
        let takes = self.effect_of(name, role, attached, next);
        takes && !next.and_then(Word::literal).is_some_and(looks_like_an_option)
    }

    fn effect_of(
        &mut self,
        name: &str,
        role: Option<Role>,
        attached: Option<Value<'_>>,
        next: Option<&'a Word>,
    ) -> bool {
        let takes_next = attached.is_none();
        match role {
            None => {
                if let Some(Value::Attached(text)) = attached {
                    self.told(text);
                }
                if self.any() {
                    return false;
                }
                self.unlisted.get_or_insert_with(|| name.to_owned());
                let strict = self.chain.iter().any(|program| program.strict);
                if strict {
                    self.found(Class::Unknown, format!("{name}: what it does to {} is not known", self.name));
                } else if name.len() > 2 && suspicious(&name.to_ascii_lowercase()) {
                    self.found(
                        Class::Unknown,
                        format!("{name}: by its name it may do more than {} does", self.name),
                    );
                }
                false
            }
            Some(Role::Flag) => false,
            Some(Role::Value) => {
                let text = match (&attached, next) {
                    (Some(Value::Attached(text)), _) => Some(*text),
                    (None, next) => next.map(Word::as_written),
                };
                self.told(text.unwrap_or_default());
                takes_next
            }
            Some(Role::Name) => {
                match (&attached, next) {
                    (Some(Value::Attached(text)), _) => self.variable(text),
                    (None, next) => self.variable(next.and_then(Word::literal).unwrap_or("$")),
                }
                takes_next
            }
            Some(Role::Plus) => false,
            Some(Role::InPlace) => {
                self.in_place = true;
                // The name of a copy, which may lie elsewhere.
                if let Some(Value::Attached(suffix)) = attached
                    && suffix.contains(['/', '*'])
                {
                    self.found(Class::WritesOutside, format!("{name}={suffix}: writes copies by that name"));
                }
                false
            }
            Some(Role::Script) => {
                self.scripted = true;
                let text = match (&attached, next) {
                    (Some(Value::Attached(text)), _) => Some(*text),
                    (None, next) => next.and_then(Word::literal),
                };
                let language = self.first.language;
                let found = match text.zip(language) {
                    Some((text, language)) => languages::literal(language, text, self.context),
                    None => vec![(Class::ExecutesCode, "its script is not known before it runs".to_owned())],
                };
                found.into_iter().for_each(|(class, why)| self.found(class, why));
                takes_next
            }
            // What makes a program harmless does not make its subcommands so.
            Some(Role::Reads | Role::Remote)
                if self.chain.len() > 1
                    && !self.current().options.iter().any(|(option, _)| *option == name) =>
            {
                false
            }
            // `--simulate=false` is none of it.
            Some(Role::Reads | Role::Remote) if attached.is_some() => {
                self.found(Class::Unknown, format!("{name}: what its value makes of it is not known"));
                false
            }
            Some(Role::Reads) => {
                self.reads = true;
                false
            }
            Some(Role::Remote) => {
                (self.reads, self.remote) = (true, true);
                false
            }
            Some(Role::Is(class)) => {
                self.found(class, format!("{name}: {}", class.described()));
                takes_next
            }
            Some(Role::Write) => {
                let place = match (&attached, next) {
                    (Some(Value::Attached(path)), _) => place::of(path, self.context),
                    (None, Some(word)) => place::of_word(word, self.context),
                    (None, None) => Place::Outside,
                };
                self.written(place, name);
                takes_next
            }
            Some(Role::Command) => {
                match (attached, next.and_then(Word::literal)) {
                    (None, Some(text)) => {
                        self.reads = true;
                        self.runs.push(Run::Text(text));
                    }
                    _ => self.found(
                        Class::ExecutesCode,
                        format!("{name}: the command is not known before it runs"),
                    ),
                }
                takes_next
            }
        }
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
            if let Some(what) = place::sensitive(word.as_written()) {
                self.found(Class::Escalates, format!("{}: {what}", word.as_written()));
            }
        }
    }

    /// An option's value that may be a file that is read.
    fn told(&mut self, text: &str) {
        let a_path = text.contains('/') || text.starts_with(['.', '~']);
        if let Some(what) = place::sensitive(text).filter(|_| a_path) {
            self.found(Class::Escalates, format!("{text}: {what}"));
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

    fn operand(&mut self, number: usize, word: &'a Word, role: Role) {
        match role {
            Role::Flag | Role::Value | Role::Reads | Role::Remote | Role::Script | Role::InPlace => {}
            Role::Write => {
                let place = place::of_word(word, self.context);
                self.written(place, word.as_written());
            }
            Role::Name => self.variable(word.literal().unwrap_or("$")),
            Role::Plus if word.as_written().starts_with('+') => {}
            Role::Plus => {
                self.found(Class::WritesOutside, format!("{}: it changes the system", word.as_written()));
            }
            Role::Command => match word.literal() {
                Some(text) => self.runs.push(Run::Text(text)),
                None => self.found(Class::ExecutesCode, "its command is not known before it runs"),
            },
            Role::Is(class) => {
                self.found(class, format!("operand {number}, {}: {}", word.as_written(), class.described()))
            }
        }
    }

    fn finish(mut self) -> Use<'a> {
        let program = self.current();
        let operands = std::mem::take(&mut self.operands);
        let listed =
            self.chain.iter().rev().copied().find(|program| {
                program.operands.is_some() || program.last.is_some() || !program.nth.is_empty()
            });
        for (at, word) in operands.iter().copied().enumerate() {
            let Some(listed) = listed else { break };
            // A pattern is as many words as it finds files.
            let several = operands.len() > 1 || is_a_pattern(word);
            let last = (at + 1 == operands.len() && several).then_some(listed.last).flatten();
            let nth = listed.nth.iter().find(|(number, _)| *number == at + 1).map(|(_, role)| *role);
            if let Some(role) = nth.or(last).or(listed.operands) {
                self.operand(at + 1, word, role);
            }
        }
        for word in &operands {
            if let Some(what) = place::sensitive(word.as_written()) {
                self.found(Class::Escalates, format!("{}: {what}", word.as_written()));
            }
        }
        // Many a reader of files also reads what another machine serves.
        let read = matches!(program.effect, Effect::Is(Class::ReadOnly) | Effect::Remote)
            && !program.any
            && program.language.is_none();
        if let Some(url) = operands.iter().find(|word| read && word.as_written().contains("://")) {
            self.found(Class::Network, format!("{}: an address of another machine", url.as_written()));
        }
        // A pipe to some readers of files.
        if let Some(word) = operands.iter().find(|word| {
            let text = word.as_written().trim();
            !program.any && program.language.is_none() && (text.starts_with('|') || text.ends_with('|'))
        }) {
            self.found(Class::ExecutesCode, format!("{}: some programs run it", word.as_written()));
        }
        // Before options had dashes: `less +!command`, `sort +1`.
        let plus = |word: &&&Word| word.literal().is_some_and(|text| text.len() > 1 && text.starts_with('+'));
        let dated = program.operands == Some(Role::Plus);
        if let Some(word) = operands.iter().find(plus).filter(|_| !program.any && !dated) {
            self.found(
                Class::Unknown,
                format!("{}: it may be an option of {}", word.as_written(), self.name),
            );
        }
        let many = program.most != usize::MAX && operands.iter().copied().any(is_a_pattern);
        if many || operands.len() > program.most {
            self.found(Class::Unknown, format!("more than {} operands", program.most));
        }
        if operands.len() + usize::from(self.scripted) < program.least && !self.reads {
            self.found(Class::ExecutesCode, "without operands it takes commands from its input");
        }
        let script = usize::from(program.language.is_some() && !self.scripted);
        if self.in_place {
            for word in operands.iter().skip(script) {
                let place = place::of_word(word, self.context);
                self.written(place, word.as_written());
            }
        }
        if let Some(language) = program.language.filter(|_| !self.scripted) {
            languages::read(language, &operands, self.context)
                .into_iter()
                .for_each(|(class, why)| self.found(class, why));
        }
        let mut remote = self.remote;
        let discovery = self.chain.iter().any(|program| program.discovery);
        let harmless = matches!(
            program.effect,
            Effect::Is(Class::ReadOnly | Class::WritesWorkspace) | Effect::Remote | Effect::Writes
        );
        // An option makes a powerful program harmless only together with options that are known.
        if let Some(option) = self.unlisted.take().filter(|_| self.reads && !harmless) {
            self.found(Class::Unknown, format!("{option}: what it does to {} is not known", self.name));
        }
        if self.runs.iter().any(|run| matches!(run, Run::Text(_))) && !operands.is_empty() && self.reads {
            self.found(Class::Unknown, "parameters of a command line");
        }
        let (class, reason) = match program.effect {
            _ if self.reads => (Class::ReadOnly, Class::ReadOnly.described().to_owned()),
            Effect::Is(Class::ReadOnly) if discovery => {
                (Class::Unknown, "tells about the machine, its users or its network".to_owned())
            }
            Effect::Is(class) => (class, class.described().to_owned()),
            Effect::Remote => {
                remote = true;
                (Class::ReadOnly, "reads from the service that its configuration names".to_owned())
            }
            // What it makes, it makes where it runs.
            Effect::Writes if self.context.moved && self.worst.is_none() => {
                (Class::WritesOutside, "writes where it runs, which is not known".to_owned())
            }
            Effect::Writes => {
                (Class::WritesWorkspace, "writes what its operands name, or where it runs".to_owned())
            }
            Effect::Wraps
                if self.runs.is_empty() && matches!(self.name.as_str(), "env" | "xargs" | "time") =>
            {
                (Class::ReadOnly, "runs nothing".to_owned())
            }
            Effect::Wraps | Effect::Joins if self.runs.is_empty() => {
                (Class::Unknown, "what it runs is not known".to_owned())
            }
            Effect::Wraps | Effect::Joins => (Class::ReadOnly, "runs what is judged by itself".to_owned()),
            Effect::Group => (Class::Unknown, format!("this use of {} is not known", self.name)),
        };
        let (class, reason) = match self.worst {
            Some((worst, why)) if worst > class => (worst, why),
            _ => (class, reason),
        };
        Use { class, reason, name: self.name, remote, runs: self.runs, assignments: self.assignments }
    }
}

/// Whether a long option's name says that it may do more, also where it is abbreviated.
fn suspicious(name: &str) -> bool {
    let last = name.rsplit('-').next().unwrap_or_default();
    let abbreviates = |part: &&str| last.len() > 1 && last != "help" && part.starts_with(last);
    name == "--log" || SUSPICIOUS.iter().any(|part| name.contains(part) || abbreviates(part))
}

fn is_a_pattern(word: &Word) -> bool {
    matches!(word, Word::Dynamic(dynamic) if dynamic.pattern || dynamic.splits)
}

/// What `xargs` may replace by words of its input, as the options before its command say.
fn replaced(options: &[Word]) -> Vec<&str> {
    let mut strings = vec!["{}"];
    let mut words = options.iter().filter_map(Word::literal).peekable();
    while let Some(word) = words.next() {
        let attached = match word.strip_prefix("--replace=") {
            Some(string) => Some(string),
            None if word.starts_with("--") => None,
            None => word.split_once(['I', 'i', 'J']).map(|(_, string)| string),
        };
        match attached {
            Some("") => strings.extend(words.peek().copied()),
            Some(string) => strings.push(string),
            None => {}
        }
    }
    strings
}

fn looks_like_an_option(text: &str) -> bool {
    text.len() > 1 && text.starts_with('-') && !text.bytes().skip(1).all(|b| b.is_ascii_digit())
}

#[derive(Clone, Copy)]
enum Value<'v> {
    Attached(&'v str),
}
