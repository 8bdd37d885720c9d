//! Times as RFC 3339 in UTC.

const FIRST_YEAR: i64 = 1970;
const LAST_YEAR: i64 = 2261;
const SHORTEST: usize = "0000-00-00T00:00:00Z".len();
const LONGEST: usize = SHORTEST + ".000000000".len();

/// Returns nanoseconds since 1970 of a time of the years 1970 to 2261 that ends in Z.
pub fn nanoseconds(text: &[u8]) -> Option<i64> {
    let size = text.len();
    if !(SHORTEST..=LONGEST).contains(&size) || size == SHORTEST + 1 || text[size - 1] != b'Z' {
        return None;
    }
    for (place, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if text[place] != mark {
            return None;
        }
    }
    let year = decimal(&text[..4])?;
    let (month, day) = (decimal(&text[5..7])?, decimal(&text[8..10])?);
    let (hour, minute, second) =
        (decimal(&text[11..13])?, decimal(&text[14..16])?, decimal(&text[17..19])?);
    let in_order = (FIRST_YEAR..=LAST_YEAR).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_order {
        return None;
    }
    let fraction = match &text[19..size - 1] {
        [] => 0,
        [b'.', digits @ ..] => decimal(digits)? * 10i64.pow(9 - digits.len() as u32),
        _ => return None,
    };
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000_000 + fraction)
}

/// Returns the number of some digits, at most 18; None if other bytes are among them.
#[inline]
pub fn decimal(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days from 1970 to a date, by Gregorian rules (H. Hinnant, days_from_civil).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        for (text, value) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("2000-02-29T23:59:59.5Z", 951_868_799_500_000_000),
            ("2026-05-04T08:11:43.000104729Z", 1_777_882_303_000_104_729),
            ("2261-12-31T23:59:59.999999999Z", 9_214_646_399_999_999_999),
        ] {
            assert_eq!(nanoseconds(text.as_bytes()), Some(value), "{text}");
        }
        for bad in [
            "",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.0000000001Z",
            "1970-01-01 00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:60Z",
            "1900-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2001-13-01T00:00:00Z",
            "2001-04-31T00:00:00Z",
            "1969-12-31T00:00:00Z",
            "2262-01-01T00:00:00Z",
            "2001-00-01T00:00:00Z",
            "2001-01-00T00:00:00Z",
            "2001-01-01T0a:00:00Z",
            "2001-01-01T00:00:00+00:00",
            "2001-01-01T00:00:00,5Z",
            "2001-01-01t00:00:00z",
        ] {
            assert_eq!(nanoseconds(bad.as_bytes()), None, "{bad}");
        }
    }
}
