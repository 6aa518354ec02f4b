//! Readers of CEF and RFC 5424 that share nothing with the writers.

use std::collections::BTreeMap;

/// A backslash and what follows, or one character as it is.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('u') => {
                let code: String = rest.by_ref().take(4).collect();
                out.push(char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap());
            }
            Some(other) => out.push(other),
            None => panic!("an escape at the end of {text:?}"),
        }
    }
    out
}

/// Is the byte at `at` preceded by an odd number of backslashes?
fn is_escaped(text: &str, at: usize) -> bool {
    text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

pub(crate) struct Cef {
    pub(crate) header: Vec<String>,
    pub(crate) extension: BTreeMap<String, String>,
}

/// Seven fields that end with a bar, and keys that begin after a space and end with an equals sign.
pub(crate) fn cef(line: &str) -> Cef {
    let mut rest = line.strip_prefix("CEF:").unwrap();
    let mut header = Vec::new();
    while header.len() < 7 {
        let end = rest.match_indices('|').find(|(at, _)| !is_escaped(rest, *at)).unwrap().0;
        header.push(unescape(&rest[..end]));
        rest = &rest[end + 1..];
    }
    let mut extension = BTreeMap::new();
    let signs: Vec<usize> =
        rest.match_indices('=').map(|(at, _)| at).filter(|at| !is_escaped(rest, *at)).collect();
    let key_start = |sign: usize| rest[..sign].rfind(' ').map_or(0, |space| space + 1);
    for (index, sign) in signs.iter().enumerate() {
        let end = signs.get(index + 1).map_or(rest.len(), |next| key_start(*next) - 1);
        let key = rest[key_start(*sign)..*sign].to_owned();
        assert!(extension.insert(key, unescape(&rest[sign + 1..end])).is_none());
    }
    Cef { header, extension }
}

pub(crate) struct Syslog {
    pub(crate) priority: u8,
    /// TIMESTAMP, HOSTNAME, APP-NAME, PROCID, MSGID.
    pub(crate) header: Vec<String>,
    /// Elements: id, and parameters in order.
    pub(crate) data: Vec<(String, Vec<(String, String)>)>,
    pub(crate) message: String,
}

fn take<'a>(rest: &mut &'a str, end: char) -> &'a str {
    let (head, tail) = rest.split_once(end).unwrap();
    *rest = tail;
    head
}

/// The grammar of section 6, with its limits.
pub(crate) fn syslog(line: &str) -> Syslog {
    let mut rest = line.strip_prefix('<').unwrap();
    let priority = take(&mut rest, '>').parse().unwrap();
    assert!(priority <= 191);
    assert_eq!(take(&mut rest, ' '), "1");
    let limits = [32, 255, 48, 128, 32];
    let header: Vec<String> = limits
        .map(|most| {
            let field = take(&mut rest, ' ');
            assert!(
                (1..=most).contains(&field.len()) && field.bytes().all(|byte| (33..=126).contains(&byte))
            );
            field.to_owned()
        })
        .to_vec();

    let mut data = Vec::new();
    while let Some(element) = rest.strip_prefix('[') {
        let name_end = element.find([' ', ']']).unwrap();
        let id = element[..name_end].to_owned();
        assert_name(&id);
        rest = &element[name_end..];
        let mut params = Vec::new();
        while let Some(param) = rest.strip_prefix(' ') {
            rest = param;
            let name = take(&mut rest, '=').to_owned();
            assert_name(&name);
            let value = rest.strip_prefix('"').unwrap();
            let end = value.match_indices('"').find(|(at, _)| !is_escaped(value, *at)).unwrap().0;
            assert!(value[..end].match_indices(']').all(|(at, _)| is_escaped(value, at)));
            params.push((name, unescape(&value[..end])));
            rest = &value[end + 1..];
        }
        data.push((id, params));
        rest = rest.strip_prefix(']').unwrap();
    }
    let message = rest.strip_prefix(' ').unwrap();
    let message = match message.strip_prefix('\u{feff}') {
        Some(text) => text,
        None => {
            assert!(message.is_ascii(), "UTF-8 begins with a byte order mark");
            message
        }
    };
    Syslog { priority, header, data, message: message.to_owned() }
}

fn assert_name(name: &str) {
    let allowed = |byte: u8| (33..=126).contains(&byte) && !b"=]\"".contains(&byte);
    assert!((1..=32).contains(&name.len()) && name.bytes().all(allowed), "{name:?}");
}
