//! A command as an agent asks for it, and as it was understood.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

/// What an agent asks to run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandRequest {
    /// The command line, or the program and its arguments.
    pub line: CommandLine,
    /// The working directory; `None`: the executor's workspace.
    pub cwd: Option<PathBuf>,
    /// Variables added to the sandbox's environment.
    pub env: BTreeMap<String, String>,
    /// What the command reads from its standard input.
    pub stdin: Vec<u8>,
}

/// The two ways to name a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandLine {
    /// Shell text, as agents write it.
    Shell(String),
    /// A program and its arguments, which no shell sees.
    Argv(Vec<String>),
}

impl CommandLine {
    /// The command as one line for people: arguments are quoted where a shell would need it.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::Shell(text) => text.clone(),
            Self::Argv(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        }
    }
}

fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./=:@%+,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl CommandRequest {
    /// Shell text. A single simple command is executed without a shell, anything else by one.
    pub fn shell(text: impl Into<String>) -> Self {
        Self::of(CommandLine::Shell(text.into()))
    }

    /// A program and its arguments.
    pub fn argv<I, T>(words: I) -> Self
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        Self::of(CommandLine::Argv(words.into_iter().map(Into::into).collect()))
    }

    fn of(line: CommandLine) -> Self {
        Self { line, cwd: None, env: BTreeMap::new(), stdin: Vec::new() }
    }

    /// Sets the working directory, which must lie in the sandbox.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Sets a variable of the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets what the command reads from its standard input.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }
}

/// A command as it was understood: every simple command in it, and whatever was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParsedCommand {
    /// The simple commands, in the order in which they stand; those of functions, loops and
    /// substitutions too.
    pub commands: Vec<SimpleCommand>,
    /// Names of functions that it defines, whose bodies are among the commands.
    pub functions: Vec<String>,
    /// Variables that it sets, each with what is known of the value.
    pub variables: BTreeMap<String, VariableValue>,
    /// Those of them that loops, builtins and expansions set, rather than an assignment.
    pub bound: BTreeSet<String>,
    /// Every word that a variable is given. A value that is not known stands there as a computed word.
    pub values: BTreeMap<String, Vec<Word>>,
    /// Texts in it that some of its commands read from their standard input.
    pub inputs: Vec<InputText>,
    /// Constructs that were recognized but are not followed, each in a few words. Not empty: the
    /// decision is never "allow".
    pub opaque: Vec<String>,
    /// Whether it takes a shell to run it.
    pub needs_shell: bool,
}

/// A text in a command that commands of it read from their standard input: a here-document, a here-string, or what
/// an `echo` in the pipeline prints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InputText {
    /// The text.
    pub text: Word,
    /// Which of the [commands](ParsedCommand::commands) may read it.
    pub readers: Range<usize>,
}

impl InputText {
    pub(crate) const fn new(text: Word, readers: Range<usize>) -> Self {
        Self { text, readers }
    }
}

/// One program, or builtin, with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimpleCommand {
    /// Variables set for it, or, where there are no words, for what follows.
    pub assignments: Vec<(String, Word)>,
    /// The program and its arguments.
    pub words: Vec<Word>,
    /// Its redirections to and from files.
    pub redirects: Vec<Redirect>,
    /// Whether it is certain that its first word calls a function which the command defines before, whatever
    /// happens until then. Where it is not, a program of that name may run instead.
    pub function: bool,
}

impl SimpleCommand {
    /// The words as text, where every one is known before the command runs.
    #[must_use]
    pub fn literal_words(&self) -> Option<Vec<&str>> {
        self.words.iter().map(Word::literal).collect()
    }
}

/// What is known of the values that a command gives to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum VariableValue {
    /// Numbers.
    Number,
    /// Plain text without spaces, patterns and a leading dash or plus sign.
    Plain,
    /// Anything.
    Unknown,
}

/// One word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Word {
    /// Known before the command runs, quotes removed.
    Literal(String),
    /// Made by the shell while it runs: a variable, a pattern.
    Dynamic(DynamicWord),
}

/// A word that the shell makes while it runs, and what is known of it before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DynamicWord {
    /// The text as it was written.
    pub written: String,
    /// What the word begins with, whatever the rest becomes.
    pub prefix: String,
    /// The variables whose values stand in it.
    pub variables: Vec<String>,
    /// Names of files take its place: `*`, `?`, `[…]`.
    pub pattern: bool,
    /// The output of a command, or a computed value, stands in it.
    pub computed: bool,
    /// It may become several words, or none: something in it is not quoted.
    pub splits: bool,
}

impl Word {
    /// The word, where it is known.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Dynamic(_) => None,
        }
    }

    /// The word as a line of commands: what the shell puts into it stands there as it was written.
    pub(crate) fn as_line(&self) -> &str {
        let written = self.as_written();
        let quoted = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match (self, quoted) {
            (Self::Dynamic(_), Some(inside)) if !inside.contains(['"', '\\', '`']) => inside,
            _ => written,
        }
    }

    /// The word for people.
    #[must_use]
    pub fn as_written(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Dynamic(word) => &word.written,
        }
    }
}

/// A redirection to or from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The file.
    pub target: Word,
    /// Whether the file is opened for writing.
    pub writes: bool,
}
