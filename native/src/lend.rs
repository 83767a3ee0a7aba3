//! A conversation as Python and this crate hand it to each other: mirror/conversation/normaliser/
//! lending.py has the same tuples.

use crate::frame::MAX_LEGS;
use crate::memory::{Conversation, Known, Leg, Service, Spell};
use crate::scan::{Odd, Take};
use crate::times::Time;
use crate::words::{MEDIA, ROLES};

/// `since`, `last`.
pub type SpellState = (Option<String>, String);
/// `since`, `queue_id`, `role`, `on`, `codes`, `coded_at`.
pub type ServiceState = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Vec<String>,
    String,
);
/// The fields of a leg; what is told of it stands in one tuple.
pub type LegState = (
    String,
    String,
    String,
    Option<i64>,
    u8,
    Option<Vec<String>>,
    bool,
    Option<String>,
    Option<SpellState>,
    Option<SpellState>,
    Option<ServiceState>,
);
/// `digest`, the places of its legs, `ended`.
pub type KnownState = (Option<i64>, Vec<u16>, bool);
/// The fields of a conversation.
pub type State = (
    Vec<i64>,
    f64,
    bool,
    bool,
    u64,
    Vec<LegState>,
    Vec<KnownState>,
);

/// The state of a conversation.
pub fn state(conversation: Conversation) -> State {
    (
        conversation.ends,
        conversation.last_frame,
        conversation.doubtful,
        conversation.late,
        conversation.interruptions,
        conversation.legs.into_iter().map(leg_state).collect(),
        conversation
            .known
            .into_iter()
            .map(|one| (one.digest, one.legs, one.ended))
            .collect(),
    )
}

fn leg_state(leg: Leg) -> LegState {
    (
        leg.participant_id.into(),
        leg.communication_id.into(),
        MEDIA[leg.medium as usize].to_owned(),
        leg.seen,
        leg.once,
        leg.often
            .map(|often| often.into_iter().map(Into::into).collect()),
        leg.ended,
        leg.ended_at.map(shown),
        leg.hold.map(|spell| spell_state(*spell)),
        leg.park.map(|spell| spell_state(*spell)),
        leg.service.map(|service| service_state(*service)),
    )
}

fn spell_state(spell: Spell) -> SpellState {
    (spell.since.map(Into::into), shown_or_empty(spell.last))
}

fn service_state(service: Service) -> ServiceState {
    (
        service.since.map(shown),
        service.queue_id.map(Into::into),
        service.role.map(|role| ROLES[role as usize].to_owned()),
        service.on.map(Into::into),
        service.codes.into_iter().map(Into::into).collect(),
        shown_or_empty(service.coded_at),
    )
}

fn shown(time: Time) -> String {
    time.text().to_owned()
}

fn shown_or_empty(time: Option<Time>) -> String {
    time.map(shown).unwrap_or_default()
}

/// A conversation of a state, where all of it can be held here.
pub fn conversation(state: State) -> Take<Conversation> {
    let (ends, last_frame, doubtful, late, interruptions, legs, known) = state;
    if legs.len() > MAX_LEGS || known.len() > MAX_LEGS {
        return Err(Odd);
    }
    let legs: Vec<Leg> = legs.into_iter().map(leg).collect::<Take<_>>()?;
    let count = legs.len();
    let known: Vec<Known> = known
        .into_iter()
        .map(|(digest, legs, ended)| {
            if legs.iter().any(|&leg| leg as usize >= count) {
                return Err(Odd);
            }
            Ok(Known {
                digest,
                at: 0,
                size: 0,
                legs,
                ended,
            })
        })
        .collect::<Take<_>>()?;
    Ok(Conversation {
        open: legs.iter().filter(|leg| !leg.ended).count() as u32,
        legs,
        known,
        body: Vec::new(),
        stamp: 0,
        ends,
        last_end: Vec::new(),
        last_frame,
        doubtful,
        late,
        interruptions,
    })
}

fn leg(state: LegState) -> Take<Leg> {
    let (who, what, medium, seen, once, often, ended, ended_at, hold, park, service) = state;
    let medium = MEDIA.iter().position(|one| *one == medium).ok_or(Odd)?;
    Ok(Leg {
        participant_id: plain(who)?,
        communication_id: plain(what)?,
        medium: medium as u8,
        seen,
        once,
        often: often
            .map(|often| often.into_iter().map(plain).collect::<Take<_>>())
            .transpose()?,
        ended,
        ended_at: ended_at.map(time).transpose()?,
        hold: hold.map(spell).transpose()?,
        park: park.map(spell).transpose()?,
        service: service.map(serving).transpose()?,
    })
}

fn spell((since, last): SpellState) -> Take<Box<Spell>> {
    let since = since.map(plain).transpose()?;
    if let Some(since) = &since {
        if !since.starts_with('#') && Time::usual(since).is_none() {
            return Err(Odd);
        }
    }
    Ok(Box::new(Spell {
        since,
        last: time_or_empty(last)?,
    }))
}

fn serving((since, queue_id, role, on, codes, coded_at): ServiceState) -> Take<Box<Service>> {
    let place = |role| ROLES.iter().position(|one| *one == role).ok_or(Odd);
    let role = role.map(place).transpose()?;
    Ok(Box::new(Service {
        since: since.map(time).transpose()?,
        queue_id: queue_id.map(plain).transpose()?,
        role: role.map(|role| role as u8),
        on: on.map(plain).transpose()?,
        codes: codes.into_iter().map(plain).collect::<Take<_>>()?,
        coded_at: time_or_empty(coded_at)?,
    }))
}

fn time(text: String) -> Take<Time> {
    Time::usual(&text).ok_or(Odd)
}

fn time_or_empty(text: String) -> Take<Option<Time>> {
    if text.is_empty() {
        Ok(None)
    } else {
        time(text).map(Some)
    }
}

/// Text that needs no escape in JSON.
fn plain(text: String) -> Take<Box<str>> {
    if text
        .bytes()
        .any(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
    {
        Err(Odd)
    } else {
        Ok(text.into())
    }
}
