//! Native readers and encoders of ktrans: bytes in, plain buffers out.

mod addresses;
mod buffers;
mod fields;
mod intern;
mod lines;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<lines::LineReader>()?;
    Ok(())
}
