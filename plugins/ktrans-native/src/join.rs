//! Joins the parts of rows: one text for each row, all of them in one buffer.

use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::digits::{MAX_INTEGER, MAX_TIME, Times, put_signed, put_unsigned};
use crate::maps::Maps;
use crate::tables::{Around, SLACK, Same, Table, Texts, Valid};

/// A part of rows, as Python hands it over.
#[derive(FromPyObject)]
pub enum Given<'py> {
    /// The same text in each row.
    Same(PyBackedBytes),
    /// Codes of distinct texts, and those.
    Coded(Ints<'py>, GivenTexts<'py>, GivenAround),
    /// A text in each row.
    Plain(GivenTexts<'py>, GivenAround),
    /// Numbers, which of them are there, and of times whether they have a zone.
    Numbers(Values<'py>, Option<Bits<'py>>, Option<bool>, GivenAround),
    /// Maps: offsets of their pairs, keys, items, and which maps are there.
    Maps(Ints<'py>, GivenTexts<'py>, GivenTexts<'py>, Option<Bits<'py>>, GivenAround),
}

type Bytes<'py> = PyReadonlyArray1<'py, u8>;
type Ints<'py> = PyReadonlyArray1<'py, i32>;
/// A bit for each value, and how many bits stand before the first.
type Bits<'py> = (Bytes<'py>, usize);
/// Offsets and bytes of texts, and which of them are there.
type GivenTexts<'py> = (Ints<'py>, Bytes<'py>, Option<Bits<'py>>);
/// The texts before, after and instead of a value.
type GivenAround = [PyBackedBytes; 3];

#[derive(FromPyObject)]
pub enum Values<'py> {
    Signed(PyReadonlyArray1<'py, i64>),
    Unsigned(PyReadonlyArray1<'py, u64>),
}

/// A part of rows, ready to be copied.
enum Part<'a> {
    Same(Same),
    Table(&'a [i32], Table),
    Coded(&'a [i32], Texts<'a>, Around),
    Plain(Texts<'a>, Around),
    Numbers(Digits<'a>, Option<Valid<'a>>, Around),
    Maps(Maps<'a>, Around),
}

enum Digits<'a> {
    Signed(&'a [i64]),
    Unsigned(&'a [u64]),
    Times(&'a [i64], Times),
}

/// Offsets and bytes of the texts.
type Joined<'py> = (Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<u8>>);

/// Joins parts into a text for each row: their offsets, and their bytes in an array that `room` makes.
#[pyfunction]
pub fn join<'py>(
    py: Python<'py>,
    parts: Vec<Given<'py>>,
    rows: usize,
    room: Bound<'py, PyAny>,
) -> PyResult<Joined<'py>> {
    let wrong = || PyValueError::new_err("the parts do not fit the rows, or each other");
    let mut parts = prepare(&parts, rows).ok_or_else(wrong)?;
    let most = SLACK + parts.iter().map(|part| part.most(rows)).sum::<usize>();
    let data = room.call1((most,))?.cast_into::<PyArray1<u8>>()?;
    let mut buffer = data.readwrite();
    let out = buffer.as_slice_mut()?;
    let offsets = py.detach(|| fill(&mut parts, out, rows)).ok_or_else(wrong)?;
    drop(buffer);
    Ok((offsets.into_pyarray(py), data))
}

fn fill(parts: &mut [Part<'_>], out: &mut [u8], rows: usize) -> Option<Vec<i32>> {
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0);
    let mut at = 0;
    for row in 0..rows {
        for part in parts.iter_mut() {
            at = part.put(out, at, row);
        }
        offsets.push(at as i32);
    }
    i32::try_from(at).is_ok().then_some(offsets)
}

impl Part<'_> {
    /// Returns the most bytes that the rows can have of this part.
    fn most(&self, rows: usize) -> usize {
        match self {
            Part::Same(same) => same.text().len() * rows,
            Part::Table(_, table) => table.longest() * rows,
            Part::Coded(codes, texts, around) => {
                let len = |&code: &i32| texts.get(code as usize).map_or(0, <[u8]>::len);
                around.most(0) * rows + codes.iter().map(len).sum::<usize>()
            }
            Part::Plain(texts, around) => around.most(0) * rows + texts.bytes(),
            Part::Maps(maps, around) => around.most(0) * rows + maps.bytes(),
            Part::Numbers(Digits::Times(..), _, around) => around.most(MAX_TIME) * rows,
            Part::Numbers(_, _, around) => around.most(MAX_INTEGER) * rows,
        }
    }

    /// Copies the text of a row and returns where it ends.
    #[inline]
    fn put(&mut self, out: &mut [u8], at: usize, row: usize) -> usize {
        match self {
            Part::Same(same) => same.put(out, at),
            Part::Table(codes, table) => table.put(out, at, codes[row] as usize),
            Part::Coded(codes, texts, around) => texts.put(out, at, codes[row] as usize, around),
            Part::Plain(texts, around) => texts.put(out, at, row, around),
            Part::Maps(maps, around) => {
                if !maps.has(row) {
                    return around.absent.put(out, at);
                }
                let at = around.before.put(out, at);
                let at = maps.put(out, at, row);
                around.after.put(out, at)
            }
            Part::Numbers(digits, valid, around) => {
                if valid.is_some_and(|valid| !valid.has(row)) {
                    return around.absent.put(out, at);
                }
                let at = around.before.put(out, at);
                let at = match digits {
                    Digits::Signed(values) => put_signed(out, at, values[row]),
                    Digits::Unsigned(values) => put_unsigned(out, at, values[row]),
                    Digits::Times(values, times) => times.put(out, at, values[row]),
                };
                around.after.put(out, at)
            }
        }
    }
}

/// Returns the parts, constants as the beginning of what follows them; None if one does not fit.
fn prepare<'a>(given: &'a [Given<'_>], rows: usize) -> Option<Vec<Part<'a>>> {
    let mut parts = Vec::with_capacity(given.len());
    let mut first = Vec::new();
    for part in given {
        let part = match part {
            Given::Same(text) => {
                first.extend_from_slice(text);
                continue;
            }
            Given::Coded(codes, distinct, around) => {
                let (codes, texts) = (codes.as_slice().ok()?, texts(distinct)?);
                let known =
                    |&code: &i32| usize::try_from(code).is_ok_and(|code| code < texts.len());
                if codes.len() != rows || !codes.iter().all(known) {
                    return None;
                }
                let around = behind(&first, around);
                match Table::new(texts, &around).filter(|_| texts.len() <= rows + SLACK) {
                    Some(table) => Part::Table(codes, table),
                    None => Part::Coded(codes, texts, around),
                }
            }
            Given::Plain(plain, around) => Part::Plain(
                texts(plain).filter(|texts| texts.len() == rows)?,
                behind(&first, around),
            ),
            Given::Numbers(values, bits, zone, around) => {
                let valid = valid(bits, rows)?;
                Part::Numbers(digits(values, *zone, rows)?, valid, behind(&first, around))
            }
            Given::Maps(offsets, keys, items, bits, around) => {
                let offsets =
                    offsets.as_slice().ok().filter(|offsets| offsets.len() == rows + 1)?;
                let maps = Maps::new(offsets, texts(keys)?, texts(items)?, valid(bits, rows)?)?;
                Part::Maps(maps, behind(&first, around))
            }
        };
        parts.push(part);
        first.clear();
    }
    if !first.is_empty() {
        parts.push(Part::Same(Same::new(&first)));
    }
    Some(parts)
}

fn behind(first: &[u8], [before, after, absent]: &GivenAround) -> Around {
    let same = |text: &[u8]| Same::new(&[first, text].concat());
    Around { before: same(before), after: Same::new(after), absent: same(absent) }
}

fn digits<'a>(values: &'a Values<'_>, zone: Option<bool>, rows: usize) -> Option<Digits<'a>> {
    match values {
        Values::Signed(values) => {
            let values = values.as_slice().ok().filter(|values| values.len() == rows)?;
            Some(match zone {
                Some(zone) => Digits::Times(values, Times::new(zone)),
                None => Digits::Signed(values),
            })
        }
        Values::Unsigned(values) => {
            values.as_slice().ok().filter(|values| values.len() == rows).map(Digits::Unsigned)
        }
    }
}

fn texts<'a>((offsets, data, bits): &'a GivenTexts<'_>) -> Option<Texts<'a>> {
    let offsets = offsets.as_slice().ok()?;
    Texts::new(offsets, data.as_slice().ok()?, valid(bits, offsets.len().checked_sub(1)?)?)
}

fn valid<'a>(bits: &'a Option<Bits<'_>>, count: usize) -> Option<Option<Valid<'a>>> {
    match bits {
        Some((bits, first)) => Valid::new(bits.as_slice().ok()?, *first, count).map(Some),
        None => Some(None),
    }
}
