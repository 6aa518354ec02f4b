//! What is known of programs, as data: tables of which program, subcommand and option does what.
//!
//! The tables are text, one line a program or subcommand, in `knowledge/`;
//! `knowledge/FORMAT.md` describes them. They are read once, at their first use.

use super::class::Class;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

const TABLES: &[(&str, &str)] = &[
    ("core", include_str!("knowledge/core.table")),
    ("text", include_str!("knowledge/text.table")),
    ("files", include_str!("knowledge/files.table")),
    ("shell", include_str!("knowledge/shell.table")),
    ("system", include_str!("knowledge/system.table")),
    ("network", include_str!("knowledge/network.table")),
    ("packages", include_str!("knowledge/packages.table")),
    ("vcs", include_str!("knowledge/vcs.table")),
    ("develop", include_str!("knowledge/develop.table")),
    ("inspect", include_str!("knowledge/inspect.table")),
    ("services", include_str!("knowledge/services.table")),
    ("tail", include_str!("knowledge/tail.table")),
];

/// What a program, or one of its subcommands, does.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) effect: Effect,
    /// Every option and operand is harmless.
    pub(super) any: bool,
    /// Long options have one dash.
    pub(super) single: bool,
    /// It tells about the machine, its users or its network rather than about the project.
    pub(super) discovery: bool,
    pub(super) options: Vec<(&'static str, Role)>,
    /// How many operands it takes, where its line says so.
    pub(super) most: Option<usize>,
    pub(super) least: usize,
    /// Its first operand may be a cluster of options without its dash.
    pub(super) bundled: bool,
    /// It runs files of the project whatever it is told, so that asking for its version runs them too.
    pub(super) project: bool,
    /// What follows the first operand is that one's: no options.
    pub(super) ordered: bool,
    /// For a wrapper: how many operands of its own come before the command.
    pub(super) skip: usize,
    /// After so many operands of its own comes a command, which it runs elsewhere or in another way.
    pub(super) command: Option<Within>,
    /// With at most so many operands its input holds command lines.
    pub(super) lines: Option<usize>,
    /// The shell itself runs its command lines: they may change what follows.
    pub(super) here: bool,
    /// It connects to other machines, whatever else it does.
    pub(super) connects: bool,
    /// A word that begins with `@` names no file of further options.
    pub(super) literal: bool,
    pub(super) operands: Option<Role>,
    pub(super) last: Option<Role>,
    pub(super) nth: Vec<(usize, Role)>,
    pub(super) language: Option<Language>,
    pub(super) subcommands: Vec<(&'static str, Arc<Program>)>,
}

/// A command within the operands of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Within {
    /// How many operands come before it.
    pub(super) after: usize,
    /// Its words are joined to a line for a shell.
    pub(super) joined: bool,
    /// They are arguments of the program itself.
    pub(super) itself: bool,
}

/// What a line of the table says of a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A use of this class.
    Is(Class),
    /// Reads from the remote service that its configuration names.
    Remote,
    /// Changes the files that its operands name, judged by where they are.
    Writes,
    /// Runs the command in its operands.
    Wraps,
    /// Joins its operands to a command line for a shell.
    Joins,
    /// Nothing is known without a subcommand.
    Group,
}

/// What an option or an operand means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A harmless flag.
    Flag,
    /// A harmless option with a value.
    Value,
    /// Its value is a file that is written.
    Write,
    /// Its value is a command line.
    Command,
    /// Its value is a script in the program's language, in place of the first operand.
    Script,
    /// The files that its operands name are changed where they are.
    InPlace,
    /// It is the directory that the program works in.
    Directory,
    /// It is the permissions of what is made.
    Mode,
    /// What is copied keeps its permissions.
    Keeps,
    /// It is the beginning of the names of files that are written.
    Prefix,
    /// What the operands name is listed: any number of them.
    Lists,
    /// It makes the use one that only reads.
    Reads,
    /// It makes the use one that only reads from the service that its configuration names.
    Remote,
    /// It is the name of a variable. One with a subscript is computed when it is set.
    Name,
    /// It begins with a plus sign, or it changes the system.
    Plus,
    /// Its value is a command line that it runs beside what else it does.
    Runs,
    /// What follows it is a command.
    Rest,
    /// Its value is `KEY=VALUE`, a setting of the program: some name commands.
    Setting,
    /// What lies in its operand comes to lie in its target.
    Merges,
    /// It shows what its operands hold, not only that they are there.
    Shows,
    /// It may be an address of another machine, with or without `//` in it.
    Address,
    /// Two words follow it: a name and its value.
    Pair,
    /// Its value is a format of git's, some of which call for a program that checks signatures.
    Format,
    /// It takes variables away: that of its name.
    Unset,
    /// It takes all variables away.
    Bare,
    /// It makes the use one of this class.
    Is(Class),
}

/// Languages that are read beyond their arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Awk,
    Find,
    Jq,
    Sed,
    Yq,
}

impl Program {
    fn new(effect: Effect) -> Self {
        Self {
            effect,
            any: false,
            single: false,
            discovery: false,
            bundled: false,
            project: false,
            ordered: false,
            options: Vec::new(),
            most: None,
            least: 0,
            skip: 0,
            command: None,
            lines: None,
            here: false,
            connects: false,
            literal: false,
            operands: None,
            last: None,
            nth: Vec::new(),
            language: None,
            subcommands: Vec::new(),
        }
    }

    /// Whether a subcommand reads from the service that it is configured for.
    pub(super) fn reads_from_a_service(&self) -> bool {
        self.effect == Effect::Remote
            || self.subcommands.iter().any(|(_, below)| below.reads_from_a_service())
    }

    /// How many operands it takes. Where its line says nothing of them, one: many programs write their second.
    pub(super) fn most(&self) -> usize {
        let named = self.nth.iter().map(|(number, _)| *number).max();
        let all = self.any || self.operands.or(self.last).is_some() || self.language.is_some();
        self.most.unwrap_or(if all { usize::MAX } else { named.unwrap_or(1) })
    }

    /// What it does with an option, as its line says: `-NUM` stands for numbers.
    pub(super) fn role(&self, option: &str) -> Option<Role> {
        let listed =
            |name: &str| self.options.iter().find(|(listed, _)| *listed == name).map(|(_, role)| *role);
        let number = || {
            let digits = option.strip_prefix('-').filter(|rest| !rest.is_empty())?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| listed("-NUM"))?
        };
        listed(option).or_else(number)
    }

    /// The subcommand of this name, the most exact pattern first.
    pub(super) fn subcommand(&self, name: &str) -> Option<&Self> {
        let exact = self.subcommands.iter().find(|(pattern, _)| *pattern == name);
        let matching = || {
            let patterns = self.subcommands.iter().filter(|(pattern, _)| matches(pattern, name));
            patterns.max_by_key(|(pattern, _)| pattern.len())
        };
        exact.or_else(matching).map(|(_, program)| program.as_ref())
    }
}

/// `*` stands for any text that does not begin with a dash.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    !name.starts_with('-')
        && name.len() >= before.len() + after.len()
        && name.starts_with(before)
        && name.ends_with(after)
}

/// What is known of a program.
pub(super) fn program(name: &str) -> Option<&'static Program> {
    static KNOWN: OnceLock<HashMap<&'static str, Arc<Program>>> = OnceLock::new();
    KNOWN
        .get_or_init(|| {
            let mut known = HashMap::new();
            for (_, text) in TABLES {
                // A line that is not understood is left out, so that its program is asked about. A test
                // reads every table without leaving out a line.
                for (name, program) in read(text, &mut |_| {}) {
                    known.entry(name).or_insert(program);
                }
            }
            known
        })
        .get(name)
        .map(AsRef::as_ref)
}

/// Whether a program may run what its arguments name: one that is not known may.
pub(crate) fn may_run_others(name: &str) -> bool {
    /// Whose effect in the tables is another, and which run commands all the same.
    const ALSO: &[&str] = &["chrt", "taskset", "fd", "fdfind"];
    let runs = |program: &Program| {
        let by_option = || program.options.iter().any(|(_, role)| matches!(role, Role::Command));
        let within = program.here
            || program.command.is_some()
            || program.subcommands.iter().any(|(_, subcommand)| subcommand.command.is_some());
        matches!(
            program.effect,
            Effect::Wraps
                | Effect::Joins
                | Effect::Is(Class::Unknown | Class::ExecutesCode | Class::Escalates)
        ) || program.language == Some(Language::Find)
            || within
            || by_option()
    };
    ALSO.contains(&name) || program(name).is_none_or(runs)
}

/// Reads a table, and tells of every line that is not understood.
fn read(text: &'static str, problem: &mut dyn FnMut(String)) -> Vec<(&'static str, Arc<Program>)> {
    let lines: Vec<(usize, usize, &'static str)> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(number, line)| (number + 1, line.len() - line.trim_start().len(), line.trim()))
        .collect();
    let mut rest = lines.as_slice();
    let mut programs = Vec::new();
    level(&mut rest, 0, &mut programs, problem);
    programs
}

fn level(
    rest: &mut &[(usize, usize, &'static str)],
    indent: usize,
    into: &mut Vec<(&'static str, Arc<Program>)>,
    problem: &mut dyn FnMut(String),
) {
    while let Some(((number, depth, line), after)) = rest.split_first() {
        if *depth < indent {
            return;
        }
        *rest = after;
        let read = if *depth == indent { entry(line) } else { Err("its indentation is unexpected") };
        let mut subcommands = Vec::new();
        level(rest, indent + 2, &mut subcommands, problem);
        match read {
            Ok((names, mut program)) => {
                program.subcommands = subcommands;
                let program = Arc::new(program);
                for name in names.split(',') {
                    into.push((name, Arc::clone(&program)));
                }
            }
            Err(why) => problem(format!("line {number}: {why}: {line}")),
        }
    }
}

fn entry(line: &'static str) -> Result<(&'static str, Program), &'static str> {
    let mut words = line.split_ascii_whitespace();
    let names = words.next().ok_or("it is empty")?;
    let effect = effect(words.next().unwrap_or_default()).ok_or("its class is not known")?;
    let mut program = Program::new(effect);
    for word in words {
        match word {
            "any" => program.any = true,
            "single" => program.single = true,
            "discovery" => program.discovery = true,
            "bundled" => program.bundled = true,
            "project" => program.project = true,
            "ordered" => program.ordered = true,
            "here" => program.here = true,
            "connects" => program.connects = true,
            "literal" => program.literal = true,
            "many" => counted(&mut program, usize::MAX)?,
            "lang:awk" => program.language = Some(Language::Awk),
            "lang:find" => program.language = Some(Language::Find),
            "lang:jq" => program.language = Some(Language::Jq),
            "lang:yq" => program.language = Some(Language::Yq),
            "lang:sed" => program.language = Some(Language::Sed),
            _ => attribute(&mut program, word)?,
        }
    }
    let harmless = |(_, role): &(_, Role)| matches!(role, Role::Flag | Role::Value);
    if program.any && (program.most.is_some() || program.options.iter().any(harmless)) {
        return Err("all of it is harmless, and some of it is said to be");
    }
    Ok((names, program))
}

fn counted(program: &mut Program, most: usize) -> Result<(), &'static str> {
    match program.most.replace(most) {
        Some(_) => Err("how many operands it takes is said twice"),
        None => Ok(()),
    }
}

fn attribute(program: &mut Program, word: &'static str) -> Result<(), &'static str> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| "a number is expected");
    if let Some(most) = word.strip_prefix("ops<=") {
        return counted(program, number(most)?);
    }
    if let Some(least) = word.strip_prefix("ops>=") {
        program.least = number(least)?;
        return Ok(());
    }
    if let Some(skip) = word.strip_prefix("skip=") {
        program.skip = number(skip)?;
        return Ok(());
    }
    if let Some(after) = word.strip_prefix("command=") {
        program.command = Some(Within { after: number(after)?, joined: false, itself: false });
        return Ok(());
    }
    if let Some(after) = word.strip_prefix("line=") {
        program.command = Some(Within { after: number(after)?, joined: true, itself: false });
        return Ok(());
    }
    if let Some(after) = word.strip_prefix("itself=") {
        program.command = Some(Within { after: number(after)?, joined: false, itself: true });
        return Ok(());
    }
    if let Some(most) = word.strip_prefix("lines<=") {
        program.lines = Some(number(most)?);
        return Ok(());
    }
    let (what, name) = word.rsplit_once(':').ok_or("an attribute is not understood")?;
    let role = role(name).ok_or("a role is not known")?;
    if what == "ops" {
        program.operands = Some(role);
    } else if what == "last" {
        program.last = Some(role);
    } else if let Some(nth) = what.strip_prefix("op").filter(|nth| nth.bytes().all(|b| b.is_ascii_digit())) {
        program.nth.push((number(nth)?, role));
    } else {
        for option in what.split(',') {
            if !option.starts_with(['-', '+']) || option.len() < 2 {
                return Err("an option begins with a dash");
            }
            program.options.push((option, role));
        }
    }
    Ok(())
}

fn effect(name: &str) -> Option<Effect> {
    Some(match name {
        "reads" => Effect::Is(Class::ReadOnly),
        "works" => Effect::Is(Class::WritesWorkspace),
        "remote" => Effect::Remote,
        "writes" => Effect::Writes,
        "wraps" => Effect::Wraps,
        "joins" => Effect::Joins,
        "group" => Effect::Group,
        name => Effect::Is(class(name)?),
    })
}

fn class(name: &str) -> Option<Class> {
    Some(match name {
        "executes" | "exec" => Class::ExecutesCode,
        "network" | "net" => Class::Network,
        "changes" | "change" => Class::WritesOutside,
        "escalates" | "escalate" => Class::Escalates,
        "destroys" | "destroy" => Class::Destroys,
        _ => return None,
    })
}

fn role(name: &str) -> Option<Role> {
    Some(match name {
        "ok" => Role::Flag,
        "val" | "read" => Role::Value,
        "write" => Role::Write,
        "cmd" => Role::Command,
        "script" => Role::Script,
        "inplace" => Role::InPlace,
        "dir" => Role::Directory,
        "mode" => Role::Mode,
        "keeps" => Role::Keeps,
        "prefix" => Role::Prefix,
        "lists" => Role::Lists,
        "reads" => Role::Reads,
        "remote" => Role::Remote,
        "name" => Role::Name,
        "plus" => Role::Plus,
        "runs" => Role::Runs,
        "rest" => Role::Rest,
        "setting" => Role::Setting,
        "address" => Role::Address,
        "pair" => Role::Pair,
        "format" => Role::Format,
        "unset" => Role::Unset,
        "bare" => Role::Bare,
        "merges" => Role::Merges,
        "shows" => Role::Shows,
        "asks" => Role::Is(Class::Unknown),
        name => Role::Is(class(name)?),
    })
}

#[cfg(test)]
mod tests;
