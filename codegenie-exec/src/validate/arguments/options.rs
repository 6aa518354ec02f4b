//! What an option does, by the table.

use super::derived::keeps_apart;
use super::{Reader, Run};
use crate::command::Word;
use crate::validate::class::Class;
use crate::validate::knowledge::{Language, Role};
use crate::validate::languages;
use crate::validate::place::{self, Place};

impl<'a> Reader<'a, '_> {
    /// Judges an option; whether the next word is its value.
    pub(super) fn option(&mut self, text: &str, next: Option<&'a Word>) -> bool {
        if text == "--" {
            // An option that is not listed may have taken it for its value.
            self.ended =
                self.unlisted.is_none() && !self.shifted && !self.chain.iter().any(|program| program.single);
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
        // `-address=x`, where the table knows it.
        if let Some((name, value)) = text.split_once('=').filter(|(name, _)| name.len() > 2)
            && let Some(role) = self.exact_role(name)
        {
            return self.play(name, Some(role), Some(Value::Attached(value)), next);
        }
        self.long_with_one_dash(letters);
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            let option = format!("-{letter}");
            let role = self.exact_role(&option);
            let takes = !matches!(
                role,
                None | Some(
                    Role::Flag
                        | Role::Keeps
                        | Role::Lists
                        | Role::Reads
                        | Role::Remote
                        | Role::InPlace
                        | Role::Bare
                        | Role::Shows
                        | Role::Merges
                )
            );
            if role == Some(Role::InPlace) && !rest.is_empty() {
                // `-i.bak`: the rest is how the copy's name ends.
                return self.play(&option, role, Some(Value::Attached(rest)), None);
            }
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
                !matches!(
                    role,
                    None | Some(
                        Role::Flag | Role::Keeps | Role::Reads | Role::Remote | Role::Bare | Role::Shows
                    )
                ),
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

    pub(super) fn exact_role(&self, name: &str) -> Option<Role> {
        self.chain.iter().rev().find_map(|program| program.role(name))
    }

    /// Long options may be abbreviated: what the name may stand for counts, the worst first.
    pub(super) fn long_role(&self, name: &str) -> Option<Role> {
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
        if let Some(value) = next.filter(|_| takes) {
            self.value(value);
        }
        takes && !next.and_then(Word::literal).is_some_and(looks_like_an_option)
    }

    pub(super) fn effect_of(
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
                    self.read_by_option(name, text);
                }
                if self.any() {
                    return false;
                }
                self.unlisted.get_or_insert_with(|| name.to_owned());
                self.found(Class::Unknown, format!("{name}: what it does to {} is not known", self.name));
                false
            }
            Some(Role::Flag) => false,
            Some(Role::Keeps) => {
                self.keeps(name, attached);
                false
            }
            Some(Role::Lists) => {
                self.lists = true;
                false
            }
            Some(Role::Value) => {
                let text = match (&attached, next) {
                    (Some(Value::Attached(text)), _) => Some(*text),
                    (None, next) => next.map(Word::as_written),
                };
                self.told(text.unwrap_or_default());
                self.read_by_option(name, text.unwrap_or_default());
                if matches!(name, "-q" | "--jq") && matches!(self.name.split(' ').next(), Some("gh" | "glab"))
                {
                    let filter = languages::literal(Language::Jq, text.unwrap_or_default(), self.context);
                    self.scripted(filter);
                }
                // `openssl x509 -in http://…` reads it from there, and `aws … --filters file://…` sends what is there.
                let reads = self.name.starts_with("openssl")
                    || (self.name.starts_with("aws") && !matches!(name, "--queue-url" | "--source"));
                if reads && text.is_some_and(|text| text.contains("://")) {
                    self.found(Class::Network, format!("{name}: an address of another machine"));
                }
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
            Some(Role::Address) => {
                match (&attached, next) {
                    (Some(Value::Attached(text)), _) => self.address(text),
                    (None, next) => self.address(next.map_or(":", Word::as_written)),
                }
                takes_next
            }
            Some(Role::Pair) => {
                self.pair = attached.is_none();
                // What stands for the name would be taken for an option here.
                if !self.pair || next.and_then(Word::literal).is_some_and(looks_like_an_option) {
                    self.found(Class::Unknown, format!("{name}: what it is given is not understood"));
                }
                takes_next
            }
            Some(Role::Format) => {
                let text = match (&attached, next) {
                    (Some(Value::Attached(text)), _) => Some(*text),
                    (None, next) => next.and_then(Word::literal),
                };
                self.format(name, text.unwrap_or("%G"));
                // `--pretty` alone has one of its own.
                takes_next && name != "--pretty"
            }
            Some(Role::Merges) => {
                self.merges = true;
                false
            }
            Some(Role::Shows) => {
                self.shows = true;
                false
            }
            // The rest is read where it is seen.
            Some(Role::Rest) => {
                self.found(Class::ExecutesCode, format!("{name}: {}", Class::ExecutesCode.described()));
                attached.is_none()
            }
            Some(Role::Bare) => {
                self.set(name, Role::Bare, None, None);
                false
            }
            Some(role @ (Role::Runs | Role::Setting | Role::Unset)) => {
                self.set(name, role, attached.map(|Value::Attached(text)| text), next);
                takes_next
            }
            Some(Role::InPlace) => {
                self.in_place = true;
                // The name of a copy, which may lie elsewhere.
                if let Some(Value::Attached(suffix)) = attached
                    && !keeps_apart(suffix)
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
                match text.zip(language) {
                    Some((text, language)) => {
                        let script = languages::literal(language, text, self.context);
                        self.scripted(script);
                    }
                    None => self.found(Class::ExecutesCode, "its script is not known before it runs"),
                }
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
                if matches!(name, "-t" | "--target-directory") || "--target-directory".starts_with(name) {
                    self.target = match (&attached, next) {
                        (Some(Value::Attached(text)), _) => Some(Word::Literal((*text).to_owned())),
                        (None, next) => next.cloned(),
                    };
                }
                let place = match (&attached, next) {
                    // `-o=x` is `=x` to some programs and `x` to others.
                    (Some(Value::Attached(path)), _) => [Some(*path), path.strip_prefix('=')]
                        .into_iter()
                        .flatten()
                        .map(|path| place::of(path, self.context))
                        .max_by_key(|place| *place as u8)
                        .unwrap_or(Place::Outside),
                    (None, Some(word)) => place::of_word(word, self.context),
                    (None, None) => Place::Outside,
                };
                self.written(place, name);
                takes_next
            }
            Some(role @ (Role::Directory | Role::Mode | Role::Prefix)) => {
                let attached = attached.map(|Value::Attached(text)| text);
                match role {
                    Role::Directory => self.works_in(next, attached),
                    Role::Mode => self.mode(attached.or_else(|| next.and_then(Word::literal))),
                    _ => self.prefix(next, attached),
                }
                takes_next
            }
            Some(Role::Command) => {
                let known = attached.is_none() && next.is_some_and(|word| word.literal().is_some());
                match known {
                    true => self.reads = true,
                    false => self.found(
                        Class::ExecutesCode,
                        format!("{name}: the command is not known before it runs"),
                    ),
                }
                match (attached, next) {
                    (None, Some(word)) => self.runs.push(Run::Text(word.as_line())),
                    (Some(Value::Attached(text)), _) => self.runs.push(Run::Joined(text.to_owned())),
                    (None, None) => {}
                }
                takes_next
            }
        }
    }
}

fn looks_like_an_option(text: &str) -> bool {
    text.len() > 1 && text.starts_with('-') && !text.bytes().skip(1).all(|b| b.is_ascii_digit())
}

#[derive(Clone, Copy)]
pub(super) enum Value<'v> {
    Attached(&'v str),
}
