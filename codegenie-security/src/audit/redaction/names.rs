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
    let end = name.get(start..).unwrap_or(name);
    let plain: String =
        end.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    // Where somebody is, and not what they know.
    if matches!(plain.as_str(), "pwd" | "oldpwd") && name.chars().all(|c| c.is_ascii_uppercase()) {
        return false;
    }
    let of_a_place = ["file", "path", "dir", "name", "id", "url", "prompt", "policy", "length"];
    if of_a_place.iter().any(|end| plain.ends_with(end)) && !plain.ends_with("sessionid") {
        return false;
    }
    PARTS.iter().any(|part| plain.contains(part))
        || WHOLE.contains(&plain.as_str())
        || ENDS.iter().any(|end| plain.ends_with(end))
}
