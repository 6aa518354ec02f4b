//! Names of variables, options and fields that hold secrets.

use std::sync::LazyLock;

/// Part of a name, whatever stands between its words.
const PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "credential",
    "authorization",
    "sessionid",
    "cookie",
    "authkey",
    "sessionkey",
];
/// The whole of a name.
const WHOLE: &[&str] = &["pwd", "pass", "auth", "pat"];
/// The last word of a name in capitals, as of a variable.
const OF_VARIABLES: &[&str] = &["pass", "pat"];
/// The end of a word.
const ENDS: &[&str] = &["token", "pwd"];

/// The last word of what tells about a secret, or where it is.
const ABOUT: &[&str] =
    &["file", "path", "dir", "name", "id", "url", "prompt", "policy", "length", "stdin", "count", "manager"];
/// Of tokens more is told: they are counted, and they have types and ends.
const ABOUT_TOKENS: &[&str] = &[
    "count",
    "counts",
    "type",
    "types",
    "kind",
    "limit",
    "limits",
    "expiry",
    "expires",
    "expiration",
    "exp",
    "ttl",
    "age",
    "lifetime",
    "duration",
    "timeout",
    "interval",
    "budget",
    "usage",
    "used",
    "len",
    "size",
    "uri",
    "endpoint",
    "issuer",
    "audience",
    "scope",
    "scopes",
    "bucket",
    "ring",
    "stream",
    "index",
    "idx",
    "ids",
    "number",
    "num",
    "rate",
    "cost",
    "price",
    "version",
    "format",
    "valid",
    "validity",
    "level",
    "regex",
    "pattern",
    "prefix",
    "header",
    "field",
    "param",
    "provider",
    "source",
    "store",
    "service",
    "server",
    "host",
    "port",
    "cache",
    "dim",
    "embedding",
    "embeddings",
    "vocab",
    "mask",
    "per",
    "in",
    "at",
];
/// What tokens of a text are called by, which are no secrets: `max_tokens`.
const COUNTED: &[&str] = &[
    "max",
    "min",
    "num",
    "n",
    "total",
    "prompt",
    "completion",
    "input",
    "output",
    "cached",
    "cache",
    "new",
    "used",
    "count",
    "limit",
    "budget",
    "context",
    "thinking",
    "reasoning",
    "remaining",
    "per",
    "stop",
    "special",
    "added",
    "generated",
    "maximum",
    "minimum",
    "of",
    "usage",
];

/// Which letters a name has, as bits.
fn letters(name: &str) -> u32 {
    // Large and small ones have the same last five bits.
    name.bytes().fold(0, |set, byte| set | u32::from(byte >= b'@') << (byte & 31))
}

/// The letters of the words above: of those whose letters another one has as well, the fewer.
static LETTERS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut all: Vec<u32> = [PARTS, WHOLE, ENDS].into_iter().flatten().map(|word| letters(word)).collect();
    all.sort_by_key(|word| word.count_ones());
    let mut fewest: Vec<u32> = Vec::new();
    for word in all {
        if !fewest.iter().any(|fewer| word & fewer == *fewer) {
            fewest.push(word);
        }
    }
    fewest
});

/// Whether what has this name is secret. Case and the signs between words do not matter.
pub(super) fn is_secret(name: &str) -> bool {
    const LONGEST: usize = 128;
    // Most names lack letters that each of the words has, which takes one look over them.
    let there = letters(name);
    if !LETTERS.iter().any(|word| there & word == *word) {
        return false;
    }
    if !may_be_secret(name, &mut [0; LONGEST]) {
        return false;
    }
    // Of a very long name the end tells.
    let from = (name.len().saturating_sub(LONGEST)..name.len()).find(|from| name.is_char_boundary(*from));
    let name = from.and_then(|from| name.get(from..)).unwrap_or_default();
    let words = words(name);
    let plain = words.replace('_', "");
    let capitals = !name.bytes().any(|byte| byte.is_ascii_lowercase());
    // Where somebody is, and not what they know.
    if capitals && matches!(plain.as_str(), "pwd" | "oldpwd") {
        return false;
    }
    let last = words.rsplit('_').next().unwrap_or_default();
    if is_about(last) && !plain.ends_with("sessionid") && !plain.ends_with("secretid") {
        return false;
    }
    has_one(plain.as_bytes(), &[PARTS])
        || WHOLE.contains(&plain.as_str())
        || (capitals && OF_VARIABLES.contains(&last))
        || is_a_token(&words)
}

/// Whether the letters of a name, one after the other, have a word from above in them: the look before the one at words.
fn may_be_secret<const LONGEST: usize>(name: &str, buffer: &mut [u8; LONGEST]) -> bool {
    let start = name.len().saturating_sub(LONGEST);
    let end = name.as_bytes().get(start..).unwrap_or_default();
    let letters = end.iter().filter(|byte| byte.is_ascii_alphabetic());
    let len = buffer.iter_mut().zip(letters).map(|(to, from)| *to = from.to_ascii_lowercase()).count();
    let plain = buffer.get(..len).unwrap_or_default();
    has_one(plain, &[PARTS, ENDS]) || WHOLE.iter().any(|whole| plain.ends_with(whole.as_bytes()))
}

/// Whether one of the words is part of a name. `str::contains` prepares for long texts, which takes longer than to look.
fn has_one(plain: &[u8], all: &[&[&str]]) -> bool {
    // As they begin.
    let begins = |byte: &u8| matches!(byte, b'p' | b's' | b'a' | b'e' | b'c' | b't');
    let has = |place: usize| {
        let rest = plain.get(place..).unwrap_or_default();
        all.iter().copied().flatten().any(|part| rest.starts_with(part.as_bytes()))
    };
    plain.iter().zip(0..).filter(|(byte, _)| begins(byte)).any(|(_, place)| has(place))
}

/// The words of a name in small letters with `_` between them, without the numbers at their ends.
fn words(name: &str) -> String {
    fn end(words: &mut String) {
        words.truncate(words.trim_end_matches(|c: char| c.is_ascii_digit()).len());
        if !(words.is_empty() || words.ends_with('_')) {
            words.push('_');
        }
    }
    let mut words = String::with_capacity(name.len() + name.len() / 2 + 1);
    let mut small = false;
    for byte in name.bytes() {
        if !byte.is_ascii_alphanumeric() || (small && byte.is_ascii_uppercase()) {
            end(&mut words);
        }
        small = byte.is_ascii_lowercase();
        if byte.is_ascii_alphanumeric() {
            words.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    end(&mut words);
    words.truncate(words.trim_end_matches('_').len());
    words
}

/// Whether the last word says that the name is not of a secret: `password_file`, and `passwordfile` as well, though not
/// `password_android`.
fn is_about(last: &str) -> bool {
    ABOUT.iter().any(|about| {
        last.strip_suffix(about).is_some_and(|rest| {
            rest.is_empty() || [PARTS, ENDS].into_iter().flatten().any(|part| rest.ends_with(part))
        })
    })
}

fn is_a_token(words: &str) -> bool {
    let about = |word: &str| ABOUT.contains(&word) || ABOUT_TOKENS.contains(&word);
    let counted = |word: &str| COUNTED.contains(&word);
    // Of what comes before and after the words that name it.
    let (mut first, mut of_a_text, mut named) = (true, false, false);
    for word in words.split('_') {
        named = match word.strip_suffix("tokens") {
            // Several of them: by itself it is mostly a number.
            Some("") => (named && !about(word)) || !(first || of_a_text),
            Some(_) => true,
            None => ENDS.iter().any(|end| word.ends_with(end)) || (named && !about(word)),
        };
        of_a_text |= counted(word);
        first = false;
    }
    named
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names_are_told_by_their_words() {
        for name in [
            "PASSWORD",
            "DB_PASSWORD",
            "dbPassword",
            "PASSWORD_ANDROID",
            "VAULT_SECRET_ID",
            "session-id",
            "TOKEN",
            "TOKEN1",
            "API_TOKENS",
            "GITHUB_TOKEN_PROD",
            "githubTokenProd",
            "--auth-token",
            "-Dpassword",
            "MYSQL_PWD",
            "pwd",
            "X-Api-Key",
            "accessToken",
            "refresh_tokens",
            "DB_PASS",
            "GITHUB_PAT",
            "PGPASSWORD",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "PWD",
            "OLDPWD",
            "bypass",
            "--tokenizer",
            "keyboard",
            "token_count",
            "tokenCount",
            "password_policy",
            "password-file",
            "passwordfile",
            "--max-tokens",
            "max_tokens",
            "tokens",
            "prompt_tokens",
            "token_type",
            "key",
            "AWS_ACCESS_KEY_ID",
            "compass",
            "first_pass",
            "--password-stdin",
            "",
            "-",
            "é",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
