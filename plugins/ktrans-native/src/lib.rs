//! Native readers and encoders of ktrans: bytes in, plain buffers out.

mod addresses;
mod buffers;
mod digits;
mod intern;
mod join;
mod tables;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(join::join, module)?)?;
    Ok(())
}
