//! Reads one notification frame, as far as it is needed, or refuses it. Changes nothing.
//!
//! Fields that are read must be of their type, written without escapes and stand once; times must
//! have the usual form. Consultations, watched screens, linked conversations and REST's fields are
//! Python's.

use crate::memory::{Conversation, Known};
use crate::scan::{Cursor, Odd, Take};
use crate::times::{instant, Time};
use crate::words;

/// Genesys' ids are UUIDs of 36 and its words short.
const MAX_WORD: usize = 128;
const MAX_TOPIC: usize = 512;
/// Larger frames are Python's.
pub const MAX_FRAME: usize = 256 * 1024;
/// Legs and participants of one conversation: they are searched one after another.
pub const MAX_LEGS: usize = 256;

/// A wrap-up code.
#[derive(Clone, Copy)]
pub struct Wrapup<'a> {
    /// The code.
    pub code: Option<&'a str>,
    /// When it was saved.
    pub end_time: Option<Time>,
}

/// After-call work of one communication.
#[derive(Clone, Copy)]
pub struct AfterCallWork<'a> {
    /// Its state.
    pub state: Option<&'a str>,
    /// When it began.
    pub start_time: Option<Time>,
    /// When it ended.
    pub end_time: Option<Time>,
}

/// One communication of a participant.
#[derive(Default)]
pub struct Communication<'a> {
    /// Its place in `words::MEDIA`.
    pub medium: u8,
    /// Its id.
    pub id: Option<&'a str>,
    /// Its state.
    pub state: Option<&'a str>,
    /// Whether it is held.
    pub held: Option<bool>,
    /// Since when.
    pub start_hold_time: Option<Time>,
    /// Inbound or outbound.
    pub direction: Option<&'a str>,
    /// How it ended.
    pub disconnect_type: Option<&'a str>,
    /// When it was connected.
    pub connected_time: Option<Time>,
    /// When it ended.
    pub disconnected_time: Option<Time>,
    /// When it was parked.
    pub park_time: Option<Time>,
    /// Its code.
    pub wrapup: Option<Wrapup<'a>>,
    /// Its work.
    pub after_call_work: Option<AfterCallWork<'a>>,
}

/// One party of a conversation.
#[derive(Default)]
pub struct Participant<'a> {
    /// Its id.
    pub id: &'a str,
    /// When it was connected first.
    pub connected_time: Option<Time>,
    /// When it left.
    pub end_time: Option<Time>,
    /// Who it is.
    pub user_id: Option<&'a str>,
    /// Its latest queue.
    pub queue_id: Option<&'a str>,
    /// What it is there for.
    pub purpose: Option<&'a str>,
    /// Whom it monitors.
    pub monitored: Option<&'a str>,
    /// Whom it coaches.
    pub coached: Option<&'a str>,
    /// On whom it barged in.
    pub barged: Option<&'a str>,
    /// The code of its latest communication.
    pub wrapup: Option<Wrapup<'a>>,
    /// When its work began.
    pub start_acw_time: Option<Time>,
    /// When its work ended.
    pub end_acw_time: Option<Time>,
    /// Its communications, of all media in their order.
    pub shown: Vec<Communication<'a>>,
}

/// What is known of a participant's bytes, and the participant where they are to be read.
pub struct Piece<'a> {
    /// Python's hash of the bytes.
    pub digest: i64,
    /// Where they begin in the frame's `body`.
    pub at: u32,
    /// How many there are.
    pub size: u32,
    /// Null where the last snapshot showed the same in this place.
    pub participant: Option<Participant<'a>>,
}

/// One frame of a conversation.
pub struct Frame<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its correlation id.
    pub correlation_id: Option<&'a str>,
    /// The conversation's id.
    pub id: &'a str,
    /// Its participants.
    pub pieces: Vec<Piece<'a>>,
    /// The participants as they were written.
    pub body: &'a [u8],
    /// Whether these differ from those of the last snapshot, as far as that is kept.
    pub is_new: bool,
}

/// Where the participants of a frame's conversation are known from.
pub trait Last {
    /// The participants of the last snapshot, none where all are to be read, and its bytes where
    /// they are kept; refuses a conversation that Python has.
    fn known(&self, id: &str) -> Take<(&[Known], &[u8])>;
    /// Python's hash of bytes.
    fn hash(&self, bytes: &[u8]) -> Take<i64>;
}

/// Reads a frame.
pub fn frame<'a>(text: &'a str, last: &impl Last) -> Take<Frame<'a>> {
    let mut cursor = Cursor::new(text);
    let mut topic = None;
    let mut body = None;
    let mut correlation_id = None;
    let mut is_told = false;
    fields(&mut cursor, |cursor, name| match name {
        "topicName" => once(&mut topic, cursor.string()?),
        "eventBody" => once(&mut body, read_body(cursor, last)?),
        "metadata" => {
            if std::mem::replace(&mut is_told, true) {
                return Err(Odd);
            }
            correlation_id = metadata(cursor)?;
            Ok(())
        }
        _ => cursor.skip(),
    })?;
    let (topic, (id, people)) = (topic.ok_or(Odd)?, body.ok_or(Odd)?);
    if !cursor.is_over() || !is_conversation(topic) {
        return Err(Odd);
    }
    Ok(Frame {
        topic,
        correlation_id,
        id,
        pieces: people.pieces,
        body: people.body,
        is_new: people.is_new,
    })
}

/// Whether a topic brings conversations of a queue or user.
fn is_conversation(topic: &str) -> bool {
    if !topic.is_ascii() || topic.len() > MAX_TOPIC {
        return false;
    }
    let folded = topic.to_ascii_lowercase();
    folded
        .strip_prefix("v2.users.")
        .or_else(|| folded.strip_prefix("v2.routing.queues."))
        .and_then(|rest| rest.strip_suffix(".conversations"))
        .is_some_and(|id| !id.is_empty() && !id.contains('.'))
}

/// The participants of a body.
struct People<'a> {
    pieces: Vec<Piece<'a>>,
    body: &'a [u8],
    is_new: bool,
}

fn read_body<'a>(cursor: &mut Cursor<'a>, last: &impl Last) -> Take<(&'a str, People<'a>)> {
    let mut id = None;
    let mut pieces = None;
    fields(cursor, |cursor, name| match name {
        "id" => once(
            &mut id,
            word(cursor)?.filter(|id| !id.is_empty()).ok_or(Odd)?,
        ),
        "participants" => {
            let (known, body) = last.known(id.ok_or(Odd)?)?;
            once(&mut pieces, participants(cursor, known, body, last)?)
        }
        "startTime" | "endTime" | "associatedConversation" | "message" => nothing(cursor),
        _ => cursor.skip(),
    })?;
    Ok((id.ok_or(Odd)?, pieces.ok_or(Odd)?))
}

fn metadata<'a>(cursor: &mut Cursor<'a>) -> Take<Option<&'a str>> {
    let mut found = None;
    if cursor.null()? {
        return Ok(None);
    }
    fields(cursor, |cursor, name| match name {
        "CorrelationId" => once(&mut found, word(cursor)?),
        _ => cursor.skip(),
    })?;
    Ok(found.flatten())
}

fn participants<'a>(
    cursor: &mut Cursor<'a>,
    known: &[Known],
    body: &[u8],
    last: &impl Last,
) -> Take<People<'a>> {
    let mut pieces = Vec::with_capacity(known.len() + 1);
    cursor.space();
    let start = cursor.at;
    if !body.is_empty() && cursor.ahead(body.len()) == Some(body) {
        // The whole of it again. What is kept was read before, so it is an array and ends here.
        cursor.at += body.len();
        pieces.extend(known.iter().filter_map(|known| {
            Some(Piece {
                digest: known.digest?,
                at: known.at,
                size: known.size,
                participant: None,
            })
        }));
        return Ok(People {
            pieces,
            body: cursor.since(start),
            is_new: false,
        });
    }
    let mut legs = 0;
    elements(cursor, |cursor| {
        let piece = piece(cursor, start, known.get(pieces.len()), body, last)?;
        legs += piece.participant.as_ref().map_or(0, |one| one.shown.len());
        pieces.push(piece);
        if pieces.len() > MAX_LEGS || legs > MAX_LEGS {
            return Err(Odd);
        }
        Ok(())
    })?;
    Ok(People {
        pieces,
        body: cursor.since(start),
        is_new: true,
    })
}

/// A participant: recognised by its bytes, or read.
fn piece<'a>(
    cursor: &mut Cursor<'a>,
    start: usize,
    known: Option<&Known>,
    body: &[u8],
    last: &impl Last,
) -> Take<Piece<'a>> {
    cursor.space();
    let begin = cursor.at;
    let at = (begin - start) as u32;
    if let Some((digest, known)) = known.and_then(|known| Some((known.digest?, known))) {
        if let Some(size) = recognised(cursor, digest, known, body, last)? {
            cursor.at += size;
            return Ok(Piece {
                digest,
                at,
                size: size as u32,
                participant: None,
            });
        }
    }
    let participant = participant(cursor)?;
    let bytes = cursor.since(begin);
    Ok(Piece {
        digest: last.hash(bytes)?,
        at,
        size: bytes.len() as u32,
        participant: Some(participant),
    })
}

/// The size of the participant that comes, where it is the one that is known in its place.
fn recognised(
    cursor: &Cursor<'_>,
    digest: i64,
    known: &Known,
    body: &[u8],
    last: &impl Last,
) -> Take<Option<usize>> {
    let size = known.size as usize;
    if size == 0 {
        // It was Python's until now, and may hold what only Python reads.
        let mut ahead = cursor.clone();
        ahead.skip()?;
        let bytes = ahead.since(cursor.at);
        return Ok((last.hash(bytes)? == digest).then_some(bytes.len()));
    }
    let Some(bytes) = cursor.ahead(size) else {
        return Ok(None);
    };
    let begin = known.at as usize;
    let is_same = match body.get(begin..begin + size) {
        Some(kept) => kept == bytes,
        None => {
            // Most participants that changed have another size: then this is no end.
            let after = cursor.ahead(size + 1).and_then(<[u8]>::last);
            bytes.last() == Some(&b'}')
                && matches!(after, Some(b',' | b']'))
                && last.hash(bytes)? == digest
        }
    };
    Ok(is_same.then_some(size))
}

fn participant<'a>(cursor: &mut Cursor<'a>) -> Take<Participant<'a>> {
    let mut one = Participant::default();
    let mut seen = 0u32;
    fields(cursor, |cursor, name| {
        let place = match name {
            "id" => 0,
            "connectedTime" => 1,
            "endTime" => 2,
            "userId" => 3,
            "queueId" => 4,
            "purpose" => 5,
            "wrapup" => 6,
            "startAcwTime" => 7,
            "endAcwTime" => 8,
            "attributes" => 9,
            "consultParticipantId" | "screenMonitoredParticipantId" => return nothing(cursor),
            "monitoredParticipantId" => 29,
            "coachedParticipantId" => 30,
            "bargedParticipantId" => 31,
            _ => match words::medium_of_array(name) {
                Some(medium) => 10 + u32::from(medium),
                None => return other(cursor, name),
            },
        };
        if seen & (1 << place) != 0 {
            return Err(Odd);
        }
        seen |= 1 << place;
        match place {
            0 => one.id = word(cursor)?.filter(|id| !id.is_empty()).ok_or(Odd)?,
            1 => one.connected_time = instant(cursor)?,
            2 => one.end_time = instant(cursor)?,
            3 => one.user_id = word(cursor)?,
            4 => one.queue_id = word(cursor)?,
            5 => one.purpose = word(cursor)?,
            6 => one.wrapup = wrapup(cursor)?,
            7 => one.start_acw_time = instant(cursor)?,
            8 => one.end_acw_time = instant(cursor)?,
            9 => {
                if !cursor.null()? && cursor.peek()? != b'{' {
                    return Err(Odd);
                }
                // The mark of a consultation is looked for in Python alone, and is read by name.
                return cursor.skip();
            }
            29 => one.monitored = word(cursor)?,
            30 => one.coached = word(cursor)?,
            31 => one.barged = word(cursor)?,
            _ => communications(cursor, (place - 10) as u8, &mut one.shown)?,
        }
        Ok(())
    })?;
    if one.id.is_empty() {
        return Err(Odd);
    }
    if one.shown.len() > 1 {
        one.shown.sort_by_key(|shown| shown.medium);
    }
    Ok(one)
}

/// A field that is not read. An array of objects may be a medium that nobody knows yet.
fn other(cursor: &mut Cursor<'_>, name: &str) -> Take<()> {
    if cursor.peek()? != b'[' || words::is_known_array(name) {
        return cursor.skip();
    }
    elements(cursor, |cursor| match cursor.peek()? {
        b'{' | b'[' => Err(Odd),
        _ => cursor.skip(),
    })
}

fn communications<'a>(
    cursor: &mut Cursor<'a>,
    medium: u8,
    shown: &mut Vec<Communication<'a>>,
) -> Take<()> {
    if cursor.null()? {
        return Ok(());
    }
    elements(cursor, |cursor| {
        shown.push(communication(cursor, medium)?);
        Ok(())
    })
}

fn communication<'a>(cursor: &mut Cursor<'a>, medium: u8) -> Take<Communication<'a>> {
    let mut one = Communication {
        medium,
        ..Communication::default()
    };
    let mut seen = 0u32;
    fields(cursor, |cursor, name| {
        let place = match name {
            "id" => 0,
            "state" => 1,
            "held" => 2,
            "startHoldTime" => 3,
            "direction" => 4,
            "disconnectType" => 5,
            "connectedTime" => 6,
            "disconnectedTime" => 7,
            "parkTime" => 8,
            "wrapup" => 9,
            "afterCallWork" => 10,
            "startAlertingTime" | "ourQueueId" | "ourMedium" => return nothing(cursor),
            "segments" => return empty(cursor),
            _ => return cursor.skip(),
        };
        if seen & (1 << place) != 0 {
            return Err(Odd);
        }
        seen |= 1 << place;
        match place {
            0 => one.id = word(cursor)?,
            1 => one.state = word(cursor)?,
            2 => one.held = cursor.maybe_bool()?,
            3 => one.start_hold_time = instant(cursor)?,
            4 => one.direction = word(cursor)?,
            5 => one.disconnect_type = disconnect_type(cursor)?,
            6 => one.connected_time = instant(cursor)?,
            7 => one.disconnected_time = instant(cursor)?,
            8 => one.park_time = instant(cursor)?,
            9 => one.wrapup = wrapup(cursor)?,
            _ => one.after_call_work = after_call_work(cursor)?,
        }
        Ok(())
    })?;
    Ok(one)
}

/// How a leg ended. Of a consultation Python finds out who left it.
fn disconnect_type<'a>(cursor: &mut Cursor<'a>) -> Take<Option<&'a str>> {
    let found = word(cursor)?;
    if found.is_some_and(|word| !word.is_ascii())
        || words::disconnect_type(found).as_deref() == Some("transfer.consult")
    {
        return Err(Odd);
    }
    Ok(found)
}

fn wrapup<'a>(cursor: &mut Cursor<'a>) -> Take<Option<Wrapup<'a>>> {
    if cursor.null()? {
        return Ok(None);
    }
    let (mut code, mut end_time) = (None, None);
    fields(cursor, |cursor, name| match name {
        "code" => once(&mut code, word(cursor)?),
        "endTime" => once(&mut end_time, instant(cursor)?),
        _ => cursor.skip(),
    })?;
    Ok(Some(Wrapup {
        code: code.flatten(),
        end_time: end_time.flatten(),
    }))
}

fn after_call_work<'a>(cursor: &mut Cursor<'a>) -> Take<Option<AfterCallWork<'a>>> {
    if cursor.null()? {
        return Ok(None);
    }
    let (mut state, mut start_time, mut end_time) = (None, None, None);
    fields(cursor, |cursor, name| match name {
        "state" => once(&mut state, word(cursor)?),
        "startTime" => once(&mut start_time, instant(cursor)?),
        "endTime" => once(&mut end_time, instant(cursor)?),
        _ => cursor.skip(),
    })?;
    Ok(Some(AfterCallWork {
        state: state.flatten(),
        start_time: start_time.flatten(),
        end_time: end_time.flatten(),
    }))
}

/// A word or an id, of a length that both may have.
#[inline]
fn word<'a>(cursor: &mut Cursor<'a>) -> Take<Option<&'a str>> {
    let found = cursor.maybe_string()?;
    if found.is_some_and(|word| word.len() > MAX_WORD) {
        return Err(Odd);
    }
    Ok(found)
}

/// A field that only Python reads: here it must say nothing.
fn nothing(cursor: &mut Cursor<'_>) -> Take<()> {
    if cursor.null()? {
        Ok(())
    } else {
        Err(Odd)
    }
}

/// An array that only Python reads: here it must hold nothing.
fn empty(cursor: &mut Cursor<'_>) -> Take<()> {
    if cursor.null()? {
        return Ok(());
    }
    cursor.expect(b'[')?;
    cursor.expect(b']')
}

/// Of a field that stands twice, Python says which counts.
fn once<T>(place: &mut Option<T>, value: T) -> Take<()> {
    if place.is_some() {
        return Err(Odd);
    }
    *place = Some(value);
    Ok(())
}

/// The fields of an object, in turn.
#[inline]
fn fields<'a>(
    cursor: &mut Cursor<'a>,
    mut take: impl FnMut(&mut Cursor<'a>, &'a str) -> Take<()>,
) -> Take<()> {
    cursor.expect(b'{')?;
    if cursor.accept(b'}')? {
        return Ok(());
    }
    loop {
        let name = cursor.string()?;
        cursor.expect(b':')?;
        take(cursor, name)?;
        if !cursor.accept(b',')? {
            return cursor.expect(b'}');
        }
    }
}

/// The elements of an array, in turn.
fn elements<'a>(
    cursor: &mut Cursor<'a>,
    mut take: impl FnMut(&mut Cursor<'a>) -> Take<()>,
) -> Take<()> {
    cursor.expect(b'[')?;
    if cursor.accept(b']')? {
        return Ok(());
    }
    loop {
        take(cursor)?;
        if !cursor.accept(b',')? {
            return cursor.expect(b']');
        }
    }
}

/// Whether a conversation has room for the legs of a frame.
pub fn fits(conversation: Option<&Conversation>, pieces: &[Piece<'_>]) -> bool {
    let known = conversation.map_or(0, |one| one.legs.len());
    let shown: usize = pieces
        .iter()
        .filter_map(|piece| piece.participant.as_ref())
        .map(|one| one.shown.len())
        .sum();
    known + shown <= MAX_LEGS
}
