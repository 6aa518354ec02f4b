//! find: tests are harmless, actions are judged.

use super::super::arguments::Run;
use super::super::arguments::copied;
use super::super::arguments::secrets::tells_names_only;
use super::super::class::Class;
use super::super::context::{Context, Count};
use super::super::place::{self, Place};
use super::super::project_secrets;
use super::super::shape;
use crate::command::{DynamicWord, Word};

/// Options, tests and actions without a value.
const PLAIN: &[&str] = &[
    "-H",
    "-L",
    "-P",
    "-daystart",
    "-depth",
    "-d",
    "-follow",
    "-help",
    "--help",
    "-ignore_readdir_race",
    "-mount",
    "-noleaf",
    "-noignore_readdir_race",
    "-nowarn",
    "-version",
    "--version",
    "-warn",
    "-xdev",
    "-x",
    "-X",
    "-E",
    "-s",
    "-empty",
    "-executable",
    "-false",
    "-nogroup",
    "-nouser",
    "-readable",
    "-true",
    "-writable",
    "-print",
    "-print0",
    "-prune",
    "-quit",
    "-ls",
    "-not",
    "-a",
    "-and",
    "-o",
    "-or",
    "!",
    "(",
    ")",
    ",",
    "-O0",
    "-O1",
    "-O2",
    "-O3",
];
/// With one value.
const VALUED: &[&str] = &[
    "-D",
    "-f",
    "-maxdepth",
    "-mindepth",
    "-regextype",
    "-amin",
    "-anewer",
    "-atime",
    "-cmin",
    "-cnewer",
    "-ctime",
    "-fstype",
    "-gid",
    "-group",
    "-ilname",
    "-iname",
    "-inum",
    "-ipath",
    "-iregex",
    "-iwholename",
    "-links",
    "-lname",
    "-mmin",
    "-mtime",
    "-name",
    "-newer",
    "-path",
    "-perm",
    "-regex",
    "-samefile",
    "-size",
    "-type",
    "-uid",
    "-used",
    "-user",
    "-wholename",
    "-xtype",
    "-context",
    "-printf",
    "-Bmin",
    "-Btime",
    "-newermt",
    "-newerct",
    "-newerat",
    "-newerBt",
    "-newermm",
    "-newercm",
    "-newerac",
    "-newerma",
    "-newerca",
    "-newercc",
    "-newermc",
    "-neweraa",
    "-neweram",
    "-flags",
    "-depth",
];

/// What runs, deletes or writes.
const ACTIONS: &[&str] = &[
    "-exec",
    "-execdir",
    "-ok",
    "-okdir",
    "-delete",
    "-fprint",
    "-fprint0",
    "-fprintf",
    "-fls",
    "-files0-from",
];

/// Judges find's arguments; the commands that it runs are given back.
pub(in super::super) fn read<'a>(
    arguments: &'a [Word],
    found: &mut dyn FnMut(Class, String),
    context: &Context<'_>,
) -> Vec<Run<'a>> {
    Reader {
        rest: arguments.iter(),
        found,
        context,
        shifted: false,
        lent: false,
        elsewhere: false,
        lists: false,
        narrowed: narrows(arguments),
        secret: None,
        runs: Vec::new(),
    }
    .read()
}

struct Reader<'a, 'c, 'f> {
    rest: std::slice::Iter<'a, Word>,
    found: &'f mut dyn FnMut(Class, String),
    context: &'c Context<'c>,
    /// A word that may be none stood for a value: what seems to be a value may be an action.
    shifted: bool,
    /// It looks for set-user-id or set-group-id.
    lent: bool,
    /// It looks outside of where it runs.
    elsewhere: bool,
    /// Where it looks begins with `@`, and the names of what it finds there do too.
    lists: bool,
    /// What it finds has no name that other programs run or trust.
    narrowed: bool,
    /// It looks for a file with a project's secrets.
    secret: Option<(String, &'static str)>,
    runs: Vec<Run<'a>>,
}

impl<'a> Reader<'a, '_, '_> {
    fn read(mut self) -> Vec<Run<'a>> {
        while let Some(word) = self.rest.next() {
            // Where to look, or what for.
            self.names(word);
            self.lists |= self.context.begins_with_at(word);
            match word.literal() {
                Some(text) => self.literal(text),
                None if self.is_no_action(word) => {
                    self.elsewhere |=
                        !matches!(word, Word::Dynamic(word) if word.pattern && word.variables.is_empty());
                }
                None => self.may_act(word),
            }
        }
        if self.lists && !self.runs.is_empty() {
            let why = "what begins with @ may be a file of options to what it runs".to_owned();
            (self.found)(Class::Unknown, why);
        }
        let shows = |run: &Run<'_>| match run {
            Run::Made(words) => !words
                .first()
                .and_then(Word::literal)
                .is_some_and(|name| tells_names_only(name.rsplit('/').next().unwrap_or(name))),
            _ => true,
        };
        if let Some((name, what)) = self.secret.take().filter(|_| self.runs.iter().any(shows)) {
            (self.found)(Class::Escalates, format!("{name}: {what}"));
        }
        let places = |run: &Run<'_>| matches!(run, Run::Made(words) if copied::places(words));
        if !self.narrowed && self.runs.iter().any(places) {
            let why = "-exec: copies what is found, which other programs may run or trust".to_owned();
            (self.found)(Class::ExecutesCode, why);
        }
        if self.lent && self.elsewhere {
            let why = "-perm: looks in the system for programs that lend their owner's privileges".to_owned();
            (self.found)(Class::Escalates, why);
        }
        self.runs
    }

    fn names(&mut self, word: &Word) {
        let what = match word {
            Word::Literal(text) => {
                // As a name, or as an expression about names.
                let plain = text.replace('\\', "").replace(".*", "*");
                let kept = || project_secrets::kept_in(&shape::pattern(&plain));
                project_secrets::sought_by(&plain)
                    .or_else(kept)
                    .or_else(|| project_secrets::kept_in(&shape::pattern(text)))
            }
            Word::Dynamic(_) => self.context.kept_secret(word),
        };
        if let Some(what) = what {
            self.secret.get_or_insert_with(|| (word.as_written().to_owned(), what));
        }
    }

    fn may_act(&mut self, word: &Word) {
        (self.found)(Class::Unknown, format!("{}: it may become an action of find", word.as_written()));
    }

    fn literal(&mut self, text: &str) {
        let number =
            text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        match text {
            "-exec" | "-execdir" | "-ok" | "-okdir" => self.command(text),
            "-delete" => (self.found)(Class::Destroys, "-delete: deletes what is found".to_owned()),
            "-fprint" | "-fprint0" | "-fls" | "-fprintf" => {
                self.written(text);
                if text == "-fprintf" {
                    self.value();
                }
            }
            _ if PLAIN.contains(&text) => {}
            "-perm" => {
                let mode = self.rest.as_slice().first().and_then(Word::literal).unwrap_or_default();
                let bits = mode.trim_start_matches(['-', '/', '+']);
                self.lent |= match u32::from_str_radix(bits, 8) {
                    Ok(bits) => bits & 0o6000 != 0,
                    Err(_) => bits.contains('s'),
                };
                self.value();
            }
            "-regex" | "-iregex" => {
                let expression = self.rest.as_slice().first().and_then(Word::literal).unwrap_or_default();
                if let Some(what) = project_secrets::matched_by(expression, true) {
                    self.secret.get_or_insert_with(|| (expression.to_owned(), what));
                }
                self.value();
            }
            _ if VALUED.contains(&text) => self.value(),
            _ if self.shifted && number => {}
            _ if text.starts_with('-') => {
                (self.found)(Class::Unknown, format!("{text}: this action of find is not known"))
            }
            // Where to look.
            _ => self.elsewhere |= text.starts_with(['/', '~']) || text.split('/').any(|part| part == ".."),
        }
    }

    /// What a test compares with. It is one word, or what it is otherwise is no action.
    fn value(&mut self) {
        // It is judged as an action too.
        if self.shifted {
            return;
        }
        let Some(word) = self.rest.next() else { return };
        self.names(word);
        match self.context.count(word) {
            Count::One => {}
            Count::AtMostOne => self.shifted = true,
            Count::Several if self.is_no_action(word) => {}
            Count::Several => self.may_act(word),
        }
    }

    fn written(&mut self, action: &str) {
        let target = self.rest.as_slice().first();
        let place = target.map_or(Place::Outside, |target| place::of_word(target, self.context));
        if self.shifted && target.and_then(Word::literal).is_some_and(|text| ACTIONS.contains(&text)) {
            (self.found)(Class::Unknown, format!("{action}: it may be the value of what stands before it"));
        }
        let shifted = std::mem::take(&mut self.shifted);
        self.value();
        self.shifted |= shifted;
        match place {
            Place::Inside => {
                (self.found)(Class::WritesWorkspace, format!("{action}: writes within the workspace"));
            }
            Place::Nowhere => {}
            Place::Protected | Place::Outside => {
                let why = format!("{action}: writes to a place outside of the workspace");
                (self.found)(Class::WritesOutside, why);
            }
        }
    }

    /// The command of `-exec`, up to the word that ends it.
    fn command(&mut self, action: &str) {
        let mut words: Vec<Word> = Vec::new();
        // A word may have ended it, or the action may be a value: what follows would be find's.
        let mut ended = self.shifted;
        while let Some(word) = self.rest.next() {
            let after_a_file = words.last().is_some_and(is_a_file);
            match word.literal() {
                Some(";") => break,
                // What asks before it runs ends in a semicolon only.
                Some("+") if after_a_file && action.starts_with("-exec") => break,
                Some(text) => {
                    if ended && ACTIONS.contains(&text) {
                        let why = format!("{text}: whether it is an action of find is decided by the shell");
                        (self.found)(Class::Unknown, why);
                    }
                    words.push(if text.contains("{}") { file(text, self.elsewhere) } else { word.clone() });
                }
                None => {
                    let count = self.context.count(word);
                    let known = self.is_no_action(word);
                    if !known && (ended || count == Count::Several) {
                        self.may_act(word);
                    }
                    // Where it is none, a plus sign that follows ends the command.
                    ended |= !known || (count == Count::AtMostOne && after_a_file);
                    words.push(word.clone());
                }
            }
        }
        self.runs.push(Run::Made(words));
    }

    /// Whether no word that the shell makes of it is an action, or ends a command.
    fn is_no_action(&self, word: &Word) -> bool {
        let Word::Dynamic(dynamic) = word else { return false };
        let named = !dynamic.prefix.is_empty();
        if dynamic.prefix.starts_with(['-', '(', ')', '!', ',', ';', '+']) {
            return false;
        }
        self.context.benign(word) || (!dynamic.splits && (named || is_no_name_of_an_action(dynamic)))
    }
}

/// Whether all that is found has a name by a pattern that no protected name has.
fn narrows(arguments: &[Word]) -> bool {
    let or = |word: &Word| matches!(word.literal(), Some("-o" | "-or" | "!" | "-not" | ","));
    let named = |pair: &[Word]| {
        let [Word::Literal(test), Word::Literal(pattern)] = pair else { return false };
        match test.as_str() {
            "-name" => !copied::may_find_protected(pattern),
            "-iname" => {
                ![pattern.clone(), pattern.to_lowercase()].iter().any(|p| copied::may_find_protected(p))
            }
            _ => false,
        }
    };
    !arguments.iter().any(or) && arguments.windows(2).any(named)
}

/// A pattern with a character that no action has: what `*.rs` becomes is none, also where it begins with a dash.
fn is_no_name_of_an_action(word: &DynamicWord) -> bool {
    // What stands within brackets need not be there.
    let before = word.written.split('[').next().unwrap_or_default();
    let after = word.written.rsplit_once(']').map_or("", |(_, after)| after);
    let other = [before, after].iter().any(|text| text.contains(['.', '/', '_', '%', '@', ':', '=']));
    word.pattern && !word.computed && word.variables.is_empty() && other
}

/// Each name begins with where find was told to look.
fn file(text: &str, elsewhere: bool) -> Word {
    let (before, _) = text.split_once("{}").unwrap_or_default();
    let here = if elsewhere { "/" } else { "./" };
    let prefix = if before.is_empty() { here } else { before };
    Word::Dynamic(DynamicWord {
        written: text.to_owned(),
        prefix: prefix.to_owned(),
        computed: true,
        ..DynamicWord::default()
    })
}

fn is_a_file(word: &Word) -> bool {
    matches!(word, Word::Dynamic(word) if word.written == "{}")
}
