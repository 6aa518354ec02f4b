//! What the operands mean, and what the use comes to.

use super::{Reader, Run, Use};
use crate::command::Word;
use crate::validate::class::Class;
use crate::validate::context::Count;
use crate::validate::knowledge::{Effect, Role};
use crate::validate::languages;
use crate::validate::place;

impl<'a> Reader<'a, '_> {
    fn operand(&mut self, number: usize, word: &'a Word, role: Role) {
        match role {
            Role::Flag
            | Role::Keeps
            | Role::Lists
            | Role::Value
            | Role::Reads
            | Role::Remote
            | Role::Script
            | Role::Runs
            | Role::Rest
            | Role::Setting
            | Role::Format
            | Role::Pair
            | Role::Unset
            | Role::Bare
            | Role::Shows
            | Role::Merges
            | Role::InPlace => {}
            Role::Address => self.address(word.as_written()),
            Role::Directory => self.works_in(Some(word), None),
            Role::Mode => self.mode(word.literal()),
            Role::Prefix => self.prefix(Some(word), None),
            Role::Write => {
                let place = place::of_word(word, self.context);
                self.written(place, word.as_written());
            }
            Role::Name => self.variable(word.literal().unwrap_or("$")),
            Role::Plus if word.as_written().starts_with('+') => {}
            Role::Plus => {
                self.found(Class::WritesOutside, format!("{}: it changes the system", word.as_written()));
            }
            Role::Command => {
                if word.literal().is_none() {
                    self.found(Class::ExecutesCode, "its command is not known before it runs");
                }
                self.runs.push(Run::Text(word.as_line()));
            }
            Role::Is(class) => {
                self.found(class, format!("operand {number}, {}: {}", word.as_written(), class.described()))
            }
        }
    }

    pub(super) fn finish(mut self) -> Use<'a> {
        let program = self.current();
        let operands = std::mem::take(&mut self.operands);
        let listed =
            self.chain.iter().rev().copied().find(|program| {
                program.operands.is_some() || program.last.is_some() || !program.nth.is_empty()
            });
        if listed.is_some_and(|listed| listed.here) {
            self.trapped(&operands);
        }
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
        // Which operand is which, where some may be none or several?
        let counted = operands.iter().all(|word| self.context.count(word) == Count::One);
        if !counted && listed.is_some_and(|listed| !listed.nth.is_empty()) {
            self.found(Class::Unknown, "which of its operands is which is decided by the shell");
        }
        for word in &operands {
            let what = self.sensitive_operand(word, &operands);
            if let Some(what) = what.or_else(|| self.context.tells_variable(word, self.name == "printenv")) {
                self.found(Class::Escalates, format!("{}: {what}", word.as_written()));
            }
        }
        self.shown_secrets(&operands);
        // Many a reader of files also reads what another machine serves.
        let read = (self.reads || matches!(program.effect, Effect::Is(Class::ReadOnly) | Effect::Remote))
            && !program.any
            && program.language.is_none();
        let of_another =
            |text: &str| text.contains("://") && !(self.name == "aws s3 ls" && text.starts_with("s3://"));
        if let Some(url) = operands.iter().find(|word| read && of_another(word.as_written())) {
            self.found(Class::Network, format!("{}: an address of another machine", url.as_written()));
        }
        // A package that is named by where it lies is fetched from there, by version control and what that runs.
        const ORIGINS: &[&str] = &["github", "gitlab", "bitbucket", "gist", "git", "file", "hg", "svn"];
        let elsewhere = |text: &str| {
            let origin = text.split_once(':').map(|(origin, _)| origin.rsplit('@').next().unwrap_or(origin));
            origin.is_some_and(|origin| ORIGINS.contains(&origin) || origin.starts_with("git+"))
        };
        if let Some(word) =
            operands.iter().find(|word| program.effect == Effect::Remote && elsewhere(word.as_written()))
        {
            self.found(Class::Network, format!("{}: is fetched from elsewhere", word.as_written()));
        }
        // `gh repo view HOST/OWNER/NAME`, `npm view OWNER/NAME`
        let chosen = |text: &str| {
            let of_a_host = names_a_host(text);
            match self.name.split(' ').next() {
                Some("gh" | "glab") => of_a_host,
                Some("go") => {
                    (of_a_host && !text.starts_with('.')) || (self.name == "go list" && text.contains('@'))
                }
                Some("npm" | "pnpm" | "yarn") => {
                    text.trim_start_matches('@').contains(['/']) && !text.starts_with('@')
                }
                _ => false,
            }
        };
        if let Some(word) = operands.iter().find(|word| {
            (program.effect == Effect::Remote || self.name == "go list") && chosen(word.as_written())
        }) {
            self.found(Class::Network, format!("{}: names a machine of its own", word.as_written()));
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
        operands.iter().for_each(|word| self.may_list_options(word));
        // What reaches further than its words is asked about in any case, unless its line counts them.
        let reaches = matches!(
            program.effect,
            Effect::Is(
                Class::Network
                    | Class::WritesOutside
                    | Class::ExecutesCode
                    | Class::Destroys
                    | Class::Escalates
            )
        );
        let most = if reaches && !self.reads { program.most.unwrap_or(usize::MAX) } else { program.most() };
        let many = most != usize::MAX && operands.iter().copied().any(is_a_pattern);
        if !self.lists && (many || operands.len() > most) {
            let why = format!("what {} does with more than {most} operands is not known", self.name);
            self.found(Class::Unknown, why);
        }
        let certain = operands.iter().filter(|word| self.context.count(word) != Count::AtMostOne).count();
        if certain + usize::from(self.scripted) < program.least && !self.reads {
            self.found(Class::ExecutesCode, "without operands it takes commands from its input");
        }
        self.derived(&operands);
        self.copied(&operands);
        self.works(&operands);
        self.kept(&operands);
        let script = usize::from(program.language.is_some() && !self.scripted);
        if self.in_place {
            for word in operands.iter().skip(script) {
                let place = place::of_word(word, self.context);
                self.written(place, word.as_written());
            }
        }
        if let Some(language) = program.language.filter(|_| !self.scripted) {
            let script = languages::read(language, &operands, self.context);
            self.scripted(script);
        }
        let network = program.effect == Effect::Is(Class::Network) && !self.reads;
        // What reads from a service also changes it there.
        let at_a_service = !self.reads
            && matches!(program.effect, Effect::Is(Class::Destroys | Class::Escalates))
            && self.first.reads_from_a_service();
        let connects = !self.reads && self.chain.iter().any(|program| program.connects);
        let mut remote = self.remote || network || at_a_service || connects;
        let discovery = self.chain.iter().any(|program| program.discovery);
        if self.runs.iter().any(|run| matches!(run, Run::Text(_))) && !operands.is_empty() && self.reads {
            self.found(Class::Unknown, "parameters of a command line");
        }
        if let Some(secret) = self.secret.take() {
            // Their names are not what is secret.
            let named_only =
                secret.contains("secret") && matches!(self.name.rsplit(' ').next(), Some("list" | "ls"));
            if !named_only {
                self.found(Class::Escalates, format!("{secret}: perhaps shows secrets"));
            }
        }
        let (class, reason) = match program.effect {
            // An option that only reads, and a subcommand that is not known.
            Effect::Group if self.reads && self.chain.len() == 1 && !operands.is_empty() => {
                (Class::Unknown, format!("this use of {} is not known", self.name))
            }
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
        Use {
            class,
            reason,
            name: self.name,
            remote,
            runs: self.runs,
            here: self.first.here,
            reads_lines: false,
            assignments: self.assignments,
            files: self.files,
        }
    }
}

/// `HOST/OWNER/NAME`, where `OWNER/NAME` would do.
pub(super) fn names_a_host(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    text.matches('/').count() > 1 || (text.contains('/') && first.contains('.') && !first.starts_with('.'))
}

fn is_a_pattern(word: &Word) -> bool {
    matches!(word, Word::Dynamic(dynamic) if dynamic.pattern || dynamic.splits)
}
