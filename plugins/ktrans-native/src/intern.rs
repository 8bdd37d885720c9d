//! Distinct texts of a column, in the order in which they first appear.

use std::hash::{BuildHasher, RandomState};

use crate::words::word_at;

/// Longer texts are compared in the data as well; of others the key says all.
const KEY_BYTES: usize = 24;
const FIRST_SLOTS: usize = 64;
const GROWTH: usize = 4;

/// A hash table of texts: each distinct text gets the next code.
pub struct Interner {
    /// Half of the hash, and the code plus one; 0 is an empty slot.
    slots: Vec<[u32; 2]>,
    keys: Vec<Key>,
    offsets: Vec<i32>,
    data: Vec<u8>,
    seed: u64,
}

/// What tells texts apart: with the size, all bytes of one that is not long.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    words: [u64; 3],
    size: u64,
}

impl Default for Interner {
    fn default() -> Self {
        Interner {
            slots: vec![[0; 2]; FIRST_SLOTS],
            keys: Vec::new(),
            offsets: vec![0],
            data: Vec::new(),
            // It keeps those who write the texts from choosing ones that collide.
            seed: RandomState::new().hash_one(0),
        }
    }
}

impl Interner {
    /// Returns an empty table with room for so many texts.
    pub fn with_room(texts: usize) -> Self {
        let mut made = Interner::default();
        if texts > FIRST_SLOTS / 2 {
            made.slots = vec![[0; 2]; (texts * 2).next_power_of_two()];
            made.keys.reserve(texts);
            made.offsets.reserve(texts);
        }
        made
    }

    /// Returns the code of a text.
    #[inline]
    pub fn code(&mut self, text: &[u8]) -> i32 {
        self.code_at(text, 0, text.len())
    }

    /// Returns the code of a text that stands from a place to another; faster if some bytes follow it.
    #[inline(always)]
    pub fn code_at(&mut self, data: &[u8], start: usize, end: usize) -> i32 {
        let text = &data[start..end];
        let key = Key::of(text, data.get(start..).and_then(|rest| rest.first_chunk()));
        let hash = self.hash(&key, text);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let [other, next] = self.slots[at];
            if other == hash && next > 0 && self.is(next as usize - 1, &key, text) {
                return next as i32 - 1;
            }
            if next == 0 {
                return self.add(text, key, [hash, at as u32]);
            }
            at = (at + 1) & mask;
        }
    }

    /// Returns how many distinct texts there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the text of a code.
    pub fn text(&self, code: i32) -> &[u8] {
        let code = code as usize;
        &self.data[self.offsets[code] as usize..self.offsets[code + 1] as usize]
    }

    /// Returns all texts, in order.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|code| self.text(code as i32))
    }

    /// Returns the offsets and the bytes of all texts.
    pub fn into_parts(self) -> (Vec<i32>, Vec<u8>) {
        (self.offsets, self.data)
    }

    #[inline(always)]
    fn is(&self, code: usize, key: &Key, text: &[u8]) -> bool {
        self.keys[code] == *key && (text.len() <= KEY_BYTES || self.text(code as i32) == text)
    }

    #[inline(never)]
    fn add(&mut self, text: &[u8], key: Key, [hash, at]: [u32; 2]) -> i32 {
        let code = self.len();
        self.keys.push(key);
        self.data.extend_from_slice(text);
        self.offsets.push(self.data.len() as i32);
        self.slots[at as usize] = [hash, code as u32 + 1];
        if self.len() * 2 > self.slots.len() {
            self.grow();
        }
        code as i32
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * GROWTH - 1;
        let old = std::mem::replace(&mut self.slots, vec![[0; 2]; mask + 1]);
        for slot in old.into_iter().filter(|slot| slot[1] > 0) {
            let mut at = slot[0] as usize & mask;
            while self.slots[at][1] > 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }

    #[inline(always)]
    fn hash(&self, key: &Key, text: &[u8]) -> u32 {
        let [first, second, third] = key.words;
        let mut mixed = folded(first ^ self.seed, key.size ^ MIX_1);
        if text.len() > 8 {
            mixed = folded(mixed ^ second, third ^ MIX_2);
        }
        if text.len() > KEY_BYTES {
            for word in text.chunks_exact(8) {
                mixed = folded(mixed ^ word_at(word, 0), MIX_1);
            }
        }
        mixed as u32
    }
}

impl Key {
    /// Returns the key of a text; `begin` is eight bytes from where it begins, if there are so many.
    #[inline(always)]
    fn of(text: &[u8], begin: Option<&[u8; 8]>) -> Key {
        let size = text.len();
        let words = if size > 8 {
            [word_at(text, 0), word_at(text, size - 8), word_at(text, (size - 8).min(8))]
        } else {
            let mut bytes = [0; 8];
            let begin = begin.unwrap_or_else(|| {
                bytes[..size].copy_from_slice(text);
                &bytes
            });
            let unused = 8 * (8 - size) as u32;
            [u64::from_le_bytes(*begin) & u64::MAX.checked_shr(unused).unwrap_or(0), 0, 0]
        };
        Key { words, size: size as u64 }
    }
}

const MIX_1: u64 = 0x9E37_79B9_7F4A_7C15;
const MIX_2: u64 = 0xE703_7ED1_A0B4_28DB;

#[inline]
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_order_of_first_appearance() {
        let mut texts = Interner::default();
        let words: Vec<String> =
            (0..5000).map(|number| format!("{number}{}", "-".repeat(number % 40))).collect();
        for _ in 0..2 {
            for (code, word) in words.iter().enumerate() {
                assert_eq!(texts.code(word.as_bytes()), code as i32);
                let framed = format!("<{word} behind");
                assert_eq!(texts.code_at(framed.as_bytes(), 1, word.len() + 1), code as i32);
            }
        }
        assert_eq!(texts.len(), 5000);
        assert_eq!(texts.text(4999), words[4999].as_bytes());
        assert!(texts.texts().eq(words.iter().map(String::as_bytes)));
    }

    #[test]
    fn texts_that_differ_in_one_byte_are_distinct() {
        for size in 0..70 {
            let mut texts = Interner::default();
            let base = vec![b'a'; size];
            assert_eq!(texts.code(&base), 0);
            for place in 0..size {
                let mut other = base.clone();
                other[place] = 0;
                assert_eq!(texts.code(&other), place as i32 + 1);
            }
            assert_eq!(texts.code(&base), 0);
        }
    }
}
