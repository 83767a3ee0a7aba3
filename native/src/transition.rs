//! What a reading consists of: legs as it shows them, and the transitions that it adds.

use crate::after_call::Work;
use crate::frame::{Communication, Participant};
use crate::ids::Id;
use crate::memory::Leg;
use crate::times::Time;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The conversation was seen first.
    Start,
    /// A leg dials.
    Dial,
    /// A leg rings.
    Alert,
    /// A leg was connected.
    Answer,
    /// A hold began.
    Hold,
    /// A hold ended.
    Resume,
    /// A park began.
    Park,
    /// A park ended.
    Unpark,
    /// A leg was left by a transfer.
    Transfer,
    /// A leg ended.
    Disconnect,
    /// After-call work began.
    Acw,
    /// After-call work ended.
    AcwEnd,
    /// A code was saved.
    Wrapup,
    /// All legs ended.
    End,
}

impl Kind {
    /// Its place in the tables of names.
    pub fn place(self) -> usize {
        self as usize
    }

    /// The event type.
    pub fn name(self) -> &'static str {
        KINDS[self.place()]
    }

    /// The bit of a transition that a leg has once: `BITS` of transition.py.
    pub fn bit(self) -> u8 {
        match self {
            Kind::Answer => 1,
            Kind::Disconnect => 2,
            Kind::Alert => 4,
            Kind::Dial => 8,
            Kind::Transfer => 16,
            Kind::Acw => 32,
            Kind::AcwEnd => 64,
            _ => 0,
        }
    }
}

/// The names of all kinds, in their order.
pub const KINDS: [&str; 14] = [
    "start",
    "dial",
    "alert",
    "answer",
    "hold",
    "resume",
    "park",
    "unpark",
    "transfer",
    "disconnect",
    "acw",
    "acw_end",
    "wrapup",
    "end",
];

/// One leg as one reading shows it.
pub struct View<'f, 'a> {
    /// Whose it is.
    pub participant: &'f Participant<'a>,
    /// What it shows.
    pub communication: &'f Communication<'a>,
    /// Its place in the conversation.
    pub leg: usize,
    /// Its state.
    pub state: &'a str,
    /// Its after-call work and code.
    pub work: Option<Work<'a>>,
    /// Whether the reading differs from the last one.
    pub news: bool,
    /// Whether there was none.
    pub first: bool,
    /// When it was connected.
    pub connected: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Since when it is held.
    pub held_since: Option<Time>,
    /// When it was parked.
    pub parked_at: Option<Time>,
    /// Whether the participant got another leg since this one ended.
    pub is_followed: bool,
    /// Whether the frame shows the leg earlier than it is known to be.
    pub is_late: bool,
}

impl View<'_, '_> {
    /// Whether the reading shows it held.
    pub fn held(&self) -> bool {
        self.communication.held == Some(true)
    }
}

/// Whose a transition is.
pub enum Whose {
    /// That of a view, by its place.
    Leg(usize),
    /// The conversation's, with its id.
    Conversation(Id),
}

/// Something that a reading shows and that was not told before.
pub struct Transition<'a> {
    /// Whose it is.
    pub of: Whose,
    /// What happened.
    pub kind: Kind,
    /// When, where Genesys says so.
    pub at: Option<Time>,
    /// The state after it.
    pub state: &'a str,
    /// What tells apart those that a leg can have several of.
    pub which: String,
    /// Whether the leg is held.
    pub held: bool,
    /// Since when.
    pub hold_started_at: Option<Time>,
    /// The code.
    pub code: Option<Box<str>>,
    /// Whether it says how the leg is, not that something happened to it.
    pub snapshot: bool,
    /// Whether the time is not a bound.
    pub exact: bool,
}

impl<'a> Transition<'a> {
    /// A transition that a leg has once.
    pub fn new(view: usize, kind: Kind, at: Option<Time>, state: &'a str) -> Self {
        Transition {
            of: Whose::Leg(view),
            kind,
            at,
            state,
            which: String::new(),
            held: false,
            hold_started_at: None,
            code: None,
            snapshot: false,
            exact: true,
        }
    }

    /// How a leg is, without a time.
    pub fn reading(view: usize, kind: Kind, state: &'a str) -> Self {
        Transition {
            snapshot: true,
            ..Transition::new(view, kind, None, state)
        }
    }
}

/// Adds a transition that a leg has once, unless it was told before.
pub fn tell<'a>(
    told: &mut Vec<Transition<'a>>,
    leg: &mut Leg,
    view: usize,
    kind: Kind,
    at: Option<Time>,
    state: &'a str,
) {
    let bit = kind.bit();
    if leg.once & bit == 0 {
        leg.once |= bit;
        told.push(Transition::new(view, kind, at, state));
    }
}

/// Adds a transition that a leg can have several of, as `tell` does; whether it was new.
pub fn tell_often<'a>(
    told: &mut Vec<Transition<'a>>,
    leg: &mut Leg,
    transition: Transition<'a>,
) -> bool {
    let mut mark = String::with_capacity(32);
    mark.push_str(transition.kind.name());
    mark.push_str(&transition.which);
    if !leg.is_new(mark) {
        return false;
    }
    told.push(transition);
    true
}
