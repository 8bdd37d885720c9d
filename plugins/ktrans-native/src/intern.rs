//! Distinct texts of a column, in the order in which they first appear.

/// Marks a null among the codes of a column.
pub const NULL: i32 = -1;

/// A hash table of texts: each distinct text gets the next code.
pub struct Interner {
    slots: Vec<Slot>,
    offsets: Vec<i32>,
    data: Vec<u8>,
    last: i32,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    code: i32,
}

const EMPTY: Slot = Slot { hash: 0, code: NULL };
const FIRST_SLOTS: usize = 64;
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

impl Default for Interner {
    fn default() -> Self {
        Interner { slots: vec![EMPTY; FIRST_SLOTS], offsets: vec![0], data: Vec::new(), last: NULL }
    }
}

impl Interner {
    /// Returns the code of a text.
    pub fn code(&mut self, text: &[u8]) -> i32 {
        if self.last >= 0 && self.text(self.last) == text {
            return self.last;
        }
        let hash = hash(text);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.code == NULL {
                break;
            }
            if slot.hash == hash && self.text(slot.code) == text {
                self.last = slot.code;
                return slot.code;
            }
            at = (at + 1) & mask;
        }
        let code = self.len() as i32;
        self.data.extend_from_slice(text);
        self.offsets.push(self.data.len() as i32);
        self.slots[at] = Slot { hash, code };
        self.last = code;
        if self.len() * 2 > self.slots.len() {
            self.grow();
        }
        code
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

    /// Returns the offsets and the bytes of all texts.
    pub fn into_parts(self) -> (Vec<i32>, Vec<u8>) {
        (self.offsets, self.data)
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 4 - 1;
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; mask + 1]);
        for slot in old.into_iter().filter(|slot| slot.code != NULL) {
            let mut at = slot.hash as usize & mask;
            while self.slots[at].code != NULL {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }
}

/// Mixes eight bytes at a time; the length is part of it.
fn hash(text: &[u8]) -> u32 {
    let mut mixed = text.len() as u64;
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        mixed = step(mixed, u64::from_le_bytes(word.try_into().unwrap_or([0; 8])));
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        mixed = step(mixed, u64::from_le_bytes(word));
    }
    (mixed ^ (mixed >> 32)) as u32
}

fn step(mixed: u64, word: u64) -> u64 {
    let product = (mixed ^ word).wrapping_mul(MULTIPLIER);
    product ^ (product >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_order_of_first_appearance() {
        let mut texts = Interner::default();
        let words: Vec<String> = (0..5000).map(|number| format!("text-{number}")).collect();
        for _ in 0..2 {
            for (code, word) in words.iter().enumerate() {
                assert_eq!(texts.code(word.as_bytes()), code as i32);
            }
        }
        assert_eq!(texts.len(), 5000);
        assert_eq!(texts.text(4999), b"text-4999");
    }
}
