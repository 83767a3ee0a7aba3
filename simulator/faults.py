"""Faults that can be switched on: their kinds, targets and times. Pure.

A fault is plain data, from the command line (`name:key=value,...`) or the admin API (JSON).
Standing faults stay until they are removed, used up (`count`) or over (`seconds`). Striking faults
strike at once, or again `every` so many seconds; `saboteur` carries them out.
"""

from __future__ import annotations

import random
from fnmatch import fnmatchcase

import msgspec

#: Faults that strike at once: on sockets, channels, tokens, conversations, the clock.
STRIKING = {
    "drop": "cut sockets without a close frame",
    "close": "close sockets with `code` (default 1001) and `reason`",
    "kick": "put sockets out as a second socket on their channel would",
    "stall": "stop sockets silently for `seconds` (default: for ever): nothing sent, nothing read",
    "closing": "send v2.system.socket_closing, and close after `ms` (default 60000) if still open",
    "evict": "remove channels as a 21st channel would",
    "expire": "let channels expire",
    "revoke": "revoke every token of `client` (default: of all) and its channels",
    "resubscribe": "send v2.system.no_longer_subscribed to the channels",
    "wipe": "empty the subscriptions of channels, as another program of the client may",
    "garbage": "send frames of `kind` (default: any) to sockets",
    "forget": "purge `conversation_id` (default: all ended) from REST and analytics",
    "clock": "shift the Genesys clock by `ms`",
}
#: Faults that stay on: on deliveries, REST, handshakes, topics.
STANDING = {
    "swallow": "from the frame that first shows `event` (any of `media`) on, send nothing more of "
    "that conversation: a zombie",
    "lose": "lose frames",
    "late": "send frames `ms` later, in order; `jitter_ms` adds up to this much",
    "reorder": "send frames up to `ms` later, so that others overtake them",
    "duplicate": "send frames twice",
    "noise": "after a frame, send garbage of `kind` (default: any)",
    "mute": "send no heartbeats",
    "rest": "answer `method` `path` (globs) with `status`; `ms` waits first; status 0 only waits, "
    "-1 cuts the connection; `body` answers that text instead of Genesys' own",
    "handshake": "refuse WebSocket handshakes with `status` (default 401), after `ms`",
    "forbid": "refuse topics that match `topic` (a glob) for want of permission",
}
DELIVERY = frozenset({"lose", "late", "reorder", "duplicate", "noise"})


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One fault. Selectors that are not given match everything."""

    fault: str
    id: int = 0
    # Its targets.
    channel: str | None = None
    client: str | None = None
    topic: str | None = None
    #: Only the n-th listener of a topic (from 0): one of two replicas.
    nth: int | None = None
    # When.
    share: float = 1.0
    count: int | None = None
    seconds: float | None = None
    every: float | None = None
    # What.
    ms: int | None = None
    jitter_ms: int = 0
    code: int = 1001
    reason: str = ""
    status: int | None = None
    path: str = "*"
    method: str = "*"
    #: Seconds, or any text that a gateway may put there.
    retry_after: int | str | None = None
    body: str | None = None
    kind: str | None = None
    event: str | None = None
    media: str | None = None
    conversation_id: str | None = None
    # State, kept by `FaultBook`.
    hits: int = 0
    until: float | None = None


class Delivery(msgspec.Struct, frozen=True):
    """The delivery of a frame on a socket: once after each of `delays` seconds. Empty: it is
    lost."""

    delays: tuple[float, ...] = (0.0,)
    ordered: bool = True
    noise: str | None = None


def parse(text: str) -> Fault:
    """`rest:status=503,path=/api/v2/users*,count=3`; `ValueError` says what is wrong."""
    name, _, rest = text.partition(":")
    fields: dict[str, str] = {"fault": name}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not key=value")
        fields[key.strip()] = value.strip()
    return checked(fields, strict=False)


def checked(fields: object, strict: bool = True) -> Fault:
    """A fault from JSON-like data; `ValueError` says what is wrong."""
    try:
        fault = msgspec.convert(fields, Fault, strict=strict)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if fault.fault not in STRIKING and fault.fault not in STANDING:
        raise ValueError(f"no fault {fault.fault!r}; there are {sorted({*STRIKING, *STANDING})}")
    if fault.kind is not None and fault.kind not in GARBAGE_KINDS:
        raise ValueError(f"no kind {fault.kind!r}; there are {list(GARBAGE_KINDS)}")
    return fault


GARBAGE_KINDS = (
    "bad_utf8",
    "truncated",
    "not_json",
    "not_object",
    "no_topic",
    "no_id",
    "empty",
    "huge",
    "deep",
    "wrong_types",
    "unknown_topic",
    "unknown_values",
)


class FaultBook:
    """The standing and repeated faults of an org."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._faults: dict[int, Fault] = {}
        self._next = 1
        self._delivery = False

    @property
    def on_delivery(self) -> bool:
        """Whether a fault may touch frames. If not, the fast path stays fast."""
        return self._delivery

    def add(self, fault: Fault, now: float) -> Fault:
        """Switch a fault on. `now` is in seconds of the same clock as in the other calls."""
        fault.id = self._next
        self._next += 1
        if fault.seconds is not None and fault.fault in STANDING:
            fault.until = now + fault.seconds
        self._faults[fault.id] = fault
        self._note()
        return fault

    def remove(self, fault_id: int) -> Fault | None:
        """Switch a fault off."""
        fault = self._faults.pop(fault_id, None)
        self._note()
        return fault

    def clear(self) -> None:
        """Switch all faults off."""
        self._faults.clear()
        self._note()

    def all(self) -> list[Fault]:
        """All standing and repeated faults."""
        return list(self._faults.values())

    def named(self, *names: str) -> list[Fault]:
        """Standing faults of these names."""
        return [fault for fault in self._faults.values() if fault.fault in names]

    def strikes(self, fault: Fault, now: float) -> bool:
        """Whether the fault strikes this time. Counts the strike."""
        if fault.until is not None and now >= fault.until:
            self.remove(fault.id)
            return False
        if fault.share < 1.0 and self.rng.random() >= fault.share:
            return False
        if fault.count is not None and fault.hits >= fault.count:
            self.remove(fault.id)
            return False
        fault.hits += 1
        return True

    def delivery(self, topic: str, channel: str, client: str, nth: int, now: float) -> Delivery:
        """The delivery of a frame of `topic` to the `nth` listener."""
        delays, ordered, noise = [0.0], True, None
        for fault in self.named(*DELIVERY):
            if not selects(fault, channel, client, topic, nth) or not self.strikes(fault, now):
                continue
            if fault.fault == "lose":
                return Delivery(())
            wait = (fault.ms or 0) / 1000
            if fault.fault == "late":
                delays = [d + wait + self.rng.random() * fault.jitter_ms / 1000 for d in delays]
            elif fault.fault == "reorder":
                delays = [d + self.rng.random() * (wait or 0.2) for d in delays]
                ordered = False
            elif fault.fault == "duplicate":
                delays.append(delays[0] + wait)
            else:
                noise = fault.kind or self.rng.choice(GARBAGE_KINDS)
        return Delivery(tuple(delays), ordered, noise)

    def rest(self, method: str, path: str, client: str | None, now: float) -> Fault | None:
        """The fault that answers this request, if any."""
        for fault in self.named("rest"):
            if (
                fnmatchcase(path, fault.path)
                and fnmatchcase(method, fault.method)
                and fault.client in (None, client)
                and self.strikes(fault, now)
            ):
                return fault
        return None

    def handshake(self, channel: str, client: str | None, now: float) -> Fault | None:
        """The fault that refuses this WebSocket handshake, if any."""
        for fault in self.named("handshake"):
            if (
                fault.channel in (None, channel)
                and fault.client in (None, client)
                and self.strikes(fault, now)
            ):
                return fault
        return None

    def muted(self, channel: str, client: str, now: float) -> bool:
        """Whether this socket gets no heartbeat now."""
        return any(
            selects(fault, channel, client) and self.strikes(fault, now)
            for fault in self.named("mute")
        )

    def forbids(self, topic: str, client: str) -> bool:
        """Whether this client may not subscribe to a (lower-case) topic."""
        return any(
            fault.client in (None, client) and fnmatchcase(topic, (fault.topic or "*").lower())
            for fault in self.named("forbid")
        )

    def swallows(
        self, conversation_id: str, shown: list[tuple[str, str | None]], now: float
    ) -> bool:
        """Whether a conversation goes silent after a frame that first shows one of these (event,
        media)."""
        for fault in self.named("swallow"):
            if fault.conversation_id not in (None, conversation_id):
                continue
            for event, media in shown:
                if fault.event not in (None, event) or fault.media not in (None, media):
                    continue
                if self.strikes(fault, now):
                    return True
        return False

    def _note(self) -> None:
        self._delivery = any(fault.fault in DELIVERY for fault in self._faults.values())


def selects(
    fault: Fault, channel: str, client: str, topic: str | None = None, nth: int | None = None
) -> bool:
    """Whether a fault's selectors match a socket, and the topic of its frame if there is one."""
    return (
        fault.channel in (None, channel)
        and fault.client in (None, client)
        and (fault.nth is None or nth is None or fault.nth == nth)
        and (
            fault.topic is None or topic is None or fnmatchcase(topic.lower(), fault.topic.lower())
        )
    )
