//! The decision about a parsed command: each simple command is judged, the strictest wins.

mod builtins;
mod files;
mod ruled;

use self::ruled::is_by_rule;
use super::arguments::{self, Run, Use};
use super::class::Class;
use super::context::Context;
use super::deceptive::deceptive_character;
use super::inputs::Inputs;
use super::knowledge;
use super::place::{self, Place};
use super::policy::CommandPolicy;
use super::programs::{REFUSED, TAKE_FEW_VARIABLES, assignment_is_harmless, export_is_harmless};
use super::reach::Reach;
use super::shell;
use super::verdict::{Decision, Judgement, Verdict};
use crate::command::{
    CommandLine, CommandRequest, ParsedCommand, Redirect, SimpleCommand, VariableValue, Word,
};
use std::path::Path;

/// How deep commands in commands are followed.
const MAX_DEPTH: usize = 8;

/// Judges a command under a policy. Where the workspace is not known, only a request without a directory runs in it.
pub(crate) fn judge(
    policy: &CommandPolicy,
    request: &CommandRequest,
    parsed: &ParsedCommand,
    workspace: Option<&Path>,
) -> Verdict {
    let line = request.line.display();
    let reach = Reach::new(workspace, request);
    let begins = reach.begins_in_secrets.clone();
    let mut judge = Judge::new(Context::new(policy, parsed, reach));
    if let Some(directory) = begins {
        let reason = "where secrets or accounts are kept";
        judge.add(&directory, policy.asked(), Class::Escalates, "working directory", reason, 0);
    }
    for name in request.env.keys() {
        judge.context.variables.insert(name, VariableValue::Unknown);
    }
    judge.commands(parsed, 0);
    judge.set_variables(parsed, 0);
    // The request's variables act like assignments before the command.
    for (name, value) in &request.env {
        judge.exported(name, value, true, 0);
        if value.contains(['[', '`', '$']) && parsed.needs_shell {
            // A shell that computes with it would run what stands in a subscript.
            let reason = format!("{name} holds what a shell may run");
            judge.add(name, policy.asked(), Class::ExecutesCode, "assignment", reason, 0);
        }
    }
    let whole = |rule: &str, class: Class, reason: String| Judgement {
        part: line.clone(),
        decision: policy.asked(),
        class,
        rule: rule.to_owned(),
        reason,
        depth: 0,
        pure: false,
    };
    for construct in &parsed.opaque {
        let (class, reason) = not_followed(construct);
        judge.parts.push(whole("not followed", class, reason));
    }
    let shown =
        [line.as_str()].into_iter().chain(request.env.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]));
    if let Some(name) = shown.into_iter().find_map(deceptive_character) {
        judge.parts.push(whole(
            "deceptive text",
            Class::Unknown,
            format!("{name}: what is shown may not be what runs"),
        ));
    }
    judge.verdict()
}

struct Judge<'c> {
    context: Context<'c>,
    parts: Vec<Judgement>,
    remote: bool,
    /// Something that was judged takes command lines from its standard input: what counts of them.
    reads_lines: Option<Counts>,
}

/// What counts of a command within another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counts {
    /// What the host's rules say of it. By a rule, the outer one is allowed.
    Rules,
    Everything,
}

impl<'c> Judge<'c> {
    const fn new(context: Context<'c>) -> Self {
        Self { context, parts: Vec::new(), remote: false, reads_lines: None }
    }
}

impl Judge<'_> {
    fn verdict(self) -> Verdict {
        let parts = self.parts;
        let pure = !parts.is_empty() && parts.iter().all(|part| part.pure);
        // Of equally strict parts the gravest is named, and of those the first.
        let strictest = parts.iter().rev().max_by_key(|part| (part.decision, part.class));
        let (decision, rule, reason) = match strictest {
            Some(part) => (part.decision, part.rule.clone(), part.reason.clone()),
            None => (Decision::Ask, "nothing".to_owned(), "the command has no parts".to_owned()),
        };
        let class = parts.iter().map(|part| part.class).max().unwrap_or(Class::Unknown);
        Verdict {
            decision,
            class,
            network: self.remote || class == Class::Network,
            rule,
            reason,
            pure,
            parts,
        }
    }

    fn add(
        &mut self,
        part: &str,
        decision: Decision,
        class: Class,
        rule: impl Into<String>,
        reason: impl Into<String>,
        depth: usize,
    ) {
        self.parts.push(Judgement {
            part: part.to_owned(),
            decision: self.context.policy.question(decision),
            class,
            rule: rule.into(),
            reason: reason.into(),
            depth,
            pure: false,
        });
    }

    /// What a class is decided to be, under the policy.
    fn decide(&self, class: Class) -> Decision {
        self.context.policy.decide(class)
    }

    fn commands(&mut self, parsed: &ParsedCommand, depth: usize) {
        let mut inputs = Inputs::new(&parsed.inputs);
        let mut wants = None;
        for (at, command) in parsed.commands.iter().enumerate() {
            let before = self.parts.len();
            self.reads_lines = None;
            self.simple(command, depth);
            // Also judges a command without program, assignment or file: `2>&1` alone.
            if self.parts.len() == before {
                self.add("", Decision::Allow, Class::ReadOnly, "nothing", "runs no program", depth);
            }
            let given = inputs.reach(at);
            let Some(counts) = self.reads_lines else { continue };
            if !given {
                // It reads what is given to the command that it stands in.
                wants = wants.max(Some(counts));
            }
            for text in inputs.take(at, counts) {
                let gravest = self.runs(vec![Run::Text(text.as_line())], false, counts, depth + 1);
                self.includes(before, gravest);
            }
        }
        self.reads_lines = wants;
    }

    fn simple(&mut self, command: &SimpleCommand, depth: usize) {
        if !command.words.is_empty() {
            if command.function && self.is_nothing_else(&command.words) {
                let part = shown(&command.words);
                let reason = "its body is judged by itself";
                self.add(&part, Decision::Allow, Class::ReadOnly, "function", reason, depth);
            } else {
                self.words(&command.words, false, depth);
            }
            let edits = self.parts.last().is_some_and(|part| part.class != Class::ReadOnly);
            // What is only shown is no file.
            let shows = matches!(command.words.first().and_then(Word::literal), Some("echo" | "printf"));
            self.files(command.words.iter().skip(1), edits, shows, depth);
            if let (false, Some(part)) = (command.redirects.is_empty(), self.parts.last_mut()) {
                part.pure = false;
            }
        }
        for (name, value) in &command.assignments {
            if let Some(what) = self.context.sensitive(value) {
                let shown = format!("{name}={}", value.as_written());
                self.add(&shown, self.decide(Class::Escalates), Class::Escalates, "assignment", what, depth);
            }
            match command.words.is_empty() {
                true => self.assignment(name, value.as_written(), depth),
                false if value.literal().is_some() && reads_few_variables(command) => {
                    self.assignment(name, value.as_written(), depth);
                }
                false => self.exported(name, value.as_written(), value.literal().is_some(), depth),
            }
        }
        for redirect in &command.redirects {
            self.redirect(redirect, depth);
            if redirect.writes && prints_nothing(&command.words) {
                let (part, class) = (shown(&command.words), Class::Destroys);
                self.add(&part, self.decide(class), class, "redirection", "empties what is there", depth);
            }
        }
    }

    /// Whether neither the host's rules nor the tables know the name of the function that is called. A name that they
    /// know is judged as the program too: which of both was meant does not matter, the stricter counts.
    fn is_nothing_else(&self, words: &[Word]) -> bool {
        words.first().and_then(Word::literal).is_some_and(|name| {
            refused(name).is_none()
                && knowledge::program(name).is_none()
                && self.context.policy.strictest_match(words).is_none()
        })
    }

    /// What loops, builtins and expansions set: a variable that programs have already is theirs too.
    fn set_variables(&mut self, parsed: &ParsedCommand, depth: usize) {
        for name in parsed.bound.iter().filter(|name| !assignment_is_harmless(name)) {
            let reason = format!("{name} can change what programs load or run");
            let class = Class::ExecutesCode;
            self.add(name, self.decide(class), class, "assignment", reason, depth);
        }
    }

    /// A variable of the shell's own, which programs see only where their environment has it already.
    fn assignment(&mut self, name: &str, value: &str, depth: usize) {
        self.assigned(name, value, assignment_is_harmless(name), depth);
    }

    /// A variable in a program's environment.
    fn exported(&mut self, name: &str, value: &str, known: bool, depth: usize) {
        self.assigned(name, value, known && export_is_harmless(name, value), depth);
    }

    fn assigned(&mut self, name: &str, value: &str, harmless: bool, depth: usize) {
        let shown = format!("{name}={value}");
        if harmless {
            self.add(&shown, Decision::Allow, Class::ReadOnly, "assignment", "changes no program", depth);
        } else {
            let (class, reason) =
                (Class::ExecutesCode, format!("{name} can change what programs load or run"));
            self.add(&shown, self.decide(class), class, "assignment", reason, depth);
        }
    }

    fn redirect(&mut self, redirect: &Redirect, depth: usize) {
        let target = redirect.target.as_written();
        self.files([&redirect.target].into_iter(), redirect.writes, false, depth);
        if !redirect.writes {
            // A shell connects to the network where it reads certain names.
            let class = match self.context.known_texts(&redirect.target) {
                _ if self.context.sensitive(&redirect.target).is_some() => Class::Escalates,
                _ if self.context.kept_secret(&redirect.target).is_some() => Class::Escalates,
                Some(paths) if paths.iter().any(|path| place::sensitive(path).is_some()) => Class::Escalates,
                Some(paths) if paths.iter().all(|path| is_a_file(path)) => Class::ReadOnly,
                _ => Class::Unknown,
            };
            return self.add(
                &format!("< {target}"),
                self.decide(class),
                class,
                "redirection",
                "reads a file",
                depth,
            );
        }
        let (class, reason) = match place::of_word(&redirect.target, &self.context) {
            Place::Nowhere => (Class::ReadOnly, "is thrown away, or shown"),
            Place::Inside => (Class::WritesWorkspace, "writes within the workspace"),
            Place::Protected => (Class::ExecutesCode, "writes a file that other programs run or trust"),
            Place::Outside => (
                Class::WritesOutside,
                "writes to a place outside of the workspace, or not known before it runs",
            ),
        };
        self.add(&format!("> {target}"), self.decide(class), class, "redirection", reason, depth);
    }

    /// Judges a program with its arguments, and what it runs in turn.
    fn words(&mut self, words: &[Word], more: bool, depth: usize) {
        let part = shown(words);
        let unknown = self.context.policy.asked();
        if depth > MAX_DEPTH {
            return self.add(
                &part,
                unknown,
                Class::Unknown,
                "depth",
                "commands in commands are followed so far only",
                depth,
            );
        }
        self.may_be_ruled(words, more, depth);
        let Some(program) = words.first().and_then(Word::literal) else {
            let (rule, reason) = ("program", "which program runs is decided by the shell");
            return self.add(&part, unknown, Class::ExecutesCode, rule, reason, depth);
        };
        let name = base_name(program);
        let ruled = self.context.policy.strictest_match(words);
        // A rule that allows what is refused, or only asks about it, has to name it.
        let ruled = ruled.filter(|(decision, rule, ..)| {
            *decision == Decision::Deny || refused(name).is_none() || rule.contains(name)
        });
        if let Some(ruled) = ruled {
            return self.by_rule(ruled, program, words, more, depth);
        }
        if let Some(why) = refused(name) {
            return self.add(&part, Decision::Deny, Class::Escalates, format!("refused: {name}"), why, depth);
        }
        if !is_of_the_system(program) {
            let reason = format!("{program} is a path, and only names of system programs are known");
            return self.add(&part, unknown, Class::ExecutesCode, "default", reason, depth);
        }
        let plain = builtins::is_plain(name, words).filter(|_| !more && !self.tells(words));
        if let Some(reason) = plain {
            return self.add(
                &part,
                Decision::Allow,
                Class::ReadOnly,
                format!("known: {name}"),
                reason,
                depth,
            );
        }
        let Some(known) = knowledge::program(name) else {
            let reason = format!("{name} is not known");
            return self.add(&part, unknown, Class::Unknown, "default", reason, depth);
        };
        let without = builtins::without_shell_options(name, words).filter(|_| !more);
        let words = without.as_deref().unwrap_or(words);
        let used = arguments::examine(known, name, words, more, &self.context);
        let rule = format!("known: {}", used.name);
        self.remote |= used.remote;
        self.add(&part, self.decide(used.class), used.class, rule, used.reason.as_str(), depth);
        if let Some(judged) = self.parts.last_mut() {
            judged.pure = judged.decision == Decision::Allow && !more && is_pure(words);
        }
        self.follows(&part, used, depth);
    }

    /// Whether one of the words tells what is secret.
    fn tells(&self, words: &[Word]) -> bool {
        let told = |word| self.context.tells_variable(word, false).or_else(|| self.context.sensitive(word));
        words.iter().any(|word| told(word).is_some())
    }

    /// What a use comes to beside its own class.
    fn follows(&mut self, part: &str, used: Use<'_>, depth: usize) {
        self.reads_lines = self.reads_lines.max(used.reads_lines.then_some(Counts::Everything));
        self.named(part, &used.files, depth);
        for (name, value) in used.assignments {
            self.exported(name, value, true, depth + 1);
        }
        self.runs(used.runs, used.here, Counts::Everything, depth + 1);
    }

    /// Judges what a program runs. The gravest class of what does not count by itself.
    fn runs(&mut self, runs: Vec<Run<'_>>, here: bool, counts: Counts, depth: usize) -> Option<Class> {
        let before = self.parts.len();
        for run in runs {
            match run {
                Run::Words(words, more) => self.words(words, more, depth),
                Run::Made(words) => self.words(&words, false, depth),
                Run::Perhaps(words) => self.may_be_ruled(&words, true, depth),
                Run::Text(text) => self.text(text, depth, here),
                Run::Joined(text) => self.text(&text, depth, here),
            }
        }
        if counts == Counts::Everything {
            return None;
        }
        let within = self.parts.split_off(before);
        let strict = |part: &Judgement| part.decision > Decision::Allow && is_by_rule(part);
        let (stricter, others): (Vec<_>, Vec<_>) = within.into_iter().partition(strict);
        self.parts.extend(stricter);
        self.reads_lines = self.reads_lines.map(|_| Counts::Rules);
        others.iter().map(|part| part.class).max()
    }

    /// Judges a command line within a command, which the shell itself runs if it is run `here`.
    fn text(&mut self, text: &str, depth: usize, here: bool) {
        if text.trim().is_empty() {
            return;
        }
        let unknown = self.context.policy.asked();
        let parsed = shell::parse(&CommandLine::Shell(text.to_owned()));
        let Ok(parsed) =
            parsed.as_ref().map_err(|_| ()).and_then(|p| if depth > MAX_DEPTH { Err(()) } else { Ok(p) })
        else {
            return self.add(
                text,
                unknown,
                Class::Unknown,
                "not followed",
                "a command line that is not understood",
                depth,
            );
        };
        let mut inner = Judge::new(Context::new(self.context.policy, parsed, self.context.reach.clone()));
        // What the outer command set, it hands on.
        inner
            .context
            .variables
            .extend(self.context.variables.keys().map(|name| (*name, VariableValue::Unknown)));
        inner.context.moved |= self.context.moved;
        inner.commands(parsed, depth);
        inner.set_variables(parsed, depth);
        for construct in &parsed.opaque {
            let (class, reason) = not_followed(construct);
            inner.add(text, unknown, class, "not followed", reason, depth);
        }
        if here && !parsed.keeps_to_itself() {
            let reason = "what it changes of the shell that goes on is not followed";
            inner.add(text, unknown, Class::ExecutesCode, "not followed", reason, depth);
        }
        self.remote |= inner.remote;
        self.reads_lines = self.reads_lines.max(inner.reads_lines);
        self.parts.append(&mut inner.parts);
    }
}

/// Whether a program takes from its environment only what every program does, and what is known to change how things look.
fn reads_few_variables(command: &SimpleCommand) -> bool {
    let program = command.words.first().and_then(Word::literal);
    !command.function && program.is_some_and(|name| TAKE_FEW_VARIABLES.contains(&name))
}

/// What a construct that is not followed may do, and why that is so.
fn not_followed(construct: &str) -> (Class, String) {
    match construct {
        shell::MULTIPLIES => (Class::Destroys, format!("{construct}: it fills the machine with processes")),
        _ => (Class::Unknown, format!("{construct}: what it does is not known before it runs")),
    }
}

/// `cat /dev/null`
fn prints_nothing(words: &[Word]) -> bool {
    let mut words = words.iter().map(Word::literal);
    words.next() == Some(Some("cat")) && words.len() > 0 && words.all(|word| word == Some("/dev/null"))
}

fn shown(words: &[Word]) -> String {
    words.iter().map(Word::as_written).collect::<Vec<_>>().join(" ")
}

/// A program's name, without the directory that it is in.
fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Whether a program is named as the system finds it. A path names a file, which may be anything; but where the system
/// keeps its programs, nobody in a sandbox writes.
fn is_of_the_system(program: &str) -> bool {
    let name = base_name(program);
    !program.contains('/')
        || ["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/"]
            .iter()
            .any(|dir| program.strip_prefix(dir) == Some(name))
}

/// Why a program is refused, also mkfs.ext4 and its siblings.
fn refused(name: &str) -> Option<&'static str> {
    let stem = name.split('.').next().unwrap_or(name);
    REFUSED.iter().find(|(refused, _)| *refused == name || *refused == stem).map(|(_, why)| *why)
}

/// Not a device: a shell connects to the network where one reads `/dev/tcp/HOST/PORT`.
fn is_a_file(path: &str) -> bool {
    !path.starts_with("/dev/") || path == "/dev/null"
}

/// Tells the same whatever files there are.
fn is_pure(words: &[Word]) -> bool {
    let [Word::Literal(program), Word::Literal(argument)] = words else { return false };
    !program.contains('/') && (argument == "--version" || (program == "git" && argument == "version"))
}
