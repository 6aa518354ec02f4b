//! Simple commands: their words, assignments, redirections and substitutions.

use super::{Defined, MAX_SUBSTITUTION_DEPTH, Tree};
use crate::command::{DynamicWord, Redirect, SimpleCommand, VariableValue, Word};
use crate::validate::{shape, word};
use brush_parser::ast;

impl Tree {
    pub(super) fn simple(&mut self, simple: &ast::SimpleCommand) {
        let mut command = SimpleCommand::default();
        let outer = std::mem::take(&mut self.own_inputs);
        for item in simple.prefix.iter().flat_map(|prefix| &prefix.0) {
            self.item(item, &mut command, true);
        }
        if let Some(word) = &simple.word_or_name {
            let word = self.word(word);
            command.words.push(word);
        }
        for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
            self.item(item, &mut command, false);
        }
        self.set_by_builtin(&command);
        if command.words.is_empty() {
            for (name, _) in &command.assignments {
                self.defined.push(Defined { name: name.clone(), lasts: !self.ran, variable: true });
            }
        }
        let called = command.words.first().and_then(Word::literal);
        called.into_iter().for_each(|name| self.calls.call(name));
        command.function =
            called.is_some_and(|name| self.defined.iter().any(|one| !one.variable && one.name == name));
        let first = self.commands.len();
        self.commands.push(command);
        let inputs = std::mem::replace(&mut self.own_inputs, outer);
        self.read_by(inputs, first);
    }

    pub(super) fn item(
        &mut self,
        item: &ast::CommandPrefixOrSuffixItem,
        command: &mut SimpleCommand,
        prefix: bool,
    ) {
        match item {
            ast::CommandPrefixOrSuffixItem::Word(word) => {
                let word = self.word(word);
                match shape::braced(&word) {
                    Some(made) => {
                        // Nothing is left of what is empty.
                        let made = made.iter().filter(|text| !text.is_empty());
                        command.words.extend(made.map(|text| self.scanned(word::scan(text))));
                    }
                    None => command.words.push(word),
                }
            }
            ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) if prefix => {
                let name = match &assignment.name {
                    ast::AssignmentName::VariableName(name) => name.clone(),
                    ast::AssignmentName::ArrayElementName(name, _) => {
                        self.opaque("an array element");
                        name.clone()
                    }
                };
                let value = match &assignment.value {
                    ast::AssignmentValue::Scalar(value) => self.word(value),
                    ast::AssignmentValue::Array(values) => {
                        self.compound = true;
                        if self.ambiguous.array {
                            self.opaque("a list that may be no array's");
                        }
                        for (subscript, value) in values {
                            let element = self.word(value);
                            self.values.entry(name.clone()).or_default().push(element);
                            if subscript.is_some() {
                                self.opaque("an array with subscripts");
                            }
                        }
                        let written = word.value.clone();
                        Word::Dynamic(DynamicWord { written, computed: true, ..DynamicWord::default() })
                    }
                };
                let known = if assignment.append { VariableValue::Unknown } else { value_of(&value) };
                self.assigns(&name, known);
                let array = matches!(assignment.value, ast::AssignmentValue::Array(_));
                let given = match &value {
                    _ if array => unknown_value(),
                    value if assignment.append => appended(&name, value),
                    value => value.clone(),
                };
                self.values.entry(name.clone()).or_default().push(given);
                command.assignments.push((name, value));
            }
            // `export A=b`, `make CC=gcc`: an argument like any other.
            ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => {
                if matches!(assignment.value, ast::AssignmentValue::Array(_)) {
                    self.opaque("an array among the arguments");
                }
                let word = self.word(word);
                command.words.push(word);
            }
            ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect, command),
            ast::CommandPrefixOrSuffixItem::ProcessSubstitution(_, subshell) => {
                let word = self.process_substitution(subshell);
                command.words.push(word);
            }
        }
    }

    /// The shell puts the name of a descriptor in its place.
    pub(super) fn process_substitution(&mut self, subshell: &ast::SubshellCommand) -> Word {
        self.compound = true;
        let first = self.commands.len();
        self.calls.forks += 1;
        self.apart(&subshell.list);
        self.calls.forks -= 1;
        let mut printed = self.printed(first);
        self.own_inputs.append(&mut printed);
        let (written, prefix) = ("<(…)".to_owned(), "/dev/fd/".to_owned());
        Word::Dynamic(DynamicWord { written, prefix, computed: true, ..DynamicWord::default() })
    }

    pub(super) fn redirect(&mut self, redirect: &ast::IoRedirect, command: &mut SimpleCommand) {
        use ast::{IoFileRedirectKind as Kind, IoFileRedirectTarget as Target};
        match redirect {
            ast::IoRedirect::File(_, kind, Target::Filename(word)) => {
                let target = self.word(word);
                if matches!(kind, Kind::ReadAndWrite) {
                    command.redirects.push(Redirect { target: target.clone(), writes: false });
                }
                command.redirects.push(Redirect { target, writes: !matches!(kind, Kind::Read) });
            }
            ast::IoRedirect::File(_, Kind::DuplicateInput | Kind::DuplicateOutput, Target::Fd(_)) => {
                self.compound = true;
            }
            ast::IoRedirect::File(_, _, Target::ProcessSubstitution(_, subshell)) => {
                self.process_substitution(subshell);
            }
            ast::IoRedirect::File(_, kind, Target::Duplicate(word)) => {
                let number = word.value.strip_suffix('-').unwrap_or(&word.value);
                if number.bytes().all(|b| b.is_ascii_digit()) {
                    self.compound = true;
                } else if matches!(kind, Kind::DuplicateOutput) && is_a_plain_name(&word.value) {
                    let target = self.word(word);
                    command.redirects.push(Redirect { target, writes: true });
                } else {
                    // Of `>&-rm` bash makes `>&-` and the command `rm`; and the name of a file it expands twice.
                    self.opaque("a duplicated descriptor that is not a number");
                }
            }
            ast::IoRedirect::OutputAndError(word, _) => {
                if word.value.contains('=') {
                    // Bash takes what looks like an assignment for no file here.
                    self.opaque("a redirection of a kind that is not followed");
                }
                let target = self.word(word);
                command.redirects.push(Redirect { target, writes: true });
            }
            ast::IoRedirect::HereString(_, word) => {
                self.compound = true;
                let text = self.word(word);
                self.own_inputs.push(text);
            }
            ast::IoRedirect::HereDocument(_, document) => {
                self.compound = true;
                let body = &document.doc.value;
                self.own_inputs.push(Word::Literal(body.clone()));
                if document.requires_expansion {
                    // A backslash joins lines, and with them the line that ends the document.
                    if body.contains(['`', '\\']) {
                        self.opaque("a here-document with an escape or a command in it");
                    } else if body.contains('$') {
                        self.scanned(word::scan_document(body));
                    }
                }
                if !plain_delimiter(&document.here_end.value) {
                    self.opaque("a here-document with an unusual delimiter");
                }
            }
            ast::IoRedirect::File(..) => self.opaque("a redirection of a kind that is not followed"),
        }
    }

    pub(super) fn word(&mut self, word: &ast::Word) -> Word {
        self.scanned(word::scan(&word.value))
    }

    /// A pattern or a regular expression may hold what no word holds: parentheses and bars.
    pub(super) fn pattern(&mut self, word: &ast::Word) -> Word {
        let plain = |c: char| !"$`\"'\\<".contains(c);
        if word.value.chars().all(plain) {
            return Word::Literal(word.value.clone());
        }
        self.word(word)
    }

    pub(super) fn scanned(&mut self, scanned: word::Scanned) -> Word {
        if let Some(what) = scanned.opaque {
            self.opaque(what);
        }
        for command in &scanned.commands {
            self.substitution(command);
        }
        for expression in &scanned.arithmetic {
            self.arithmetic(expression, false);
        }
        for name in &scanned.sets {
            self.sets(name, VariableValue::Unknown);
        }
        if let Word::Dynamic(word) = &scanned.word {
            self.compound = true;
            let certain = |name: &String| self.defined.iter().any(|one| one.variable && one.name == *name);
            let unsure: Vec<String> = word.variables.iter().filter(|name| !certain(name)).cloned().collect();
            self.unsure.extend(unsure);
        }
        scanned.word
    }

    pub(super) fn substitution(&mut self, command: &str) {
        self.compound = true;
        if self.depth >= MAX_SUBSTITUTION_DEPTH {
            return self.opaque("substitutions nested too deeply");
        }
        // `$(<file)` reads a file.
        if command.trim().is_empty() {
            return;
        }
        let mut inner = Self::new(self.depth + 1);
        inner.defined.clone_from(&self.defined);
        inner.calls = self.calls.within_substitution();
        inner.defined.iter_mut().for_each(|function| function.lasts = true);
        if inner.text(command).is_err() {
            return self.opaque("a command substitution that is not understood");
        }
        self.take_inputs(&mut inner);
        self.commands.append(&mut inner.commands);
        self.functions.append(&mut inner.functions);
        self.computed.append(&mut inner.computed);
        self.calls.take(inner.calls);
        self.unsure.append(&mut inner.unsure);
        self.bound.append(&mut inner.bound);
        for (name, value) in inner.variables {
            self.assigns(&name, value);
        }
        for (name, mut words) in inner.values {
            self.values.entry(name).or_default().append(&mut words);
        }
        inner.opaque.iter().for_each(|what| self.opaque(what));
    }

    pub(super) fn opaque(&mut self, what: &str) {
        self.compound = true;
        if !self.opaque.iter().any(|known| known == what) {
            self.opaque.push(what.to_owned());
        }
    }
}

/// Whether a command only gives variables values that are written there, which never fails.
pub(super) fn only_sets(simple: &ast::SimpleCommand) -> bool {
    let plain = |item: &ast::CommandPrefixOrSuffixItem| matches!(item, ast::CommandPrefixOrSuffixItem::AssignmentWord(_, word) if !word.value.contains(['$', '`', '(']));
    let suffix = simple.suffix.iter().flat_map(|suffix| &suffix.0).next();
    simple.word_or_name.is_none()
        && suffix.is_none()
        && simple.prefix.iter().flat_map(|prefix| &prefix.0).all(plain)
}

/// A name of which the shell makes itself, however often.
fn is_a_plain_name(written: &str) -> bool {
    !written.starts_with('-')
        && written.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./,:%+-".contains(&b))
}

/// Stands for a value of which nothing is known.
pub(super) fn unknown_value() -> Word {
    Word::Dynamic(DynamicWord { computed: true, ..DynamicWord::default() })
}

/// What a variable holds after a word is put behind its value.
fn appended(name: &str, value: &Word) -> Word {
    let behind = match value {
        Word::Literal(text) if text.contains('\'') => return unknown_value(),
        Word::Literal(text) => format!("'{text}'"),
        Word::Dynamic(word) => word.written.clone(),
    };
    let variables = vec![name.to_owned()];
    let written = format!("${{{name}}}{behind}");
    Word::Dynamic(DynamicWord { written, variables, computed: true, ..DynamicWord::default() })
}

/// Stands for the parameters of a function or a script.
pub(super) fn parameters() -> Word {
    let (written, variables) = ("\"$@\"".to_owned(), vec!["@".to_owned()]);
    Word::Dynamic(DynamicWord { written, variables, computed: true, ..DynamicWord::default() })
}

/// What is known of a variable that is given this word.
pub(super) fn value_of(word: &Word) -> VariableValue {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_./,:@%+-".contains(&b);
    match word {
        Word::Literal(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            VariableValue::Number
        }
        Word::Literal(text) if !text.starts_with(['-', '+']) && text.bytes().all(plain) => {
            VariableValue::Plain
        }
        // Whether the expression only computes is judged apart.
        Word::Dynamic(word)
            if word.written.starts_with("$((")
                && word.written.ends_with("))")
                && word.written.matches("$(").count() == 1 =>
        {
            VariableValue::Number
        }
        Word::Dynamic(word) if is_number_sequence(&word.written) => VariableValue::Number,
        _ => VariableValue::Unknown,
    }
}

/// `{1..9}`.
fn is_number_sequence(written: &str) -> bool {
    let inside = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| {
        inside.split("..").all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// A word that every shell reads alike, bare or quoted as a whole.
fn plain_delimiter(written: &str) -> bool {
    let quoted = |quote| written.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let bare = quoted('\'').or_else(|| quoted('"')).or_else(|| written.strip_prefix('\\')).unwrap_or(written);
    !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}
