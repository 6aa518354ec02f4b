//! From shell text to our own tree, by brush-parser. What the conversion does not know becomes
//! opaque, which is never allowed.

use super::{limits, word};
use crate::command::{CommandLine, ParsedCommand, Redirect, SimpleCommand, Word};
use brush_parser::{ParserOptions, ast};

/// Text that no shell would run.
#[derive(Debug, thiserror::Error)]
#[error("the command was not understood: {problem}; correct it and send it again")]
pub struct ParseError {
    problem: String,
}

impl ParseError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into() }
    }
}

/// Parses a command.
pub(crate) fn parse(line: &CommandLine) -> Result<ParsedCommand, ParseError> {
    match line {
        CommandLine::Argv(words) => parse_argv(words),
        CommandLine::Shell(text) => parse_shell(text),
    }
}

fn parse_argv(words: &[String]) -> Result<ParsedCommand, ParseError> {
    if words.first().is_none_or(String::is_empty) {
        return Err(ParseError::new("it names no program"));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(ParseError::new("an argument holds a NUL byte"));
    }
    let words = words.iter().cloned().map(Word::Literal).collect();
    let command = SimpleCommand { words, ..SimpleCommand::default() };
    Ok(ParsedCommand { commands: vec![command], opaque: Vec::new(), needs_shell: false })
}

fn parse_shell(text: &str) -> Result<ParsedCommand, ParseError> {
    limits::check_text(text)?;
    // A mistake of the parser's that makes it panic is the text's problem, not the host's.
    let program = std::panic::catch_unwind(|| program(text))
        .unwrap_or_else(|_| Err(ParseError::new("the parser gave up on it")))?;
    let mut tree = Tree { commands: Vec::new(), opaque: Vec::new(), compound: false };
    for list in &program.complete_commands {
        tree.list(list);
    }
    tree.compound |= program.complete_commands.len() > 1;
    if tree.commands.is_empty() && tree.opaque.is_empty() {
        return Err(ParseError::new("it names no program"));
    }
    let executable = |command: &SimpleCommand| {
        command.assignments.is_empty()
            && command.redirects.is_empty()
            && command
                .literal_words()
                .is_some_and(|words| words.first().is_some_and(|program| !SHELL_ONLY.contains(program)))
    };
    let simple = !tree.compound && tree.opaque.is_empty() && tree.commands.iter().all(executable);
    Ok(ParsedCommand { commands: tree.commands, opaque: tree.opaque, needs_shell: !simple })
}

fn program(text: &str) -> Result<ast::Program, ParseError> {
    // As `bash -c` reads: without extended patterns.
    let options = ParserOptions { enable_extended_globbing: false, ..ParserOptions::default() };
    // Where the text ends right after `<<''`, the tokenizer would not; and it takes the ends of
    // expansions twice that hold a here-document without its own end.
    let ends = if text.contains("<<") { 1 + limits::MAX_EXPANSIONS } else { 1 };
    let line = format!("{text}{}", "\n".repeat(ends));
    let tokens = brush_parser::uncached_tokenize_str(&line, &options.tokenizer_options())
        .map_err(|error| ParseError::new(one_line(&error.to_string())))?;
    limits::check_tokens(&tokens)?;
    brush_parser::parse_tokens(&tokens, &options)
        .map_err(|error| ParseError::new(one_line(&error.to_string())))
}

/// Builtins for which there is no program to execute.
const SHELL_ONLY: &[&str] = &[
    ".",
    ":",
    "alias",
    "bg",
    "bind",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "declare",
    "dirs",
    "disown",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
    "break",
    "continue",
];

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Tree {
    commands: Vec<SimpleCommand>,
    opaque: Vec<String>,
    /// More than one simple command.
    compound: bool,
}

impl Tree {
    fn list(&mut self, list: &ast::CompoundList) {
        for ast::CompoundListItem(and_or, separator) in &list.0 {
            if matches!(separator, ast::SeparatorOperator::Async) {
                self.opaque("a command in the background");
            }
            for (_, pipeline) in and_or.iter() {
                self.pipeline(pipeline);
            }
            self.compound |= !and_or.additional.is_empty();
        }
        self.compound |= list.0.len() > 1;
    }

    fn pipeline(&mut self, pipeline: &ast::Pipeline) {
        if pipeline.timed.is_some() || pipeline.bang || pipeline.seq.len() > 1 {
            self.compound = true;
        }
        if pipeline.seq.is_empty() {
            // `!` and `time` alone, which bash takes in some places only.
            self.opaque("a pipeline without a command");
        }
        for command in &pipeline.seq {
            match command {
                ast::Command::Simple(simple) => self.simple(simple),
                ast::Command::Compound(compound, redirects) => {
                    self.compound = true;
                    self.compound_command(compound);
                    for redirect in redirects.iter().flat_map(|list| &list.0) {
                        self.opaque(match redirect {
                            ast::IoRedirect::File(..) | ast::IoRedirect::OutputAndError(..) => {
                                "a redirection of a compound command"
                            }
                            _ => "input to a compound command",
                        });
                    }
                }
                ast::Command::Function(function) => {
                    self.opaque("a function definition");
                    self.compound_command(&function.body.0);
                }
                ast::Command::ExtendedTest(..) => self.opaque("an extended test"),
            }
        }
    }

    /// Loops and conditions hand values from one command to the next, which is not followed. The
    /// commands in them are judged nevertheless: what is denied stays denied.
    fn compound_command(&mut self, compound: &ast::CompoundCommand) {
        use ast::CompoundCommand as Compound;
        match compound {
            Compound::BraceGroup(group) => {
                self.list(&group.list);
                // In `{ x=1 }` and `{ <x }` bash takes the brace for a program.
                if self.commands.last().is_none_or(|command| command.words.is_empty()) {
                    self.opaque("a group that ends without a program");
                }
                return;
            }
            Compound::Subshell(subshell) => return self.list(&subshell.list),
            Compound::ForClause(clause) => self.list(&clause.body.list),
            Compound::WhileClause(clause) | Compound::UntilClause(clause) => {
                self.list(&clause.0);
                self.list(&clause.1.list);
            }
            Compound::IfClause(clause) => {
                self.list(&clause.condition);
                self.list(&clause.then);
                for part in clause.elses.iter().flatten() {
                    part.condition.iter().for_each(|list| self.list(list));
                    self.list(&part.body);
                }
            }
            Compound::CaseClause(clause) => {
                clause.cases.iter().filter_map(|case| case.cmd.as_ref()).for_each(|list| self.list(list));
            }
            Compound::ArithmeticForClause(clause) => self.list(&clause.body.list),
            Compound::Coprocess(_) | Compound::Arithmetic(_) => {}
        }
        self.opaque("a loop, a condition or an arithmetic command");
    }

    fn simple(&mut self, simple: &ast::SimpleCommand) {
        let mut command = SimpleCommand::default();
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
        self.commands.push(command);
    }

    fn item(&mut self, item: &ast::CommandPrefixOrSuffixItem, command: &mut SimpleCommand, prefix: bool) {
        match item {
            ast::CommandPrefixOrSuffixItem::Word(word) => {
                let word = self.word(word);
                command.words.push(word);
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
                    ast::AssignmentValue::Array(_) => {
                        self.opaque("an array");
                        Word::Dynamic(word.value.clone())
                    }
                };
                command.assignments.push((name, value));
            }
            // `export A=b`, `make CC=gcc`: an argument like any other.
            ast::CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                let word = self.word(word);
                command.words.push(word);
            }
            ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect, command),
            ast::CommandPrefixOrSuffixItem::ProcessSubstitution(..) => self.opaque("a process substitution"),
        }
    }

    fn redirect(&mut self, redirect: &ast::IoRedirect, command: &mut SimpleCommand) {
        use ast::{IoFileRedirectKind as Kind, IoFileRedirectTarget as Target};
        match redirect {
            ast::IoRedirect::File(_, kind, Target::Filename(word)) => {
                let target = self.word(word);
                command.redirects.push(Redirect { target, writes: !matches!(kind, Kind::Read) });
            }
            ast::IoRedirect::File(_, Kind::DuplicateInput | Kind::DuplicateOutput, Target::Fd(_)) => {
                self.compound = true;
            }
            ast::IoRedirect::File(_, kind, Target::Duplicate(word)) => {
                let number = word.value.strip_suffix('-').unwrap_or(&word.value);
                if number.bytes().all(|b| b.is_ascii_digit()) {
                    self.compound = true;
                } else if matches!(kind, Kind::DuplicateOutput) && !word.value.starts_with('-') {
                    let target = self.word(word);
                    command.redirects.push(Redirect { target, writes: true });
                } else {
                    // Of `>&-rm` bash makes `>&-` and the command `rm`.
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
                if self.word(word).literal().is_none() {
                    self.opaque("a here-string with an expansion");
                }
            }
            ast::IoRedirect::HereDocument(_, document) => {
                self.compound = true;
                // A backslash joins lines, and with them the line that ends the document.
                if document.requires_expansion && document.doc.value.contains(['$', '`', '\\']) {
                    self.opaque("a here-document with an expansion or an escape");
                }
                if !plain_delimiter(&document.here_end.value) {
                    self.opaque("a here-document with an unusual delimiter");
                }
            }
            ast::IoRedirect::File(..) => self.opaque("a redirection of a kind that is not followed"),
        }
    }

    fn word(&mut self, word: &ast::Word) -> Word {
        let scanned = word::scan(&word.value);
        if let Some(what) = scanned.opaque {
            self.opaque(what);
        }
        scanned.word
    }

    fn opaque(&mut self, what: &str) {
        self.compound = true;
        if !self.opaque.iter().any(|known| known == what) {
            self.opaque.push(what.to_owned());
        }
    }
}

/// A word that every shell reads alike, bare or quoted as a whole.
fn plain_delimiter(written: &str) -> bool {
    let quoted = |quote| written.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let bare = quoted('\'').or_else(|| quoted('"')).or_else(|| written.strip_prefix('\\')).unwrap_or(written);
    !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}
