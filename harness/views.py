"""Compares views of `genesys-conversations` with the fold of the stream and with the ledger. Pure.

`folded` makes the views that any consumer makes of the interaction topic with the library's fold.
`difference` compares a view with such a view. `untruth` compares a view with the simulator's
ledger: whether the conversation and its legs are over, their agents and queues, and whether they
were answered and are held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mirror.conversation.event import Event
from mirror.conversation.fold import ConversationView, fold
from mirror.conversation.published import PublishedLeg, PublishedView, published
from simulator.ledger import Truth

# Fields that the fold of the whole stream lacks: times at which the projector read.
_OWN: Final = frozenset({"updated_at", "legs"})
_OWN_OF_LEG: Final = frozenset({"since"})
# Purposes that have their queue from their first frame. A customer gets the queue later.
_OF_A_QUEUE: Final = frozenset({"acd", "agent", "user"})

_Leg = tuple[str, str | None]


def folded(events: Iterable[Event]) -> dict[str, PublishedView]:
    """Conversation → its view, from all events in the order of their partitions."""
    views: dict[str, ConversationView] = {}
    ids: dict[str, set[str]] = defaultdict(set)
    for event in events:
        key = event.conversation_id
        views[key] = fold(views.get(key), event)
        ids[key].add(event.event_id)
    return {
        key: published(
            view, ((leg, "") for leg in view.legs.values()), updated_at="", events=len(ids[key])
        )
        for key, view in views.items()
    }


def difference(shown: PublishedView | None, expected: PublishedView | None) -> str:
    """The first difference of the view `shown` from `expected`, in a line. Empty if they are
    equal."""
    if shown is None or expected is None:
        return "" if shown is expected else "no view" if shown is None else "no such conversation"
    if len(shown.legs) != len(expected.legs):
        return f"{len(shown.legs)} legs, not {len(expected.legs)}"
    for field in PublishedView.__struct_fields__:
        if field not in _OWN and getattr(shown, field) != getattr(expected, field):
            return f"{field} is {getattr(shown, field)}, not {getattr(expected, field)}"
    for leg, wanted in zip(shown.legs, expected.legs, strict=True):
        for field in PublishedLeg.__struct_fields__:
            if field not in _OWN_OF_LEG and getattr(leg, field) != getattr(wanted, field):
                said, meant = getattr(leg, field), getattr(wanted, field)
                return f"leg {wanted.participant_id}: {field} is {said}, not {meant}"
    return ""


def untruth(shown: PublishedView | None, truths: Sequence[Truth], lost: frozenset[str]) -> str:
    """The first field of the view that is not as it happened, in a line. Empty if all is.

    `truths` are all transitions of the conversation, oldest first. Types in `lost` may have no
    event.
    """
    if shown is None:
        return "no view"
    legs: dict[_Leg, list[Truth]] = defaultdict(list)
    for truth in truths:
        if truth.participant_id is not None:
            legs[truth.participant_id, truth.communication_id].append(truth)
    ends = [truth.occurred_at for truth in truths if truth.event_type == "end"]
    is_over = bool(ends) and all(_is_over(leg) for leg in legs.values())
    if shown.state != ("ended" if is_over else "active"):
        return f"state is {shown.state}, and it {'is over' if is_over else 'goes on'}"
    if is_over and shown.ended_at != max(ends):
        return f"ended_at is {shown.ended_at}, and was {max(ends)}"
    known = {(leg.participant_id, leg.communication_id): leg for leg in shown.legs}
    queues = _queues(truths)
    for name, own in legs.items():
        if {truth.event_type for truth in own} <= lost:
            continue
        if reason := _untrue_leg(known.get(name), own, queues, lost):
            return f"leg {name[0]}: {reason}"
    return ""


def _is_over(leg: Sequence[Truth]) -> bool:
    return any(truth.event_type == "disconnect" for truth in leg)


def _queues(truths: Iterable[Truth]) -> Mapping[str, set[str | None]]:
    """Participant → the queues of its legs."""
    found: dict[str, set[str | None]] = defaultdict(set)
    for truth in truths:
        if truth.participant_id is not None:
            found[truth.participant_id].add(truth.queue_id)
    return found


def _untrue_leg(
    leg: PublishedLeg | None,
    truths: Sequence[Truth],
    queues: Mapping[str, set[str | None]],
    lost: frozenset[str],
) -> str:
    if leg is None:
        return "it is not in the view"
    types = [truth.event_type for truth in truths]
    is_over = _is_over(truths)
    if (leg.ended_at is not None) != is_over:
        return f"ended_at is {leg.ended_at}, and it {'is over' if is_over else 'goes on'}"
    agents = {truth.agent_id for truth in truths}
    if len(agents) == 1 and leg.agent_id not in agents:
        return f"agent_id is {leg.agent_id}, and was {truths[0].agent_id}"
    if truths[0].purpose in _OF_A_QUEUE:
        known = queues[leg.participant_id]
        own = {truth.queue_id for truth in truths}
        if leg.queue_id not in own and not (len(known) > 1 and leg.queue_id is None):
            return f"queue_id is {leg.queue_id}, and was {truths[0].queue_id}"
    if "answer" not in lost and (leg.answered_at is not None) != ("answer" in types):
        return f"answered_at is {leg.answered_at}, and it was{'' if 'answer' in types else ' not'}"
    holds = [event_type for event_type in types if event_type in {"hold", "resume"}]
    is_held = bool(holds) and holds[-1] == "hold" and not is_over
    if "hold" not in lost and leg.held != is_held:
        return f"held is {leg.held}, and it is{'' if is_held else ' not'}"
    return ""
