//! Expressions that a shell computes. Bash looks at the text of a variable once more, as an expression of its own, and
//! runs the command that stands in a subscript there.

/// The variables in an expression that only computes; `None` where it may do more.
pub(super) fn variables(expression: &str) -> Option<Vec<String>> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " \t\n_+-*/%<>=!&|^~?:,()${}#".contains(c);
    if !expression.chars().all(allowed) {
        return None;
    }
    // Bash takes what is not balanced for a command: `$((a) || (b))`.
    let mut depth = 0i32;
    for c in expression.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth < 0 {
            return None;
        }
    }
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = Vec::new();
    let mut pieces = expression.split('$');
    named(pieces.next().unwrap_or_default(), &mut names);
    let mut joined = expression.split('$').next().unwrap_or_default().ends_with(of_a_name);
    for piece in pieces {
        // `a$x` is the name of another variable.
        if joined {
            return None;
        }
        let after = match piece.strip_prefix('{') {
            Some(inside) => {
                let (inside, after) = inside.split_once('}')?;
                expanded(inside, &mut names)?;
                after
            }
            None if piece.starts_with(of_a_name) => {
                let end = piece.find(|c| !of_a_name(c)).unwrap_or(piece.len());
                // Of `$12` the digit that follows is text.
                let end = if piece.starts_with(|c: char| c.is_ascii_digit()) { 1 } else { end };
                expanded(piece.get(..end)?, &mut names)?;
                piece.get(end..)?
            }
            None => piece.strip_prefix(['#', '?', '!'])?,
        };
        if after.starts_with(of_a_name) {
            return None;
        }
        named(after, &mut names);
        joined = after.is_empty() || after.ends_with(of_a_name);
    }
    Some(names)
}

/// The names in the text of an expression.
fn named(text: &str, names: &mut Vec<String>) {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    names.extend(words.filter(|word| word.starts_with(|c: char| !c.is_ascii_digit())).map(str::to_owned));
}

/// What an expansion puts into an expression: the value of a variable, of a parameter, or a length.
fn expanded(inside: &str, names: &mut Vec<String>) -> Option<()> {
    let (name, is_length) = match inside.strip_prefix('#') {
        Some(name) => (name, true),
        None => (inside, false),
    };
    if name.is_empty() && is_length {
        return Some(());
    }
    let digits = name.bytes().all(|b| b.is_ascii_digit());
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !plain || name == "0" {
        return None;
    }
    if !is_length {
        // What is known of one parameter is known of all.
        names.push(if digits { "1".to_owned() } else { name.to_owned() });
    }
    Some(())
}

/// Whether a variable that the command does not set is a number, or nothing. Others have their text from the shell or the
/// environment, and what that names may be set.
pub(super) fn is_number(name: &str) -> bool {
    const NUMBERS: &[&str] = &[
        "RANDOM",
        "SRANDOM",
        "SECONDS",
        "LINENO",
        "UID",
        "EUID",
        "PPID",
        "SHLVL",
        "OPTIND",
        "COLUMNS",
        "LINES",
        "BASHPID",
        "BASH_SUBSHELL",
        "EPOCHSECONDS",
        "HISTCMD",
    ];
    NUMBERS.contains(&name) || (name != "_" && !name.bytes().any(|b| b.is_ascii_uppercase()))
}

/// Whether bash computes what such a variable is set to.
pub(super) fn computes_its_value(name: &str) -> bool {
    const INTEGERS: &[&str] = &[
        "OPTIND",
        "RANDOM",
        "SRANDOM",
        "HISTCMD",
        "SECONDS",
        "LINENO",
        "BASHPID",
        "EPOCHSECONDS",
        "EPOCHREALTIME",
        "UID",
        "EUID",
        "PPID",
    ];
    INTEGERS.contains(&name)
}
