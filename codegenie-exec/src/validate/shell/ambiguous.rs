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
        self.commented |= text.split("((").skip(1).any(|rest| {
            let expression = rest.split("))").next().unwrap_or_default();
            let begins =
                |before: char| !(before.is_ascii_alphanumeric() || matches!(before, '_' | '$' | '{'));
            let mut before = ' ';
            expression.chars().any(|c| {
                let comment = c == '#' && begins(before);
                before = c;
                comment
            })
        });
    }
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
