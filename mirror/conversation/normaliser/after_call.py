"""After-call work and wrap-up codes: what follows a leg's end.

Both belong to the communication (docs/protocol.md, "After-call work"). A participant repeats them,
those of its latest communication, and where no communication has its own, that is all there is. It
may still show those of an earlier communication when the next one lives: what is older than a leg
is not of that leg.

A code is saved each time it is chosen, also while the agent still talks; a later one replaces it.
All of them are told behind the leg's end, in the order in which they were seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from mirror.conversation.normaliser.bodies import Communication, Participant
from mirror.conversation.normaliser.memory import Service
from mirror.conversation.normaliser.transition import BITS, Transition, View, Work, tell, tell_often
from mirror.conversation.normaliser.words import (
    AFTER_CALL_WORK_DONE,
    NO_AFTER_CALL_WORK,
    UNANSWERED,
)
from mirror.conversation.times import instant

MAX_CODES: Final = 16  # of one leg; of more, the oldest are forgotten
_ACW: Final = BITS["acw"]
_AFTER_ALL: Final = "9"  # after every time


def _latest(shown: Sequence[Communication]) -> list[Communication]:
    """Of a participant's communications those that no later one followed.

    One after another means that a later one was connected behind the end of an earlier one. Their
    places in an array say nothing.
    """
    last = max((instant(communication.connected_time) or "" for communication in shown), default="")
    return [
        communication
        for communication in shown
        if (instant(communication.disconnected_time) or _AFTER_ALL) >= last
    ]


class Succession(msgspec.Struct, gc=False):
    """Which communications of a participant others followed.

    `began` is when the last one was connected. One that was never connected does not say when it
    began: `unanswered` has, for each medium, until when the last such one went on.
    """

    began: str = ""
    unanswered: dict[str, str] = {}

    @classmethod
    def of(cls, shown: Sequence[Communication]) -> Succession:
        """That of all communications of a participant."""
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
        """Whether `one` is over and its participant got another one since.

        Its participant's queue is then the other one's.
        """
        over = instant(communication.disconnected_time)
        if over is None:
            return False
        own = instant(communication.connected_time)
        return (over <= self.began != own) or over < self.unanswered.get(communication.medium, "")


def handled(participant: Participant, shown: Sequence[Communication]) -> Communication | None:
    """The communication in `shown` that its participant's after-call work is of.

    Of several at once it is the one that has a code, else the one that was connected first: a
    callback comes before the call that it dials. None where one of them, or of those before them,
    tells its own work.
    """
    told = (participant.wrapup, participant.start_acw_time, participant.end_acw_time)
    if told == (None, None, None):
        return None
    candidates = _latest(shown)
    if any(communication.after_call_work for communication in shown) or not candidates:
        return None
    coded = [candidate for candidate in candidates if candidate.wrapup is not None]
    return min(
        coded or candidates,
        key=lambda communication: instant(communication.connected_time) or _AFTER_ALL,
    )


def work_of(
    participant: Participant, communication: Communication, is_handled: bool
) -> Work | None:
    """What a reading tells of a communication's after-call work; null where it tells nothing."""
    own, wrapup = communication.after_call_work, communication.wrapup
    state = began = ended = None
    if is_handled and (participant.start_acw_time or participant.end_acw_time):
        began = _unless_earlier(participant.start_acw_time, communication)
        ended = _unless_earlier(participant.end_acw_time, communication)
    if is_handled and wrapup is None and participant.wrapup is not None:
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
    """A time of a participant; null where it is of an earlier communication than this one.

    That is what lies before this one was connected, and all while it is unanswered.
    """
    connected = instant(communication.connected_time) or ""
    if communication.state in UNANSWERED or (instant(time) or _AFTER_ALL) < connected:
        return None
    return time


def note(view: View) -> None:
    """Remember the code that a live leg shows, until the leg is over."""
    work = view.work
    if work is not None and work.code:
        _take(view, work.code, instant(work.coded_at) or "")


def tell_work(view: View, told: list[Transition]) -> None:
    """Tell the after-call work and the codes of a leg that is over."""
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
    # One that came back, or that is later than what was told only now, has been told before.
    if (returned or last is not None) and last != codes[-1]:
        told.append(Transition(view, "wrapup", None, view.state, code=codes[-1], snapshot=True))


def _take(view: View, code: str, coded_at: str) -> bool:
    """Note the code that a reading shows; whether one counts again that another had replaced.

    A dated code counts before those that were saved earlier, and a reading that shows an earlier
    one is late. Where codes have no times, the latest reading counts.
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
