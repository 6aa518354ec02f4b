//! From shell text to our own tree, by brush-parser. What the conversion does not know becomes
//! opaque, which is never allowed.

use crate::command::{CommandLine, ParsedCommand, Redirect, SimpleCommand, Word};
use brush_parser::ast;
use brush_parser::word::{WordPiece, WordPieceWithSource};
use brush_parser::{Parser, ParserOptions};

/// Longer than what a person would approve, shorter than what a parser chokes on.
const MAX_BYTES: usize = 64 << 10;
/// The parser recurses.
const MAX_NESTING: usize = 64;

/// Text that no shell would run.
#[derive(Debug, thiserror::Error)]
#[error("the command was not understood: {problem}; correct it and send it again")]
pub struct ParseError {
    problem: String,
}

impl ParseError {
    fn new(problem: impl Into<String>) -> Self {
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
    if text.len() > MAX_BYTES {
        return Err(ParseError::new(format!("it has {} bytes, at most {MAX_BYTES} are read", text.len())));
    }
    if text.contains('\0') {
        return Err(ParseError::new("it holds a NUL byte"));
    }
    if nesting(text) > MAX_NESTING {
        return Err(ParseError::new(format!("brackets are nested deeper than {MAX_NESTING}")));
    }
    let options = ParserOptions::default();
    let mut parser = Parser::new(text.as_bytes(), &options);
    let program = parser.parse_program().map_err(|error| ParseError::new(one_line(&error.to_string())))?;
    let mut tree = Tree { options, commands: Vec::new(), opaque: Vec::new(), compound: false };
    for list in &program.complete_commands {
        tree.list(list);
    }
    if program.complete_commands.iter().map(|list| list.0.len()).sum::<usize>() > 1 {
        tree.compound = true;
    }
    if tree.commands.is_empty() && tree.opaque.is_empty() {
        return Err(ParseError::new("it names no program"));
    }
    let simple = !tree.compound
        && tree.opaque.is_empty()
        && tree.commands.len() == 1
        && tree.commands.iter().all(|command| {
            command.assignments.is_empty()
                && command.redirects.is_empty()
                && command.literal_words().is_some_and(|words| !words.is_empty())
        });
    Ok(ParsedCommand { commands: tree.commands, opaque: tree.opaque, needs_shell: !simple })
}

/// An upper bound on how deep the parser recurses: quotes are not looked at.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Tree {
    options: ParserOptions,
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
                ast::Command::Function(_) => self.opaque("a function definition"),
                ast::Command::ExtendedTest(..) => self.opaque("an extended test"),
            }
        }
    }

    fn compound_command(&mut self, compound: &ast::CompoundCommand) {
        match compound {
            ast::CompoundCommand::BraceGroup(group) => self.list(&group.list),
            ast::CompoundCommand::Subshell(subshell) => self.list(&subshell.list),
            // Loops and conditions hand values from one command to the next: followed one day.
            _ => self.opaque("a loop, a condition or an arithmetic command"),
        }
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
            ast::IoRedirect::File(_, _, Target::Duplicate(word)) => {
                let descriptor = word.value.trim_end_matches('-');
                if descriptor.bytes().all(|b| b.is_ascii_digit()) {
                    self.compound = true;
                } else {
                    let target = self.word(word);
                    command.redirects.push(Redirect { target, writes: true });
                }
            }
            ast::IoRedirect::OutputAndError(word, _) => {
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
                if document.requires_expansion && document.doc.value.contains(['$', '`']) {
                    self.opaque("a here-document with an expansion");
                }
            }
            ast::IoRedirect::File(..) => self.opaque("a redirection of a kind that is not followed"),
        }
    }

    /// A word is literal when it is nothing but text and quotes: no expansion, no pattern.
    fn word(&mut self, word: &ast::Word) -> Word {
        let source = word.value.as_str();
        let pieces = brush_parser::word::parse(source, &self.options);
        let braces = brush_parser::word::parse_brace_expansions(source, &self.options);
        let expands_braces = match braces {
            Ok(None) => false,
            Ok(Some(parts)) => {
                parts.iter().any(|part| !matches!(part, brush_parser::word::BraceExpressionOrText::Text(_)))
            }
            Err(_) => true,
        };
        let mut text = String::new();
        let literal = match pieces {
            Ok(pieces) => !expands_braces && self.pieces(&pieces, false, &mut text),
            Err(_) => {
                self.opaque("a word that is not understood");
                false
            }
        };
        if literal { Word::Literal(text) } else { Word::Dynamic(source.to_owned()) }
    }

    fn pieces(&mut self, pieces: &[WordPieceWithSource], quoted: bool, text: &mut String) -> bool {
        let mut literal = true;
        for piece in pieces {
            literal &= match &piece.piece {
                WordPiece::Text(plain) => {
                    text.push_str(plain);
                    quoted || !plain.contains(['*', '?', '[', '~'])
                }
                WordPiece::SingleQuotedText(plain) => {
                    text.push_str(plain);
                    true
                }
                WordPiece::EscapeSequence(escape) => {
                    let mut chars = escape.chars();
                    chars.next();
                    text.extend(chars);
                    escape != "\\\n"
                }
                WordPiece::DoubleQuotedSequence(inner) => self.pieces(inner, true, text),
                WordPiece::CommandSubstitution(_) | WordPiece::BackquotedCommandSubstitution(_) => {
                    self.opaque("a command substitution");
                    false
                }
                // What these become is decided by the shell and its state.
                WordPiece::AnsiCQuotedText(_)
                | WordPiece::GettextDoubleQuotedSequence(_)
                | WordPiece::TildeExpansion(_)
                | WordPiece::ParameterExpansion(_)
                | WordPiece::ArithmeticExpression(_) => false,
            };
        }
        literal
    }

    fn opaque(&mut self, what: &str) {
        self.compound = true;
        if !self.opaque.iter().any(|known| known == what) {
            self.opaque.push(what.to_owned());
        }
    }
}
