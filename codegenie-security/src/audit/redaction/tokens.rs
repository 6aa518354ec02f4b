//! Tokens of well-known services, by how they begin.

/// How they begin, and how many characters follow at the least.
const BEGINNINGS: &[(&str, usize)] = &[
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 40),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xapp-", 20),
    ("sk-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("npm_", 30),
    ("pypi-", 40),
    ("hf_", 30),
    ("dop_v1_", 40),
    ("SG.", 30),
    ("AGE-SECRET-KEY-1", 40),
    (JSON, 40),
];
/// A token of JSON in three parts, or five.
const JSON: &str = "eyJ";
/// The shortest of them.
pub(super) const SHORTEST: usize = 20;

/// Whether a token may have this in it.
pub(super) fn of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~' | b'+' | b'/')
}

/// Whether a word has a token in it.
pub(super) fn has_token(word: &str) -> bool {
    // Most words of a command are shorter.
    if word.len() < SHORTEST {
        return false;
    }
    let mut seen = 0;
    let mut inside = false;
    word.bytes().enumerate().any(|(at, byte)| {
        let begins = !std::mem::replace(&mut inside, byte.is_ascii_alphanumeric());
        begins && token_at(word, at, &mut seen).is_some()
    })
}

/// The end of the token that begins at this place of a text. Up to `none` no token of JSON begins, as is known from an
/// earlier look: so all looks together take time that is proportional to the text.
pub(super) fn token_at(text: &str, at: usize, none: &mut usize) -> Option<usize> {
    let rest = text.as_bytes().get(at..)?;
    // As they begin, and no more are looked at.
    if !matches!(
        rest.first()?,
        b'g' | b'x' | b's' | b'r' | b'A' | b'y' | b'n' | b'p' | b'h' | b'd' | b'S' | b'e'
    ) {
        return None;
    }
    let (beginning, least) =
        BEGINNINGS.iter().find(|(beginning, _)| rest.starts_with(beginning.as_bytes()))?;
    let rest = rest.get(beginning.len()..)?;
    let run = |rest: &[u8], of: fn(u8) -> bool| rest.iter().position(|byte| !of(*byte)).unwrap_or(rest.len());
    let length = match *beginning {
        JSON if at < *none => return None,
        JSON => {
            let of_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            let first = run(rest, of_part);
            let two = first + 1 + run(rest.get(first + 1..).unwrap_or_default(), of_part);
            if rest.get(first) != Some(&b'.') || rest.get(two) != Some(&b'.') {
                let end = if rest.get(first) == Some(&b'.') { two } else { first };
                *none = at + beginning.len() + end;
                return None;
            }
            let more = run(rest.get(two..)?, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
            });
            let dots = rest.get(..two + more)?.iter().rev().take_while(|byte| **byte == b'.').count();
            (two + more).saturating_sub(dots)
        }
        "AKIA" | "ASIA" => {
            let key = rest.get(..16)?;
            let alone = !rest.get(16).is_some_and(|byte| of_token(*byte) && !matches!(byte, b'.' | b'/'));
            let good = key.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            if alone && good { 16 } else { return None }
        }
        _ => run(rest, of_token),
    };
    (length >= *least).then_some(at + beginning.len() + length)
}
