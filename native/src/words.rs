//! The words of Genesys and ours.

use std::borrow::Cow;

/// Our media, in the order in which a participant's arrays are read.
pub const MEDIA: [&str; 11] = [
    "call",
    "callback",
    "chat",
    "email",
    "message",
    "internal_message",
    "video",
    "screenshare",
    "cobrowse",
    "social_expression",
    "screen_monitoring",
];

/// The place of the medium that somebody watches by.
pub const SCREEN: u8 = 10;

/// Who does not serve.
pub const ROLES: [&str; 4] = ["monitor", "coach", "barge", "consult"];

/// The medium of a participant's array, as its place in `MEDIA`.
pub fn medium_of_array(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"calls" => 0,
        b"callbacks" => 1,
        b"chats" => 2,
        b"emails" => 3,
        b"messages" => 4,
        b"internalMessages" => 5,
        b"videos" => 6,
        b"screenshares" => 7,
        b"cobrowsesessions" => 8,
        b"socialExpressions" => 9,
        b"screenMonitorings" => SCREEN,
        _ => return None,
    })
}

/// Arrays of objects in a participant that are no media.
pub fn is_known_array(name: &[u8]) -> bool {
    matches!(
        name,
        b"content"
            | b"disconnectReasons"
            | b"draftAttachments"
            | b"events"
            | b"media"
            | b"phoneNumberColumns"
            | b"scoredAgents"
            | b"skills"
            | b"stickers"
            | b"segments"
            | b"details"
            | b"errors"
    )
}

/// Whether a leg is over in this state.
pub fn is_ended(state: &str) -> bool {
    matches!(state, "disconnected" | "terminated")
}

/// Whether a leg dials in this state.
pub fn is_dialing(state: &str) -> bool {
    matches!(state, "dialing" | "contacting" | "offering")
}

/// Whether a leg has not been answered in this state.
pub fn is_unanswered(state: &str) -> bool {
    is_dialing(state)
        || matches!(
            state,
            "alerting" | "scheduled" | "uploading" | "converting" | "none"
        )
}

/// Whether a purpose is that of people of the organisation.
pub fn is_staff(purpose: Option<&str>) -> bool {
    matches!(purpose, Some("agent" | "user"))
}

/// `word` in the spelling of notifications; unknown words unchanged, empty ones null.
pub fn disconnect_type(word: Option<&str>) -> Option<Cow<'_, str>> {
    let word = word.filter(|word| !word.is_empty())?;
    if is_plain(word) {
        return Some(Cow::Borrowed(word));
    }
    let folded = word.to_ascii_lowercase();
    if is_plain(&folded) {
        return Some(Cow::Owned(folded));
    }
    Some(Cow::Borrowed(match folded.replace('_', "").as_str() {
        "endpoint.donotdisturb" | "dndendpoint" | "endpointdnd" => "endpoint.dnd",
        "transfer.donotdisturb" | "dndtransfer" | "transferdnd" => "transfer.dnd",
        "conferencetransfer" => "transfer.conference",
        "consulttransfer" => "transfer.consult",
        "forwardtransfer" => "transfer.forward",
        "noanswertransfer" => "transfer.noanswer",
        "notavailabletransfer" => "transfer.notavailable",
        "transportfailure" => "transport.failure",
        "sessionexpired" => "session.expired",
        _ => word,
    }))
}

fn is_plain(word: &str) -> bool {
    matches!(
        word,
        "endpoint"
            | "client"
            | "system"
            | "timeout"
            | "transfer"
            | "error"
            | "peer"
            | "other"
            | "spam"
            | "uncallable"
            | "inactivity"
            | "takeover"
    )
}
