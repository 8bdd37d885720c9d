//! Growing columns, and their buffers as numpy arrays.

use numpy::{Element, IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::intern::Interner;

/// Bits of the rows that are not null.
pub type Bits<'py> = Bound<'py, PyArray1<u8>>;

/// Which rows have a value: a bit for each, the lowest first, as Arrow has it.
#[derive(Default)]
pub struct Validity {
    bits: Vec<u8>,
    rows: usize,
    nulls: usize,
}

impl Validity {
    /// Adds a row.
    #[inline]
    pub fn push(&mut self, valid: bool) {
        if self.rows % 8 == 0 {
            self.bits.push(0);
        }
        if valid {
            if let Some(last) = self.bits.last_mut() {
                *last |= 1 << (self.rows % 8);
            }
        } else {
            self.nulls += 1;
        }
        self.rows += 1;
    }

    /// Returns the bits, or None if no row is null.
    pub fn into_array(self, py: Python<'_>) -> Option<Bits<'_>> {
        (self.nulls > 0).then(|| self.bits.into_pyarray(py))
    }
}

/// A column of numbers, while it grows.
pub struct Numbers<T> {
    values: Vec<T>,
    valid: Validity,
}

impl<T: Copy + Default + Element> Numbers<T> {
    /// Returns an empty column with room for so many rows.
    pub fn new(rows: usize) -> Self {
        Numbers { values: Vec::with_capacity(rows), valid: Validity::default() }
    }

    /// Adds a row; None is null.
    #[inline]
    pub fn push(&mut self, value: Option<T>) {
        self.values.push(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }

    /// Returns the values in order; None is null.
    pub fn iter(&self) -> impl Iterator<Item = Option<T>> {
        let valid = |row: usize| self.valid.bits[row / 8] >> (row % 8) & 1 == 1;
        self.values.iter().enumerate().map(move |(row, value)| valid(row).then_some(*value))
    }

    /// Returns the values and the bits of those that are not null.
    pub fn into_arrays(self, py: Python<'_>) -> (Bound<'_, PyArray1<T>>, Option<Bits<'_>>) {
        (self.values.into_pyarray(py), self.valid.into_array(py))
    }
}

/// A column of texts by distinct value, while it grows.
pub struct Texts {
    codes: Numbers<i32>,
    distinct: Interner,
}

/// Codes, bits of those that are not null, offsets and bytes of the distinct texts.
pub type TextArrays<'py> = (
    Bound<'py, PyArray1<i32>>,
    Option<Bits<'py>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<u8>>,
);

impl Texts {
    /// Returns an empty column with room for so many rows.
    pub fn new(rows: usize) -> Self {
        Texts { codes: Numbers::new(rows), distinct: Interner::default() }
    }

    /// Adds a row; None is null.
    #[inline]
    pub fn push(&mut self, text: Option<&[u8]>) {
        let code = text.map(|text| self.distinct.code(text));
        self.codes.push(code);
    }

    /// Returns the distinct texts.
    pub fn distinct(&self) -> &Interner {
        &self.distinct
    }

    /// Returns the column's buffers.
    pub fn into_arrays(self, py: Python<'_>) -> TextArrays<'_> {
        let (codes, valid) = self.codes.into_arrays(py);
        let (offsets, data) = self.distinct.into_parts();
        (codes, valid, offsets.into_pyarray(py), data.into_pyarray(py))
    }
}
