//! What names a transition: 32 hex digits over what every source of it has in common.

use blake2b_simd::Params;

use crate::memory::Leg;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// An id, as text.
#[derive(Clone, Copy)]
pub struct Id([u8; 32]);

impl Id {
    /// The bytes of the id as text.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The id of named parts, the conversation first.
pub fn of(parts: &[&str]) -> Id {
    hash(&parts.join("\x1f"))
}

/// The id of an `end`, named by the legs that had ended.
pub fn of_end(conversation_id: &str, legs: &[&Leg]) -> Id {
    let mut names: Vec<String> = legs
        .iter()
        .map(|leg| format!("{} {}", leg.participant_id, leg.communication_id))
        .collect();
    names.sort_unstable();
    let mut parts = vec![conversation_id, "end"];
    parts.extend(names.iter().map(String::as_str));
    of(&parts)
}

fn hash(joined: &str) -> Id {
    let digest = Params::new().hash_length(16).hash(joined.as_bytes());
    let mut id = Id([0; 32]);
    for (digits, byte) in id.0.chunks_exact_mut(2).zip(digest.as_bytes()) {
        digits[0] = HEX[(byte >> 4) as usize];
        digits[1] = HEX[(byte & 15) as usize];
    }
    id
}
