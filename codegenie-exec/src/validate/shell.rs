//! From shell text to our own tree, by brush-parser. What the conversion does not know becomes
//! opaque, which is never allowed.

mod ambiguous;
mod builtins;
mod calls;
mod expressions;
mod inputs;
mod words;

use self::ambiguous::Ambiguous;
use self::builtins::{SHELL_ONLY, hides_functions};
use self::calls::Calls;
pub(super) use self::calls::MULTIPLIES;
use self::words::{parameters, unknown_value, value_of};
use super::{arithmetic, limits};
use crate::command::{CommandLine, InputText, ParsedCommand, SimpleCommand, VariableValue, Word};
use brush_parser::{ParserOptions, ast};
use std::collections::{BTreeMap, BTreeSet};

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
    Ok(ParsedCommand {
        commands: vec![command],
        functions: Vec::new(),
        variables: BTreeMap::new(),
        bound: BTreeSet::new(),
        values: BTreeMap::new(),
        inputs: Vec::new(),
        opaque: Vec::new(),
        needs_shell: false,
    })
}

fn parse_shell(text: &str) -> Result<ParsedCommand, ParseError> {
    let mut tree = Tree::new(0);
    tree.text(text)?;
    if tree.commands.is_empty() && tree.opaque.is_empty() {
        return Err(ParseError::new("it names no program"));
    }
    // A number is computed with; text is looked at once more, and may run what stands in it.
    let unknown = |name: &String| match tree.variables.get(name) {
        Some(value) => *value != VariableValue::Number,
        None => !arithmetic::is_number(name),
    };
    if tree.computed.iter().any(unknown) {
        tree.opaque("an arithmetic expression over text");
    }
    tree.gives_parameters();
    for name in &tree.unsure {
        // There it may hold nothing.
        if let Some(values) = tree.values.get_mut(name) {
            values.push(Word::Literal(String::new()));
        }
    }
    if tree.calls.multiply(&tree.functions) {
        tree.opaque(MULTIPLIES);
    }
    if tree.commands.iter().any(hides_functions) {
        tree.commands.iter_mut().for_each(|command| command.function = false);
    }
    let executable = |command: &SimpleCommand| {
        command.assignments.is_empty()
            && command.redirects.is_empty()
            && command
                .literal_words()
                .is_some_and(|words| words.first().is_some_and(|program| !SHELL_ONLY.contains(program)))
    };
    let simple = !tree.compound && tree.opaque.is_empty() && tree.commands.iter().all(executable);
    Ok(ParsedCommand {
        commands: tree.commands,
        functions: tree.functions,
        variables: tree.variables,
        bound: tree.bound,
        values: tree.values,
        inputs: tree.inputs,
        opaque: tree.opaque,
        needs_shell: !simple,
    })
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Names of what a function or a script is given.
const PARAMETERS: [&str; 11] = ["@", "*", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Substitutions within substitutions.
const MAX_SUBSTITUTION_DEPTH: usize = 6;

/// A function that is defined, or a variable that is set, wherever the text goes on.
#[derive(Clone)]
struct Defined {
    name: String,
    variable: bool,
    /// Nothing ran before it in its line. An error in an expansion makes bash go on with the next line.
    lasts: bool,
}

struct Tree {
    commands: Vec<SimpleCommand>,
    functions: Vec<String>,
    /// The functions and variables that are certain to be there.
    defined: Vec<Defined>,
    /// Something ran since the line began.
    ran: bool,
    variables: BTreeMap<String, VariableValue>,
    /// Those that no assignment sets.
    bound: BTreeSet<String>,
    /// What each is given.
    values: BTreeMap<String, Vec<Word>>,
    /// What commands read from their standard input.
    inputs: Vec<InputText>,
    /// Those of the command that is read just now.
    own_inputs: Vec<Word>,
    opaque: Vec<String>,
    /// Variables whose values are computed with.
    computed: Vec<String>,
    /// More than one simple command.
    compound: bool,
    /// How many substitutions it stands in.
    depth: usize,
    ambiguous: Ambiguous,
    /// Which functions call which.
    calls: Calls,
    /// Variables that stand somewhere where it is not certain that they are set.
    unsure: BTreeSet<String>,
}

impl Tree {
    fn new(depth: usize) -> Self {
        Self {
            commands: Vec::new(),
            functions: Vec::new(),
            defined: Vec::new(),
            ran: false,
            variables: BTreeMap::new(),
            bound: BTreeSet::new(),
            values: BTreeMap::new(),
            inputs: Vec::new(),
            own_inputs: Vec::new(),
            opaque: Vec::new(),
            computed: Vec::new(),
            compound: false,
            depth,
            ambiguous: Ambiguous::default(),
            calls: Calls::default(),
            unsure: BTreeSet::new(),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), ParseError> {
        limits::check_text(text)?;
        self.ambiguous.look_at(text);
        if let Some(construct) = ambiguous::never_followed(text) {
            self.opaque(construct);
        }
        // A mistake of the parser's that makes it panic is the text's problem, not the host's.
        let program = std::panic::catch_unwind(|| program(text))
            .unwrap_or_else(|_| Err(ParseError::new("the parser gave up on it")))?;
        for list in &program.complete_commands {
            self.ran = false;
            self.list(list);
            self.defined.retain(|function| function.lasts);
        }
        self.compound |= program.complete_commands.len() > 1;
        Ok(())
    }

    fn list(&mut self, list: &ast::CompoundList) {
        for ast::CompoundListItem(and_or, separator) in &list.0 {
            // It ends with the sandbox at the latest.
            self.compound |= matches!(separator, ast::SeparatorOperator::Async);
            let outside = self.defined.len();
            let beside = matches!(separator, ast::SeparatorOperator::Async);
            self.calls.forks += usize::from(beside);
            for (at, (_, pipeline)) in and_or.iter().enumerate() {
                let before = self.defined.len();
                self.pipeline(pipeline);
                if at > 0 {
                    // It may not run.
                    self.defined.truncate(before);
                }
            }
            self.calls.forks -= usize::from(beside);
            if beside {
                self.defined.truncate(outside);
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
        let mut printed = Vec::new();
        let piped = usize::from(pipeline.seq.len() > 1);
        self.calls.forks += piped;
        for command in &pipeline.seq {
            let (before, first) = (self.defined.len(), self.commands.len());
            self.ran |= match command {
                ast::Command::Function(_)
                | ast::Command::Compound(ast::CompoundCommand::BraceGroup(_), None) => false,
                ast::Command::Simple(simple) => !words::only_sets(simple),
                _ => true,
            };
            self.command(command);
            if pipeline.seq.len() > 1 {
                // Each runs in a shell of its own.
                self.defined.truncate(before);
                self.read_by(std::mem::take(&mut printed), first);
                printed = self.printed(first);
            }
        }
        self.calls.forks -= piped;
    }

    fn command(&mut self, command: &ast::Command) {
        let (before, first) = (self.defined.len(), self.commands.len());
        match command {
            ast::Command::Simple(simple) => self.simple(simple),
            ast::Command::Compound(compound, redirects) => {
                self.compound = true;
                self.compound_command(compound);
                self.redirects(redirects.as_ref(), first);
                if redirects.is_some() {
                    // Where a file cannot be opened it does not run.
                    self.defined.truncate(before);
                }
            }
            ast::Command::Function(function) => self.function(function),
            ast::Command::ExtendedTest(test, redirects) => {
                self.compound = true;
                self.test(&test.expr);
                // It runs no program, and is a command all the same.
                self.commands.push(SimpleCommand::default());
                self.redirects(redirects.as_ref(), first);
            }
        }
    }

    /// A list that may not run, or that runs in a shell of its own: what it defines ends with it.
    fn apart(&mut self, list: &ast::CompoundList) {
        let (before, commands) = (self.defined.len(), self.commands.len());
        self.list(list);
        let last = self.commands.get(commands..).and_then(<[SimpleCommand]>::last);
        if self.ambiguous.unparted && last.is_none_or(|command| command.words.is_empty()) {
            self.opaque("a reserved word that may be a program");
        }
        self.defined.truncate(before);
    }

    /// The redirections of a compound command belong to a command without words.
    /// What they hold is read by what is in it: the commands from `first` on.
    fn redirects(&mut self, redirects: Option<&ast::RedirectList>, first: usize) {
        let mut command = SimpleCommand::default();
        let outer = std::mem::take(&mut self.own_inputs);
        for redirect in redirects.iter().flat_map(|list| &list.0) {
            self.redirect(redirect, &mut command);
        }
        let inputs = std::mem::replace(&mut self.own_inputs, outer);
        self.read_by(inputs, first);
        if !command.redirects.is_empty() {
            self.commands.push(command);
        }
    }

    /// The body is judged where it stands. What its parameters are is not known.
    fn function(&mut self, function: &ast::FunctionDefinition) {
        self.compound = true;
        let name = function.fname.value.clone();
        if name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            self.defined.push(Defined { name: name.clone(), lasts: !self.ran, variable: false });
            self.functions.push(name);
        } else {
            self.opaque("a function of an unusual name");
        }
        for parameter in PARAMETERS.into_iter().chain(["#", "0"]) {
            self.sets(parameter, VariableValue::Unknown);
        }
        // Its body runs when it is called, which is after this.
        let (ran, defined, first) = (self.ran, self.defined.len(), self.commands.len());
        let outer = self.calls.enter(&function.fname.value);
        self.compound_command(&function.body.0);
        self.redirects(function.body.1.as_ref(), first);
        self.calls.leave(outer);
        self.defined.truncate(defined);
        self.ran = ran;
    }

    /// What the functions are called with are their parameters, each of which may become any by `shift`.
    fn gives_parameters(&mut self) {
        let calls = |command: &&SimpleCommand| {
            let name = command.words.first().and_then(Word::literal);
            name.is_some_and(|name| self.functions.iter().any(|function| function == name))
        };
        let called = self.commands.iter().filter(calls);
        let given: Vec<Word> = called.flat_map(|command| command.words.iter().skip(1)).cloned().collect();
        self.parameters_are(&given);
    }

    fn parameters_are(&mut self, given: &[Word]) {
        for parameter in PARAMETERS.into_iter().filter(|_| !given.is_empty()) {
            self.values.entry(parameter.to_owned()).or_default().extend_from_slice(given);
        }
    }

    fn compound_command(&mut self, compound: &ast::CompoundCommand) {
        use ast::CompoundCommand as Compound;
        match compound {
            Compound::BraceGroup(group) => {
                let before = self.commands.len();
                self.list(&group.list);
                // In `{ x=1 }` and `{ <x }` bash takes the brace for a program.
                let last = self.commands.get(before..).and_then(<[SimpleCommand]>::last);
                if last.is_none_or(|command| command.words.is_empty()) {
                    self.opaque("a group that ends without a program");
                }
            }
            Compound::Subshell(subshell) => {
                // Of `((…))` bash takes for an expression, and expands, what the parser takes for two groups.
                if self.ambiguous.doubled && begins_with_a_group(&subshell.list) {
                    self.opaque("a group that may be an arithmetic expression");
                }
                self.calls.forks += 1;
                self.apart(&subshell.list);
                self.calls.forks -= 1;
            }
            Compound::ForClause(clause) => {
                let values = clause.values.as_deref().unwrap_or_default();
                let mut known =
                    if clause.values.is_some() { VariableValue::Number } else { VariableValue::Unknown };
                let mut words = Vec::new();
                for value in values {
                    let word = self.word(value);
                    known = known.max(value_of(&word));
                    words.push(word);
                }
                if clause.values.is_none() {
                    words.extend([unknown_value(), parameters()]);
                }
                let name = &clause.variable_name;
                self.bound.insert(name.clone());
                self.assigns(name, known);
                self.values.entry(name.clone()).or_default().append(&mut words);
                let before = self.defined.len();
                self.defined.push(Defined { name: name.clone(), lasts: false, variable: true });
                self.apart(&clause.body.list);
                self.defined.truncate(before);
            }
            Compound::WhileClause(clause) | Compound::UntilClause(clause) => {
                self.apart(&clause.0);
                self.apart(&clause.1.list);
            }
            Compound::IfClause(clause) => {
                self.apart(&clause.condition);
                self.apart(&clause.then);
                for part in clause.elses.iter().flatten() {
                    part.condition.iter().for_each(|list| self.apart(list));
                    self.apart(&part.body);
                }
            }
            Compound::CaseClause(clause) => {
                self.word(&clause.value);
                for case in &clause.cases {
                    case.patterns.iter().for_each(|pattern| drop(self.pattern(pattern)));
                    case.cmd.iter().for_each(|list| self.apart(list));
                }
            }
            Compound::ArithmeticForClause(clause) => {
                self.ambiguous_expression();
                for part in [&clause.initializer, &clause.condition, &clause.updater].into_iter().flatten() {
                    self.arithmetic(&part.value, true);
                }
                self.apart(&clause.body.list);
            }
            Compound::Arithmetic(command) => {
                self.ambiguous_expression();
                self.arithmetic(&command.expr.value, true);
                self.commands.push(SimpleCommand::default());
            }
            Compound::Coprocess(coprocess) => {
                self.opaque("a coprocess");
                let defined = self.defined.len();
                self.command(&coprocess.body);
                self.defined.truncate(defined);
            }
        }
    }
}

fn begins_with_a_group(list: &ast::CompoundList) -> bool {
    let first = list.0.first().and_then(|ast::CompoundListItem(and_or, _)| and_or.first.seq.first());
    matches!(first, Some(ast::Command::Compound(ast::CompoundCommand::Subshell(_), _)))
}
