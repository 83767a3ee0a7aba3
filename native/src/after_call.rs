//! After-call work and wrap-up codes: what follows a leg's end.

use crate::frame::{Communication, Participant, Wrapup};
use crate::memory::Leg;
use crate::times::Time;
use crate::transition::{tell, tell_often, Kind, Transition, View};
use crate::words;

/// Codes of one leg; of more, the oldest are forgotten.
const MAX_CODES: usize = 16;

/// After-call work and code of one leg.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Its state.
    pub state: Option<&'a str>,
    /// When it began.
    pub began: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
    /// The code.
    pub code: Option<&'a str>,
    /// When it was saved.
    pub coded_at: Option<Time>,
}

/// A time, where there is none one after every time.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
struct Until(bool, Option<Time>);

fn until(time: Option<Time>) -> Until {
    Until(time.is_none(), time)
}

/// Of a participant's communications those that no later one followed.
fn latest(shown: &[Communication<'_>]) -> Vec<usize> {
    let last = shown.iter().map(|one| one.connected_time).max().flatten();
    let last = Until(false, last);
    (0..shown.len())
        .filter(|&at| until(shown[at].disconnected_time) >= last)
        .collect()
}

/// Which communications of a participant others followed.
pub struct Succession {
    began: Option<Time>,
    unanswered: Vec<(u8, Until)>,
}

impl Succession {
    /// That of all communications of a participant.
    pub fn of(shown: &[Communication<'_>]) -> Self {
        let mut made = Succession {
            began: None,
            unanswered: Vec::new(),
        };
        for one in shown {
            if one.connected_time.is_some() {
                made.began = made.began.max(one.connected_time);
                continue;
            }
            let until = until(one.disconnected_time);
            match made
                .unanswered
                .iter_mut()
                .find(|(medium, _)| *medium == one.medium)
            {
                Some((_, last)) => *last = until.max(*last),
                None => made.unanswered.push((one.medium, until)),
            }
        }
        made
    }

    /// Whether `one` is over and its participant got another one since.
    pub fn follows(&self, one: &Communication<'_>) -> bool {
        let Some(over) = one.disconnected_time else {
            return false;
        };
        let unanswered = self
            .unanswered
            .iter()
            .find(|(medium, _)| *medium == one.medium);
        (Some(over) <= self.began && self.began != one.connected_time)
            || unanswered.is_some_and(|(_, last)| until(Some(over)) < *last)
    }
}

/// The communications that a participant's own times and code are of.
#[derive(Default)]
pub struct Handled {
    /// That of its times.
    pub times: Option<usize>,
    /// That of its code.
    pub code: Option<usize>,
}

/// The communications in `shown` that its participant's after-call work and code are of.
pub fn handled(participant: &Participant<'_>) -> Handled {
    let shown = &participant.shown;
    let code = code_of(participant.wrapup);
    let has_times = participant.start_acw_time.is_some() || participant.end_acw_time.is_some();
    if code.is_none() && !has_times {
        return Handled::default();
    }
    let latest = latest(shown);
    let mut found = Handled::default();
    if has_times && !shown.iter().any(has_own_times) {
        found.times = latest
            .iter()
            .copied()
            .filter(|&at| takes_place(&shown[at]) != Takes::No)
            .min_by_key(|&at| {
                let one = &shown[at];
                let uncoded = code_of(one.wrapup).is_none();
                (takes_place(one), uncoded, until(one.connected_time))
            });
    }
    if code.is_some() && !shown.iter().any(|one| code_of(one.wrapup) == code) {
        found.code = latest.into_iter().min_by_key(|&at| {
            let one = &shown[at];
            let coded = code_of(one.wrapup).is_some();
            (coded, takes_place(one), until(one.connected_time))
        });
    }
    found
}

/// Whether a communication has after-call work, by its own state.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Takes {
    Yes,
    Unknown,
    No,
}

fn takes_place(one: &Communication<'_>) -> Takes {
    match one.after_call_work {
        None => Takes::Unknown,
        Some(own) if own.state.is_some_and(is_none) => Takes::No,
        Some(_) => Takes::Yes,
    }
}

/// Whether there is no after-call work in this state.
fn is_none(state: &str) -> bool {
    matches!(state, "skipped" | "notApplicable")
}

fn has_own_times(one: &Communication<'_>) -> bool {
    one.after_call_work
        .is_some_and(|own| own.start_time.is_some())
}

/// The code, which may be empty.
fn code_of(wrapup: Option<Wrapup<'_>>) -> Option<&str> {
    wrapup
        .and_then(|one| one.code)
        .filter(|code| !code.is_empty())
}

/// What a reading tells of a communication's after-call work; null where it tells nothing.
///
/// `has_times`, `has_code`: those of the participant are of this communication.
pub fn work_of<'a>(
    participant: &Participant<'a>,
    communication: &Communication<'a>,
    has_times: bool,
    has_code: bool,
) -> Option<Work<'a>> {
    let own = communication.after_call_work;
    let mut wrapup = communication.wrapup;
    let (mut state, mut began, mut ended) = (None, None, None);
    if has_times {
        began = unless_earlier(participant.start_acw_time, communication);
        ended = unless_earlier(participant.end_acw_time, communication);
    }
    if has_code && code_of(wrapup).is_none() {
        if let Some(repeated) = participant.wrapup {
            let saved = repeated.end_time.or(participant.start_acw_time);
            if saved.is_none() || unless_earlier(saved, communication).is_some() {
                wrapup = Some(repeated);
            }
        }
    }
    if own.is_none() && wrapup.is_none() && began.is_none() {
        return None;
    }
    if let Some(own) = own {
        state = own.state;
        began = own.start_time.or(began);
        ended = own.end_time.or(ended);
    }
    Some(Work {
        state,
        began,
        ended,
        code: code_of(wrapup),
        coded_at: wrapup.and_then(|one| one.end_time),
    })
}

/// A time of a participant; null where it is of an earlier communication than this one.
fn unless_earlier(time: Option<Time>, communication: &Communication<'_>) -> Option<Time> {
    if communication.state.is_some_and(words::is_unanswered) || time < communication.connected_time
    {
        return None;
    }
    time
}

/// Remembers the code that a live leg shows, until the leg is over.
pub fn note(leg: &mut Leg, work: Work<'_>) {
    if let Some(code) = work.code {
        take(leg, code, work.coded_at);
    }
}

/// Tells the after-call work and the codes of a leg that is over.
pub fn tell_work<'a>(
    leg: &mut Leg,
    at: usize,
    view: &View<'_, 'a>,
    work: Work<'a>,
    told: &mut Vec<Transition<'a>>,
) {
    let skipped = match work.state {
        Some(state) => is_none(state),
        // The participant's times alone: none where it was skipped, or equal.
        None => work.began.is_some() && work.began == work.ended,
    };
    if work.began.is_some() && !skipped {
        tell(told, leg, at, Kind::Acw, work.began, view.state);
    }
    let is_over = work.ended.is_some() || skipped || work.state == Some("complete");
    if leg.once & Kind::Acw.bit() != 0 && is_over {
        tell(told, leg, at, Kind::AcwEnd, work.ended, view.state);
    }
    if let Some(code) = work.code {
        codes(leg, at, view, code, work.coded_at, told);
    }
}

fn codes<'a>(
    leg: &mut Leg,
    at: usize,
    view: &View<'_, 'a>,
    code: &str,
    coded_at: Option<Time>,
    told: &mut Vec<Transition<'a>>,
) {
    let returned = take(leg, code, coded_at);
    let codes = match &leg.service {
        Some(service) => service.codes.clone(),
        None => Vec::new(),
    };
    let mut last = None;
    for one in &codes {
        let saved = if **one == *code { coded_at } else { None };
        let transition = Transition {
            which: one.to_string(),
            code: Some(one.clone()),
            ..Transition::new(at, Kind::Wrapup, saved, view.state)
        };
        if tell_often(told, leg, transition) {
            last = Some(one);
        }
    }
    // One that came back, or that is later than what was told only now, has been told before.
    if (returned || last.is_some()) && last != codes.last() {
        let last = codes.last();
        told.push(Transition {
            at: coded_at.filter(|_| last.is_some_and(|last| **last == *code)),
            code: last.cloned(),
            ..Transition::reading(at, Kind::Wrapup, view.state)
        });
    }
}

/// Notes the code that a reading shows; whether one counts again that another had replaced.
fn take(leg: &mut Leg, code: &str, coded_at: Option<Time>) -> bool {
    let service = leg.service.get_or_insert_default();
    let codes = &mut service.codes;
    if codes.last().is_some_and(|last| **last == *code) {
        service.coded_at = service.coded_at.max(coded_at);
        return false;
    }
    let is_earlier =
        !codes.is_empty() && service.coded_at.is_some() && coded_at <= service.coded_at;
    let Some(place) = codes.iter().position(|one| **one == *code) else {
        if is_earlier && coded_at.is_some() {
            codes.insert(codes.len() - 1, code.into());
        } else {
            codes.push(code.into());
            if codes.len() > MAX_CODES {
                codes.drain(..codes.len() - MAX_CODES);
            }
            service.coded_at = coded_at;
        }
        return false;
    };
    if is_earlier {
        return false;
    }
    codes.remove(place);
    codes.push(code.into());
    service.coded_at = coded_at;
    true
}
