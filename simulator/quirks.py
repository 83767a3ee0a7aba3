"""Switches for open questions: where docs/protocol.md is unsure, the simulator can do either. Pure
data.

The default follows the stronger source, or else is the less convenient answer. If the answer
differs between conversations, it is `mixed`: each conversation draws its answer.
"""

from __future__ import annotations

from typing import Literal

import msgspec

MIXED = "mixed"
#: The answers that a mixed quirk draws from.
VARIANTS: dict[str, tuple[str, ...]] = {
    "early_resume": ("gone", "kept", "park_kept", "resume_kept"),
    "resume_rings": ("no", "yes"),
    "reused_participant": ("append", "newest_first", "replace"),
    "consult_transfer_type": ("transfer", "transfer.consult"),
    "consult_cancel_type": ("transfer.consult", "peer"),
    "consult_attribute": ("present", "absent"),
    "supervision_keys": ("one", "all"),
    "skipped_acw_times": ("equal", "absent"),
    "wrapup_on": ("both", "communication", "participant"),
}
#: Answers that no mixed quirk draws. After the end of a consultation that was cancelled so, nothing
#: tells its end from a transfer.
BY_NAME: dict[str, tuple[str, ...]] = {"consult_cancel_type": ("transfer",)}


class Quirks(msgspec.Struct, forbid_unknown_fields=True):
    """Each field is an open question, with its section."""

    #: Status of a token request with wrong credentials: 400 or 401 (0, 1.1).
    login_failure: int = 400
    #: The answer to the handshake on a dead channel: a status, or 101 to open the socket and send
    #: `{"result":"404"}` (3.1, 2.2).
    dead_channel: int = 404
    #: Close code of the socket of an evicted or expired channel; 1006 cuts it (2.2).
    dead_socket_code: int = 1001
    #: Which requests renew a channel's 24 hours (2.2).
    renewing: tuple[str, ...] = ("PUT", "POST", "WS")
    #: Whether an invalid topic fails the whole call even with ignoreErrors (2.3).
    invalid_topic_fails: bool = True
    #: Whether subscription answers carry `state`, as newer ones do (2.1).
    topic_states: bool = True
    #: Whether lists name a combined topic as it was asked for, or each of its topics (2.1).
    combined_ids: bool = True
    #: Whether a channel can be used with another token of its client than the one that made it (2).
    any_token: bool = True
    #: What a topic of a queue or user is that does not exist, or not any more (2.3).
    absent_owner: Literal["permitted", "rejected", "invalid"] = "rejected"
    #: Whether channels die with the token that made them (3.4).
    token_ends_channels: bool = True
    #: Whether a queue's topics go on with a conversation that moved to another queue (5.1).
    queue_after_transfer: bool = False
    #: Whether REST sets `endTime` at the last leg's end, after-call work pending or not (0).
    end_time_before_wrapup: bool = False
    #: Status for a conversation that the client may not see. An unknown one is 404 (6.1).
    hidden_conversation: int = 404
    #: Whether users of other divisions than the client's are left out of `GET /users` (7).
    users_by_division: bool = True
    #: Whether a details query that finds nothing answers `totalHits` 0, or `{}` (6.3).
    counts_no_hits: bool = True
    #: Whether `totalHits` counts beyond the 100,000 that can be listed (6.3).
    counts_all_hits: bool = False
    #: Whether analytics refuses a request in which one of several ids is no UUID (6.3).
    odd_ids_fail: bool = True
    #: Path (a glob) of listings that always name a next page, and start over after the last.
    endless: str = ""
    #: Most entities on a page of users or queues (7).
    max_page_size: int = 500
    #: What becomes of `parkTime` and `resumeTime` if the park ends before the planned time (0).
    early_resume: str = MIXED
    #: Whether a parked leg rings before it is taken up again (0).
    resume_rings: str = "no"
    #: How a participant that is used again shows its legs (0).
    reused_participant: str = MIXED
    #: How the consulting agent's leg ends in a completed consult transfer (5.5).
    consult_transfer_type: str = MIXED
    #: How the consulted agent's leg ends if the consult is cancelled (5.5).
    consult_cancel_type: str = MIXED
    #: Whether the consulting agent has the attribute `consultInitiator` (5.5).
    consult_attribute: str = MIXED
    #: Whether a supervisor who coaches or barges in keeps the keys of the role before (0).
    supervision_keys: str = MIXED
    #: Whether skipped after-call work has times, both the leg's end (0).
    skipped_acw_times: str = MIXED
    #: Where frames and REST show a code: on the communication, its participant, or both (0).
    wrapup_on: str = "both"


def parse(text: str) -> tuple[str, object]:
    """`name=value` from the command line, the value as JSON or as a word."""
    name, equals, value = text.partition("=")
    if not equals or name not in Quirks.__struct_fields__:
        raise ValueError(f"{text!r}: expected one of {', '.join(Quirks.__struct_fields__)}=value")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def changed(quirks: Quirks, changes: dict[str, object]) -> Quirks:
    """The quirks with some changes. Raises `ValueError` for an impossible value."""
    for name, answers in VARIANTS.items():
        known = (MIXED, *answers, *BY_NAME.get(name, ()))
        if changes.get(name, MIXED) not in known:
            raise ValueError(f"{name} is {', '.join(known)}; not {changes[name]!r}")
    try:
        return msgspec.convert({**msgspec.structs.asdict(quirks), **changes}, Quirks)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
