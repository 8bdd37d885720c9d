//! Native readers and encoders of ktrans: bytes in, plain buffers out.

mod addresses;
mod buffers;
mod digits;
mod fields;
mod intern;
mod join;
mod json;
mod json_block;
mod json_columns;
mod json_scan;
mod json_text;
mod json_times;
mod lines;
mod maps;
mod tables;
mod words;

use pyo3::panic::PanicException;
use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("PanicException", module.py().get_type::<PanicException>())?;
    module.add_class::<json::JsonReader>()?;
    module.add_class::<lines::LineReader>()?;
    module.add_function(wrap_pyfunction!(join::join, module)?)?;
    Ok(())
}
