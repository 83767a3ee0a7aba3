//! Genesys' times in the form that nearly all of them have: `2026-11-23T10:00:00.123Z`.

use crate::scan::{Cursor, Odd, Take};

/// A time, as text: later ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time([u8; 24]);

impl Time {
    /// `text` where it has the usual form and is a day that every year has.
    pub fn usual(text: &str) -> Option<Time> {
        let bytes: [u8; 24] = text.as_bytes().try_into().ok()?;
        const FORM: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
        for (byte, form) in bytes.iter().zip(FORM) {
            let fits = match form {
                b'0' => byte.is_ascii_digit(),
                _ => byte == form,
            };
            if !fits {
                return None;
            }
        }
        let two = |at: usize| (bytes[at] - b'0') * 10 + (bytes[at + 1] - b'0');
        let days = match two(5) {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28,
            _ => return None,
        };
        let is_day = (1..=days).contains(&two(8));
        let is_time = two(11) < 24 && two(14) < 60 && two(17) < 60;
        (is_day && is_time && &bytes[..4] != b"0000").then_some(Time(bytes))
    }

    /// The time as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A time in the usual form, or null; what else there may be is Python's.
pub fn instant(cursor: &mut Cursor<'_>) -> Take<Option<Time>> {
    match cursor.maybe_string()? {
        None => Ok(None),
        Some(text) => Time::usual(text).map(Some).ok_or(Odd),
    }
}
