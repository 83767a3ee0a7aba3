//! MessagePack, as far as it is written here, and as msgspec writes it.

use crate::times::Time;

/// The head of a short array.
pub fn array(out: &mut Vec<u8>, count: u8) {
    out.push(0x90 | count);
}

/// A small number.
pub fn small(out: &mut Vec<u8>, number: u8) {
    out.push(number & 0x7f);
}

/// Null.
pub fn null(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// A truth, or null.
pub fn maybe_bool(out: &mut Vec<u8>, value: Option<bool>) {
    out.push(match value {
        None => 0xc0,
        Some(false) => 0xc2,
        Some(true) => 0xc3,
    });
}

/// Text.
pub fn text(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    let size = text.len();
    match size {
        0..=31 => out.push(0xa0 | size as u8),
        32..=0xff => out.extend_from_slice(&[0xd9, size as u8]),
        0x100..=0xffff => {
            out.push(0xda);
            out.extend_from_slice(&(size as u16).to_be_bytes());
        }
        _ => {
            out.push(0xdb);
            out.extend_from_slice(&(size as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

/// Text, or null.
pub fn maybe_text(out: &mut Vec<u8>, value: Option<impl AsRef<[u8]>>) {
    match value {
        None => null(out),
        Some(value) => text(out, value),
    }
}

/// A time, or null.
pub fn maybe_time(out: &mut Vec<u8>, value: Option<Time>) {
    maybe_text(out, value.as_ref().map(Time::bytes));
}
