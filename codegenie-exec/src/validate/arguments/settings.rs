//! Options by which a program runs a command line, is set to run one, or loses the variables that keep it from that.

use super::{Reader, Run};
use crate::command::Word;
use crate::validate::class::Class;
use crate::validate::knowledge::Role;
use crate::validate::programs::assignment_is_harmless;

/// Parts of the names of settings whose values are mostly commands.
const COMMANDS: &[&str] = &[
    "askpass",
    "browser",
    "clean",
    "cmd",
    "command",
    "driver",
    "editor",
    "exec",
    "external",
    "filter",
    "fsmonitor",
    "helper",
    "hook",
    "pager",
    "process",
    "program",
    "proxy",
    "receivepack",
    "smudge",
    "textconv",
    "tool",
    "uploadpack",
    "vcs",
    "wrapper",
];

impl<'a> Reader<'a, '_> {
    /// What the value of such an option does.
    pub(super) fn set(&mut self, name: &str, role: Role, attached: Option<&str>, next: Option<&'a Word>) {
        let text = attached.or_else(|| next.map(Word::as_line)).unwrap_or_default();
        match role {
            Role::Runs => {
                self.found(Class::ExecutesCode, format!("{name}: {}", Class::ExecutesCode.described()));
                self.runs.push(Run::Joined(text.strip_prefix('=').unwrap_or(text).to_owned()));
            }
            Role::Setting => {
                self.found(Class::ExecutesCode, format!("{name}: {}", Class::ExecutesCode.described()));
                let known = attached.is_some() || next.is_some_and(|word| word.literal().is_some());
                self.runs.extend(self.named_by(text, known).map(Run::Joined));
            }
            Role::Unset if attached.is_some() || next.is_some_and(|word| word.literal().is_some()) => {
                if !assignment_is_harmless(text.trim_start_matches('=')) {
                    self.found(Class::ExecutesCode, format!("{name} {text}: {TAKES}"));
                }
            }
            _ => self.found(Class::ExecutesCode, format!("{name}: {TAKES}")),
        }
    }

    /// A format in which signatures are named has a program check them: the one that the repository's settings name.
    pub(super) fn format(&mut self, name: &str, text: &str) {
        if text.contains("%G") || (text.contains("%(") && text.contains("signature")) {
            let why = format!("{name}: a program checks the signatures that it shows");
            self.found(Class::ExecutesCode, why);
        }
    }

    /// The command line that a setting names.
    fn named_by(&self, setting: &str, known: bool) -> Option<String> {
        let program = self.name.split(' ').next().unwrap_or_default();
        let Some((key, value)) = setting.split_once('=') else {
            // It may be an alias for anything.
            return (!known).then(|| format!("{program} {setting}"));
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().trim_matches(['\'', '"']));
        let line = value.strip_prefix('!');
        if key.starts_with("alias") {
            return Some(line.map_or_else(|| format!("{program} {value}"), ToOwned::to_owned));
        }
        let names_one = COMMANDS.iter().any(|part| key.contains(part));
        names_one.then(|| line.unwrap_or(value).to_owned())
    }
}

const TAKES: &str = "takes variables away that keep programs from running what a folder names";
