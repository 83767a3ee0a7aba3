//! Holds and parks: what one leg can go into and come out of several times.

use crate::memory::{Leg, Spell};
use crate::times::Time;
use crate::transition::{tell_often, Kind, Transition, View};
use crate::words;

/// In place of the park that ended: the leg rings again.
const RINGS: &str = "~";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Hold,
    Park,
}

impl Sort {
    fn began(self) -> Kind {
        match self {
            Sort::Hold => Kind::Hold,
            Sort::Park => Kind::Park,
        }
    }

    fn over(self) -> Kind {
        match self {
            Sort::Hold => Kind::Resume,
            Sort::Park => Kind::Unpark,
        }
    }
}

/// Whether a reading shows a leg in a hold before its latest, or before its latest park.
pub fn are_earlier(leg: &Leg, view: &View<'_, '_>) -> bool {
    if let (Some(park), Some(parked_at)) = (&leg.park, view.parked_at) {
        if Some(parked_at) < park.last {
            return true;
        }
    }
    match (&leg.hold, view.held_since) {
        (Some(hold), Some(since)) if view.held() => Some(since) < hold.last,
        _ => false,
    }
}

/// Tells the dated hold and park that a late reading shows.
pub fn history<'a>(leg: &mut Leg, at: usize, view: &View<'_, 'a>, told: &mut Vec<Transition<'a>>) {
    if let (true, Some(since)) = (view.held(), view.held_since) {
        dated(leg, at, Sort::Hold, since, told);
    }
    if let Some(parked_at) = view.parked_at {
        dated(leg, at, Sort::Park, parked_at, told);
    }
}

/// Tells the hold and the park that a live leg shows, and a park that it came out of unseen.
pub fn advance<'a>(leg: &mut Leg, at: usize, view: &View<'_, 'a>, told: &mut Vec<Transition<'a>>) {
    if view.held() {
        begin(leg, at, view, Sort::Hold, view.held_since, told);
    }
    if view.state == "parked" {
        begin(leg, at, view, Sort::Park, view.parked_at, told);
    } else if let Some(parked_at) = view.parked_at {
        let is_later = leg
            .park
            .as_ref()
            .is_none_or(|park| Some(parked_at) > park.last);
        if is_later {
            begin(leg, at, view, Sort::Park, Some(parked_at), told);
            over(leg, at, view, Sort::Park, told);
        }
    }
}

/// What a leg that is over shows of its holds and parks. Those that it ended in just stop.
pub fn ended<'a>(leg: &mut Leg, at: usize, view: &View<'_, 'a>, told: &mut Vec<Transition<'a>>) {
    if let Some(parked_at) = view.parked_at {
        dated(leg, at, Sort::Park, parked_at, told);
    }
    for spell in [&mut leg.hold, &mut leg.park].into_iter().flatten() {
        spell.since = None;
    }
}

/// Whether a parked leg that was answered before rings now.
pub fn rings_again(leg: &Leg, view: &View<'_, '_>) -> bool {
    let was_answered = view.communication.connected_time.is_some() || view.parked_at.is_some();
    was_answered && leg.park.as_ref().is_some_and(|park| park.since.is_some())
}

/// Tells the ends of the hold and the park that a leg no longer shows; whether it rang again and is
/// answered now.
pub fn release<'a>(
    leg: &mut Leg,
    at: usize,
    view: &View<'_, 'a>,
    told: &mut Vec<Transition<'a>>,
) -> bool {
    if leg.ended {
        return false;
    }
    let lasts = |spell: &Option<Box<Spell>>| spell.as_ref().is_some_and(|one| one.since.is_some());
    if lasts(&leg.hold) && !view.held() {
        over(leg, at, view, Sort::Hold, told);
    }
    let Some(park) = leg.park.as_mut().filter(|_| view.state != "parked") else {
        return false;
    };
    if park.since.as_deref() != Some(RINGS) {
        over(leg, at, view, Sort::Park, told);
    } else if !words::is_unanswered(view.state) {
        park.since = None;
        return true;
    }
    false
}

/// A leg is held or parked, since then where Genesys says so.
fn begin<'a>(
    leg: &mut Leg,
    at: usize,
    view: &View<'_, 'a>,
    sort: Sort,
    since: Option<Time>,
    told: &mut Vec<Transition<'a>>,
) {
    let Some(since) = since else {
        if matches!(spell(leg, sort).since.as_deref(), None | Some(RINGS)) {
            let number = numbered(leg, sort);
            spell(leg, sort).since = Some(number.as_str().into());
            let transition = Transition {
                which: number,
                held: sort == Sort::Hold,
                ..Transition::new(at, sort.began(), None, view.state)
            };
            tell_often(told, leg, transition);
        }
        return;
    };
    let spell = spell(leg, sort);
    if spell.since.as_deref() == Some(since.text()) {
        return;
    }
    if Some(since) < spell.last {
        dated(leg, at, sort, since, told); // history, but not how the leg is now
        return;
    }
    if spell.since.is_some() {
        over(leg, at, view, sort, told); // it ended and the next began between two frames
    }
    let spell = self::spell(leg, sort);
    spell.since = Some(since.text().into());
    spell.last = Some(since);
    if !dated(leg, at, sort, since, told) {
        // Told before, and its end perhaps too: say how it is, without claiming that it is new.
        told.push(Transition {
            held: sort == Sort::Hold,
            hold_started_at: (sort == Sort::Hold).then_some(since),
            ..Transition::reading(at, sort.began(), view.state)
        });
    }
}

/// Tells what began `since`; whether it was new.
fn dated<'a>(
    leg: &mut Leg,
    at: usize,
    sort: Sort,
    since: Time,
    told: &mut Vec<Transition<'a>>,
) -> bool {
    let (state, held) = match sort {
        Sort::Hold => ("connected", Some(since)),
        Sort::Park => ("parked", None),
    };
    let transition = Transition {
        which: since.text().to_owned(),
        held: held.is_some(),
        hold_started_at: held,
        ..Transition::new(at, sort.began(), Some(since), state)
    };
    tell_often(told, leg, transition)
}

/// What lasted is over, at a time that Genesys does not say.
fn over<'a>(
    leg: &mut Leg,
    at: usize,
    view: &View<'_, 'a>,
    sort: Sort,
    told: &mut Vec<Transition<'a>>,
) {
    let spell = spell(leg, sort);
    let Some(since) = spell.since.take_if(|since| **since != *RINGS) else {
        return;
    };
    if sort == Sort::Park && words::is_unanswered(view.state) {
        spell.since = Some(RINGS.into());
    }
    let (held, hold, state) = match sort {
        Sort::Hold => (false, Time::usual(&since), view.state),
        // One that was taken up may be held by now.
        Sort::Park if view.state == "parked" => (view.held(), view.held_since, "connected"),
        Sort::Park => (view.held(), view.held_since, view.state),
    };
    let transition = Transition {
        which: since.into(),
        held,
        hold_started_at: hold,
        ..Transition::new(at, sort.over(), None, state)
    };
    if !tell_often(told, leg, transition) {
        told.push(Transition {
            held,
            hold_started_at: hold,
            ..Transition::reading(at, sort.over(), state)
        });
    }
}

fn spell(leg: &mut Leg, sort: Sort) -> &mut Spell {
    match sort {
        Sort::Hold => leg.hold.get_or_insert_default(),
        Sort::Park => leg.park.get_or_insert_default(),
    }
}

fn numbered(leg: &Leg, sort: Sort) -> String {
    let begin = match sort {
        Sort::Hold => "hold#",
        Sort::Park => "park#",
    };
    let count = leg.often.as_deref().unwrap_or_default();
    format!(
        "#{}",
        1 + count.iter().filter(|name| name.starts_with(begin)).count()
    )
}
