"""Reads the legs of a snapshot and returns those that differ from their last reading. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from mirror.conversation.legs import leg_key
from mirror.conversation.normaliser import after_call, roles
from mirror.conversation.normaliser.memory import Conversation, Leg
from mirror.conversation.normaliser.snapshot import Piece
from mirror.conversation.normaliser.transition import View
from mirror.conversation.normaliser.words import ENDED

# This hash of bytes is the same in Python and in the native reader (docs/native.md).
_pack: Final = msgspec.msgpack.Encoder().encode


def read(
    conversation: Conversation,
    changed: Sequence[Piece],
    consulted: Collection[str],
    over: str | None,
    everything: bool,
) -> list[View]:
    """The changed legs of all participants to read, as `_read_legs` makes them."""
    views: list[View] = []
    for piece in changed:
        if piece.participant.id:
            _read_legs(conversation, piece, consulted, over, everything, views)
        elif roles.is_live(piece.shown):
            piece.known.ended = False  # a participant without an id: the conversation goes on
    return views


def _read_legs(
    conversation: Conversation,
    piece: Piece,
    consulted: Collection[str],
    over: str | None,
    everything: bool,
    views: list[View],
) -> None:
    """Add the legs of a participant that differ from their last reading, or `everything`.

    Unknown legs enter the memory as open; `known` gets all legs that are shown. A leg that looks
    live although REST says that the conversation was `over` lags behind: it ended at that time at
    the latest (docs/protocol.md, "Ends").

    A leg's own times come first. A participant's times also cover its other legs, and its
    `connectedTime` is a little earlier than the leg's (docs/protocol.md, "Times"). So they count
    only if the leg has none and is the only one. A leg that ended without a time of connection was
    never connected; its participant may have been connected by an earlier leg that is not shown any
    more.
    """
    participant, shown, known = piece.participant, piece.shown, piece.known
    participant_id = participant.id or ""
    legs: dict[tuple[str, str], Leg] = {}
    only = len(shown) == 1
    worked = follows = None
    if not only:
        worked = after_call.handled(participant, shown)
        follows = after_call.Succession.of(shown)
    for communication in shown:
        medium = communication.medium
        name = (participant_id, communication.id or medium)
        leg = conversation.legs.get(name)
        first = leg is None
        if leg is None:
            key = leg_key(participant_id, communication.id, medium)
            leg = conversation.legs[key] = Leg(key, medium)
            conversation.open += 1
        elif name in legs:
            # A second communication of that name is no leg of its own, but may be live.
            known.ended = known.ended and (over is not None or communication.state in ENDED)
            continue
        legs[name] = leg
        state = communication.state or "none"
        lives = state not in ENDED
        connected, ended_at = communication.connected_time, communication.disconnected_time
        if only:
            if lives or not communication.id:
                connected = connected or participant.connected_time
            ended_at = ended_at or participant.end_time
        if lives:
            if over is not None:
                state, ended_at = "disconnected", ended_at or over
            else:
                known.ended = False
        work = after_call.work_of(
            participant,
            communication,
            worked is None or communication is worked.times,
            worked is None or communication is worked.code,
        )
        supervisor = roles.supervisor(participant, communication)
        seen = hash(
            _pack(
                (
                    state,
                    communication.held,
                    communication.start_hold_time,
                    connected,
                    ended_at,
                    communication.disconnect_type,
                    communication.park_time,
                    len(communication.segments or ()),
                    work,
                    participant.screen_monitored_participant_id
                    or supervisor.monitored_participant_id,
                    supervisor.coached_participant_id,
                    supervisor.barged_participant_id,
                    participant.consult_participant_id if participant_id in consulted else None,
                )
            )
        )
        news = seen != leg.seen
        if news or everything:
            leg.seen = seen
            view = View(participant, communication, leg, state, work, news, first)
            view.times(connected, ended_at)
            if follows is not None:
                view.is_followed = follows.follows(communication)
            views.append(view)
    known.legs = tuple(legs.values())
