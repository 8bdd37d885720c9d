//! Columns of JSON values, while they grow: of one type each, or the block is left to the reference.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::addresses::is_canonical;
use crate::buffers::{Numbers, Texts};
use crate::json_scan::{Number, double};
use crate::json_times::{decimal, nanoseconds};

/// From here on doubles do not hold every integer.
const EXACT: i64 = 1 << 53;
/// Integers of so many digits are exact as doubles.
const EXACT_DIGITS: usize = 15;

/// A value as it is written.
pub enum Value<'a> {
    Text(&'a [u8]),
    Number(Number<'a>),
    Bool(bool),
    Nested(&'a [u8]),
}

/// How the values of a path are read.
#[derive(Clone, Copy, Default)]
pub struct Rule {
    pub number: bool,
    pub time: bool,
    pub address: bool,
    pub digits: bool,
}

#[derive(Default)]
enum Values {
    #[default]
    Nothing,
    Text(Texts),
    Nested(Texts),
    /// Numbers as they are written, of which some have a fraction.
    Spelled(Texts),
    Whole(Numbers<i64>),
    Double(Numbers<f64>),
    Bool(Numbers<u8>),
    Time(Numbers<i64>),
    /// Texts that are nothing but digits.
    Digits(Numbers<i64>),
}

/// The values of a path; rows that are not there yet are null.
#[derive(Default)]
pub struct Column {
    rule: Rule,
    values: Values,
    rows: usize,
    canonical: bool,
}

/// Type and buffers of a column, and whether it holds nothing but canonical addresses.
pub type Built<'py> = (&'static str, Bound<'py, PyAny>, bool);

impl Column {
    /// Returns a column without rows.
    pub fn new(rule: Rule) -> Self {
        Column { rule, ..Column::default() }
    }

    /// Adds the value of a row; None if it is not of the type of the others.
    #[inline]
    pub fn push(&mut self, row: usize, records: usize, value: Value<'_>) -> Option<()> {
        if self.rows < row || self.rows == 0 {
            self.begin(records, &value);
            self.pad(row);
        }
        self.rows = row + 1;
        match (&mut self.values, value) {
            (Values::Text(texts), Value::Text(text)) => texts.push(Some(text)),
            (Values::Nested(texts), Value::Nested(text)) => texts.push(Some(text)),
            (Values::Time(times), Value::Text(text)) => times.push(Some(nanoseconds(text)?)),
            (Values::Whole(numbers), Value::Number(Number::Whole(number))) => {
                numbers.push(Some(number));
            }
            (Values::Bool(flags), Value::Bool(flag)) => flags.push(Some(u8::from(flag))),
            (Values::Digits(numbers), Value::Text(text)) => match small(text) {
                Some(number) => numbers.push(Some(number)),
                None => self.spell(records)?.push(Some(text)),
            },
            (_, Value::Number(number)) => self.push_number(records, number)?,
            _ => return None,
        }
        Some(())
    }

    /// Adds a number to a column of which some numbers have a fraction, or will have one.
    fn push_number(&mut self, records: usize, number: Number<'_>) -> Option<()> {
        let fraction = matches!(number, Number::Fraction(_));
        if fraction && matches!(self.values, Values::Whole(_)) {
            if self.rule.number {
                self.widen(records)?;
            } else {
                self.spell(records)?;
            }
        }
        match (&mut self.values, number) {
            (Values::Double(numbers), Number::Whole(number)) => {
                numbers.push(Some(exact(number)?));
            }
            (Values::Double(numbers), Number::Fraction(text)) => {
                let number = double(text).filter(|number| number.abs() < EXACT as f64)?;
                numbers.push(Some(number));
            }
            (Values::Spelled(texts), Number::Whole(number)) => {
                texts.push(Some(number.to_string().as_bytes()));
            }
            (Values::Spelled(texts), Number::Fraction(text)) => texts.push(Some(text)),
            _ => return None,
        }
        Some(())
    }

    /// Takes the type of the first value.
    fn begin(&mut self, records: usize, first: &Value<'_>) {
        if !matches!(self.values, Values::Nothing) {
            return;
        }
        self.values = match first {
            Value::Text(_) if self.rule.time => Values::Time(Numbers::new(records)),
            Value::Text(_) if self.rule.digits => Values::Digits(Numbers::new(records)),
            Value::Text(_) => Values::Text(Texts::new(records)),
            Value::Nested(_) => Values::Nested(Texts::new(records)),
            Value::Bool(_) => Values::Bool(Numbers::new(records)),
            Value::Number(Number::Fraction(_)) if self.rule.number => {
                Values::Double(Numbers::new(records))
            }
            Value::Number(Number::Fraction(_)) => Values::Spelled(Texts::new(records)),
            Value::Number(_) => Values::Whole(Numbers::new(records)),
        };
    }

    /// Adds nulls as far as a row.
    fn pad(&mut self, row: usize) {
        let missing = self.rows..row;
        match &mut self.values {
            Values::Nothing => {}
            Values::Text(texts) | Values::Nested(texts) | Values::Spelled(texts) => {
                missing.for_each(|_| texts.push(None));
            }
            Values::Whole(numbers) | Values::Time(numbers) | Values::Digits(numbers) => {
                missing.for_each(|_| numbers.push(None));
            }
            Values::Double(numbers) => missing.for_each(|_| numbers.push(None)),
            Values::Bool(flags) => missing.for_each(|_| flags.push(None)),
        }
    }

    /// Turns integers into doubles; None if one of them is too large.
    fn widen(&mut self, records: usize) -> Option<()> {
        let Values::Whole(numbers) = &self.values else { return None };
        let mut doubles = Numbers::new(records);
        for number in numbers.iter() {
            doubles.push(match number {
                Some(number) => Some(exact(number)?),
                None => None,
            });
        }
        self.values = Values::Double(doubles);
        Some(())
    }

    /// Turns integers into their digits, and returns these.
    fn spell(&mut self, records: usize) -> Option<&mut Texts> {
        let (Values::Whole(numbers) | Values::Digits(numbers)) = &self.values else { return None };
        let mut texts = Texts::new(records);
        for number in numbers.iter() {
            texts.push(number.map(|number| number.to_string()).as_ref().map(String::as_bytes));
        }
        let was_text = matches!(self.values, Values::Digits(_));
        self.values = if was_text { Values::Text(texts) } else { Values::Spelled(texts) };
        match &mut self.values {
            Values::Text(texts) | Values::Spelled(texts) => Some(texts),
            _ => None,
        }
    }

    /// Fills the column up to so many rows, and returns whether it has values.
    pub fn finish(&mut self, records: usize) -> bool {
        self.pad(records);
        if let (Values::Text(texts), true) = (&self.values, self.rule.address) {
            self.canonical = texts.distinct().texts().all(is_canonical);
        }
        !matches!(self.values, Values::Nothing)
    }

    /// Returns the type and the buffers of a finished column.
    pub fn build(self, py: Python<'_>) -> PyResult<Built<'_>> {
        let (kind, buffers) = match self.values {
            Values::Text(texts) | Values::Spelled(texts) => {
                ("text", texts.into_arrays(py).into_bound_py_any(py)?)
            }
            Values::Nested(texts) => ("nested", texts.into_arrays(py).into_bound_py_any(py)?),
            Values::Whole(numbers) | Values::Time(numbers) | Values::Digits(numbers) => {
                ("int64", numbers.into_arrays(py).into_bound_py_any(py)?)
            }
            Values::Double(numbers) => ("float64", numbers.into_arrays(py).into_bound_py_any(py)?),
            Values::Bool(flags) => ("uint8", flags.into_arrays(py).into_bound_py_any(py)?),
            Values::Nothing => ("nothing", py.None().into_bound(py)),
        };
        Ok((kind, buffers, self.canonical))
    }
}

fn exact(number: i64) -> Option<f64> {
    (number.unsigned_abs() < EXACT as u64).then_some(number as f64)
}

/// Returns the number of a text of a few digits, without leading zeros.
#[inline]
fn small(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > EXACT_DIGITS || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    decimal(text)
}
