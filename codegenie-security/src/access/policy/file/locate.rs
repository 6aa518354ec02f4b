//! Where in a text something stands that is found wrong after parsing.

use super::super::compile::Step;

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

pub(super) fn place_of(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}

/// Follows the path as far as it goes.
pub(super) fn in_toml(text: &str, path: &[Step]) -> Option<usize> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let (first, path) = path.split_first()?;
    let Step::Key(key) = first else { return None };
    let mut value = table.get_ref().get(key.as_str())?;
    for step in path {
        let next = match (step, value.get_ref()) {
            (Step::Key(key), toml::de::DeValue::Table(table)) => table.get(key.as_str()),
            (Step::Item(item), toml::de::DeValue::Array(array)) => array.get(*item),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    Some(value.span().start)
}

/// Follows the path as far as it goes, in a text that is known to be JSON.
pub(super) fn in_json(text: &str, path: &[Step]) -> Option<usize> {
    let mut scan = Scan { text: text.as_bytes(), at: 0 };
    scan.blank();
    for step in path {
        let here = scan.at;
        if scan.go_to(step).is_none() {
            scan.at = here;
            break;
        }
    }
    Some(scan.at)
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.blank();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// From the beginning of a value to that of the one that the step leads to.
    fn go_to(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::Key(wanted) => {
                self.eat(b'{')?;
                loop {
                    self.blank();
                    let start = self.at;
                    self.skip_value()?;
                    let key = std::str::from_utf8(self.text.get(start..self.at)?).ok()?;
                    let key: String = serde_json::from_str(key).ok()?;
                    self.eat(b':')?;
                    self.blank();
                    if key == *wanted {
                        return Some(());
                    }
                    self.skip_value()?;
                    self.eat(b',')?;
                }
            }
            Step::Item(wanted) => {
                self.eat(b'[')?;
                for _ in 0..*wanted {
                    self.skip_value()?;
                    self.eat(b',')?;
                }
                self.blank();
                Some(())
            }
        }
    }

    /// Past one value, however deep, without recursion.
    fn skip_value(&mut self) -> Option<()> {
        self.blank();
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => self.skip_text()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => {
                    while self
                        .peek()
                        .is_some_and(|byte| !b",:]}[{\"".contains(&byte) && !byte.is_ascii_whitespace())
                    {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn skip_text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }
}
