//! Reads the common frames of interaction-mirror's listener, to the same bytes as its Python does.
//!
//! It takes a frame only where it is certain of every byte of the records, and decides that before
//! it changes what it remembers. All else it leaves to Python, which stays the reference:
//! `docs/native.md` says where each rule stands in either language.

mod after_call;
mod events;
mod frame;
mod ids;
mod lend;
mod memory;
mod murmur;
mod pack;
mod reader;
mod rules;
mod scan;
mod spells;
mod stream;
mod times;
mod transition;
mod words;

use std::sync::Mutex;

use pyo3::prelude::*;

/// Where this crate broke last.
static BROKEN: Mutex<String> = Mutex::new(String::new());

/// Where a reading broke off last, as `file.rs:line`; empty where none did.
#[pyfunction]
fn broken_at() -> String {
    BROKEN.lock().map(|place| place.clone()).unwrap_or_default()
}

/// The common frames, read natively.
#[pymodule]
fn interaction_mirror_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Its text may quote a frame, so only the place is kept, and nothing is written to stderr.
    std::panic::set_hook(Box::new(|panic| {
        if let (Some(place), Ok(mut broken)) = (panic.location(), BROKEN.lock()) {
            *broken = format!("{}:{}", place.file(), place.line());
        }
    }));
    module.add("API", 2)?;
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(broken_at, module)?)?;
    module.add_function(wrap_pyfunction!(stream::texts, module)?)?;
    module.add_class::<reader::Reader>()
}
