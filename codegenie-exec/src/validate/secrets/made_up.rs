//! Names that commands put together, so that they are written nowhere.

use crate::command::{ParsedCommand, SimpleCommand, Word};
use crate::validate::{place, project_secrets};

/// They make letters of other letters.
const DECODE: &[&str] = &["rev", "base64", "base32", "basenc", "uudecode", "iconv", "dc"];

/// They leave parts of a text out, or put parts of it together.
const REARRANGE: &[&str] = &["sed", "tr", "cut", "paste", "fold", "head", "tail", "awk", "gawk", "mawk"];

/// Whether one of its commands may make up the name of a secret.
pub(in crate::validate) fn by(parsed: &ParsedCommand) -> bool {
    let says = |command: &SimpleCommand| {
        matches!(program(command), "echo" | "printf")
            && arguments(command).any(|text| text.len() > 2 && !text.starts_with('-') && !text.contains(' '))
    };
    let told = || parsed.commands.iter().any(says);
    let rearranges = |command: &SimpleCommand| {
        let name = program(command);
        // Of lines, `head` and `tail` take whole ones.
        let cuts = !matches!(name, "head" | "tail") || arguments(command).any(|text| text.starts_with("-c"));
        REARRANGE.contains(&name) && cuts
    };
    parsed.commands.iter().any(makes_up) || (parsed.commands.iter().any(rearranges) && told())
}

/// Whether a command lists files with secrets, by an expression that their names match.
pub(in crate::validate) fn finds_a_secret(command: &SimpleCommand) -> bool {
    matches!(program(command), "fd" | "fdfind")
        && arguments(command)
            .filter(|text| !text.starts_with('-') && !text.contains('/'))
            .any(|text| project_secrets::matched_by(text, false).is_some())
}

/// The word, with what `$(echo a)` in it prints. `None` where there is none of it.
pub(in crate::validate) fn joined(written: &str) -> Option<String> {
    const MOST: usize = 8;
    let mut text = written.replace(['"', '\''], "");
    let mut any = false;
    for _ in 0..MOST {
        let Some(start) = text.rfind("$(") else { break };
        let (before, rest) = text.split_at(start);
        let Some((inside, behind)) = rest.get(2..).and_then(|rest| rest.split_once(')')) else { break };
        let mut words = inside.split_whitespace();
        let printed = match words.next() {
            Some("echo" | "printf") if !inside.contains(['|', ';', '&', '<', '>']) => {
                words.filter(|word| !matches!(*word, "-n" | "--" | "%s")).collect::<Vec<_>>().join(" ")
            }
            _ => break,
        };
        text = format!("{before}{printed}{behind}");
        any = true;
    }
    any.then_some(text)
}

fn program(command: &SimpleCommand) -> &str {
    let name = command.words.first().and_then(Word::literal).unwrap_or_default();
    name.rsplit('/').next().unwrap_or(name)
}

fn arguments(command: &SimpleCommand) -> impl Iterator<Item = &str> {
    command.words.iter().skip(1).filter_map(Word::literal)
}

fn is_a_secret(text: &str) -> bool {
    text.split_whitespace()
        .any(|part| project_secrets::named_in(part).is_some() || place::sensitive(part).is_some())
}

fn makes_up(command: &SimpleCommand) -> bool {
    let mut arguments = arguments(command);
    match program(command) {
        name if DECODE.contains(&name) => true,
        "xxd" => arguments.any(|text| text.starts_with('-') && text.contains('r')),
        "openssl" => arguments.any(|text| matches!(text, "base64" | "enc")),
        "printf" => prints(arguments),
        "echo" => {
            arguments.next().is_some_and(|text| text.starts_with('-') && text.contains('e'))
                && arguments.any(escapes)
        }
        "expr" => arguments.any(|text| matches!(text, "substr" | ":" | "match")),
        "seq" => arguments.any(|text| {
            let (before, after) = text.split_once('%').unwrap_or_default();
            let behind = after.trim_start_matches(|c: char| c.is_ascii_digit() || ".+-# ".contains(c));
            is_a_secret(&format!("{before}{}", behind.get(1..).unwrap_or_default()))
        }),
        "basename" | "dirname" => {
            let given: Vec<_> = arguments.filter(|text| !text.starts_with('-')).collect();
            let cut = given.first().zip(given.last()).and_then(|(path, ending)| path.strip_suffix(ending));
            cut.is_some_and(is_a_secret) || given.iter().any(|path| path.split('/').any(is_a_secret))
        }
        "jq" | "gojq" | "jaq" | "yq" => arguments.any(|text| {
            ["@base64d", "implode", "ascii_downcase", "reverse"].iter().any(|name| text.contains(name))
                || (text.contains('+') && has_text(text))
        }),
        // Of nothing but what stands in the script, or of parts of words.
        "awk" | "gawk" | "mawk" | "nawk" => arguments.any(|text| {
            (text.contains("BEGIN") && text.contains("print") && has_text(text))
                || ["%c", "\\x", "\\0", "\\1", "\".", "\"/"].iter().any(|sign| text.contains(sign))
                    && has_text(text)
                    && text.contains("print")
        }),
        _ => false,
    }
}

/// Whether a script has a text in quotes of which names are made.
fn has_text(script: &str) -> bool {
    script.split('"').skip(1).step_by(2).any(|text| text.contains(|c: char| c.is_alphanumeric()))
}

/// Whether a text has characters that are written by their numbers. `\0`, which ends names, is none of them.
fn escapes(text: &str) -> bool {
    text.split('\\').skip(1).any(|rest| {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        rest.starts_with(['x', 'u', 'U']) || digits > 1 || (digits == 1 && !rest.starts_with('0'))
    })
}

/// Whether what `printf` prints is not what stands there.
fn prints<'a>(mut given: impl Iterator<Item = &'a str>) -> bool {
    let mut format = given.next().unwrap_or_default();
    if format == "-v" {
        format = given.nth(1).unwrap_or_default();
    } else if format == "--" || format.starts_with("-v") {
        format = given.next().unwrap_or_default();
    }
    if escapes(format) {
        return true;
    }
    let mut printed = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        printed.push_str(before);
        let behind = after.trim_start_matches(|c: char| c.is_ascii_digit() || ".+-# *".contains(c));
        let flags = after.get(..after.len() - behind.len()).unwrap_or_default();
        let mut chars = behind.chars();
        match chars.next() {
            Some('%') => printed.push('%'),
            Some('s' | 'q') if flags.contains(['.', '*']) => return true,
            Some('s' | 'q') => printed.push_str(given.next().unwrap_or_default()),
            Some('b') => match given.next() {
                Some(text) if escapes(text) => return true,
                text => printed.push_str(text.unwrap_or_default()),
            },
            Some('c') => return true,
            Some(_) => printed.push_str(given.next().unwrap_or_default()),
            None => {}
        }
        rest = chars.as_str();
    }
    printed.push_str(rest);
    // The format is used again for what is left: `printf %s .e nv`.
    if !format.contains("\\n") && format.contains('%') && !format.contains(' ') {
        printed.extend(given);
    }
    is_a_secret(&printed.replace("\\n", "\n"))
}
