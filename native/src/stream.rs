//! Cuts text messages out of a stream of WebSocket frames: the common case of
//! listeners/receive/frames.py, which reads all else.

use pyo3::buffer::{PyBuffer, ReadOnlyCell};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// The first byte of a text that is one frame.
const WHOLE_TEXT: u8 = 0x81;
const SHORT: usize = 125;
/// In place of a length: it stands in the next two bytes.
const IN_TWO: u8 = 126;

/// Adds the whole messages from `at` on to `items`, as far as these are texts in one frame each, of
/// at most `limit` bytes; gives the place behind them. `view` ends at `end`.
#[pyfunction]
pub fn texts(
    view: &Bound<'_, PyAny>,
    mut at: usize,
    end: usize,
    limit: usize,
    items: &Bound<'_, PyList>,
) -> PyResult<usize> {
    let py = view.py();
    let buffer = PyBuffer::<u8>::get(view)?;
    let bytes = buffer.as_slice(py).and_then(|bytes| bytes.get(..end));
    while let Some(frame) = bytes.and_then(|bytes| bytes.get(at..)) {
        let Some((head, text)) = text(frame).filter(|(_, text)| text.len() <= limit) else {
            break;
        };
        items.append(PyBytes::new_with(py, text.len(), |room| {
            for (byte, cell) in room.iter_mut().zip(text) {
                *byte = cell.get();
            }
            Ok(())
        })?)?;
        at += head + text.len();
    }
    Ok(at)
}

/// The size of the head and the text of the frame that comes, where it is such a one and is whole.
fn text(frame: &[ReadOnlyCell<u8>]) -> Option<(usize, &[ReadOnlyCell<u8>])> {
    let byte = |place: usize| frame.get(place).map(ReadOnlyCell::get);
    if byte(0)? != WHOLE_TEXT {
        return None;
    }
    let (head, size) = match byte(1)? {
        IN_TWO => (4, usize::from(u16::from_be_bytes([byte(2)?, byte(3)?]))),
        size => (2, usize::from(size)),
    };
    // A short length in two bytes is an error, and a greater one is masked or stands in eight.
    if (size > SHORT) != (head == 4) {
        return None;
    }
    Some((head, frame.get(head..head + size)?))
}
