//! What the formats share: escapes, and times.

use std::fmt::Write;
use std::time::SystemTime;

/// Breaks a line somewhere, or changes how the rest of it looks.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends a text, and escapes with a backslash what `special` names, beside the backslash itself.
pub(super) fn push_escaped(out: &mut String, text: &str, special: &[char]) {
    for c in text.chars() {
        if c == '\\' || special.contains(&c) {
            out.push('\\');
            out.push(c);
        } else {
            push_safe(out, c);
        }
    }
}

/// Appends a character, or its escape where it [is unsafe](is_unsafe).
pub(crate) fn push_safe(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        // All of them are below U+10000. Writing to a String cannot fail.
        _ if is_unsafe(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
        _ => out.push(c),
    }
}

pub(super) fn epoch_nanos(time: SystemTime) -> i128 {
    let signed = |nanos: u128| i128::try_from(nanos).unwrap_or(i128::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => signed(since.as_nanos()),
        Err(error) => -signed(error.duration().as_nanos()),
    }
}

/// Milliseconds since 1970, rounded down, and as near as 64 bits come.
pub(super) fn epoch_millis(time: SystemTime) -> i64 {
    let millis = epoch_nanos(time).div_euclid(1_000_000);
    i64::try_from(millis).unwrap_or(if millis < 0 { i64::MIN } else { i64::MAX })
}

/// RFC 3339 in UTC with microseconds, rounded down. `None` outside the years 0 to 9999.
pub(crate) fn rfc3339_micros(time: SystemTime) -> Option<String> {
    let micros = epoch_nanos(time).div_euclid(1000);
    let seconds = i64::try_from(micros.div_euclid(1_000_000)).ok()?;
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let (of_day, fraction) = (seconds.rem_euclid(86_400), micros.rem_euclid(1_000_000));
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z"))
}

/// Year, month and day of a day counted from 1970, in the proleptic Gregorian calendar.
///
/// Years are counted from the first of March, so that the leap day is the last of its year; 400 of them have
/// 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_in_utc() {
        let at = |seconds: i64, nanos| {
            let whole = Duration::from_secs(seconds.unsigned_abs());
            let base = if seconds < 0 {
                SystemTime::UNIX_EPOCH.checked_sub(whole)
            } else {
                SystemTime::UNIX_EPOCH.checked_add(whole)
            };
            base.unwrap() + Duration::from_nanos(nanos)
        };
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (-1, 999_999_999, "1969-12-31T23:59:59.999999Z"),
            (951_782_400, 1_999, "2000-02-29T00:00:00.000001Z"),
            (1_709_251_199, 0, "2024-02-29T23:59:59.000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59.000000Z"),
            (-62_167_219_200, 0, "0000-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(rfc3339_micros(at(seconds, nanos)).as_deref(), Some(text));
        }
        assert_eq!(rfc3339_micros(at(253_402_300_800, 0)), None);
        assert_eq!(rfc3339_micros(at(-62_167_219_201, 0)), None);
        assert_eq!(epoch_millis(at(-1, 1)), -1000);
        assert_eq!(epoch_millis(at(i64::MAX / 2, 0)), i64::MAX);
        assert_eq!(epoch_millis(at(i64::MIN / 2, 0)), i64::MIN);
    }
}
