"""Where the notes say "unsure", the simulator can do either; these are the switches. Pure data.

The default is what the stronger source says, or the less convenient answer where none is stronger.
"""

from __future__ import annotations

import msgspec


class Quirks(msgspec.Struct, forbid_unknown_fields=True):
    """Each field names an open question and the section that asks it."""

    #: Status of a token request with wrong credentials: 400 or 401 (0, 1.1).
    login_failure: int = 400
    #: What the handshake on a dead channel gets: a status, or 101 to be let in and told
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
    #: Whether channels die with the token that made them (3.4).
    token_ends_channels: bool = True
    #: Whether a queue's topics go on with a conversation that moved to another queue (5.1).
    queue_after_transfer: bool = True
    #: Whether REST sets `endTime` while after-call work is still pending (6.1).
    end_time_before_wrapup: bool = True
    #: Status for a conversation that one may not see, or that is unknown (6.1).
    unknown_conversation: int = 404
    #: Whether analytics finds what started before the interval and was active in it (6.3).
    interval_by_activity: bool = True
    #: Whether users of other divisions than the client's are left out of `GET /users` (7).
    users_by_division: bool = True
    #: Path (a glob) of listings that name a next page for ever, and begin anew behind the last.
    endless: str = ""
    #: Most entities on a page of users or queues (7).
    max_page_size: int = 500


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
    """The quirks with some of them changed; `ValueError` when one cannot be that."""
    try:
        return msgspec.convert({**msgspec.structs.asdict(quirks), **changes}, Quirks)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
