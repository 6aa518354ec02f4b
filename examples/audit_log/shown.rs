//! What a log holds, for the eyes of people: it may not move the cursor, turn the line around or hide in it.

use std::fmt::Write;

/// The text with what is not seen, or changes how the rest is seen, as escapes such as `\u{202e}`; a backslash is written twice.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            _ => push(&mut out, char),
        }
    }
    out
}

/// The same for sentences of several lines, in which what is quoted has its escapes already.
pub(crate) fn shown_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => out.push('\n'),
            _ => push(&mut out, char),
        }
    }
    out
}

/// JSON, with such characters as its own escapes: who parses it finds the same.
pub(crate) fn shown_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    // JSON has escaped the controls in its strings, so what else is found stands in one.
    for char in json.chars() {
        if char == '\n' || is_seen(char) {
            out.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

fn push(out: &mut String, char: char) {
    match is_seen(char) {
        true => out.push(char),
        false => out.extend(char.escape_debug()),
    }
}

/// The standard library's `escape_debug` knows what is printable. The text before makes it leave marks alone that join the
/// character before, which many scripts are written with.
fn is_seen(char: char) -> bool {
    if char.is_ascii() {
        return !char.is_ascii_control();
    }
    let mut text = String::from("x");
    text.push(char);
    text.escape_debug().count() == 2
}
