//! Native readers and encoders of ktrans: bytes in, plain buffers out.

mod addresses;
mod buffers;
mod intern;

use pyo3::panic::PanicException;
use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("PanicException", module.py().get_type::<PanicException>())?;
    Ok(())
}
