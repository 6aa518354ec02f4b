//! Rules that people already have: Claude Code's settings, and the literal part of codex's rule files.

use super::permissions::Permissions;
use super::policy::{CommandPolicy, CommandRule, PolicyFileError};
use super::verdict::Decision;

impl CommandPolicy {
    /// Takes the `permissions` block of Claude Code's settings (JSON). What else stands in the settings
    /// is not about permissions, and is left out.
    pub fn from_claude_settings(text: &str) -> Result<Self, PolicyFileError> {
        #[derive(serde::Deserialize)]
        struct Settings {
            permissions: Permissions,
        }
        let settings: Settings = serde_json::from_str(text)
            .map_err(|error| PolicyFileError::new("claude settings", error.to_string()))?;
        let policy = Self { permissions: settings.permissions, ..Self::default() };
        policy.checked("claude settings")
    }

    /// Takes codex's rules: calls of `prefix_rule` with literal arguments. Anything else that the
    /// language (Starlark) has is an error that names its line.
    pub fn from_codex_rules(text: &str) -> Result<Self, PolicyFileError> {
        let mut reader = Reader { text, at: 0 };
        let mut policy = Self::default();
        loop {
            reader.space();
            if reader.rest().is_empty() {
                return policy.checked("codex rules");
            }
            for rule in reader.rule().map_err(|problem| {
                let line = reader.text.get(..reader.at).unwrap_or_default().matches('\n').count() + 1;
                PolicyFileError::new("codex rules", format!("line {line}: {problem}"))
            })? {
                policy.rules.push(rule);
            }
        }
    }
}

/// A literal of the language.
#[derive(Debug)]
enum Literal {
    Text(String),
    List(Vec<Literal>),
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

const MAX_NESTING: usize = 4;
/// One rule with alternatives becomes as many as there are combinations.
const MAX_RULES: usize = 256;

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Space and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn takes(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.takes(token) { Ok(()) } else { Err(format!("{token:?} is expected")) }
    }

    fn name(&mut self) -> &'t str {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn rule(&mut self) -> Result<Vec<CommandRule>, String> {
        let name = self.name();
        if name != "prefix_rule" {
            return Err(format!("only calls of prefix_rule are read, not {name:?}"));
        }
        self.expect("(")?;
        let (mut pattern, mut rule) = (None, CommandRule::new(Vec::<String>::new(), Decision::Allow));
        while !self.takes(")") {
            let key = self.name();
            self.expect("=")?;
            let value = self.literal(0)?;
            match (key, value) {
                ("pattern", Literal::List(words)) => pattern = Some(words),
                ("decision", Literal::Text(text)) => {
                    rule.decision = match text.as_str() {
                        "allow" => Decision::Allow,
                        "prompt" => Decision::Ask,
                        "forbidden" => Decision::Deny,
                        other => {
                            return Err(format!("the decision {other:?} is not allow, prompt or forbidden"));
                        }
                    }
                }
                ("justification", Literal::Text(text)) => rule.justification = text,
                ("match", Literal::List(examples)) => rule.matches = commands(examples)?,
                ("not_match", Literal::List(examples)) => rule.not_match = commands(examples)?,
                (other, _) => {
                    return Err(format!("{other:?} is no argument of prefix_rule, or has another form"));
                }
            }
            if !self.takes(",") {
                self.expect(")")?;
                break;
            }
        }
        alternatives(pattern.ok_or("prefix_rule has no pattern")?, &rule)
    }

    fn literal(&mut self, depth: usize) -> Result<Literal, String> {
        self.space();
        if self.takes("[") {
            if depth >= MAX_NESTING {
                return Err("lists are nested too deeply".to_owned());
            }
            let mut items = Vec::new();
            while !self.takes("]") {
                items.push(self.literal(depth + 1)?);
                if !self.takes(",") {
                    self.expect("]")?;
                    break;
                }
            }
            return Ok(Literal::List(items));
        }
        let mut chars = self.rest().char_indices();
        let quote = match chars.next() {
            Some((_, c @ ('"' | '\''))) => c,
            _ => return Err("a text in quotes or a list is expected".to_owned()),
        };
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += at + 1;
                    return Ok(Literal::Text(text));
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c @ ('\\' | '"' | '\''))) => text.push(c),
                    _ => return Err("an escape is not known".to_owned()),
                },
                '\n' => break,
                c => text.push(c),
            }
        }
        Err("a text is not closed".to_owned())
    }
}

/// Examples are command lines, or lists of words.
fn commands(examples: Vec<Literal>) -> Result<Vec<String>, String> {
    examples
        .into_iter()
        .map(|example| match example {
            Literal::Text(text) => Ok(text),
            Literal::List(words) => {
                let words = words.into_iter().map(|word| match word {
                    Literal::Text(text) => Ok(text),
                    Literal::List(_) => Err("an example is nested too deeply".to_owned()),
                });
                Ok(crate::CommandLine::Argv(words.collect::<Result<Vec<_>, _>>()?).display())
            }
        })
        .collect()
}

/// An element that is a list stands for any of its words. The examples go with the first rule that
/// they speak about; where there are several, they are checked over all of them.
fn alternatives(pattern: Vec<Literal>, rule: &CommandRule) -> Result<Vec<CommandRule>, String> {
    let mut prefixes: Vec<Vec<String>> = vec![Vec::new()];
    for element in pattern {
        let words = match element {
            Literal::Text(word) => vec![word],
            Literal::List(words) => words
                .into_iter()
                .map(|word| match word {
                    Literal::Text(word) => Ok(word),
                    Literal::List(_) => Err("an alternative is nested too deeply".to_owned()),
                })
                .collect::<Result<_, _>>()?,
        };
        prefixes = prefixes
            .iter()
            .flat_map(|prefix| {
                words.iter().map(|word| [prefix.as_slice(), std::slice::from_ref(word)].concat())
            })
            .collect();
        if prefixes.len() > MAX_RULES {
            return Err(format!("it stands for more than {MAX_RULES} rules"));
        }
    }
    let rules: Vec<CommandRule> = prefixes
        .into_iter()
        .map(|prefix| CommandRule {
            prefix,
            matches: Vec::new(),
            not_match: rule.not_match.clone(),
            ..rule.clone()
        })
        .collect();
    for example in &rule.matches {
        if !rules.iter().any(|rule| rule.matches_example(example) == Some(true)) {
            return Err(format!("the rule does not match its example {example:?}"));
        }
    }
    Ok(rules)
}
