//! Times in the text of a query: RFC 3339 in UTC.

use std::time::{Duration, SystemTime};

/// `2026-01-31` or `2026-01-31T12:00:00Z`, with up to nine digits of a second. A leap second is refused.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, clock) = match text.split_once('T') {
        Some((date, clock)) => (date, clock.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, nanos(fraction)?),
        None => (clock, 0),
    };
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 59 || day == 0 || day > days_of_month(year, month)? {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)?
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)?
    };
    base.checked_add(Duration::from_nanos(fraction))
}

fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn nanos(fraction: &str) -> Option<u64> {
    let value = u64::try_from(digits(fraction)?).ok()?;
    let missing = 9_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    Some(value * 10_u64.pow(missing))
}

fn fields(text: &str, separator: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (value, length) in found.iter_mut().zip(lengths) {
        *value = parts.next().filter(|part| part.len() == length).and_then(digits)?;
    }
    parts.next().is_none().then_some(found)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> Option<i64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap(year) { 29 } else { 28 }),
        _ => None,
    }
}

/// In the proleptic Gregorian calendar, with years that begin in March, so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before_year + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, seconds, nanos) in [
            ("1970-01-01", 0, 0),
            ("1970-01-01T00:00:00.5Z", 0, 500_000_000),
            ("2000-02-29T00:00:00.000000001Z", 951_782_400, 1),
            ("2024-02-29T23:59:59Z", 1_709_251_199, 0),
            ("2100-03-01", 4_107_542_400, 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
        ] {
            let expected = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        let year_0 = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(62_167_219_200));
        assert_eq!(parse("0000-01-01"), year_0);
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "T",
            "1970",
            "1970-1-1",
            "1970-13-01",
            "1970-00-01",
            "1970-01-00",
            "2023-02-29",
            "2100-02-29",
            "1970-01-01T00:00:00",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "2016-12-31T23:59:60Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "1970-01-01T00:00:00+00:00",
            "+970-01-01",
            "1970-01-01-01",
            "１970-01-01",
            "1970-01-01Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
