//! Transitions → the values of records: what a transition is called, when it happened, who saw it.

use std::ops::Range;

use crate::frame::Frame;
use crate::ids::{self, Id};
use crate::memory::Conversation;
use crate::pack;
use crate::rules::{self, Found};
use crate::times::Time;
use crate::transition::{Kind, Transition, View, Whose};
use crate::words;

/// How values are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As text.
    Json,
    /// As MessagePack.
    Msgpack,
}

/// An event as its record needs it.
pub struct Told {
    /// Its id.
    pub event_id: Id,
    /// What happened.
    pub kind: Kind,
    /// Whether it was read, not witnessed.
    pub is_snapshot: bool,
    /// Genesys' time, null where it is ours.
    pub at: Option<Time>,
    /// Where the encoded event stands in the buffer.
    pub value: Range<usize>,
}

const FIELDS: u8 = 31;
/// What the buffer of encoded events keeps from frame to frame.
const MAX_BUFFER: usize = 64 * 1024;

struct Out<'b> {
    encoding: Encoding,
    begin: usize,
    bytes: &'b mut Vec<u8>,
}

// Each field is written with as few pieces as it has, since there are 31 of them.
macro_rules! text {
    ($out:expr, $name:literal, $value:expr) => {
        $out.text(concat!(",\"", $name, "\":\""), $name, $value)
    };
}

macro_rules! null {
    ($out:expr, $name:literal) => {
        $out.null(concat!(",\"", $name, "\":null"), $name)
    };
}

macro_rules! maybe {
    ($out:expr, $name:literal, $value:expr) => {
        match $value {
            Some(value) => text!($out, $name, value),
            None => null!($out, $name),
        }
    };
}

macro_rules! truth {
    ($out:expr, $name:literal, $value:expr) => {
        match $value {
            true => $out.truth(concat!(",\"", $name, "\":true"), $name, true),
            false => $out.truth(concat!(",\"", $name, "\":false"), $name, false),
        }
    };
}

impl<'b> Out<'b> {
    fn new(encoding: Encoding, bytes: &'b mut Vec<u8>) -> Self {
        let begin = bytes.len();
        match encoding {
            Encoding::Json => bytes.extend_from_slice(b"{\"schema_version\":1"),
            Encoding::Msgpack => {
                bytes.extend_from_slice(&[0xde, 0, FIELDS]);
                pack::text(bytes, "schema_version");
                pack::small(bytes, 1);
            }
        }
        Out {
            encoding,
            begin,
            bytes,
        }
    }

    /// Text that stands for itself: nothing that is read or kept here needs an escape.
    #[inline]
    fn text(&mut self, json: &str, name: &str, text: impl AsRef<[u8]>) {
        match self.encoding {
            Encoding::Json => {
                self.bytes.extend_from_slice(json.as_bytes());
                self.bytes.extend_from_slice(text.as_ref());
                self.bytes.push(b'"');
            }
            Encoding::Msgpack => {
                pack::text(self.bytes, name);
                pack::text(self.bytes, text);
            }
        }
    }

    #[inline]
    fn truth(&mut self, json: &str, name: &str, value: bool) {
        match self.encoding {
            Encoding::Json => self.bytes.extend_from_slice(json.as_bytes()),
            Encoding::Msgpack => {
                pack::text(self.bytes, name);
                pack::maybe_bool(self.bytes, Some(value));
            }
        }
    }

    #[inline]
    fn null(&mut self, json: &str, name: &str) {
        match self.encoding {
            Encoding::Json => self.bytes.extend_from_slice(json.as_bytes()),
            Encoding::Msgpack => {
                pack::text(self.bytes, name);
                pack::null(self.bytes);
            }
        }
    }

    fn finish(self) -> Range<usize> {
        if self.encoding == Encoding::Json {
            self.bytes.push(b'}');
        }
        self.begin..self.bytes.len()
    }
}

/// The events of one reading, encoded into `buffer`.
pub fn events(
    conversation: &Conversation,
    frame: &Frame<'_>,
    found: &Found<'_, '_>,
    received_at: &str,
    encoding: Encoding,
    buffer: &mut Vec<u8>,
) -> Vec<Told> {
    buffer.clear();
    buffer.shrink_to(MAX_BUFFER);
    found
        .told
        .iter()
        .map(|one| match one.of {
            Whose::Conversation(id) => {
                let out = Out::new(encoding, buffer);
                of_conversation(frame, one, id, received_at, out)
            }
            Whose::Leg(view) => {
                let view = &found.views[view];
                // A leg that rings or dials is witnessed doing so.
                let is_read = found.first_sight
                    && one.at.is_none()
                    && !matches!(one.kind, Kind::Alert | Kind::Dial);
                let is_snapshot = one.snapshot || is_read;
                of_leg(
                    conversation,
                    frame,
                    one,
                    view,
                    is_snapshot,
                    received_at,
                    Out::new(encoding, buffer),
                )
            }
        })
        .collect()
}

fn of_conversation(
    frame: &Frame<'_>,
    one: &Transition<'_>,
    event_id: Id,
    received_at: &str,
    mut out: Out<'_>,
) -> Told {
    text!(out, "event_id", event_id.bytes());
    text!(out, "event_type", one.kind.name());
    text!(out, "conversation_id", frame.id);
    null!(out, "participant_id");
    null!(out, "media_type");
    null!(out, "communication_id");
    null!(out, "purpose");
    null!(out, "agent_id");
    null!(out, "queue_id");
    null!(out, "role");
    null!(out, "role_participant_id");
    null!(out, "linked_conversation_id");
    null!(out, "direction");
    text!(out, "state", one.state);
    truth!(out, "held", false);
    null!(out, "hold_started_at");
    null!(out, "disconnect_type");
    null!(out, "wrapup_code");
    let is_estimated = one.at.is_none() || !one.exact;
    tail(&mut out, frame, one.at, is_estimated, received_at, false);
    Told {
        event_id,
        kind: one.kind,
        is_snapshot: false,
        at: one.at,
        value: out.finish(),
    }
}

fn of_leg(
    conversation: &Conversation,
    frame: &Frame<'_>,
    one: &Transition<'_>,
    view: &View<'_, '_>,
    is_snapshot: bool,
    received_at: &str,
    mut out: Out<'_>,
) -> Told {
    let leg = &conversation.legs[view.leg];
    let (participant, communication) = (view.participant, view.communication);
    let (who, what, kind) = (
        &*leg.participant_id,
        &*leg.communication_id,
        one.kind.name(),
    );
    let event_id = if one.snapshot {
        ids::of(&[frame.id, who, what, kind, "snapshot", received_at])
    } else {
        ids::of(&[frame.id, who, what, kind, &one.which])
    };
    let service = leg
        .service
        .as_ref()
        .filter(|_| words::is_staff(participant.purpose));
    let queue_id = match service {
        Some(service) => service.queue_id.as_deref(),
        None => participant.queue_id.filter(|id| !id.is_empty()),
    };
    let agent_id = participant
        .user_id
        .filter(|id| !id.is_empty() && participant.purpose != Some("voicemail"));
    let disconnect_type = if words::is_ended(one.state) {
        words::disconnect_type(communication.disconnect_type)
    } else {
        None
    };
    text!(out, "event_id", event_id.bytes());
    text!(out, "event_type", kind);
    text!(out, "conversation_id", frame.id);
    text!(out, "participant_id", who);
    text!(out, "media_type", words::MEDIA[leg.medium as usize]);
    let communication_id = communication.id.filter(|id| !id.is_empty());
    maybe!(out, "communication_id", communication_id);
    maybe!(out, "purpose", participant.purpose);
    maybe!(out, "agent_id", agent_id);
    maybe!(out, "queue_id", queue_id);
    // A late frame has the role that the leg had then.
    let (mut role, mut on) = match service {
        Some(_) if view.is_late => rules::role_of(view, leg.medium),
        _ => (None, None),
    };
    if let (None, Some(service)) = (role, service) {
        role = service.role;
        on = service.on.as_deref();
    }
    maybe!(out, "role", role.map(|role| words::ROLES[role as usize]));
    maybe!(out, "role_participant_id", on);
    null!(out, "linked_conversation_id");
    maybe!(out, "direction", communication.direction);
    text!(out, "state", one.state);
    truth!(out, "held", one.held);
    maybe!(
        out,
        "hold_started_at",
        one.hold_started_at.as_ref().map(Time::bytes)
    );
    maybe!(out, "disconnect_type", disconnect_type.as_deref());
    maybe!(out, "wrapup_code", one.code.as_deref());
    tail(
        &mut out,
        frame,
        one.at,
        one.at.is_none(),
        received_at,
        is_snapshot,
    );
    Told {
        event_id,
        kind: one.kind,
        is_snapshot,
        at: one.at,
        value: out.finish(),
    }
}

fn tail(
    out: &mut Out<'_>,
    frame: &Frame<'_>,
    at: Option<Time>,
    is_estimated: bool,
    received_at: &str,
    is_snapshot: bool,
) {
    text!(
        out,
        "occurred_at",
        at.as_ref().map_or(received_at.as_bytes(), Time::bytes)
    );
    truth!(out, "estimated", is_estimated);
    text!(out, "received_at", received_at);
    text!(out, "origin", if is_snapshot { "snapshot" } else { "live" });
    text!(out, "source_topic", frame.topic);
    maybe!(out, "correlation_id", frame.correlation_id);
    null!(out, "reason");
    null!(out, "ani");
    null!(out, "dnis");
    null!(out, "address");
    null!(out, "participant_name");
    null!(out, "attributes");
}
