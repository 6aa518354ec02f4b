//! Where a command's words lead: the directories that it runs in, and the values of its variables.

use super::context::words;
use super::expand::expanded;
use super::place;
use super::shape::{self, Part, Piece, Shape};
use crate::command::{CommandRequest, ParsedCommand, SimpleCommand, Word};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// How many texts a word is followed to.
const MAX_TEXTS: usize = 48;
/// How many directories a command is followed to, and how long their names are together: each word is looked at from each.
const MAX_DIRECTORIES: usize = 8;
const MAX_LENGTH: usize = 1024;

/// Where a command's words lead.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// The workspace, where it is known.
    root: Option<String>,
    /// Where it may run: empty for the workspace, relative to that, or absolute; `None`: not known.
    directories: BTreeSet<Option<String>>,
    /// What variables may hold; one that is not listed, or holds nothing here, may hold anything.
    values: BTreeMap<String, Vec<Shape>>,
    /// More directories than are followed: it may run anywhere.
    lost: bool,
    /// It begins outside of the workspace, or in what other programs run or trust.
    pub(super) begins_elsewhere: bool,
    /// It begins where secrets are.
    pub(super) begins_in_secrets: Option<String>,
}

impl Reach {
    pub(super) fn new(workspace: Option<&Path>, request: &CommandRequest) -> Self {
        let mut reach = Self { root: workspace.and_then(absolute), ..Self::default() };
        for (name, value) in &request.env {
            reach.values.insert(name.clone(), held(&[shape::literal(value)]));
        }
        let named = request.cwd.as_deref();
        let directory = named.map_or_else(|| Some(String::new()), absolute).map(|path| reach.within(path));
        if let Some(directory) = directory.as_deref().filter(|directory| !directory.is_empty()) {
            let secret = place::sensitive(directory).is_some();
            let own = !directory.starts_with('/') || format!("{directory}/").starts_with("/tmp/");
            reach.begins_elsewhere = !own || secret || place::is_protected(directory);
            reach.begins_in_secrets = secret.then(|| directory.to_owned());
        }
        reach.begins_elsewhere |= directory.is_none();
        reach.directories.insert(directory);
        reach
    }

    /// Where the words of this command lead, which may run anywhere where the one that it stands in does.
    pub(super) fn of(mut self, parsed: &ParsedCommand) -> Self {
        // What is given twice may refer to what is given later.
        for _ in 0..2 {
            for (name, words) in &parsed.values {
                let mut shapes: Vec<Shape> = words.iter().flat_map(|word| self.texts(word)).collect();
                shapes.extend(self.values.get(name).cloned().unwrap_or_default());
                self.values.insert(name.clone(), held(&shapes));
            }
            parsed.commands.iter().for_each(|command| self.changes_directory(command));
        }
        self
    }

    fn changes_directory(&mut self, command: &SimpleCommand) {
        let mut words = words(command);
        if !matches!(words.next().and_then(Word::literal), Some("cd" | "pushd")) {
            return;
        }
        if self.lost {
            return;
        }
        let option = |word: &&Word| matches!(word.literal(), Some("-P" | "-L" | "-e" | "--"));
        let target = words.find(|word| !option(word)).cloned();
        let target = target.unwrap_or_else(|| Word::Literal("~".to_owned()));
        let shapes =
            if target.literal() == Some("-") { vec![vec![Piece::Unknown]] } else { self.paths(&target) };
        for shape in shapes {
            let directory = shape::text(&shape).map(|path| self.within(path));
            let length: usize = self.directories.iter().flatten().chain(&directory).map(String::len).sum();
            if self.directories.len() >= MAX_DIRECTORIES || length > MAX_LENGTH {
                self.directories = std::iter::once(None).collect();
                self.lost = true;
                return;
            }
            self.directories.insert(directory);
        }
    }

    /// An absolute path below the workspace is relative to it.
    fn within(&self, path: String) -> String {
        let below = self.root.as_deref().and_then(|root| path.strip_prefix(root));
        match below.map(|rest| (rest, rest.strip_prefix('/'))) {
            Some(("", _)) => String::new(),
            Some((_, Some(rest))) => rest.to_owned(),
            _ => path,
        }
    }

    /// A path from the root of the file system, or of the workspace where that is not known.
    pub(super) fn rooted(&self, path: &str) -> Option<String> {
        match &self.root {
            Some(root) if !path.starts_with(['/', '~']) => {
                let joined = shape::normalized(&shape::literal(&format!("{root}/{path}")))?;
                shape::text(&joined).map(|path| self.within(path))
            }
            _ => Some(path.to_owned()),
        }
    }

    /// A path from wherever the command may run. `None`: not all of these places are known.
    pub(super) fn led_to(&self, path: &str) -> Option<Vec<String>> {
        let directories = self.directories.iter();
        directories
            .map(|directory| match directory.as_deref() {
                _ if path.starts_with(['/', '~']) => self.rooted(path),
                Some("") => self.rooted(path),
                Some(directory) => self.rooted(&format!("{directory}/{path}")),
                None => None,
            })
            .collect()
    }

    /// Whether every directory that the command may run in is known, and is one of these.
    pub(super) fn stays(&self, is_one: impl Fn(&str) -> bool) -> bool {
        self.directories.iter().all(|directory| directory.as_deref().is_some_and(&is_one))
    }

    /// An absolute path in the workspace, relative to that.
    pub(super) fn below_workspace<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.root.as_deref()?)?.strip_prefix('/')
    }

    /// Whether a path means what is written, wherever the command may run.
    pub(super) fn leaves_as_it_is(&self, path: &str) -> bool {
        let at_home = || self.directories.iter().all(|directory| directory.as_deref() == Some(""));
        let plain = !path.contains("/.") && !path.contains("//") && !path.starts_with('.');
        plain && (path.starts_with('/') || at_home())
    }

    /// Whether every value of a variable is known.
    pub(super) fn knows(&self, variable: &str) -> bool {
        self.values.get(variable).is_some_and(|values| {
            !values.is_empty() && values.iter().all(|value| shape::text(value).is_some())
        })
    }

    /// Whether these variables have together more values than a word is followed to.
    pub(super) fn has_too_many(&self, variables: &[String]) -> bool {
        let values = variables.iter().map(|name| self.values.get(name).map_or(1, Vec::len));
        values.fold(1usize, usize::saturating_mul) > MAX_TEXTS
    }

    /// What a word may become.
    pub(super) fn texts(&self, word: &Word) -> Vec<Shape> {
        if let Some(made) = shape::braced(word) {
            return made.iter().map(|text| shape::pattern(text)).collect();
        }
        let mut texts: Vec<Shape> = vec![Vec::new()];
        for part in shape::parts(word) {
            let (name, operation) = match part {
                Part::Piece(piece) => {
                    texts.iter_mut().for_each(|text| text.push(piece));
                    continue;
                }
                Part::Variable(name) => (name, None),
                Part::Expansion(name, operation) => (name, Some(operation)),
            };
            let unset = match name.as_str() {
                "HOME" => Piece::Char('~'),
                // What follows is relative to where it runs.
                "PWD" => Piece::Char('.'),
                _ => Piece::Unknown,
            };
            let unset = [vec![unset]];
            let values = self.values.get(&name).map_or(unset.as_slice(), Vec::as_slice);
            let made = operation.map(|operation| expanded(values, &operation));
            let values = made.as_deref().unwrap_or(values);
            if texts.len() * values.len() > MAX_TEXTS {
                texts.iter_mut().for_each(|text| text.push(Piece::Unknown));
            } else {
                texts = values
                    .iter()
                    .flat_map(|value| texts.iter().map(|text| [text.as_slice(), value.as_slice()].concat()))
                    .collect();
            }
        }
        texts
    }

    /// The paths that a word may name: relative to the workspace, absolute, or beginning with `~`. Where it may run is not
    /// known, they begin with anything.
    pub(super) fn paths(&self, word: &Word) -> Vec<Shape> {
        self.texts(word).iter().flat_map(|text| self.paths_of(text)).collect()
    }

    /// The paths that a text may name.
    pub(super) fn paths_of(&self, text: &[Piece]) -> Vec<Shape> {
        let free = matches!(text.first(), Some(Piece::Char('/' | '~') | Piece::Unknown));
        if free {
            return vec![self.canonical(text)];
        }
        let mut paths = Vec::new();
        for directory in &self.directories {
            let before = match directory {
                Some(directory) if directory.is_empty() => Vec::new(),
                Some(directory) => shape::literal(&format!("{directory}/")),
                None => vec![Piece::Unknown, Piece::Char('/')],
            };
            paths.push(self.canonical(&[before.as_slice(), text].concat()));
        }
        paths
    }

    fn canonical(&self, path: &[Piece]) -> Shape {
        let normalized = shape::normalized(path).or_else(|| {
            // Above the workspace.
            let root = self.root.as_deref().filter(|_| path.first() != Some(&Piece::Char('~')))?;
            shape::normalized(&[shape::literal(&format!("{root}/")), path.to_vec()].concat())
        });
        match normalized {
            Some(path) => match shape::text(&path) {
                Some(text) => shape::literal(&self.within(text)),
                None => self.below_root(path),
            },
            None => {
                let rest = shape::segments(path).filter(|part| *part != [Piece::Char('.'), Piece::Char('.')]);
                let rest: Vec<&[Piece]> = rest.collect();
                [vec![Piece::Unknown, Piece::Char('/')], rest.join(&Piece::Char('/'))].concat()
            }
        }
    }

    fn below_root(&self, path: Shape) -> Shape {
        let root = self.root.as_deref().map(|root| shape::literal(&format!("{root}/")));
        match root.and_then(|root| path.strip_prefix(root.as_slice()).map(<[Piece]>::to_vec)) {
            Some(rest) => rest,
            None => path,
        }
    }
}

/// A directory by its absolute path, without a slash at its end.
fn absolute(path: &Path) -> Option<String> {
    let plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    let text = plain.then(|| path.components().collect::<std::path::PathBuf>())?;
    text.to_str().map(ToOwned::to_owned)
}

/// What a variable holds: the signs of patterns in it count where it is not quoted, and spaces part it into words.
fn held(shapes: &[Shape]) -> Vec<Shape> {
    let mut values: Vec<Shape> = Vec::new();
    for shape in shapes {
        let (known, parted) = match shape::text(shape) {
            Some(text) => {
                let words = text.split_whitespace().map(shape::pattern).collect::<Vec<_>>();
                (shape::pattern(&text), if words.len() > 1 { words } else { Vec::new() })
            }
            None => (shape.clone(), Vec::new()),
        };
        for value in std::iter::once(known).chain(parted) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.len() > MAX_TEXTS {
            return vec![vec![Piece::Unknown]];
        }
    }
    values
}
