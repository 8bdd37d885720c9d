//! Eight bytes at once, in a word whose lowest byte is the first.

/// A one in each byte.
pub const ONES: u64 = u64::MAX / 0xff;
/// The high bit of each byte.
pub const HIGH: u64 = ONES * 0x80;

/// Returns eight bytes from a place as a number, the first byte lowest; 0 if they are not all there.
#[inline]
pub fn word_at(text: &[u8], at: usize) -> u64 {
    text.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Marks bytes that end or interrupt a text, by their high bits; what is above the lowest mark is undefined.
#[inline]
pub fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let escape = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote.wrapping_sub(ONES) & !quote | escape.wrapping_sub(ONES) & !escape | control) & HIGH
}
