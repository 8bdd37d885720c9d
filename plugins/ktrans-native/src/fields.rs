//! Where the fields of lines begin and end, and what their digits mean.

use memchr::{memchr2, memmem};

use crate::words::{HIGH, ONES, word_at};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const CHUNK: usize = 64;
/// So many fields, or a few lines of many, are looked for before they are read: they are still in the cache.
const ENOUGH: usize = 2048;
/// So many fields of a chunk are taken without a question.
const USUAL: usize = 12;
/// Makes counting zeros simple: bits are counted that are there, or do not matter.
const LAST: u64 = 1 << 63;

/// Finds the fields of lines, some lines at a time.
pub struct Fields<'a> {
    data: &'a [u8],
    width: usize,
    scanned: usize,
    /// Where each field begins; behind the last the next one would.
    starts: Vec<u32>,
    known: usize,
    lines: usize,
}

impl<'a> Fields<'a> {
    /// Takes lines of so many fields, two at least; there is a newline at the end, and u32 holds all places.
    pub fn new(data: &'a [u8], width: usize) -> Self {
        let starts = vec![0; ENOUGH.max(width * 4) + CHUNK + 1];
        Fields { data, width, scanned: 0, starts, known: 1, lines: 0 }
    }

    /// Goes on to the next lines and returns how many there are; None if a byte in them is suspicious.
    pub fn advance(&mut self) -> Option<usize> {
        let done = self.lines * self.width;
        self.starts.copy_within(done..self.known, 0);
        self.known -= done;
        let enough = self.starts.len() - CHUNK;
        while self.known < enough && self.scanned < self.data.len() {
            self.scan();
        }
        self.lines = (self.known - 1) / self.width;
        let (begin, end) = (self.starts[0] as usize, self.starts[self.lines * self.width] as usize);
        is_clean(&self.data[begin..end]).then_some(self.lines)
    }

    /// Returns how many lines there are at the moment.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Returns whether all fields were found, and no line is incomplete.
    pub fn at_end(&self) -> bool {
        self.scanned >= self.data.len() && self.known == self.lines * self.width + 1
    }

    /// Calls a function with number, begin and end of a field of each line, in order.
    ///
    /// Returns false as soon as the function does, a field is empty, or is not followed as it should be.
    #[inline(always)]
    pub fn each(&self, column: usize, mut take: impl FnMut(usize, usize, usize) -> bool) -> bool {
        let behind = if column + 1 == self.width { b'\n' } else { b' ' };
        let lines = self.starts[column..].chunks(self.width).take(self.lines);
        lines.enumerate().all(|(line, starts)| {
            let &[start, next, ..] = starts else { return false };
            let (start, end) = (start as usize, next as usize - 1);
            self.data[end] == behind && end > start && take(line, start, end)
        })
    }

    /// Finds the ends of fields in the next bytes.
    #[inline]
    fn scan(&mut self) {
        let rest = &self.data[self.scanned..];
        let mut ends = rest.first_chunk().map_or_else(
            || {
                let mut chunk = [u8::MAX; CHUNK];
                chunk[..rest.len()].copy_from_slice(rest);
                ends(&chunk)
            },
            ends,
        );
        let found = ends.count_ones() as usize;
        let base = self.scanned as u32 + 1;
        let out = &mut self.starts[self.known..self.known + CHUNK];
        for start in &mut out[..USUAL] {
            *start = base + (ends | LAST).trailing_zeros();
            ends &= ends.wrapping_sub(1);
        }
        if found > USUAL {
            for start in &mut out[USUAL..found] {
                *start = base + (ends | LAST).trailing_zeros();
                ends &= ends.wrapping_sub(1);
            }
        }
        self.known += found;
        self.scanned += CHUNK;
    }
}

/// Returns a bit for each byte that is a blank, or below.
///
/// The first step is written so that the compiler makes vectors of it: bits of bytes 16 apart are side by
/// side in `marks`. Then bit r of byte c of `square` is that of byte c of word r, and the square is turned.
#[inline(always)]
fn ends(chunk: &[u8; CHUNK]) -> u64 {
    let mark = |place: usize| u8::from(chunk[place] <= b' ');
    let marks: [u8; 16] = std::array::from_fn(|place| {
        mark(place) | mark(place + 16) << 2 | mark(place + 32) << 4 | mark(place + 48) << 6
    });
    let mut square = word_at(&marks, 0) | word_at(&marks, 8) << 1;
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0xcccc_0000_cccc), (28, 0xf0f0_f0f0)] {
        let swapped = (square ^ (square >> shift)) & mask;
        square ^= swapped ^ (swapped << shift);
    }
    square
}

/// Returns whether bytes are UTF-8 without byte order marks, comments and JSON.
fn is_clean(data: &[u8]) -> bool {
    let text = data.is_ascii()
        || std::str::from_utf8(data).is_ok() && memmem::find(data, BYTE_ORDER_MARK).is_none();
    text && memchr2(b'#', b'{', data).is_none()
}

/// Returns the number that is written from a place to another; None if it is not digits of a u64.
#[inline(always)]
pub fn number(data: &[u8], start: usize, end: usize) -> Option<u64> {
    match end - start {
        1..=8 if start + 8 <= data.len() => eight(data, start, end - start),
        9..=16 => {
            Some(eight(data, start, end - start - 8)? * 100_000_000 + eight(data, end - 8, 8)?)
        }
        _ => {
            let text = std::str::from_utf8(&data[start..end]).ok()?;
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
        }
    }
}

/// Returns the number of up to eight digits, all at once; eight bytes are there.
#[inline(always)]
fn eight(data: &[u8], start: usize, size: usize) -> Option<u64> {
    let unused = 64 - 8 * size;
    let digits = ((word_at(data, start) << unused) ^ (ONES * 0x30)) & (u64::MAX << unused);
    if (digits.wrapping_add(ONES * 0x76) | digits) & HIGH != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let (odd, even) = (pairs & 0x0000_00ff_0000_00ff, (pairs >> 16) & 0x0000_00ff_0000_00ff);
    let sum = odd
        .wrapping_mul(0x000f_4240_0000_0064)
        .wrapping_add(even.wrapping_mul(0x0000_2710_0000_0001));
    Some(sum >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(data: &[u8], width: usize) -> Option<Vec<String>> {
        let mut fields = Fields::new(data, width);
        let mut all = Vec::new();
        loop {
            let lines = fields.advance()?;
            let from = all.len();
            all.resize(from + lines * width, String::new());
            for column in 0..width {
                let mut place = from + column;
                let fine = fields.each(column, |_, start, end| {
                    all[place] = String::from_utf8(data[start..end].to_vec()).unwrap();
                    place += width;
                    true
                });
                if !fine {
                    return None;
                }
            }
            if lines == 0 || fields.at_end() {
                return fields.at_end().then_some(all);
            }
        }
    }

    #[test]
    fn fields_of_any_size_are_found() {
        for width in [2, 14, 9000] {
            for lines in [1, 3, 700] {
                let words: Vec<String> =
                    (0..width * lines).map(|n| "x".repeat(1 + n % 11)).collect();
                let text: Vec<String> = words.chunks(width).map(|line| line.join(" ")).collect();
                let text = text.join("\n");
                assert_eq!(found((text + "\n").as_bytes(), width).as_ref(), Some(&words));
            }
        }
        for size in 1..200 {
            let words = vec!["x".repeat(size), "y".to_owned()];
            assert_eq!(found((words.join(" ") + "\n").as_bytes(), 2), Some(words));
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for bad in [
            "a  b\n",
            " a b\n",
            "a b \n",
            "a\n",
            "a b c\n",
            "a b\n\n",
            "a\nb c\n",
            "a b\r\n",
            "a\tb\n",
            "a\0 b\n",
            "#a b\n",
            "a {b\n",
            "\u{feff}a b\n",
            "a b\nc\n",
            "a b\nc d e\n",
            "a b\n \n",
        ] {
            assert_eq!(found(bad.as_bytes(), 2), None, "{bad:?}");
        }
        assert_eq!(found(b"a \xff\n", 2), None);
        assert!(found("a \u{e9}\n".as_bytes(), 2).is_some());
    }

    #[test]
    fn only_digits_are_numbers() {
        for text in
            ["0", "7", "007", "12345678", "123456789", "1234567890123456", "18446744073709551615"]
        {
            let padded = format!("{text} 99999999");
            for data in [text, padded.as_str()] {
                assert_eq!(number(data.as_bytes(), 0, text.len()), text.parse().ok(), "{text}");
            }
        }
        for place in 0..20 {
            for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
                for size in place + 1..=20 {
                    let mut text = [b'1'; 28];
                    text[place] = byte;
                    assert_eq!(number(&text, 0, size), None);
                    assert_eq!(number(&text[..size], 0, size), None);
                }
            }
        }
        assert_eq!(number(b"18446744073709551616", 0, 20), None);
        assert_eq!(number(b"0000000000000000000000000000001", 0, 31), Some(1));
    }
}
