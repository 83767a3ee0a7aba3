//! What is remembered of each conversation, bounded as Python's memory is.
//!
//! A conversation without a live leg is forgotten when it has been quiet for a grace; beyond a
//! number of conversations the quietest is, one without a live leg first. Nothing is put to rest:
//! what stands here is smaller than what Python keeps at rest.

use std::collections::HashMap;
use std::sync::Arc;

use crate::times::Time;

/// Beyond so many holds, parks and codes of one leg, older ones are forgotten.
const MAX_OFTEN: usize = 1_000;
/// Conversations that are forgotten at once, so that no frame waits long for them.
const TIDY_AT_ONCE: usize = 64;
/// Bodies that are kept: repeats and changes follow closely.
const MAX_BODIES: usize = 256;
const MAX_BODY_BYTES: usize = 32 * 1024;
const NONE: u32 = u32::MAX;

/// The holds, or the parks, of one leg. `since` is a time, or `#` and a number, or `~` while a leg
/// rings again after its park.
#[derive(Default)]
pub struct Spell {
    /// What names the one that lasts.
    pub since: Option<Box<str>>,
    /// The latest time that was ever shown.
    pub last: Option<Time>,
}

/// What only the leg of an agent or user has.
#[derive(Default)]
pub struct Service {
    /// When it was connected.
    pub since: Option<Time>,
    /// The queue while it lived.
    pub queue_id: Option<Box<str>>,
    /// Its role, as a place in `words::ROLES`.
    pub role: Option<u8>,
    /// The participant that the role is about.
    pub on: Option<Box<str>>,
    /// The wrap-up codes that were seen, the latest last.
    pub codes: Vec<Box<str>>,
    /// When that one was saved.
    pub coded_at: Option<Time>,
}

/// One communication of one participant, as far as it was told.
pub struct Leg {
    /// The first half of its key.
    pub participant_id: Box<str>,
    /// The second half: the communication's id, or its medium.
    pub communication_id: Box<str>,
    /// Its place in `words::MEDIA`.
    pub medium: u8,
    /// A hash of what its last reading showed.
    pub seen: Option<i64>,
    /// A bit for each transition that was told and comes once.
    pub once: u8,
    /// The others that were told.
    pub often: Option<Vec<Box<str>>>,
    /// Whether it is over.
    pub ended: bool,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Its holds.
    pub hold: Option<Box<Spell>>,
    /// Its parks.
    pub park: Option<Box<Spell>>,
    /// What only staff have.
    pub service: Option<Box<Service>>,
}

impl Leg {
    /// A leg of which nothing was told.
    pub fn new(participant_id: &str, communication_id: &str, medium: u8) -> Self {
        Leg {
            participant_id: participant_id.into(),
            communication_id: communication_id.into(),
            medium,
            seen: None,
            once: 0,
            often: None,
            ended: false,
            ended_at: None,
            hold: None,
            park: None,
            service: None,
        }
    }

    /// Notes that a transition of those that come often was told; whether it was not yet.
    pub fn is_new(&mut self, mark: String) -> bool {
        match &mut self.often {
            Some(often) if often.len() < MAX_OFTEN => {
                if often.iter().any(|told| **told == *mark) {
                    return false;
                }
                often.push(mark.into());
            }
            often => *often = Some(vec![mark.into()]),
        }
        true
    }
}

/// What one participant of the last snapshot showed.
#[derive(Default)]
pub struct Known {
    /// Python's hash of its bytes.
    pub digest: Option<i64>,
    /// Where they begin in the conversation's `body`.
    pub at: u32,
    /// How many bytes; 0 where that is not known.
    pub size: u32,
    /// Its legs, by their places in the conversation.
    pub legs: Vec<u16>,
    /// Whether all had ended there.
    pub ended: bool,
}

/// All that is known of one conversation.
pub struct Conversation {
    /// Its legs in the order in which they were first seen.
    pub legs: Vec<Leg>,
    /// The participants of the last snapshot, in its order.
    pub known: Vec<Known>,
    /// The participants as they were written, where they are among the latest of all; else empty.
    pub body: Vec<u8>,
    /// Which body of all that were kept it is.
    pub stamp: u64,
    /// How many legs have not ended.
    pub open: u32,
    /// Which legs had ended when an `end` was told, as hashes.
    pub ends: Vec<i64>,
    /// When the last frame came.
    pub last_frame: f64,
    /// Legs may have been held or resumed unseen since.
    pub doubtful: bool,
    /// The last news was, and what it did not show has not counted yet.
    pub late: bool,
    /// How many interruptions there had been when the last frame came.
    pub interruptions: u64,
}

impl Conversation {
    /// One of which nothing is known.
    pub fn new(interruptions: u64) -> Self {
        Conversation {
            legs: Vec::new(),
            known: Vec::new(),
            body: Vec::new(),
            stamp: 0,
            open: 0,
            ends: Vec::new(),
            last_frame: 0.0,
            doubtful: true,
            late: false,
            interruptions,
        }
    }

    /// The place of a leg.
    pub fn leg(&self, participant_id: &str, communication_id: &str) -> Option<usize> {
        self.legs.iter().position(|leg| {
            *leg.communication_id == *communication_id && *leg.participant_id == *participant_id
        })
    }
}

struct Slot {
    id: Arc<str>,
    conversation: Conversation,
    before: u32,
    behind: u32,
    is_open: bool,
}

/// Slots in the order of their last frames.
#[derive(Clone, Copy)]
struct Order {
    first: u32,
    last: u32,
}

const EMPTY: Order = Order {
    first: NONE,
    last: NONE,
};

/// The conversations, by id. The map is hashed under a key that nobody knows.
pub struct Memory {
    most: usize,
    grace: f64,
    places: HashMap<Arc<str>, u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    open: Order,
    over: Order,
    /// Where the bodies are, and their stamps: a ring.
    bodies: Vec<(u32, u64)>,
    stamp: u64,
}

impl Memory {
    /// An empty one. `grace` is in seconds.
    pub fn new(most: usize, grace: f64) -> Self {
        Memory {
            most,
            grace,
            places: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            open: EMPTY,
            over: EMPTY,
            bodies: vec![(NONE, 0); MAX_BODIES],
            stamp: 0,
        }
    }

    /// Keeps the bytes of a conversation's last snapshot, until as many more were kept as may be.
    pub fn keep_body(&mut self, place: u32, body: &[u8]) {
        self.stamp += 1;
        let stamp = self.stamp;
        let turn = (stamp % MAX_BODIES as u64) as usize;
        let (last, last_stamp) = std::mem::replace(&mut self.bodies[turn], (place, stamp));
        let mut room = Vec::new();
        if last != NONE {
            if let Some(oldest) = self.at_mut(last).filter(|one| one.stamp == last_stamp) {
                room = std::mem::take(&mut oldest.body);
            }
        }
        let Some(conversation) = self.at_mut(place) else {
            return;
        };
        if conversation.body.capacity() == 0 {
            conversation.body = room;
        }
        conversation.stamp = stamp;
        conversation.body.clear();
        if body.len() <= MAX_BODY_BYTES {
            conversation.body.extend_from_slice(body);
        }
    }

    /// How many conversations there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Where a conversation is.
    pub fn place(&self, id: &str) -> Option<u32> {
        self.places.get(id).copied()
    }

    /// The conversation at a place.
    pub fn at(&self, place: u32) -> Option<&Conversation> {
        Some(&self.slots[place as usize].as_ref()?.conversation)
    }

    /// The conversation at a place, to be changed.
    pub fn at_mut(&mut self, place: u32) -> Option<&mut Conversation> {
        Some(&mut self.slots[place as usize].as_mut()?.conversation)
    }

    /// Puts in a conversation that was unknown. Where there are too many, the quietest goes.
    pub fn insert(&mut self, id: &str, conversation: Conversation) -> u32 {
        if self.places.len() >= self.most {
            let first = if self.over.first == NONE {
                self.open.first
            } else {
                self.over.first
            };
            self.remove_at(first);
        }
        let id: Arc<str> = id.into();
        let is_open = conversation.open > 0;
        let slot = Slot {
            id: id.clone(),
            conversation,
            before: NONE,
            behind: NONE,
            is_open,
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place as usize] = Some(slot);
                place
            }
            None => {
                self.slots.push(Some(slot));
                (self.slots.len() - 1) as u32
            }
        };
        self.places.insert(id, place);
        self.link(place, is_open);
        place
    }

    /// Makes a conversation the one that was seen last.
    pub fn touch(&mut self, place: u32) {
        self.unlink(place);
        let Some(slot) = self.slots[place as usize].as_mut() else {
            return;
        };
        slot.is_open = slot.conversation.open > 0;
        let is_open = slot.is_open;
        self.link(place, is_open);
    }

    /// Takes a conversation out.
    pub fn remove(&mut self, id: &str) -> Option<Conversation> {
        let place = self.place(id)?;
        self.remove_at(place)
    }

    /// Forgets what has been over and quiet for a grace, so many at once.
    pub fn tidy(&mut self, now: f64) {
        for _ in 0..TIDY_AT_ONCE {
            let first = self.over.first;
            if first == NONE {
                return;
            }
            match self.at(first) {
                Some(oldest) if oldest.last_frame + self.grace <= now => {
                    self.remove_at(first);
                }
                _ => return,
            }
        }
    }

    fn remove_at(&mut self, place: u32) -> Option<Conversation> {
        if place == NONE {
            return None;
        }
        self.unlink(place);
        let slot = self.slots[place as usize].take()?;
        self.places.remove(&slot.id);
        self.free.push(place);
        Some(slot.conversation)
    }

    fn link(&mut self, place: u32, is_open: bool) {
        let last = self.order(is_open).last;
        if let Some(slot) = self.slots[place as usize].as_mut() {
            slot.before = last;
            slot.behind = NONE;
        }
        if last == NONE {
            self.order(is_open).first = place;
        } else if let Some(slot) = self.slots[last as usize].as_mut() {
            slot.behind = place;
        }
        self.order(is_open).last = place;
    }

    fn unlink(&mut self, place: u32) {
        let Some(slot) = self.slots[place as usize].as_ref() else {
            return;
        };
        let (before, behind, is_open) = (slot.before, slot.behind, slot.is_open);
        if before == NONE {
            self.order(is_open).first = behind;
        } else if let Some(slot) = self.slots[before as usize].as_mut() {
            slot.behind = behind;
        }
        if behind == NONE {
            self.order(is_open).last = before;
        } else if let Some(slot) = self.slots[behind as usize].as_mut() {
            slot.before = before;
        }
    }

    fn order(&mut self, is_open: bool) -> &mut Order {
        if is_open {
            &mut self.open
        } else {
            &mut self.over
        }
    }
}
