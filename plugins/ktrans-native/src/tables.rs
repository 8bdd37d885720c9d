//! Texts that are copied often: padded, so that most copies have a fixed length.

/// Room that a buffer needs behind its last text, because padding is copied too.
pub const SLACK: usize = 64;
const SHORT: usize = 32;
const MEDIUM: usize = 64;

/// The same text for every row.
pub struct Same {
    padded: Vec<u8>,
    len: usize,
}

impl Same {
    /// Returns a text that can be copied.
    pub fn new(text: &[u8]) -> Self {
        let mut padded = text.to_vec();
        padded.resize(text.len().next_multiple_of(SHORT), 0);
        Same { padded, len: text.len() }
    }

    /// Returns the text.
    pub fn text(&self) -> &[u8] {
        &self.padded[..self.len]
    }

    /// Copies the text and returns where it ends.
    #[inline]
    pub fn put(&self, out: &mut [u8], at: usize) -> usize {
        for (index, chunk) in self.padded.chunks_exact(SHORT).enumerate() {
            let start = at + index * SHORT;
            out[start..start + SHORT].copy_from_slice(chunk);
        }
        at + self.len
    }
}

/// What stands around a value, or instead of it.
pub struct Around {
    pub before: Same,
    pub after: Same,
    pub absent: Same,
}

impl Around {
    /// Returns the most bytes of a row, if its value has so many.
    pub fn most(&self, value: usize) -> usize {
        (self.before.len + value + self.after.len).max(self.absent.len)
    }
}

/// Which values are there: a bit for each, the lowest first.
#[derive(Clone, Copy)]
pub struct Valid<'a> {
    bits: &'a [u8],
    first: usize,
}

impl<'a> Valid<'a> {
    /// Returns the bits of so many values, behind `first` others; None if they are too few.
    pub fn new(bits: &'a [u8], first: usize, count: usize) -> Option<Self> {
        (bits.len() * 8 >= first + count).then_some(Valid { bits, first })
    }

    /// Returns whether a value is there.
    #[inline]
    pub fn has(&self, index: usize) -> bool {
        let bit = self.first + index;
        self.bits[bit / 8] >> (bit % 8) & 1 == 1
    }
}

/// Texts as Arrow has them, one behind the other.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    offsets: &'a [i32],
    data: &'a [u8],
    valid: Option<Valid<'a>>,
}

impl<'a> Texts<'a> {
    /// Returns the texts, or None if offsets do not ascend or point behind the data.
    pub fn new(offsets: &'a [i32], data: &'a [u8], valid: Option<Valid<'a>>) -> Option<Self> {
        let (first, last) = (*offsets.first()?, *offsets.last()?);
        let ascend = offsets.windows(2).fold(true, |so_far, pair| so_far & (pair[0] <= pair[1]));
        let inside = first >= 0 && ascend && last as usize <= data.len();
        inside.then_some(Texts { offsets, data, valid })
    }

    /// Returns how many texts there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the bytes of all texts.
    pub fn bytes(&self) -> usize {
        (self.offsets[self.len()] - self.offsets[0]) as usize
    }

    /// Returns the bytes of the longest text.
    pub fn longest(&self) -> usize {
        self.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
    }

    /// Returns a text, or None where it is null.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        if self.valid.is_some_and(|valid| !valid.has(index)) {
            return None;
        }
        Some(&self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize])
    }

    /// Returns a text, and all bytes from its first on; None where it is null.
    #[inline]
    pub fn get_padded(&self, index: usize) -> Option<(&'a [u8], &'a [u8])> {
        Some((self.get(index)?, &self.data[self.offsets[index] as usize..]))
    }

    /// Returns how many bytes of all texts are of a kind.
    pub fn count(&self, is: impl Fn(u8) -> bool) -> usize {
        let all = &self.data[self.offsets[0] as usize..self.offsets[self.len()] as usize];
        all.iter().filter(|&&byte| is(byte)).count()
    }

    /// Copies a text with what stands around it and returns where it ends.
    #[inline]
    pub fn put(&self, out: &mut [u8], at: usize, index: usize, around: &Around) -> usize {
        let Some(text) = self.get(index) else {
            return around.absent.put(out, at);
        };
        let at = around.before.put(out, at);
        let start = self.offsets[index] as usize;
        match self.data.get(start..start + SHORT) {
            Some(padded) if text.len() <= SHORT => out[at..at + SHORT].copy_from_slice(padded),
            _ => out[at..at + text.len()].copy_from_slice(text),
        }
        around.after.put(out, at + text.len())
    }
}

/// Distinct texts with what stands around them. The last byte of an entry is the length of its text.
pub enum Table {
    Short(Vec<[u8; SHORT]>),
    Medium(Vec<[u8; MEDIUM]>),
}

impl Table {
    /// Returns a table, or None if a text is too long for it.
    pub fn new(texts: Texts<'_>, around: &Around) -> Option<Self> {
        let most = around.most(texts.longest());
        if most < SHORT {
            Some(Table::Short(entries(texts, around)))
        } else {
            (most < MEDIUM).then(|| Table::Medium(entries(texts, around)))
        }
    }

    /// Returns the bytes of the longest text, or a few more.
    pub fn longest(&self) -> usize {
        match self {
            Table::Short(_) => SHORT,
            Table::Medium(_) => MEDIUM,
        }
    }

    /// Copies a text and returns where it ends.
    #[inline]
    pub fn put(&self, out: &mut [u8], at: usize, index: usize) -> usize {
        match self {
            Table::Short(entries) => put_entry(out, at, &entries[index]),
            Table::Medium(entries) => put_entry(out, at, &entries[index]),
        }
    }
}

#[inline]
fn put_entry<const N: usize>(out: &mut [u8], at: usize, entry: &[u8; N]) -> usize {
    out[at..at + N].copy_from_slice(entry);
    at + usize::from(entry[N - 1])
}

fn entries<const N: usize>(texts: Texts<'_>, around: &Around) -> Vec<[u8; N]> {
    let entry = |index| {
        let whole = match texts.get(index) {
            Some(text) => [around.before.text(), text, around.after.text()],
            None => [around.absent.text(), &[], &[]],
        };
        let (mut entry, mut end) = ([0; N], 0);
        for text in whole {
            entry[end..end + text.len()].copy_from_slice(text);
            end += text.len();
        }
        entry[N - 1] = end as u8;
        entry
    };
    (0..texts.len()).map(entry).collect()
}
