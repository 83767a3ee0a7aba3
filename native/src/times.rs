//! Genesys' times in the form that nearly all of them have: `2026-11-23T10:00:00.123Z`.

use crate::scan::{Cursor, Odd, Take};

const FORM: &[u8; 24] = b"0000-00-00T00:00:00.000Z";

fn eight(bytes: &[u8; 24], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Whether eight bytes have digits where `form` has them, and are as `form` elsewhere.
fn has_form(bytes: u64, form: u64) -> bool {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // 0xff where the form has a digit.
    let digits = (0..8).fold(0, |mask, place| {
        let is_digit = (form >> (8 * place)) & 0xff == u64::from(b'0');
        mask | (u64::from(is_digit) * 0xff) << (8 * place)
    });
    let number = (bytes & digits) | (ZEROS & !digits);
    // Above `9` the sum reaches the highest bit, below `0` the difference does; the lowest is right.
    let odd =
        (number.wrapping_add(0x4646_4646_4646_4646) | number.wrapping_sub(ZEROS) | number) & HIGHS;
    odd == 0 && (bytes ^ form) & !digits == 0
}

/// A time, as text: later ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time([u8; 24]);

impl Time {
    /// `text` where it has the usual form and is a day that every year has.
    pub fn usual(text: &str) -> Option<Time> {
        Time::of(text.as_bytes().try_into().ok()?)
    }

    fn of(bytes: [u8; 24]) -> Option<Time> {
        for at in [0, 8, 16] {
            if !has_form(eight(&bytes, at), eight(FORM, at)) {
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

    /// The text's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A time in the usual form, or null; what else there may be is Python's.
pub fn instant(cursor: &mut Cursor<'_>) -> Take<Option<Time>> {
    // Of this form nothing needs an escape.
    let usual = cursor.short().and_then(|text| Time::of(*text));
    if usual.is_some() {
        cursor.at += FORM.len() + 2;
        return Ok(usual);
    }
    match cursor.maybe_string()? {
        None => Ok(None),
        Some(text) => Time::usual(text).map(Some).ok_or(Odd),
    }
}
