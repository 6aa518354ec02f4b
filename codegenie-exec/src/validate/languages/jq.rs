//! jq and yq: they write and run nothing, but tell what the environment holds, and yq reads files that are named within.

use super::super::class::Class;
use super::Script;

/// What a filter does beyond reading its input and printing.
pub(super) fn read(filter: &str) -> Script {
    match filter.contains("$ENV") || names(filter).any(|name| name == "env") {
        true => Script::of(Class::Escalates, "jq's env tells what the environment holds"),
        false => Script::default(),
    }
}

/// The same for yq, of which there are two: one that hands its filter to jq, and one with operators of its own.
pub(super) fn read_yq(expression: &str) -> Script {
    let mut script = match is_a_file_name(expression) {
        true => Script::default(),
        false => read(expression),
    };
    for name in names(expression) {
        let (class, why) = match name {
            "strenv" | "envsubst" => (Class::Escalates, "yq's env tells what the environment holds"),
            "system" => (Class::ExecutesCode, "yq's system runs a program"),
            name if name.starts_with("load") && !is_a_file_name(expression) => {
                (Class::Unknown, "yq's load reads what the expression names")
            }
            _ => continue,
        };
        script.found.push((class, why.to_owned()));
    }
    script
}

/// `env.yml`, as an operand
fn is_a_file_name(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b));
    let ending = text.rsplit('.').next().unwrap_or_default();
    plain && matches!(ending, "yml" | "yaml" | "json" | "toml" | "xml" | "csv" | "properties")
}

/// The names in a filter that are neither those of fields nor of variables.
fn names(filter: &str) -> impl Iterator<Item = &str> {
    let part_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = filter;
    let mut before = None;
    std::iter::from_fn(move || {
        loop {
            let begin = rest.find(part_of_a_name)?;
            before = rest.get(..begin).and_then(|text| text.chars().next_back()).or(before);
            rest = rest.get(begin..)?;
            let end = rest.find(|c| !part_of_a_name(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end)?;
            let last = before.replace('_');
            rest = after;
            let field = matches!(last, Some('.' | '$' | '@'))
                || after.trim_start().starts_with(':')
                || (last == Some('"') && after.starts_with('"'));
            if !field {
                return Some(name);
            }
        }
    })
}
