//! Maps of texts as JSON objects.

use crate::tables::{Texts, Valid};
use crate::words::special;

/// A map of texts in each row.
pub struct Maps<'a> {
    offsets: &'a [i32],
    keys: Texts<'a>,
    items: Texts<'a>,
    valid: Option<Valid<'a>>,
}

impl<'a> Maps<'a> {
    /// Returns the maps, or None if offsets do not ascend or point behind the keys and items.
    pub fn new(
        offsets: &'a [i32],
        keys: Texts<'a>,
        items: Texts<'a>,
        valid: Option<Valid<'a>>,
    ) -> Option<Self> {
        let ascend = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        let last = usize::try_from(*offsets.last()?).ok()?;
        let fits = offsets[0] >= 0 && ascend && last <= keys.len() && last <= items.len();
        fits.then_some(Maps { offsets, keys, items, valid })
    }

    /// Returns the most bytes that all of them have.
    pub fn bytes(&self) -> usize {
        let pairs = self.keys.len() * r#""":null,"#.len() + self.items.len() * r#""""#.len();
        let texts =
            [self.keys, self.items].map(|texts| texts.bytes() + 5 * texts.count(is_special));
        2 * self.offsets.len() + pairs + texts[0] + texts[1]
    }

    /// Returns whether a row has a map.
    #[inline]
    pub fn has(&self, row: usize) -> bool {
        self.valid.is_none_or(|valid| valid.has(row))
    }

    /// Writes a row's map and returns where it ends.
    #[inline]
    pub fn put(&self, out: &mut [u8], mut at: usize, row: usize) -> usize {
        let mut next = b'{';
        for pair in self.offsets[row] as usize..self.offsets[row + 1] as usize {
            out[at] = next;
            next = b',';
            at = put_quoted(out, at + 1, self.keys, pair);
            out[at] = b':';
            at = put_quoted(out, at + 1, self.items, pair);
        }
        if next == b'{' {
            out[at] = next;
            at += 1;
        }
        out[at] = b'}';
        at + 1
    }
}

/// Writes a text as a JSON string, or null, and returns where it ends.
fn put_quoted(out: &mut [u8], mut at: usize, texts: Texts<'_>, index: usize) -> usize {
    let Some((text, padded)) = texts.get_padded(index) else {
        out[at..at + 4].copy_from_slice(b"null");
        return at + 4;
    };
    out[at] = b'"';
    at += 1;
    let mut from = 0;
    while from < text.len() {
        let word = match padded.get(from..from + 8) {
            Some(bytes) => u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
            None => last_word(&text[from..]),
        };
        let plain = (special(word).trailing_zeros() as usize / 8).min(text.len() - from);
        out[at..at + 8].copy_from_slice(&word.to_le_bytes());
        at += plain;
        from += plain;
        if plain < 8 && from < text.len() {
            at = put_escaped(out, at, text[from]);
            from += 1;
        }
    }
    out[at] = b'"';
    at + 1
}

fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put_escaped(out: &mut [u8], at: usize, byte: u8) -> usize {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0C => b'f',
        b'\r' => b'r',
        _ => {
            let digits =
                [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
            out[at..at + 6].copy_from_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
            return at + 6;
        }
    };
    out[at..at + 2].copy_from_slice(&[b'\\', short]);
    at + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let mut data: Vec<u8> = (0..128).collect();
        data.extend("é".as_bytes());
        let offsets = [0, 0, 3, 100, data.len() as i32];
        let texts = Texts::new(&offsets, &data, None).unwrap();
        let maps = Maps::new(&[0, 0, 1, 4], texts, texts, None).unwrap();
        let mut out = vec![0; maps.bytes() + 8];
        let mut found = Vec::new();
        for row in 0..3 {
            let end = maps.put(&mut out, 0, row);
            found.push(String::from_utf8(out[..end].to_vec()).unwrap());
        }
        assert_eq!(found[0], "{}");
        assert_eq!(found[1], r#"{"":""}"#);
        assert!(found[2].starts_with(r#"{"\u0000\u0001\u0002":"\u0000\u0001\u0002","\u0003"#));
        assert!(found[2].contains(r#"\u0007\b\t\n\u000b\f\r\u000e"#));
        assert!(found[2].contains(r##"\u001f !\"#$%"##));
        assert!(found[2].ends_with("xyz{|}~\u{7f}é\"}"));
        assert!(found[2].contains(r#"Z[\\]^_`abc""#));
    }
}
