//! Integers and times as text, written into a buffer. They write up to 32 bytes, whatever they need.

/// The most bytes of an integer.
pub const MAX_INTEGER: usize = 20;
/// The bytes of a time.
pub const MAX_TIME: usize = 27;

/// Writes a number and returns where it ends.
#[inline]
pub fn put_signed(out: &mut [u8], at: usize, number: i64) -> usize {
    if number < 0 {
        out[at] = b'-';
        return put_unsigned(out, at + 1, number.unsigned_abs());
    }
    put_unsigned(out, at, number.unsigned_abs())
}

/// Writes a number and returns where it ends.
#[inline]
pub fn put_unsigned(out: &mut [u8], at: usize, number: u64) -> usize {
    if number < EIGHT {
        return put_first(out, at, number);
    }
    let (rest, last) = (number / EIGHT, number % EIGHT);
    let at = if rest < EIGHT {
        put_first(out, at, rest)
    } else {
        let at = put_first(out, at, rest / EIGHT);
        put_word(out, at, eight_digits(rest % EIGHT))
    };
    put_word(out, at, eight_digits(last))
}

/// The first number of nine digits.
const EIGHT: u64 = 100_000_000;

/// Writes a number of up to eight digits without its leading zeros.
#[inline]
fn put_first(out: &mut [u8], at: usize, number: u64) -> usize {
    let digits = eight_digits(number);
    // The last digit stays, be it zero.
    let zeros = ((digits & 0x0F0F_0F0F_0F0F_0F0F) | (1 << 56)).trailing_zeros() & !7;
    put_word(out, at, digits >> zeros);
    at + 8 - zeros as usize / 8
}

#[inline]
fn put_word(out: &mut [u8], at: usize, word: u64) -> usize {
    out[at..at + 8].copy_from_slice(&word.to_le_bytes());
    at + 8
}

/// Returns eight digits, the first in the lowest byte: halves, then quarters, then eighths of the
/// word hold quotients and remainders of 10,000, 100 and 10.
#[inline]
fn eight_digits(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7F_0000_007F;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000F_000F_000F_000F;
    (tens | ((twos - tens * 10) << 8)) | 0x3030_3030_3030_3030
}

const SECONDS: usize = 256;
/// `0000-00-00T00:00:00.`
const SECOND_BYTES: usize = 20;
const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400;

/// Times as RFC 3339, of the years 0 to 9999. It keeps the texts of the last seconds.
pub struct Times {
    known: Vec<(i64, [u8; 32])>,
    zone: bool,
}

impl Times {
    /// Returns a writer of times, with a Z or without.
    pub fn new(zone: bool) -> Self {
        let mut times = Times { known: vec![(0, [0; 32]); SECONDS], zone };
        times.known.iter_mut().for_each(|each| each.1 = second_text(0));
        times
    }

    /// Writes a time of so many microseconds since 1970 and returns where it ends.
    #[inline]
    pub fn put(&mut self, out: &mut [u8], at: usize, micros: i64) -> usize {
        let (second, fraction) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
        let known = &mut self.known[second as usize % SECONDS];
        if known.0 != second {
            *known = (second, second_text(second));
        }
        out[at..at + 32].copy_from_slice(&known.1);
        if fraction != 0 {
            let digits = eight_digits(fraction as u64).to_le_bytes();
            out[at + SECOND_BYTES..at + SECOND_BYTES + 6].copy_from_slice(&digits[2..]);
        }
        at + MAX_TIME - usize::from(!self.zone)
    }
}

/// Returns a second's text, with a fraction of zero.
fn second_text(second: i64) -> [u8; 32] {
    let (year, month, day) = date(second.div_euclid(DAY));
    let rest = second.rem_euclid(DAY);
    let mut text = [0; 32];
    text[..MAX_TIME].copy_from_slice(b"0000-00-00T00:00:00.000000Z");
    text[..4].copy_from_slice(&eight_digits(year as u64 % EIGHT).to_le_bytes()[4..]);
    for (at, number) in
        [(5, month), (8, day), (11, rest / 3600), (14, rest / 60 % 60), (17, rest % 60)]
    {
        text[at..at + 2].copy_from_slice(&eight_digits(number as u64).to_le_bytes()[6..]);
    }
    text
}

/// Returns year, month and day of a day since 1970, by Gregorian rules (H. Hinnant, civil_from_days).
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 32;

    fn signed(number: i64) -> String {
        let mut out = [0; ROOM];
        let end = put_signed(&mut out, 0, number);
        String::from_utf8_lossy(&out[..end]).into_owned()
    }

    #[test]
    fn integers_have_their_digits() {
        let mut numbers = vec![i64::MIN, i64::MAX, 0];
        for power in 0..18 {
            let ten = 10i64.pow(power);
            numbers.extend([ten, ten - 1, ten + 1, -ten]);
        }
        for number in numbers {
            assert_eq!(signed(number), number.to_string());
        }
        let mut out = [0; ROOM];
        assert_eq!(put_unsigned(&mut out, 0, u64::MAX), 20);
        assert_eq!(&out[..20], b"18446744073709551615");
    }

    #[test]
    fn times_are_rfc_3339() {
        let mut times = Times::new(true);
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (256_000_001, "1970-01-01T00:04:16.000001Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (-62_167_219_200_000_000, "0000-01-01T00:00:00.000000Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        ] {
            let mut out = [0; ROOM];
            assert_eq!(times.put(&mut out, 0, micros), MAX_TIME);
            assert_eq!(String::from_utf8_lossy(&out[..MAX_TIME]), text);
        }
        assert_eq!(Times::new(false).put(&mut [0; ROOM], 0, 0), MAX_TIME - 1);
    }
}
