//! Texts that the parser and bash may read differently. Where a text looks like one of them, what is read there is
//! not allowed.

/// What was seen anywhere in a text, substitutions included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ambiguous {
    /// `x= (a)` and `x=(a)y`: the parser takes an array where bash sees a mistake.
    pub(super) array: bool,
    /// `((`, which may begin two groups or an expression.
    pub(super) doubled: bool,
    /// `( (` or `) )`: the parser takes an expression where bash sees two groups.
    pub(super) spaced: bool,
    /// Something like a comment in what may be an expression: the parser leaves it out, and bash computes with it.
    pub(super) commented: bool,
    /// `x= fi`, `do <x done`: a reserved word that nothing parts from what is before it, which bash takes for a program.
    pub(super) unparted: bool,
    /// `=~ (b)]]`: where a regular expression ends is not clear.
    pub(super) regex: bool,
}

impl Ambiguous {
    pub(super) fn look_at(&mut self, text: &str) {
        self.array |= text.split('=').skip(1).any(|rest| {
            let trimmed = rest.trim_start();
            trimmed.len() < rest.len() && trimmed.starts_with('(')
        });
        self.array |= text.split(')').skip(1).any(|rest| {
            rest.chars().next().is_some_and(|next| !next.is_whitespace() && !";&|)<>".contains(next))
        });
        self.doubled |= text.contains("((");
        self.spaced |= spaced(text, '(') || spaced(text, ')');
        self.commented |= text.split("((").skip(1).any(comments);
        self.unparted |= unparted(text);
        self.regex |= text.split("=~").skip(1).any(|rest| {
            let (regex, closed) = rest.split_once("]]").map_or((rest, false), |(regex, _)| (regex, true));
            let apart = closed && regex.ends_with(char::is_whitespace);
            regex.contains('(') && (!apart || regex.trim().contains([' ', '\t', '\n', '&', ';', '<', '>']))
        });
    }
}

/// What no part of the tree shows: constructs whose words the parser tells apart in another way than bash.
pub(super) fn never_followed(text: &str) -> Option<&'static str> {
    let code = without_documents(text);
    // Where lines are joined is for bash to say: both readings count.
    in_code(&code).or_else(|| in_code(&code.replace("\\\n", "")))
}

fn in_code(code: &str) -> Option<&'static str> {
    for line in code.lines() {
        let Some((_, after)) = line.split_once("<<") else { continue };
        let document = !after.starts_with('<') || after.get(1..).is_some_and(|rest| rest.contains("<<"));
        if document && after.contains(['(', '{', '`']) {
            return Some("an expansion on the line of a here-document");
        }
        let no_delimiter = |rest: &str| {
            let word = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches(blank);
            let here_string = rest.starts_with('<');
            !here_string && (word.is_empty() || word.starts_with(['<', '>', '|', '&', ';', ')']))
        };
        if document && line.match_indices("<<").any(|(at, _)| line.get(at + 2..).is_some_and(no_delimiter)) {
            return Some("a here-document without an end");
        }
    }
    if code.split(['<', '>']).skip(1).any(|rest| {
        let trimmed = rest.trim_start_matches(blank);
        trimmed.len() < rest.len() && trimmed.starts_with('(')
    }) {
        return Some("a parenthesis after a redirection");
    }
    let counts = |rest: &str| {
        let word = rest.trim_start_matches(blank).split_whitespace().next().unwrap_or_default();
        word.starts_with('$') && word.contains("((")
    };
    if code.split("for").skip(1).any(counts) {
        return Some("a loop over what is no name");
    }
    names_descriptor(code).then_some("a variable that a redirection sets")
}

/// The text without what here-documents hold, where it is plain to see what they hold: nothing before them is quoted or
/// expanded. Elsewhere what they hold is looked at as if it were commands.
fn without_documents(text: &str) -> String {
    let plain = |text: &str| !text.contains(['\'', '"', '\\', '`', '#', '(', '$', '{']);
    let mut code = String::new();
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        code.push_str(line);
        let Some((before, after)) = line.split_once("<<") else {
            if plain(line) {
                continue;
            }
            break;
        };
        let (tabs, after) = after.strip_prefix('-').map_or((false, after), |rest| (true, rest));
        let word =
            after.trim_start_matches(blank).split(|c: char| c.is_whitespace() || ";&|<>()".contains(c));
        let delimiter = word.into_iter().next().unwrap_or_default();
        let rest_of_line = after.split_once(delimiter).map_or(after, |(_, rest)| rest);
        let delimiter = delimiter.replace(['\'', '"', '\\'], "");
        // Two documents on one line, or what may be none: all that follows is looked at.
        if line.trim_end_matches('\n').ends_with('\\')
            || delimiter.is_empty()
            || after.contains("<<")
            || !plain(before)
            || !plain(rest_of_line)
        {
            break;
        }
        let ends = |line: &str| {
            let line = line.strip_suffix('\n').unwrap_or(line);
            (if tabs { line.trim_start_matches('\t') } else { line }) == delimiter
        };
        // Without quotes around its end, lines of a document are joined, and its end may be none.
        let mut after_it = lines.clone();
        let held = after_it.by_ref().take_while(|line| !ends(line));
        let joined = held.fold(false, |joined, line| joined | line.trim_end_matches('\n').ends_with('\\'));
        let closed = lines.clone().any(ends);
        if joined || !closed {
            break;
        }
        lines = after_it;
    }
    lines.for_each(|line| code.push_str(line));
    code
}

/// `{NAME}>file`: the shell sets the variable to the number of a descriptor.
fn names_descriptor(text: &str) -> bool {
    const LONGEST: usize = 128;
    text.match_indices(['<', '>']).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let Some(inside) = before.strip_suffix('}') else { return false };
        let Some(begins) = inside.char_indices().rev().take(LONGEST).find(|(_, c)| *c == '{') else {
            return true;
        };
        let name = inside.get(begins.0 + 1..).unwrap_or_default();
        let outside = inside.get(..begins.0).unwrap_or_default();
        let is_a_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && (name.contains('[') || name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        is_a_name && !outside.ends_with('$')
    })
}

/// Whether something like a comment stands in the expression that a text begins with.
fn comments(rest: &str) -> bool {
    let expression = rest.split("))").next().unwrap_or_default();
    let begins = |before: char| !(before.is_ascii_alphanumeric() || matches!(before, '_' | '$' | '{'));
    let mut before = ' ';
    expression.chars().any(|c| {
        let comment = c == '#' && begins(before);
        before = c;
        comment
    })
}

/// Whether only blanks and continued lines stand between a sign and the next of its kind.
fn spaced(text: &str, sign: char) -> bool {
    let mut between = text.split(sign).skip(1).peekable();
    while let Some(part) = between.next() {
        let blank = !part.is_empty() && part.chars().all(|c| c.is_whitespace() || c == '\\');
        if blank && between.peek().is_some() {
            return true;
        }
    }
    false
}

/// Whether a reserved word that ends or goes on with a compound command follows another word at once.
fn unparted(text: &str) -> bool {
    const ENDS: &[&str] = &["then", "do", "fi", "done", "elif", "else", "esac"];
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    ENDS.iter().any(|end| {
        text.match_indices(end).any(|(at, _)| {
            let (before, after) =
                (text.get(..at).unwrap_or_default(), text.get(at + end.len()..).unwrap_or_default());
            let whole = !before.ends_with(word) && !after.starts_with(word);
            let parted = before.trim_end_matches(|c| blank(c) || c == '\\');
            whole && !parted.is_empty() && !parted.ends_with(['\n', ';', '&', '|', ')', '(', '{', '}'])
        })
    })
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}
