//! Private keys and addresses.

use super::ends::quotes;

pub(super) const PEM_BEGIN: &str = "-----BEGIN";
const PEM_KEY: &str = "PRIVATE KEY";
const PEM_END: &str = "-----END";
const DASHES: &str = "-----";

/// The content of a private key that begins here, from its first line's end on.
pub(super) fn private_key(rest: &str) -> Option<(usize, usize)> {
    const LONGEST: usize = 64;
    let label = rest.strip_prefix(PEM_BEGIN)?;
    let line: usize = label.chars().take(LONGEST).take_while(|c| *c != '\n').map(char::len_utf8).sum();
    let named = label.get(..line)?;
    let label_end = named.find(DASHES)?;
    let start =
        named.get(..label_end)?.contains(PEM_KEY).then_some(PEM_BEGIN.len() + label_end + DASHES.len())?;
    let body = rest.get(start..)?;
    let end = body.find(PEM_END).map_or(rest.len(), |end| start + end);
    (end > start).then_some((start, end))
}

/// `user:password@host`, as it follows `://`: where the password stands. One that has signs in it which end the name of a
/// host is told from a port by not being a number.
pub(super) fn password_in_address(rest: &str) -> Option<(usize, usize)> {
    let ends = |c: char| c.is_whitespace() || quotes(c) || matches!(c, '<' | '>');
    // As far as the next address: so all of them together are looked through once.
    let next = |at: usize| rest.get(at..).is_some_and(|rest| rest.starts_with("://"));
    let end = rest.char_indices().find(|(at, c)| ends(*c) || (*c == ':' && next(*at)));
    let extent = rest.get(..end.map_or(rest.len(), |(at, _)| at))?;
    let authority = extent.get(..extent.find(['/', '?', '#']).unwrap_or(extent.len()))?;
    let at = match authority.rfind('@') {
        Some(at) => at,
        None => {
            let (_, port) = authority.split_once(':')?;
            let number = authority.starts_with('[') || port.bytes().all(|byte| byte.is_ascii_digit());
            extent.find('@').filter(|_| !number)?
        }
    };
    let colon = extent.get(..at)?.find(':')?;
    (colon + 1 < at).then_some((colon + 1, at))
}
