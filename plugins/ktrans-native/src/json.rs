//! The reader of JSON lines that Python calls.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::json_block::{Block, Kind, Known};
use crate::json_columns::{Built, Column, Rule};

/// Path of a column, and the column.
type Found<'py> = (Bound<'py, PyTuple>, Built<'py>);

/// Reads JSON objects of one shape.
#[pyclass(frozen)]
pub struct JsonReader {
    known: Known,
}

#[pymethods]
impl JsonReader {
    /// Takes the members that are known, each path after those of the objects around it.
    ///
    /// The words that say what to do with a member are `parent`, `kept` (a parent that is kept as
    /// it is written as well), `number`, `time`, `address`, `digits`; `others` is whether the values of
    /// other members are read, but for those inside kept parents.
    #[new]
    fn new(members: Vec<(Vec<String>, Vec<String>)>, others: bool) -> Self {
        let members = members.into_iter().map(|(path, words)| {
            let has = |word: &str| words.iter().any(|each| each == word);
            if has("parent") {
                return (path, Kind::Parent);
            }
            let rule = Rule {
                number: has("number"),
                time: has("time"),
                address: has("address"),
                digits: has("digits"),
            };
            (path, if has("kept") { Kind::Kept(rule) } else { Kind::Value(rule) })
        });
        JsonReader { known: Known { members: members.collect(), others } }
    }

    /// Reads so many records; None unless each is an object with values as expected.
    fn read<'py>(
        &self,
        py: Python<'py>,
        data: &[u8],
        records: usize,
    ) -> PyResult<Option<Vec<Found<'py>>>> {
        let Some(columns) = py.detach(|| columns(&self.known, data, records)) else {
            return Ok(None);
        };
        let found = columns.into_iter().map(|(path, column)| {
            let path = PyTuple::new(py, path)?;
            column.build(py).map(|built| (path, built))
        });
        found.collect::<PyResult<_>>().map(Some)
    }
}

/// Returns the columns of so many records by path, in the order in which they first appeared.
fn columns(known: &Known, data: &[u8], records: usize) -> Option<Vec<(Vec<String>, Column)>> {
    // A record takes three bytes at least, and the codes of a column are int32.
    if records.checked_mul(3)? > data.len() + 1 || i32::try_from(data.len()).is_err() {
        return None;
    }
    std::str::from_utf8(data).ok()?;
    let mut block = Block::new(data, records, known);
    block.read()?;
    Some(block.into_columns())
}
