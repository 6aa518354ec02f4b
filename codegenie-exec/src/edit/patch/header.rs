//! Reads the text of a diff.

use super::{FilePatch, Hunk, Line, PatchError, Side};
use crate::edit::text;
use std::path::PathBuf;

pub(super) fn read(diff: &[u8]) -> Result<Vec<FilePatch>, PatchError> {
    let mut reader = Reader { lines: text::lines(diff), at: 0 };
    let mut files = Vec::new();
    let mut after_hunk = false;
    while let Some(line) = reader.peek() {
        if line.starts_with(b"diff --git ") {
            files.extend(reader.git()?);
            after_hunk = true;
        } else if reader.has_header() {
            let (old, new) = reader.names()?;
            let mut file = FilePatch { old, new, renames: false, executable: false, hunks: Vec::new() };
            reader.hunks(&mut file, true)?;
            files.push(file);
            after_hunk = true;
        } else if line.starts_with(b"@@ -") {
            return Err(reader.malformed("a hunk without the names of its file (--- and +++) before it"));
        } else if after_hunk && is_body(line) {
            return Err(reader.malformed("more lines than the hunk's @@ line says"));
        } else {
            after_hunk = false;
            reader.at += 1;
        }
    }
    Ok(files)
}

/// What looks like a line of a hunk, but for the signature's mark in a mail.
fn is_body(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'+' | b'-' | b' ' | b'\\')) && content(line) != b"-- "
}

/// A line without its end.
fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

struct Reader<'a> {
    lines: Vec<&'a [u8]>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        self.lines.get(self.at).copied()
    }

    fn malformed(&self, why: impl Into<String>) -> PatchError {
        PatchError::Malformed { line: self.at + 1, why: why.into() }
    }

    fn not_text(&self, why: impl Into<String>) -> PatchError {
        PatchError::NotText { line: self.at + 1, why: why.into() }
    }

    fn has_header(&self) -> bool {
        let begins = |at: usize, with: &[u8]| self.lines.get(at).is_some_and(|line| line.starts_with(with));
        begins(self.at, b"--- ") && begins(self.at + 1, b"+++ ")
    }

    /// The section of one file in git's form.
    fn git(&mut self) -> Result<Option<FilePatch>, PatchError> {
        let named = self.peek().map(content).and_then(|line| git_names(line.get(11..)?));
        self.at += 1;
        let (mut created, mut deleted, mut executable) = (false, false, false);
        let (mut from, mut to) = (None, None);
        while let Some(line) = self.peek().map(content) {
            let value = |key: &[u8]| line.strip_prefix(key);
            if let Some(mode) = value(b"new file mode ") {
                created = true;
                executable = self.mode(mode)?;
            } else if let Some(mode) = value(b"deleted file mode ") {
                deleted = true;
                self.mode(mode)?;
            } else if value(b"old mode ").is_some() || value(b"new mode ").is_some() {
                return Err(self.not_text("it changes a file's mode"));
            } else if value(b"copy from ").is_some() || value(b"copy to ").is_some() {
                return Err(self.not_text("it copies a file"));
            } else if let Some(name) = value(b"rename from ") {
                from = Some(self.name(name)?);
            } else if let Some(name) = value(b"rename to ") {
                to = Some(self.name(name)?);
            } else if line == b"GIT binary patch" || line.starts_with(b"Binary files ") {
                return Err(self.not_text("it changes a binary file"));
            } else if let Some(index) = value(b"index ") {
                if index.ends_with(b" 120000") || index.ends_with(b" 160000") {
                    return Err(self.not_text("it changes a link or a sub-module"));
                }
            } else if value(b"similarity index ").is_none() && value(b"dissimilarity index ").is_none() {
                break;
            }
            self.at += 1;
        }
        let renames = from.is_some() || to.is_some();
        if from.is_some() != to.is_some() {
            return Err(self.malformed("a rename takes both rename from and rename to"));
        }
        let (mut old, mut new) = if renames { (from, to) } else { named.unzip() };
        let has_header = self.has_header();
        if has_header {
            let names = self.names()?;
            if renames {
                if names.0.is_none() || names.1.is_none() {
                    return Err(self.malformed("a renamed file is neither created nor deleted"));
                }
            } else {
                (old, new) = names;
            }
        } else if self.peek().is_some_and(|line| line.starts_with(b"@@ -")) {
            return Err(self.malformed("a hunk without the names of its file (--- and +++) before it"));
        } else if !(created || deleted || renames) {
            // Nothing is said about the file.
            return Ok(None);
        } else {
            if old.is_none() || new.is_none() {
                return Err(self.malformed("the names of the file cannot be told apart"));
            }
            old = old.filter(|_| !created);
            new = new.filter(|_| !deleted);
        }
        if (created && old.is_some()) || (deleted && new.is_some()) || (created && deleted) {
            return Err(self.malformed("the names and the modes disagree on whether the file is there"));
        }
        let mut file = FilePatch { old, new, renames, executable, hunks: Vec::new() };
        self.hunks(&mut file, has_header)?;
        Ok(Some(file))
    }

    /// Whether a file of this mode is executable.
    fn mode(&self, mode: &[u8]) -> Result<bool, PatchError> {
        match mode {
            b"100644" | b"100664" => Ok(false),
            b"100755" => Ok(true),
            b"120000" | b"160000" => Err(self.not_text("it is about a link or a sub-module")),
            _ => Err(self.malformed("not a mode of a file")),
        }
    }

    /// The names of `---` and `+++`; `None` for `/dev/null`.
    fn names(&mut self) -> Result<(Option<PathBuf>, Option<PathBuf>), PatchError> {
        let mut one = || {
            let line = self.peek().map(content).and_then(|line| line.get(4..)).unwrap_or_default();
            let name = if line.starts_with(b"\"") {
                self.name(line)?
            } else {
                // What follows a tab is a time.
                self.name(line.split(|byte| *byte == b'\t').next().unwrap_or_default())?
            };
            self.at += 1;
            Ok((name.as_os_str() != "/dev/null").then_some(name))
        };
        let names = (one()?, one()?);
        if names == (None, None) {
            return Err(self.malformed("the file is neither there before nor after"));
        }
        Ok(names)
    }

    fn name(&self, text: &[u8]) -> Result<PathBuf, PatchError> {
        let bytes = if text.starts_with(b"\"") {
            unquoted(text)
                .map(|(name, _)| name)
                .ok_or_else(|| self.malformed("a quoted name is not whole"))?
        } else {
            text.to_vec()
        };
        if bytes.is_empty() {
            return Err(self.malformed("a file without a name"));
        }
        path(bytes).ok_or_else(|| self.malformed("a name that this system has not"))
    }

    fn hunks(&mut self, file: &mut FilePatch, must: bool) -> Result<(), PatchError> {
        while let Some(line) = self.peek().filter(|line| line.starts_with(b"@@ -")) {
            let [old_start, old_len, new_start, new_len] =
                numbers(line).ok_or_else(|| self.malformed("not of the form @@ -l,n +l,n @@"))?;
            if (old_start == 0 && old_len > 0) || (new_start == 0 && new_len > 0) {
                return Err(self.malformed("lines are counted from 1"));
            }
            self.at += 1;
            let hunk = self.hunk(old_start, old_len, new_len)?;
            file.hunks.push(hunk);
        }
        if must && file.hunks.is_empty() {
            return Err(self.malformed("a file without hunks: @@ -l,n +l,n @@ is to follow its names"));
        }
        let side_is_empty = |len: fn(&Hunk) -> usize| file.hunks.iter().all(|hunk| len(hunk) == 0);
        if (file.old.is_none() && !side_is_empty(|hunk| hunk.old_len))
            || (file.new.is_none() && !side_is_empty(|hunk| hunk.new_len))
        {
            return Err(self.malformed("/dev/null has no lines"));
        }
        Ok(())
    }

    fn hunk(&mut self, old_start: usize, old_len: usize, new_len: usize) -> Result<Hunk, PatchError> {
        let (mut old, mut new) = (0, 0);
        let mut lines: Vec<Line> = Vec::new();
        while old < old_len || new < new_len {
            let Some(line) = self.peek() else {
                return Err(self.malformed("the diff ends within a hunk: its @@ line says that more comes"));
            };
            let (side, text) = match line.split_first() {
                Some((b' ', text)) => (Side::Both, text),
                Some((b'-', text)) => (Side::Old, text),
                Some((b'+', text)) => (Side::New, text),
                // Mailers and editors cut the space of an empty line.
                Some((b'\n', _)) | Some((b'\r', b"\n")) => (Side::Both, line),
                Some((b'\\', _)) => {
                    unend(&mut lines).map_err(|why| self.malformed(why))?;
                    self.at += 1;
                    continue;
                }
                _ => return Err(self.malformed("a line of a hunk begins with a space, + or -")),
            };
            old += usize::from(side != Side::New);
            new += usize::from(side != Side::Old);
            if old > old_len || new > new_len {
                return Err(self.malformed("the hunk's @@ line says another number of lines"));
            }
            // The last line of a diff may have lost its end.
            let mut text = text.to_vec();
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            lines.push(Line { side, text });
            self.at += 1;
        }
        if self.peek().is_some_and(|line| line.starts_with(b"\\")) {
            unend(&mut lines).map_err(|why| self.malformed(why))?;
            self.at += 1;
        }
        // What has no line feed is the last of its side.
        for of in [Side::Old, Side::New] {
            let mut side =
                lines.iter().filter(|line| line.side == of || line.side == Side::Both).rev().skip(1);
            if side.any(|line| !line.text.ends_with(b"\n")) {
                return Err(self.malformed("a line without a line feed is not the file's last one"));
            }
        }
        Ok(Hunk { old_start, old_len, new_len, lines })
    }
}

fn unend(lines: &mut [Line]) -> Result<(), &'static str> {
    match lines.last_mut() {
        Some(line) if line.text.ends_with(b"\n") => {
            line.text.pop();
            Ok(())
        }
        _ => Err("no newline at the end of which line?"),
    }
}

/// The numbers of `@@ -l,n +l,n @@`.
fn numbers(line: &[u8]) -> Option<[usize; 4]> {
    let line = std::str::from_utf8(line.strip_prefix(b"@@ -")?.split(|byte| *byte == b'@').next()?).ok()?;
    let (old, new) = line.strip_suffix(' ')?.split_once(" +")?;
    let pair = |text: &str| {
        let number = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<usize>().ok()).flatten()
        };
        match text.split_once(',') {
            Some((start, length)) => Some((number(start)?, number(length)?)),
            None => Some((number(text)?, 1)),
        }
    };
    let ((old_start, old_len), (new_start, new_len)) = (pair(old)?, pair(new)?);
    // No file has that many; sums of them stay numbers.
    let fits = [old_start, old_len, new_start, new_len].iter().all(|number| *number <= 1 << 30);
    fits.then_some([old_start, old_len, new_start, new_len])
}

/// The two names of `diff --git a/x b/x`, where they can be told apart.
fn git_names(rest: &[u8]) -> Option<(PathBuf, PathBuf)> {
    if rest.starts_with(b"\"") {
        let (old, rest) = unquoted(rest)?;
        let rest = rest.strip_prefix(b" ")?;
        let new = if rest.starts_with(b"\"") { unquoted(rest)?.0 } else { rest.to_vec() };
        return Some((path(old)?, path(new)?));
    }
    // Without a rename both are the same but for the first letter; so they are as long.
    let middle = rest.len() / 2;
    let (old, new) = (rest.get(..middle)?, rest.get(middle..)?.strip_prefix(b" ")?);
    let same = old.get(1..)? == new.get(1..)? && old.get(1) == Some(&b'/');
    same.then(|| Some((path(old.to_vec())?, path(new.to_vec())?))).flatten()
}

/// A name in C's quotes, and what follows it.
fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((name, rest)),
            b'\\' => {
                let (escaped, after) = rest.split_first()?;
                rest = after;
                name.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'a' => 7,
                    b'b' => 8,
                    b'f' => 12,
                    b'v' => 11,
                    b'"' | b'\\' => *escaped,
                    b'0'..=b'3' => {
                        let (digits, after) = rest.split_at_checked(2)?;
                        rest = after;
                        let octal = |digit: u8| (b'0'..=b'7').contains(&digit).then(|| digit - b'0');
                        let [second, third] = digits else { return None };
                        (escaped - b'0') * 64 + octal(*second)? * 8 + octal(*third)?
                    }
                    _ => return None,
                });
            }
            byte => name.push(*byte),
        }
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have names that are not bytes")]
fn path(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}
