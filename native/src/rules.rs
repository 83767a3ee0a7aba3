//! Compares a snapshot with what is known of its conversation: the transitions in between.
//!
//! What is read here is never known to be incomplete, has no consultation and is not from REST.

use crate::after_call::{handled, note, tell_work, work_of, Handled, Succession, Work};
use crate::frame::{Frame, Participant, Piece};
use crate::ids;
use crate::memory::{Conversation, Known, Leg};
use crate::pack;
use crate::scan::Take;
use crate::spells;
use crate::times::Time;
use crate::transition::{tell, Kind, Transition, View, Whose};
use crate::words;

const MAX_ENDS: usize = 64;
/// The role of who is consulted, as a place in `words::ROLES`.
const CONSULT: Option<u8> = Some(3);

/// Python's hashes, which are of a key that each process draws.
pub trait Hashes {
    /// Of bytes.
    fn of_bytes(&self, bytes: &[u8]) -> Take<i64>;
    /// Of a set of legs.
    fn of_legs(&self, legs: &[&Leg]) -> Take<i64>;
}

/// What a reading found.
pub struct Found<'f, 'a> {
    /// The legs that were looked at.
    pub views: Vec<View<'f, 'a>>,
    /// What was not told before, in order.
    pub told: Vec<Transition<'a>>,
    /// Whether nothing was known of the conversation.
    pub first_sight: bool,
}

/// Which participants of the last snapshot count, and its bytes where they are kept: none where all
/// are to be read.
pub fn last(conversation: &Conversation, interruptions: u64) -> (&[Known], &[u8]) {
    let is_sure = conversation.interruptions == interruptions;
    if is_sure && !conversation.doubtful && !conversation.late {
        (&conversation.known, &conversation.body)
    } else {
        (&[], &[])
    }
}

/// What happened between what was known of `conversation` and `frame`, which it now knows.
pub fn transitions<'f, 'a>(
    conversation: &mut Conversation,
    frame: &'f Frame<'a>,
    interruptions: u64,
    hashes: &impl Hashes,
) -> Take<Found<'f, 'a>> {
    if conversation.interruptions != interruptions {
        conversation.interruptions = interruptions;
        conversation.doubtful = true;
    }
    let mut told = Vec::new();
    let first_sight = conversation.legs.is_empty();
    let everything = conversation.doubtful || conversation.late;
    let mut known = std::mem::take(&mut conversation.known);
    if known.len() < frame.pieces.len() {
        known.resize_with(frame.pieces.len(), Known::default);
    }
    known.truncate(frame.pieces.len());
    let mut views = Vec::new();
    for (piece, known) in frame.pieces.iter().zip(&mut known) {
        known.digest = piece.digest;
        known.at = piece.at;
        known.size = piece.size;
        if let Piece {
            participant: Some(participant),
            ..
        } = piece
        {
            read_legs(
                conversation,
                participant,
                everything,
                known,
                &mut views,
                hashes,
            )?;
        }
    }
    let late = tell_legs(conversation, &mut views, &mut told);
    if late {
        conversation.late = true;
    } else if !conversation.late || views.iter().any(|view| view.news) {
        settle(conversation, &views, &mut told, first_sight);
    }
    if first_sight && !conversation.legs.is_empty() {
        told.insert(0, start(frame.id, &views));
    }
    end(conversation, frame.id, &known, &mut told, hashes)?;
    conversation.known = known;
    Ok(Found {
        views,
        told,
        first_sight,
    })
}

/// Adds the legs of a participant that differ from their last reading, or `everything`.
fn read_legs<'f, 'a>(
    conversation: &mut Conversation,
    participant: &'f Participant<'a>,
    everything: bool,
    known: &mut Known,
    views: &mut Vec<View<'f, 'a>>,
    hashes: &impl Hashes,
) -> Take<()> {
    known.ended = true;
    known.legs.clear();
    let shown = &participant.shown;
    let only = shown.len() == 1;
    let (mut worked, mut follows) = (Handled::default(), None);
    if !only {
        worked = handled(participant);
        follows = Some(Succession::of(shown));
    }
    for (place, communication) in shown.iter().enumerate() {
        let id = communication.id.filter(|id| !id.is_empty());
        let name = id.unwrap_or(words::MEDIA[communication.medium as usize]);
        let mut state = communication.state.unwrap_or_default();
        if state.is_empty() {
            state = "none";
        }
        let lives = !words::is_ended(state);
        let found = conversation.leg(participant.id, name);
        let first = found.is_none();
        let leg = match found {
            None => {
                let leg = Leg::new(participant.id, name, communication.medium);
                conversation.legs.push(leg);
                conversation.open += 1;
                conversation.legs.len() - 1
            }
            Some(leg) if known.legs.contains(&(leg as u16)) => {
                // A second one under that name is no leg of its own, but may go on.
                known.ended = known.ended && !lives;
                continue;
            }
            Some(leg) => leg,
        };
        known.legs.push(leg as u16);
        let mut connected = communication.connected_time;
        let mut ended_at = communication.disconnected_time;
        if only {
            if lives || id.is_none() {
                connected = connected.or(participant.connected_time);
            }
            ended_at = ended_at.or(participant.end_time);
        }
        if lives {
            known.ended = false;
        }
        let work = work_of(
            participant,
            communication,
            only || worked.times == Some(place),
            only || worked.code == Some(place),
        );
        let view = View {
            participant,
            communication,
            leg,
            state,
            work,
            news: false,
            first,
            connected,
            ended_at,
            held_since: communication.start_hold_time,
            parked_at: communication.park_time,
            is_followed: false,
            is_late: false,
        };
        let seen = hashes.of_bytes(&seen(&view))?;
        let leg = &mut conversation.legs[leg];
        let news = leg.seen != Some(seen);
        if news || everything {
            leg.seen = Some(seen);
            views.push(View {
                news,
                is_followed: follows
                    .as_ref()
                    .is_some_and(|one| one.follows(communication)),
                ..view
            });
        }
    }
    Ok(())
}

/// What a reading shows of a leg, as `_shown` of views.py packs it. It has no segments, and nobody
/// is consulted.
fn seen(view: &View<'_, '_>) -> Vec<u8> {
    let communication = view.communication;
    let mut out = Vec::with_capacity(192);
    pack::array(&mut out, 13);
    pack::text(&mut out, view.state);
    pack::maybe_bool(&mut out, communication.held);
    pack::maybe_time(&mut out, view.held_since);
    pack::maybe_time(&mut out, view.connected);
    pack::maybe_time(&mut out, view.ended_at);
    pack::maybe_text(&mut out, communication.disconnect_type);
    pack::maybe_time(&mut out, view.parked_at);
    pack::small(&mut out, 0);
    match view.work {
        None => pack::null(&mut out),
        Some(Work {
            state,
            began,
            ended,
            code,
            coded_at,
        }) => {
            pack::array(&mut out, 5);
            pack::maybe_text(&mut out, state);
            pack::maybe_time(&mut out, began);
            pack::maybe_time(&mut out, ended);
            pack::maybe_text(&mut out, code);
            pack::maybe_time(&mut out, coded_at);
        }
    }
    pack::maybe_text(&mut out, view.participant.monitored);
    pack::maybe_text(&mut out, view.participant.coached);
    pack::maybe_text(&mut out, view.participant.barged);
    pack::null(&mut out);
    out
}

/// Tells what legs gained by a reading; whether it came late for one of them.
fn tell_legs<'a>(
    conversation: &mut Conversation,
    views: &mut [View<'_, 'a>],
    told: &mut Vec<Transition<'a>>,
) -> bool {
    let mut late = false;
    let mut left = Vec::new();
    for (at, view) in views.iter_mut().enumerate() {
        if !view.news {
            continue;
        }
        view.is_late = is_late(&conversation.legs[view.leg], view);
        if view.is_late {
            late = true;
            history(&mut conversation.legs[view.leg], at, view, told);
        } else {
            advance(conversation, at, view, told);
        }
        let leg = &conversation.legs[view.leg];
        if leg.ended && leg.service.is_some() {
            left.push(at);
        }
    }
    for at in left {
        let view = &views[at];
        if is_consultation_over(&conversation.legs, view.leg) {
            continue;
        }
        let leg = &mut conversation.legs[view.leg];
        if is_transferred(leg, view) {
            tell_transfer(told, leg, at, view);
        }
    }
    late
}

/// Tells a transfer, right after the `disconnect` of its leg where this reading tells that.
fn tell_transfer<'a>(
    told: &mut Vec<Transition<'a>>,
    leg: &mut Leg,
    at: usize,
    view: &View<'_, 'a>,
) {
    let before = told.len();
    tell(told, leg, at, Kind::Transfer, view.ended_at, view.state);
    let is_end = |one: &Transition<'_>| {
        one.kind == Kind::Disconnect && matches!(one.of, Whose::Leg(of) if of == at)
    };
    if let Some(place) = told.iter().position(is_end) {
        if told.len() > before {
            told[place + 1..].rotate_right(1);
        }
    }
}

/// What a frame in time does not show counts; it ends all doubt.
fn settle<'a>(
    conversation: &mut Conversation,
    views: &[View<'_, 'a>],
    told: &mut Vec<Transition<'a>>,
    first_sight: bool,
) {
    let unsure = conversation.doubtful;
    conversation.doubtful = false;
    conversation.late = false;
    for (at, view) in views.iter().enumerate() {
        let leg = &mut conversation.legs[view.leg];
        if !view.news && is_late(leg, view) {
            continue;
        }
        let lasts = leg.hold.is_some() || leg.park.is_some();
        if lasts && spells::release(leg, at, view, told) {
            told.push(reading(at, view));
        } else if unsure {
            confirm(leg, at, view, told, first_sight);
        }
    }
}

/// Says whether a leg of staff is held or parked that was answered and lives.
fn confirm<'a>(
    leg: &Leg,
    at: usize,
    view: &View<'_, 'a>,
    told: &mut Vec<Transition<'a>>,
    first_sight: bool,
) {
    if leg.ended || words::is_unanswered(view.state) || !words::is_staff(view.participant.purpose) {
        return;
    }
    let is_dated = if view.held() {
        view.held_since.is_some()
    } else {
        view.state == "parked" || view.connected.is_some()
    };
    if is_dated || !first_sight {
        told.push(reading(at, view));
    }
}

/// How a live leg is now, without claiming to know when it became so.
fn reading<'a>(at: usize, view: &View<'_, 'a>) -> Transition<'a> {
    if view.held() {
        return Transition {
            held: true,
            hold_started_at: view.held_since,
            ..Transition::reading(at, Kind::Hold, view.state)
        };
    }
    let kind = if view.state == "parked" {
        Kind::Park
    } else {
        Kind::Answer
    };
    Transition::reading(at, kind, view.state)
}

/// Whether a reading shows its leg earlier than it is known to be.
fn is_late(leg: &Leg, view: &View<'_, '_>) -> bool {
    if words::is_ended(view.state) {
        return false;
    }
    let is_answered = leg.once & Kind::Answer.bit() != 0;
    let was_earlier =
        is_answered && words::is_unanswered(view.state) && !spells::rings_again(leg, view);
    leg.ended || was_earlier || spells::are_earlier(leg, view)
}

/// What only a late frame showed: nothing is lost, and ids and ranks put it in order.
fn history<'a>(leg: &mut Leg, at: usize, view: &View<'_, 'a>, told: &mut Vec<Transition<'a>>) {
    if words::is_dialing(view.state) {
        tell(told, leg, at, Kind::Dial, None, view.state);
    } else if view.state == "alerting" {
        tell(told, leg, at, Kind::Alert, None, view.state);
    }
    spells::history(leg, at, view, told);
}

/// What a leg reached by this reading, in the order in which legs live.
fn advance<'a>(
    conversation: &mut Conversation,
    at: usize,
    view: &View<'_, 'a>,
    told: &mut Vec<Transition<'a>>,
) {
    let leg = &mut conversation.legs[view.leg];
    let state = view.state;
    let turned = words::is_staff(view.participant.purpose) && serve(leg, view);
    if state == "connected" || (view.connected.is_some() && !words::is_unanswered(state)) {
        tell(told, leg, at, Kind::Answer, view.connected, "connected");
    } else if leg.once & Kind::Answer.bit() != 0 {
        // It rings again: its alert comes before its answer.
    } else if words::is_dialing(state) {
        tell(told, leg, at, Kind::Dial, None, state);
    } else if state == "alerting" {
        tell(told, leg, at, Kind::Alert, None, state);
    }
    if !words::is_ended(state) {
        spells::advance(leg, at, view, told);
        if turned {
            told.push(reading(at, view));
        }
        if let Some(work) = view.work {
            note(leg, work);
        }
        return;
    }
    spells::ended(leg, at, view, told);
    leg.ended_at = view.ended_at;
    if !leg.ended {
        leg.ended = true;
        conversation.open -= 1;
        tell(told, leg, at, Kind::Disconnect, view.ended_at, state);
    }
    if let Some(work) = view.work {
        tell_work(leg, at, view, work, told);
    }
}

/// Keeps what only legs of staff have; whether the role of one that talks changed.
fn serve(leg: &mut Leg, view: &View<'_, '_>) -> bool {
    let ended = leg.ended;
    let medium = leg.medium;
    let service = leg.service.get_or_insert_default();
    // At its end the participant may show the queue that it goes on in.
    let lives = !words::is_ended(view.state) || service.queue_id.is_none();
    if lives && !ended && !view.is_followed {
        if let Some(queue_id) = view.participant.queue_id.filter(|id| !id.is_empty()) {
            if service.queue_id.as_deref() != Some(queue_id) {
                service.queue_id = Some(queue_id.into());
            }
        }
    }
    if service.since.is_none() {
        service.since = view.connected;
    }
    if words::is_ended(view.state) && !view.first {
        return false;
    }
    let (role, on) = role_of(view, medium);
    if role == service.role && on == service.on.as_deref() {
        return false;
    }
    service.role = role;
    service.on = on.map(Into::into);
    leg.once & Kind::Answer.bit() != 0
}

/// The role of a leg where nobody is consulted, and the participant whom it is about.
pub fn role_of<'a>(view: &View<'_, 'a>, medium: u8) -> (Option<u8>, Option<&'a str>) {
    let who = view.participant;
    for (role, on) in [(2, who.barged), (1, who.coached), (0, who.monitored)] {
        if on.is_some_and(|on| !on.is_empty()) {
            return (Some(role), on);
        }
    }
    ((medium == words::SCREEN).then_some(0), None)
}

/// Whether a leg that was consulted ended while an agent goes on who was there before: nobody
/// transferred it. Ends that say so are Python's.
fn is_consultation_over(legs: &[Leg], at: usize) -> bool {
    let leg = &legs[at];
    let Some(service) = leg.service.as_ref().filter(|one| one.role == CONSULT) else {
        return false;
    };
    service.since.is_none()
        || legs.iter().any(|other| {
            other.once & Kind::Answer.bit() != 0
                && (!other.ended || other.ended_at > leg.ended_at)
                && other.service.as_ref().is_some_and(|one| {
                    (one.role.is_none() || one.role == CONSULT) && one.since < service.since
                })
        })
}

/// Whether a leg was left by a transfer. A merge leaves nothing to anybody.
fn is_transferred(leg: &Leg, view: &View<'_, '_>) -> bool {
    if leg.service.is_none()
        || leg.once & Kind::Answer.bit() == 0
        || !words::is_staff(view.participant.purpose)
    {
        return false;
    }
    words::disconnect_type(view.communication.disconnect_type)
        .is_some_and(|kind| kind.starts_with("transfer") && kind != "transfer.conference")
}

/// `start`, estimated at the earliest time of a leg.
fn start<'a>(id: &str, views: &[View<'_, 'a>]) -> Transition<'a> {
    Transition {
        of: Whose::Conversation(ids::of(&[id, "start"])),
        exact: false,
        ..Transition::new(
            0,
            Kind::Start,
            views
                .iter()
                .flat_map(|view| {
                    [
                        view.connected,
                        view.ended_at,
                        view.held_since,
                        view.parked_at,
                    ]
                })
                .flatten()
                .min(),
            "active",
        )
    }
}

/// `end`, where a snapshot shows that all its legs are over, once for the same legs.
fn end<'a>(
    conversation: &mut Conversation,
    id: &str,
    known: &[Known],
    told: &mut Vec<Transition<'a>>,
    hashes: &impl Hashes,
) -> Take<()> {
    if known.iter().any(|one| !one.ended) {
        return Ok(());
    }
    let places = known.iter().flat_map(|one| &one.legs).copied();
    if places.clone().eq(conversation.last_end.iter().copied()) {
        return Ok(()); // of the same legs, or of none
    }
    let legs: Vec<&Leg> = places
        .clone()
        .map(|leg| &conversation.legs[leg as usize])
        .collect();
    if legs.is_empty() {
        return Ok(());
    }
    let which = hashes.of_legs(&legs)?;
    if conversation.ends.contains(&which) {
        return Ok(());
    }
    let times: Option<Vec<Time>> = legs.iter().map(|leg| leg.ended_at).collect();
    let at = times.and_then(|times| times.into_iter().max());
    let event_id = ids::of_end(id, &legs);
    conversation.last_end = places.collect();
    conversation.ends.push(which);
    if conversation.ends.len() > MAX_ENDS {
        conversation.ends.remove(0);
    }
    told.push(Transition {
        of: Whose::Conversation(event_id),
        ..Transition::new(0, Kind::End, at, "ended")
    });
    Ok(())
}
