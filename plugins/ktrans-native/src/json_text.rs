//! Texts of JSON: where they end, and what their escapes stand for.

/// Writes a text without its escapes. One that stands for NUL or half a character is refused.
pub fn unescape(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    while let Some(place) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..place]);
        let mut used = place + 2;
        let byte = match rest.get(place + 1)? {
            byte @ (b'"' | b'\\' | b'/') => *byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (character, bytes) = unicode(&rest[used..])?;
                used += bytes;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[used..];
                continue;
            }
            _ => return None,
        };
        out.push(byte);
        rest = &rest[used..];
    }
    out.extend_from_slice(rest);
    Some(())
}

/// Returns the character whose digits these are, and how many bytes they take.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let first = hex(text.get(..4)?)?;
    if (0xd800..0xdc00).contains(&first) && text.get(4..6)? == b"\\u" {
        let second = hex(text.get(6..10)?)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        let code = 0x10000 + ((first - 0xd800) << 10) + second;
        return Some((char::from_u32(code)?, 10));
    }
    char::from_u32(first).filter(|character| *character != '\0').map(|character| (character, 4))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code, byte| Some(code * 16 + char::from(*byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use crate::json_scan::Scanner;

    fn is_text(text: &str) -> bool {
        Scanner::new(text.as_bytes()).skip(1).is_some()
    }

    #[test]
    fn texts_lose_their_escapes() {
        for (text, plain) in [
            (r#"a\"b\\c\/d\b\f\n\r\te""#, "a\"b\\c/d\u{8}\u{c}\n\r\te"),
            (r#"12345678\u00e9\uD83D\uDE00 and so on""#, "12345678é😀 and so on"),
        ] {
            let mut scanner = Scanner::new(text.as_bytes());
            assert_eq!(scanner.text(), Some(None));
            assert_eq!(scanner.plain, plain.as_bytes());
        }
        assert_eq!(
            Scanner::new("é, 12345678\"".as_bytes()).text(),
            Some(Some("é, 12345678".as_bytes()))
        );
        for bad in [
            r#""\x""#,
            r#""\u12""#,
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\u0000""#,
            r#""\u+123""#,
            r#""\""#,
            r#"""#,
            "\"a\u{1}\"",
            "\"12345678\n\"",
            r#""12345678\"#,
        ] {
            assert!(!is_text(bad), "{bad}");
        }
    }
}
