//! Native readers and encoders of ktrans: bytes in, plain buffers out.

mod addresses;
mod buffers;
mod intern;
mod json;
mod json_columns;
mod json_scan;
mod json_times;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<json::JsonReader>()?;
    Ok(())
}
