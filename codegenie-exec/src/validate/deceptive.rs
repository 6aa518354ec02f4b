//! Text that looks like something else than it is.

/// Characters that make text look like something else.
pub(super) fn deceptive_character(text: &str) -> Option<&'static str> {
    text.chars().find_map(|c| match c {
        '\n' | '\t' => None,
        c if c.is_control() => Some("a control character"),
        '\u{00ad}'
        | '\u{034f}'
        | '\u{061c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2060}'..='\u{2064}'
        | '\u{206a}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => Some("an invisible character"),
        // What looks like a space and separates no words.
        c if c != ' ' && c.is_whitespace() => Some("a space that is none"),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some("a character that turns the text direction")
        }
        _ => None,
    })
}
