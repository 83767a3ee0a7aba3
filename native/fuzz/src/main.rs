//! Feeds the reading of frames with what libFuzzer thinks up: `make fuzz-scanner`.
//!
//! It is the crate without its border to Python. An input is a history: each of its lines is a
//! message. Nothing may panic, and each record's value must be JSON. A conversation must come back
//! from Python as it went there.
#![no_main]
#![allow(dead_code)]

use std::hash::{DefaultHasher, Hash, Hasher};

use libfuzzer_sys::fuzz_target;

use events::{events, Encoding};
use frame::{fits, frame, Last, MAX_FRAME};
use memory::{digest, Conversation, Known, Leg, Memory};
use rules::{last, transitions, Hashes};
use scan::{Cursor, Take};

#[path = "../../src/after_call.rs"]
mod after_call;
#[path = "../../src/events.rs"]
mod events;
#[path = "../../src/frame.rs"]
mod frame;
#[path = "../../src/ids.rs"]
mod ids;
#[path = "../../src/lend.rs"]
mod lend;
#[path = "../../src/memory.rs"]
mod memory;
#[path = "../../src/pack.rs"]
mod pack;
#[path = "../../src/rules.rs"]
mod rules;
#[path = "../../src/scan.rs"]
mod scan;
#[path = "../../src/spells.rs"]
mod spells;
#[path = "../../src/times.rs"]
mod times;
#[path = "../../src/transition.rs"]
mod transition;
#[path = "../../src/words.rs"]
mod words;

const NOW: &str = "2026-11-23T10:00:00.000Z";
const MOST: usize = 4;

/// In place of Python's hashes.
struct Ours;

impl Hashes for Ours {
    fn of_bytes(&self, bytes: &[u8]) -> Take<i64> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Ok(hasher.finish() as i64)
    }

    fn of_legs(&self, legs: &[&Leg]) -> Take<i64> {
        let mut sum = 0i64;
        for leg in legs {
            let name = format!("{} {}", leg.participant_id, leg.communication_id);
            sum = sum.wrapping_add(self.of_bytes(name.as_bytes())?);
        }
        Ok(sum)
    }
}

/// What is remembered, of which Python has nothing.
struct Remembered<'m>(&'m Memory);

impl Last for Remembered<'_> {
    fn known(&self, id: &str) -> Take<(&[Known], &[u8])> {
        let conversation = self.0.place(id).and_then(|place| self.0.at(place));
        Ok(conversation.map_or((&[], &[]), |one| last(one, 0)))
    }

    fn hash(&self, bytes: &[u8]) -> Take<i64> {
        Ours.of_bytes(bytes)
    }
}

/// Reads a message as `Reader::frame` does; null where it is left to Python.
fn read(memory: &mut Memory, raw: &[u8], now: f64, encoding: Encoding) -> Option<String> {
    memory.tidy(now);
    let text = std::str::from_utf8(raw)
        .ok()
        .filter(|text| text.len() <= MAX_FRAME)?;
    let read = frame(text, &Remembered(memory)).ok()?;
    let place = memory.place(read.id);
    if !fits(place.and_then(|place| memory.at(place)), &read.pieces) {
        return None;
    }
    let mut new = Conversation::new(0);
    let conversation = match place {
        Some(place) => memory.at_mut(place)?,
        None => &mut new,
    };
    conversation.last_frame = now;
    let found = transitions(conversation, &read, 0, &Ours).ok()?;
    let mut buffer = Vec::new();
    for told in events(conversation, &read, &found, NOW, encoding, &mut buffer) {
        let value = &buffer[told.value];
        if encoding == Encoding::Json {
            let value = std::str::from_utf8(value).expect("a value is text");
            let mut cursor = Cursor::new(value);
            assert!(
                cursor.skip().is_ok() && cursor.is_over(),
                "no JSON: {value}"
            );
        }
    }
    let place = match place {
        Some(place) => {
            memory.touch(place);
            place
        }
        None => memory.insert(read.id, new),
    };
    if read.is_new {
        memory.keep_body(place, read.body, &Ours);
    }
    Some(read.id.to_owned())
}

/// Lends a conversation to Python, which gives it back.
fn lend(memory: &mut Memory, id: &str) {
    let Some(mut conversation) = memory.remove(id) else {
        return;
    };
    digest(&mut conversation.known, &conversation.body, &Ours);
    let state = lend::state(conversation);
    let back = lend::conversation(state.clone()).expect("what was held can be held again");
    memory.insert(id, back);
    let again = memory.remove(id).map(lend::state);
    assert!(again == Some(state.clone()), "lending changed it");
    memory.insert(id, lend::conversation(state).expect("as before"));
}

fuzz_target!(|data: &[u8]| {
    let mut memory = Memory::new(MOST, 3.0);
    for (turn, raw) in data.split(|&byte| byte == b'\n').enumerate() {
        let encoding = if turn % 2 == 0 {
            Encoding::Json
        } else {
            Encoding::Msgpack
        };
        if let Some(id) = read(&mut memory, raw, turn as f64, encoding) {
            if turn % 3 == 2 {
                lend(&mut memory, &id);
            }
        }
        assert!(memory.len() <= MOST);
    }
});
