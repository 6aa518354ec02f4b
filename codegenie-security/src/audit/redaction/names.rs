//! Names of variables, options and fields that hold secrets.

use std::sync::LazyLock;

/// Part of a name.
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
];
/// The whole of a name.
const WHOLE: &[&str] = &["pwd", "pass", "pgpassword", "auth", "pat"];
/// The end of a name.
const ENDS: &[&str] = &["token", "pwd", "authtoken", "authkey", "sessionkey"];

/// Which letters a name has, as bits.
fn letters(name: &str) -> u32 {
    let bit = |byte: u8| 1_u32.checked_shl(u32::from((byte | 0x20).wrapping_sub(b'a'))).unwrap_or(0);
    name.bytes().fold(0, |set, byte| set | bit(byte))
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
    // Of a very long name the end tells.
    let start = name.len().saturating_sub(LONGEST);
    let end = name.as_bytes().get(start..).unwrap_or_default();
    let mut buffer = [0; LONGEST];
    let letters = end.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let len = buffer.iter_mut().zip(letters).map(|(to, from)| *to = from.to_ascii_lowercase()).count();
    let plain = buffer.get(..len).unwrap_or_default();
    // Where somebody is, and not what they know.
    if matches!(plain, b"pwd" | b"oldpwd") && name.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return false;
    }
    let of_a_place = ["file", "path", "dir", "name", "id", "url", "prompt", "policy", "length"];
    if of_a_place.iter().any(|end| plain.ends_with(end.as_bytes())) && !plain.ends_with(b"sessionid") {
        return false;
    }
    // As one of the parts begins.
    let begins_a_part = |byte: &u8| matches!(byte, b'p' | b's' | b'a' | b'e' | b'c');
    let mut places = plain.iter().zip(0..).filter(|(byte, _)| begins_a_part(byte)).map(|(_, place)| place);
    let has_part = |place: usize| {
        let rest = plain.get(place..).unwrap_or_default();
        PARTS.iter().any(|part| rest.starts_with(part.as_bytes()))
    };
    places.any(has_part)
        || WHOLE.iter().any(|whole| plain == whole.as_bytes())
        || ENDS.iter().any(|end| plain.ends_with(end.as_bytes()))
}
