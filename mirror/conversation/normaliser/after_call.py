"""After-call work and wrap-up codes, which follow a leg's end.

Both belong to the communication (docs/protocol.md, "After-call work"). A participant repeats those
of its latest communication. Genesys does not say that communications always have their own; if none
has its own times, or that code, the participant's are the only source. A participant may still show
those of an earlier communication while the next one is live. So values that are older than a leg do
not belong to that leg.

A code is saved each time the agent chooses one, also during the call; a later code replaces it. All
codes are reported after the leg's end, in the order in which they were seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from mirror.conversation.normaliser.bodies import Communication, Participant, SessionCommunication
from mirror.conversation.normaliser.memory import Service
from mirror.conversation.normaliser.transition import BITS, Transition, View, Work, tell, tell_often
from mirror.conversation.normaliser.words import (
    AFTER_CALL_WORK_DONE,
    NO_AFTER_CALL_WORK,
    UNANSWERED,
)
from mirror.conversation.times import instant

MAX_CODES: Final = 16  # per leg; beyond, the oldest are forgotten
_ACW: Final = BITS["acw"]
_AFTER_ALL: Final = "9"  # after every time


def _latest(shown: Sequence[Communication]) -> list[Communication]:
    """The communications of a participant that no later communication followed.

    A communication follows another if it was connected after the other's end. Their places in an
    array say nothing.
    """
    last = max((instant(communication.connected_time) or "" for communication in shown), default="")
    return [
        communication
        for communication in shown
        if (instant(communication.disconnected_time) or _AFTER_ALL) >= last
    ]


class Succession(msgspec.Struct, gc=False):
    """Tells which communications of a participant were followed by others.

    `began` is when the last communication was connected. A communication that was never connected
    has no start: `unanswered` is medium → the end of the last such communication.
    """

    began: str = ""
    unanswered: dict[str, str] = {}

    @classmethod
    def of(cls, shown: Sequence[Communication]) -> Succession:
        """The succession of all communications of a participant."""
        made = cls()
        for communication in shown:
            began = instant(communication.connected_time)
            if began is not None:
                made.began = max(made.began, began)
            else:
                until = instant(communication.disconnected_time) or _AFTER_ALL
                made.unanswered[communication.medium] = max(
                    made.unanswered.get(communication.medium, ""), until
                )
        return made

    def follows(self, communication: Communication) -> bool:
        """Whether `communication` is over and its participant got another one since.

        The participant's queue is then the queue of the other communication.
        """
        over = instant(communication.disconnected_time)
        if over is None:
            return False
        own = instant(communication.connected_time)
        return (over <= self.began != own) or over < self.unanswered.get(communication.medium, "")


class Handled(NamedTuple):
    """The communications to which a participant's own times and code belong; None: to none."""

    times: Communication | None = None
    code: Communication | None = None


_NOTHING: Final = Handled()


def handled(participant: Participant, shown: Sequence[Communication]) -> Handled:
    """The communications in `shown` to which the participant's after-call work and code belong.

    They are decided apart: communications may have their own work, and the participant alone the
    code. Nothing that a communication has itself belongs to another one. Of several communications
    at once, the one that was connected first counts: a callback comes before the call that it
    dials. Work whose state says that it does not take place has no times.
    """
    code = _code_of(participant)
    times = participant.start_acw_time or participant.end_acw_time
    if not code and not times:
        return _NOTHING
    latest = _latest(shown)
    timed = coded = None
    if times and not any(_has_own_times(communication) for communication in shown):
        could = [communication for communication in latest if _takes_place(communication) != _NO]
        timed = min(could, key=_claim_of_times, default=None)
    if code and not any(_code_of(communication) == code for communication in shown):
        coded = min(latest, key=_claim_of_code, default=None)
    return Handled(timed, coded)


_YES, _UNKNOWN, _NO = range(3)


def _takes_place(communication: Communication) -> int:
    """Whether a communication has after-call work, by its own state."""
    own = communication.after_call_work
    if own is None:
        return _UNKNOWN
    return _NO if own.state in NO_AFTER_CALL_WORK else _YES


def _code_of(shown: Communication | Participant) -> str | None:
    """The code that a communication or a participant has itself. Genesys also sends it empty."""
    return (shown.wrapup.code or None) if shown.wrapup is not None else None


def _has_own_times(communication: Communication) -> bool:
    """Whether a communication has the start of its after-call work itself."""
    own = communication.after_call_work
    return own is not None and bool(own.start_time)


def _claim_of_times(communication: Communication) -> tuple[int, bool, str]:
    """The least claims the participant's times."""
    return _takes_place(communication), _code_of(communication) is None, _connected(communication)


def _claim_of_code(communication: Communication) -> tuple[bool, int, str]:
    """The least claims the participant's code."""
    has_another = _code_of(communication) is not None
    return has_another, _takes_place(communication), _connected(communication)


def _connected(communication: Communication) -> str:
    return instant(communication.connected_time) or _AFTER_ALL


def work_of(
    participant: Participant, communication: Communication, has_times: bool, has_code: bool
) -> Work | None:
    """The after-call work of a communication in a reading; None if the reading has none.

    `has_times`, `has_code`: the participant's belong to this communication.
    """
    own, wrapup = communication.after_call_work, communication.wrapup
    state = began = ended = None
    if has_times and (participant.start_acw_time or participant.end_acw_time):
        began = _unless_earlier(participant.start_acw_time, communication)
        ended = _unless_earlier(participant.end_acw_time, communication)
    if has_code and _code_of(communication) is None and participant.wrapup is not None:
        saved = participant.wrapup.end_time or participant.start_acw_time
        if saved is None or _unless_earlier(saved, communication):
            wrapup = participant.wrapup
    if own is None and wrapup is None and began is None:
        return None
    if own is not None:
        state, began, ended = own.state, own.start_time or began, own.end_time or ended
    code = coded_at = None
    if wrapup is not None:
        code, coded_at = wrapup.code or None, wrapup.end_time
    return Work(state, began, ended, code, coded_at)


def _unless_earlier(time: str | None, communication: Communication) -> str | None:
    """A time of a participant; None if it belongs to an earlier communication than this one.

    A time before this communication was connected is earlier, and any time while it is unanswered.
    """
    connected = instant(communication.connected_time) or ""
    if communication.state in UNANSWERED or (instant(time) or _AFTER_ALL) < connected:
        return None
    return time


def note(view: View) -> None:
    """Remember the code of a live leg until the leg is over."""
    work = view.work
    if work is not None and work.code:
        _take(view, work.code, instant(work.coded_at) or "")


def tell_work(view: View, told: list[Transition]) -> None:
    """Report the after-call work and the codes of a leg that is over."""
    work = view.work
    if work is None:
        return
    began, ended = instant(work.began), instant(work.ended)
    view.flawed = view.flawed or (began is None) != (not work.began)
    view.flawed = view.flawed or (ended is None) != (not work.ended)
    skipped = work.state in NO_AFTER_CALL_WORK
    if work.state is None:  # the participant's times alone: none where it was skipped, or equal
        skipped = began is not None and began == ended
    if work.began and not skipped:
        tell(told, view, "acw", began)
    if view.leg.once & _ACW and (work.ended or skipped or work.state == AFTER_CALL_WORK_DONE):
        tell(told, view, "acw_end", ended)
    if isinstance(view.communication, SessionCommunication):
        for wrapup in view.communication.earlier:
            _codes(view, wrapup.code or "", instant(wrapup.end_time) or "", told)
    if work.code:
        _codes(view, work.code, instant(work.coded_at) or "", told)


def _codes(view: View, code: str, coded_at: str, told: list[Transition]) -> None:
    returned = _take(view, code, coded_at)
    service = view.leg.service
    codes = service.codes if service is not None else ()
    last = None
    for known in codes:
        at = coded_at if known == code else ""
        if tell_often(told, view, "wrapup", at or None, known, code=known):
            last = known
    # A code that came back, or that is later than the ones just reported, was reported before.
    if (returned or last is not None) and last != codes[-1]:
        at = coded_at if codes[-1] == code else ""
        told.append(
            Transition(view, "wrapup", at or None, view.state, code=codes[-1], snapshot=True)
        )


def _take(view: View, code: str, coded_at: str) -> bool:
    """Note the code of a reading. Returns whether a replaced code counts again.

    A dated code beats codes that were saved earlier; a reading with an earlier code is late. If
    codes have no times, the latest reading counts.
    """
    leg = view.leg
    service = leg.service
    if service is None:
        service = leg.service = Service()
    codes = service.codes
    if codes and codes[-1] == code:
        service.coded_at = max(service.coded_at, coded_at)
        return False
    is_earlier = bool(codes) and bool(service.coded_at) and coded_at <= service.coded_at
    if code not in codes:
        if is_earlier and coded_at:
            service.codes = (*codes[:-1], code, codes[-1])
        else:
            service.codes, service.coded_at = (*codes, code)[-MAX_CODES:], coded_at
        return False
    if is_earlier:
        return False
    service.codes = (*(known for known in codes if known != code), code)
    service.coded_at = coded_at
    return True
