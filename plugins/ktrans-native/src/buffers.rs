//! Growing columns, and their buffers as numpy arrays.

use numpy::{Element, IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::intern::Interner;

/// Bits of the rows that are not null.
pub type Bits<'py> = Bound<'py, PyArray1<u8>>;

/// A column of numbers, while it grows.
pub struct Numbers<T> {
    values: Vec<T>,
    nulls: Vec<u32>,
}

impl<T: Copy + Default + Element> Numbers<T> {
    /// Returns an empty column with room for so many rows.
    pub fn new(rows: usize) -> Self {
        Numbers { values: Vec::with_capacity(rows), nulls: Vec::new() }
    }

    /// Adds so many rows; returns the number of the first, their values, and the rows that are null.
    pub fn room(&mut self, rows: usize) -> (u32, &mut [T], &mut Vec<u32>) {
        let first = self.values.len();
        self.values.resize(first + rows, T::default());
        (first as u32, &mut self.values[first..], &mut self.nulls)
    }

    /// Adds a row; None is null.
    #[inline]
    pub fn push(&mut self, value: Option<T>) {
        if value.is_none() {
            self.nulls.push(self.values.len() as u32);
        }
        self.values.push(value.unwrap_or_default());
    }

    /// Returns the values in order; None is null.
    pub fn iter(&self) -> impl Iterator<Item = Option<T>> {
        let mut nulls = self.nulls.iter().peekable();
        let null = move |row: usize| nulls.next_if(|null| **null as usize == row).is_some();
        self.values
            .iter()
            .enumerate()
            .scan(null, |null, (row, value)| Some((!null(row)).then_some(*value)))
    }

    /// Returns the values and the bits of those that are not null.
    pub fn into_arrays(self, py: Python<'_>) -> (Bound<'_, PyArray1<T>>, Option<Bits<'_>>) {
        let bits = (!self.nulls.is_empty()).then(|| {
            let mut bits = vec![0xff; self.values.len().div_ceil(8)];
            for row in self.nulls {
                bits[row as usize / 8] &= !(1 << (row % 8));
            }
            bits.into_pyarray(py)
        });
        (self.values.into_pyarray(py), bits)
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
        Texts::with_room(rows, 0)
    }

    /// Returns an empty column with room for so many rows, and for so many distinct texts.
    pub fn with_room(rows: usize, distinct: usize) -> Self {
        Texts { codes: Numbers::new(rows), distinct: Interner::with_room(distinct) }
    }

    /// Adds a row; None is null.
    #[inline]
    pub fn push(&mut self, text: Option<&[u8]>) {
        let code = text.map(|text| self.distinct.code(text));
        self.codes.push(code);
    }

    /// Adds so many rows as `Numbers` do, and returns the distinct texts as well.
    pub fn room(&mut self, rows: usize) -> (u32, &mut [i32], &mut Vec<u32>, &mut Interner) {
        let (first, codes, nulls) = self.codes.room(rows);
        (first, codes, nulls, &mut self.distinct)
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
