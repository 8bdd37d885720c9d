//! Reads lines of fields into columns.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use numpy::Element;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::addresses::is_canonical;
use crate::buffers::{Numbers, Texts};
use crate::fields::{Fields, number};

/// The values of a field of all lines.
enum Column {
    Skipped,
    Text(Texts),
    Small(Numbers<u8>),
    Medium(Numbers<u16>),
    Large(Numbers<u64>),
}

#[derive(Clone, Copy)]
enum Kind {
    Skip,
    Text,
    Small,
    Medium,
    Large,
}

impl Kind {
    fn named(name: &str) -> PyResult<Kind> {
        match name {
            "skip" => Ok(Kind::Skip),
            "text" => Ok(Kind::Text),
            "uint8" => Ok(Kind::Small),
            "uint16" => Ok(Kind::Medium),
            "uint64" => Ok(Kind::Large),
            _ => Err(PyValueError::new_err(format!("{name} is not a kind of field"))),
        }
    }

    /// Returns an empty column with room for so many rows, of which so many may be distinct.
    fn column(self, rows: usize, distinct: usize) -> Column {
        match self {
            Kind::Skip => Column::Skipped,
            Kind::Text => Column::Text(Texts::with_room(rows, distinct.min(rows))),
            Kind::Small => Column::Small(Numbers::new(rows)),
            Kind::Medium => Column::Medium(Numbers::new(rows)),
            Kind::Large => Column::Large(Numbers::new(rows)),
        }
    }
}

/// Buffers of each column that is not skipped, and places of those that hold nothing but canonical addresses.
type Found<'py> = (Vec<Bound<'py, PyAny>>, Vec<usize>);

/// Reads lines of fields of one shape.
#[pyclass(frozen)]
pub struct LineReader {
    kinds: Vec<Kind>,
    addresses: Vec<bool>,
    nulls: Nulls,
    /// How many distinct texts each field had in the block before: the next one has about as many.
    distinct: Vec<AtomicUsize>,
}

#[pymethods]
impl LineReader {
    #[new]
    fn new(kinds: Vec<String>, addresses: Vec<usize>, nulls: Vec<String>) -> PyResult<Self> {
        let kinds = kinds.iter().map(|name| Kind::named(name)).collect::<PyResult<Vec<_>>>()?;
        let addresses = (0..kinds.len()).map(|place| addresses.contains(&place)).collect();
        let distinct = kinds.iter().map(|_| AtomicUsize::new(0)).collect();
        Ok(LineReader { kinds, addresses, nulls: Nulls::new(nulls), distinct })
    }

    /// Reads so many lines; None unless all of them are in order.
    fn read<'py>(
        &self,
        py: Python<'py>,
        data: &[u8],
        records: usize,
    ) -> PyResult<Option<Found<'py>>> {
        let Some((columns, canonical)) = py.detach(|| self.columns(data, records)) else {
            return Ok(None);
        };
        let columns =
            columns.into_iter().map(|column| arrays(py, column)).collect::<PyResult<_>>()?;
        Ok(Some((columns, canonical)))
    }
}

impl LineReader {
    fn columns(&self, data: &[u8], records: usize) -> Option<(Vec<Column>, Vec<usize>)> {
        let width = self.kinds.len();
        // Each field takes two bytes at least.
        let enough = width.checked_mul(records)?.checked_mul(2)? <= data.len() + 1;
        if width < 2 || records == 0 || !enough || data.len() >= i32::MAX as usize {
            return None;
        }
        if !data.ends_with(b"\n") {
            return self.columns(&[data, b"\n"].concat(), records);
        }
        let mut columns: Vec<Column> = self
            .kinds
            .iter()
            .zip(&self.distinct)
            .map(|(kind, distinct)| kind.column(records, distinct.load(Relaxed)))
            .collect();
        let mut fields = Fields::new(data, width);
        let mut rest = records;
        while rest > 0 {
            let lines = fields.advance().filter(|lines| (1..=rest).contains(lines))?;
            let mut each = columns.iter_mut().enumerate();
            if !each.all(|(place, column)| self.take(column, data, &fields, place)) {
                return None;
            }
            rest -= lines;
        }
        fields.at_end().then(|| self.finished(columns))
    }

    fn take(&self, column: &mut Column, data: &[u8], fields: &Fields<'_>, place: usize) -> bool {
        match column {
            Column::Skipped => fields.each(place, |_, _, _| true),
            Column::Text(texts) => self.take_texts(texts, data, fields, place),
            Column::Small(numbers) => self.take_numbers(numbers, data, fields, place),
            Column::Medium(numbers) => self.take_numbers(numbers, data, fields, place),
            Column::Large(numbers) => self.take_numbers(numbers, data, fields, place),
        }
    }

    fn take_texts(
        &self,
        column: &mut Texts,
        data: &[u8],
        fields: &Fields<'_>,
        place: usize,
    ) -> bool {
        let (first, codes, nulls, distinct) = column.room(fields.lines());
        fields.each(place, |line, start, end| {
            if self.nulls.contains(&data[start..end]) {
                nulls.push(first + line as u32);
            } else {
                codes[line] = distinct.code_at(data, start, end);
            }
            true
        })
    }

    fn take_numbers<T>(
        &self,
        column: &mut Numbers<T>,
        data: &[u8],
        fields: &Fields<'_>,
        place: usize,
    ) -> bool
    where
        T: Copy + Default + Element + TryFrom<u64>,
    {
        let (first, values, nulls) = column.room(fields.lines());
        fields.each(place, |line, start, end| {
            match number(data, start, end).and_then(|value| T::try_from(value).ok()) {
                Some(value) => values[line] = value,
                None if self.nulls.contains(&data[start..end]) => nulls.push(first + line as u32),
                None => return false,
            }
            true
        })
    }

    fn finished(&self, columns: Vec<Column>) -> (Vec<Column>, Vec<usize>) {
        for (column, distinct) in columns.iter().zip(&self.distinct) {
            if let Column::Text(texts) = column {
                distinct.store(texts.distinct().len(), Relaxed);
            }
        }
        let places = columns.iter().zip(&self.addresses);
        let kept = places.filter(|(column, _)| !matches!(column, Column::Skipped)).enumerate();
        let canonical = kept.filter_map(|(place, (column, address))| match column {
            Column::Text(texts) if *address => {
                texts.distinct().texts().all(is_canonical).then_some(place)
            }
            _ => None,
        });
        let canonical = canonical.collect();
        let kept = columns.into_iter().filter(|column| !matches!(column, Column::Skipped));
        (kept.collect(), canonical)
    }
}

/// Texts that stand for null.
struct Nulls {
    texts: Vec<String>,
    longest: usize,
}

impl Nulls {
    fn new(texts: Vec<String>) -> Self {
        let longest = texts.iter().map(String::len).max().unwrap_or(0);
        Nulls { texts, longest }
    }

    #[inline]
    fn contains(&self, text: &[u8]) -> bool {
        text.len() <= self.longest && self.texts.iter().any(|null| null.as_bytes() == text)
    }
}

/// Returns the buffers of a column.
fn arrays(py: Python<'_>, column: Column) -> PyResult<Bound<'_, PyAny>> {
    let found = match column {
        Column::Skipped => py.None().into_bound(py),
        Column::Text(texts) => texts.into_arrays(py).into_pyobject(py)?.into_any(),
        Column::Small(numbers) => numbers.into_arrays(py).into_pyobject(py)?.into_any(),
        Column::Medium(numbers) => numbers.into_arrays(py).into_pyobject(py)?.into_any(),
        Column::Large(numbers) => numbers.into_arrays(py).into_pyobject(py)?.into_any(),
    };
    Ok(found)
}
