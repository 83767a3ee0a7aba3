//! What names a transition: 32 hex digits over what every source of it has in common.

use blake2b_simd::{Params, State};

use crate::memory::Leg;

/// The id of named parts, the conversation first.
pub fn of(parts: &[&str]) -> String {
    finish(fed(parts))
}

/// The id of an `end`, named by the legs that had ended.
pub fn of_end(conversation_id: &str, legs: &[&Leg]) -> String {
    let mut names: Vec<String> = legs
        .iter()
        .map(|leg| format!("{} {}", leg.participant_id, leg.communication_id))
        .collect();
    names.sort_unstable();
    let mut parts = vec![conversation_id, "end"];
    parts.extend(names.iter().map(String::as_str));
    finish(fed(&parts))
}

fn fed(parts: &[&str]) -> State {
    let mut joined = Vec::with_capacity(192);
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            joined.push(0x1f);
        }
        joined.extend_from_slice(part.as_bytes());
    }
    let mut state = Params::new().hash_length(16).to_state();
    state.update(&joined);
    state
}

fn finish(state: State) -> String {
    state.finalize().to_hex().as_str().to_owned()
}
