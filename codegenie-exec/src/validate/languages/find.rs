//! find: tests are harmless, actions are judged.

use super::super::arguments::Run;
use super::super::class::Class;
use super::super::context::Context;
use super::super::place::{self, Place};
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

/// Judges find's arguments; the commands that it runs are given back.
pub(in super::super) fn read<'a>(
    arguments: &'a [Word],
    found: &mut dyn FnMut(Class, String),
    context: &Context<'_>,
) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let Some(text) = word.literal() else {
            let Word::Dynamic(dynamic) = word else { continue };
            let path = !dynamic.prefix.is_empty() && !dynamic.prefix.starts_with(['-', '(', '!', ',']);
            let dashed = dynamic.prefix.starts_with(['-', '(', '!']);
            let harmless = !dashed && (context.benign(word) || (path && !dynamic.splits));
            if !harmless {
                found(Class::Unknown, format!("{}: it may become an action of find", word.as_written()));
            }
            continue;
        };
        match text {
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let mut words = Vec::new();
                for word in rest.by_ref() {
                    match word.literal() {
                        Some(";") => break,
                        Some("+") if words.last().is_some_and(is_a_file) => break,
                        Some(text) if text.contains("{}") => words.push(file(text)),
                        _ => words.push(word.clone()),
                    }
                }
                runs.push(Run::Made(words));
            }
            "-delete" => found(Class::Destroys, "-delete: deletes what is found".to_owned()),
            "-fprint" | "-fprint0" | "-fls" | "-fprintf" => {
                let place = rest.next().map_or(Place::Outside, |target| place::of_word(target, context));
                match place {
                    Place::Inside => {
                        found(Class::WritesWorkspace, format!("{text}: writes within the workspace"))
                    }
                    Place::Nowhere => {}
                    Place::Protected | Place::Outside => {
                        found(
                            Class::WritesOutside,
                            format!("{text}: writes to a place outside of the workspace"),
                        );
                    }
                }
                if text == "-fprintf" {
                    rest.next();
                }
            }
            _ if PLAIN.contains(&text) => {}
            _ if VALUED.contains(&text) => drop(rest.next()),
            _ if text.starts_with('-') => {
                found(Class::Unknown, format!("{text}: this action of find is not known"))
            }
            // Where to look.
            _ => {}
        }
    }
    runs
}

/// Each name begins with where find was told to look.
fn file(text: &str) -> Word {
    let (before, _) = text.split_once("{}").unwrap_or_default();
    let prefix = if before.is_empty() { "./" } else { before };
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
