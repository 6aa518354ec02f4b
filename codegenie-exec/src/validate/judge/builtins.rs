//! Uses of shells and of their builtins that are what they seem, whatever the tables say of others.

use crate::command::Word;

/// Why a use of a builtin changes nothing but what later words of the same command become.
pub(super) fn is_plain(name: &str, words: &[Word]) -> Option<&'static str> {
    let operands = words.get(1..).unwrap_or_default();
    match name {
        "local" | "declare" | "typeset" | "readonly" => {
            let flag = |word: &&Word| matches!(word.literal(), Some("-r" | "-g"));
            let set = operands.get(operands.iter().take_while(flag).count()..).unwrap_or_default();
            (!set.is_empty() && set.iter().all(sets_a_variable)).then_some("sets variables of the shell")
        }
        "shopt" => sets_patterns(operands).then_some("says what patterns stand for"),
        "test" | "[" => compares(name, operands).then_some("compares two texts, whatever they are"),
        _ => None,
    }
}

/// `NAME` or `NAME=VALUE`, and nothing that is computed before.
fn sets_a_variable(word: &Word) -> bool {
    let known = match word {
        Word::Literal(text) => text,
        Word::Dynamic(word) => &word.prefix,
    };
    let name = known.split('=').next().unwrap_or_default();
    let whole = word.literal().is_some() || known.contains('=');
    whole
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Options that leave hidden files hidden, and names as they are.
fn sets_patterns(operands: &[Word]) -> bool {
    const NAMES: &[&str] = &["globstar", "nullglob", "failglob"];
    let texts: Option<Vec<&str>> = operands.iter().map(Word::literal).collect();
    matches!(texts.as_deref(), Some(["-s" | "-u", names @ ..]) if names.iter().all(|name| NAMES.contains(name)))
}

/// `[ A = B ]`: of three words the one in the middle says what is done.
fn compares(name: &str, operands: &[Word]) -> bool {
    const OPERATORS: &[&str] =
        &["=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"];
    let compared = match (name, operands) {
        ("test", compared) => compared,
        (_, [compared @ .., last]) if last.literal() == Some("]") => compared,
        _ => return false,
    };
    let [left, operator, right] = compared else { return false };
    let one = |word: &Word| match word {
        Word::Literal(_) => true,
        Word::Dynamic(dynamic) => !dynamic.splits && !dynamic.pattern,
    };
    operator.literal().is_some_and(|operator| OPERATORS.contains(&operator)) && one(left) && one(right)
}

/// `bash -euo pipefail -c LINE` without the options that change nothing of what the line means.
pub(super) fn without_shell_options(name: &str, words: &[Word]) -> Option<Vec<Word>> {
    const SHELLS: &[&str] = &["sh", "bash", "dash", "ash"];
    /// They end it early, say what it does, or read what the sandbox's own home has for every shell.
    const LETTERS: &str = "euxvlfCET";
    const NAMES: &[&str] = &[
        "errexit",
        "nounset",
        "pipefail",
        "xtrace",
        "verbose",
        "noglob",
        "noclobber",
        "errtrace",
        "functrace",
    ];
    if !SHELLS.contains(&name) {
        return None;
    }
    let (program, mut rest) = words.split_first()?;
    let (mut line_follows, mut any) = (false, false);
    while let Some((Word::Literal(option), after)) = rest.split_first() {
        match option.strip_prefix(['-', '+']) {
            Some("") | None => break,
            Some("-login") | Some("-norc") | Some("-noprofile") if option.starts_with('-') => rest = after,
            Some(letters) => {
                let mut after = after;
                for letter in letters.chars() {
                    match letter {
                        'c' if option.starts_with('-') => line_follows = true,
                        'o' => {
                            let (named, behind) = after.split_first()?;
                            named.literal().filter(|named| NAMES.contains(named))?;
                            after = behind;
                        }
                        letter if LETTERS.contains(letter) => {}
                        _ => return None,
                    }
                }
                rest = after;
            }
        }
        any |= option != "-c";
    }
    let line = Word::Literal("-c".to_owned());
    (any && line_follows).then(|| [program, &line].into_iter().chain(rest).cloned().collect())
}
