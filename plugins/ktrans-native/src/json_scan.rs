//! Reads JSON (RFC 8259) value by value. None stands for text that is left to the reference.

use crate::json_text::unescape;
use crate::words::special;

/// Numbers of more bytes may be beyond the range of doubles.
const SHORT: usize = 300;
/// So many digits are always within int64.
const SAFE_DIGITS: usize = 18;

/// A number as it is written.
#[derive(Debug, PartialEq)]
pub enum Number<'a> {
    Whole(i64),
    /// A minus zero, or an integer beyond int64.
    Wide,
    /// One with a fraction or an exponent.
    Fraction(&'a [u8]),
}

/// A place in a text of JSON that is UTF-8.
pub struct Scanner<'a> {
    data: &'a [u8],
    pub at: usize,
    /// The last text that had escapes, without them.
    pub plain: Vec<u8>,
}

impl<'a> Scanner<'a> {
    /// Begins at the first byte.
    pub fn new(data: &'a [u8]) -> Self {
        Scanner { data, at: 0, plain: Vec::new() }
    }

    /// Returns the next byte, or 0 at the end.
    #[inline]
    pub fn peek(&self) -> u8 {
        self.data.get(self.at).copied().unwrap_or(0)
    }

    /// Returns whether there are no more bytes.
    pub fn is_done(&self) -> bool {
        self.at == self.data.len()
    }

    /// Returns what there is from a place to here.
    pub fn since(&self, start: usize) -> Option<&'a [u8]> {
        self.data.get(start..self.at)
    }

    /// Passes a byte.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Option<()> {
        let there = self.peek() == byte;
        self.at += usize::from(there);
        there.then_some(())
    }

    /// Passes some bytes; false if others are there.
    #[inline]
    pub fn passes(&mut self, bytes: &[u8]) -> bool {
        let there = self.data.get(self.at..self.at + bytes.len()) == Some(bytes);
        self.at += if there { bytes.len() } else { 0 };
        there
    }

    /// Passes blanks; a newline ends a record.
    #[inline]
    pub fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    /// Passes the colon behind a name, and blanks.
    #[inline]
    pub fn colon(&mut self) -> Option<()> {
        self.blanks();
        self.expect(b':')?;
        self.blanks();
        Some(())
    }

    /// Passes what is behind a member or an element: returns whether another one follows.
    #[inline]
    pub fn another(&mut self, close: u8) -> Option<bool> {
        self.blanks();
        if self.peek() == b',' {
            self.at += 1;
            self.blanks();
            return Some(true);
        }
        self.expect(close)?;
        Some(false)
    }

    /// Passes a text as far as its last quote, and returns it; None in it if it has escapes: see `plain`.
    #[inline]
    pub fn text(&mut self) -> Option<Option<&'a [u8]>> {
        let start = self.at;
        let mut escaped = false;
        while let Some(word) = self.data.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let marks = special(u64::from_le_bytes(*word));
            if marks == 0 {
                self.at += 8;
                continue;
            }
            self.at += marks.trailing_zeros() as usize / 8;
            if self.data[self.at] != b'\\' {
                break;
            }
            escaped = true;
            self.at += 2;
        }
        while let Some(&byte) = self.data.get(self.at) {
            match byte {
                b'"' => {
                    let text = &self.data[start..self.at];
                    self.at += 1;
                    if !escaped {
                        return Some(Some(text));
                    }
                    self.plain.clear();
                    unescape(text, &mut self.plain)?;
                    return Some(None);
                }
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                0x20.. => self.at += 1,
                _ => return None,
            }
        }
        None
    }

    /// Passes a number.
    #[inline]
    pub fn number(&mut self) -> Option<Number<'a>> {
        let start = self.at;
        let negative = self.peek() == b'-';
        self.at += usize::from(negative);
        let first = self.at;
        let mut value = 0u64;
        while let digit @ b'0'..=b'9' = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || (digits > 1 && self.data[first] == b'0') {
            return None;
        }
        if matches!(self.peek(), b'.' | b'e' | b'E') {
            return self.fraction(start).map(Number::Fraction);
        }
        if digits <= SAFE_DIGITS && (value > 0 || !negative) {
            let value = value as i64;
            return Some(Number::Whole(if negative { -value } else { value }));
        }
        let text = std::str::from_utf8(self.since(start)?).ok()?;
        match text.parse() {
            Ok(value) if value != 0 => Some(Number::Whole(value)),
            _ => (text.len() <= SHORT).then_some(Number::Wide),
        }
    }

    /// Passes the rest of a number whose integer part is done, and returns all of it if it is finite.
    fn fraction(&mut self, start: usize) -> Option<&'a [u8]> {
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        let exponent = matches!(self.peek(), b'e' | b'E');
        if exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        let text = self.since(start)?;
        if exponent || text.len() > SHORT {
            double(text).filter(|number| number.is_finite())?;
        }
        Some(text)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Passes a value with at most so many levels.
    pub fn skip(&mut self, levels: usize) -> Option<()> {
        match self.peek() {
            b'"' => {
                self.at += 1;
                self.text().map(|_| ())
            }
            b'{' | b'[' => self.nested(levels).map(|_| ()),
            b't' => self.passes(b"true").then_some(()),
            b'f' => self.passes(b"false").then_some(()),
            b'n' => self.passes(b"null").then_some(()),
            _ => self.number().map(|_| ()),
        }
    }

    /// Passes an object or an array with at most so many levels, and returns it as it is written.
    pub fn nested(&mut self, levels: usize) -> Option<&'a [u8]> {
        let start = self.at;
        let below = levels.checked_sub(1)?;
        let object = self.peek() == b'{';
        let close = if object { b'}' } else { b']' };
        self.at += 1;
        self.blanks();
        if self.peek() == close {
            self.at += 1;
            return self.since(start);
        }
        loop {
            if object {
                self.expect(b'"')?;
                self.text()?;
                self.colon()?;
            }
            self.skip(below)?;
            if !self.another(close)? {
                return self.since(start);
            }
        }
    }
}

/// Returns the number that a text is.
pub fn double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> bool {
        let mut scanner = Scanner::new(text.as_bytes());
        scanner.skip(4).is_some() && scanner.at == text.len()
    }

    #[test]
    fn numbers_follow_the_grammar() {
        for (text, number) in [
            ("0", Number::Whole(0)),
            ("-12", Number::Whole(-12)),
            ("9223372036854775807", Number::Whole(i64::MAX)),
            ("-9223372036854775808", Number::Whole(i64::MIN)),
            ("9223372036854775808", Number::Wide),
            ("-0", Number::Wide),
            ("-0.0", Number::Fraction(b"-0.0")),
            ("1E+3", Number::Fraction(b"1E+3")),
        ] {
            assert_eq!(Scanner::new(text.as_bytes()).number(), Some(number), "{text}");
        }
        let long = "9".repeat(400);
        for bad in
            ["", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1e999", "NaN", "0x1", &long]
        {
            assert!(!whole(bad), "{bad}");
        }
    }

    #[test]
    fn values_are_strict() {
        for good in ["{}", "[ ]", "{\"a\" : [1,\t{\"\":null}], \"a\":true}", "[[[[]]]]", "false"] {
            assert!(whole(good), "{good}");
        }
        for bad in [
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1 2]",
            "nul",
            "[\n]",
            "{a:1}",
            "]",
            "[[[[[]]]]]",
            "[",
            "{\"a\":[}",
        ] {
            assert!(!whole(bad), "{bad}");
        }
    }
}
