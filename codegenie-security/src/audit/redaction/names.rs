//! Names of variables, options and fields that hold secrets.

/// Whether what has this name is secret. Case and the signs between words do not matter.
pub(super) fn is_secret(name: &str) -> bool {
    const LONGEST: usize = 128;
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
    const WHOLE: &[&str] = &["pwd", "pass", "pgpassword", "auth", "pat"];
    const ENDS: &[&str] = &["token", "pwd", "authtoken", "authkey", "sessionkey"];
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
