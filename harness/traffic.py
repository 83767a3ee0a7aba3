"""The frames that benchmarks feed to listeners, played by the simulator's scripts.

Two kinds of traffic.

`changes`  every conversation on one topic, without repeats: each frame shows at least one
           transition. This is the worst case, and comparisons use it.
`org`      as a small organisation sends it to one process: every snapshot goes to the topic of its
           queue and to those of the users in it, repeats included.

A lap is the frames of `CONVERSATIONS` conversations, interleaved as in production. Their ids have a
placeholder (`LAP`) for the number of the lap, so that no conversation comes twice. A script is used
if its average snapshot is not larger than the requested size. Attributes of the customer, as IVRs
and CRMs set them, fill its snapshots up to this size.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from mirror.conversation.normaliser import Normaliser
from simulator.frames import encode_body, envelope, ws_frame
from simulator.ids import uuid_from
from simulator.model import Conversation
from simulator.org import Org, Staff
from simulator.scenarios import DEFAULT_WEIGHTS, SCENARIOS, Playbill, Stage
from simulator.shapes import nested

Kind = Literal["changes", "org"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
LAP: Final = b"llllllll"
CONVERSATIONS: Final = 500
ATTRIBUTE: Final = 64  # bytes of an attribute, name and punctuation included
START_MS: Final = 1_790_000_000_000
RECEIVED_AT: Final = "2026-09-21T14:13:20.000Z"

ENVELOPE: Final = len(envelope(f"v2.routing.queues.{'q' * 36}.conversations", b"", "c" * 36))
_ID: Final = re.compile(rb'"id":"[0-9a-f]{8}(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")')


class Lap(msgspec.Struct):
    """Notifications (without their WebSocket header), and their sums."""

    kind: Kind
    size: int
    payloads: list[bytes]
    events: int = 0
    changing: int = 0  # frames that cause events
    repeats: int = 0  # frames with the same body as the last frame of the conversation

    def __str__(self) -> str:
        count = len(self.payloads)
        mean = sum(map(len, self.payloads)) / count
        return (
            f"{self.kind}: {count} frames a lap of {mean:.0f} B on average, "
            f"{self.changing / count:.0%} cause events ({self.events / count:.2f} a frame), "
            f"{self.repeats / count:.0%} repeat the body of the frame before"
        )

    def filled(self, number: int) -> bytes:
        """The lap as WebSocket frames, with the lap's own ids."""
        return self.framed().replace(LAP, b"%08x" % number)

    def framed(self) -> bytes:
        """The lap as WebSocket frames, with the placeholders."""
        return b"".join(map(ws_frame, self.payloads))

    def write(self, path: Path) -> None:
        """Store the lap for `read`."""
        path.write_bytes(msgspec.msgpack.encode(self))

    @classmethod
    def read(cls, path: Path) -> Lap:
        """The lap that `write` stored."""
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)


def build(kind: Kind, size: int, conversations: int = CONVERSATIONS, seed: int = 1) -> Lap:
    """A lap of traffic, in frames of about `size` bytes."""
    org = Org(200, 10, seed)
    rng = random.Random(f"traffic-{seed}")
    playbill = Playbill(DEFAULT_WEIGHTS, rng)
    lanes: list[list[list[bytes]]] = []
    while len(lanes) < conversations:
        snapshots = list(_play(playbill.next(), org, rng))
        bodies = [encode_body(body) for body, _ in snapshots]
        room = size - ENVELOPE - sum(map(len, bodies)) // len(bodies)
        if room < 0:
            continue
        attributes = [uuid_from(rng) for _ in range(room // ATTRIBUTE)]
        for body, _ in snapshots:
            _fill(body, attributes)
        lanes.append(list(_notifications(kind, snapshots, rng)))
    payloads = list(_interleaved(lanes))
    return _weighed(Lap(kind, size, payloads))


def _play(name: str, org: Org, rng: random.Random) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The snapshots of a conversation, each with its topics."""
    media, direction, _, write = SCENARIOS[name]
    conversation = Conversation(
        id=uuid_from(rng),
        media=media,
        direction=direction,
        started_ms=START_MS,
        division_id=org.division_id,
    )
    stage = Stage(conversation, org, Staff(org, rng), rng)
    for beat in write(stage):
        if beat.frame:
            queues = [f"v2.routing.queues.{queue}.conversations" for queue in conversation.queues]
            users = [f"v2.users.{user}.conversations" for user in conversation.users]
            yield nested.conversation_body(conversation), queues[-1:] + users
        stage.now += max(1, int(beat.wait * 1000))


def _fill(body: dict[str, Any], values: list[str]) -> None:
    """Give the customer attributes, the same in all snapshots of a conversation."""
    customer = body["participants"][0]
    filling = {f"crm.contact.field.{number:03}": value for number, value in enumerate(values)}
    customer["attributes"] = {**customer.get("attributes", {}), **filling}


def _notifications(
    kind: Kind, snapshots: Sequence[tuple[dict[str, Any], list[str]]], rng: random.Random
) -> Iterator[list[bytes]]:
    """For each snapshot, its notifications."""
    normaliser = Normaliser()
    for body, topics in snapshots:
        # Ids of people, queues and divisions are the same in all laps: that does no harm.
        encoded = _ID.sub(rb'"id":"%b\1' % LAP, encode_body(body))
        told = [envelope(topic, encoded, uuid_from(rng)) for topic in topics]
        if kind == "org":
            yield told
        elif told and normaliser.frame(told[0], RECEIVED_AT, 0.0).events:
            yield told[:1]


def _interleaved(lanes: list[list[list[bytes]]]) -> Iterator[bytes]:
    """Take the next snapshot from each lane in turn."""
    for step in range(max(map(len, lanes))):
        for lane in lanes:
            if step < len(lane):
                yield from lane[step]


def _weighed(lap: Lap) -> Lap:
    normaliser = Normaliser()
    last: dict[bytes, bytes] = {}
    for payload in lap.payloads:
        events = normaliser.frame(payload, RECEIVED_AT, 0.0).events
        lap.events += len(events)
        lap.changing += bool(events)
        body = payload.partition(b'"eventBody":')[2].partition(b',"metadata":')[0]
        lap.repeats += last.get(body[:44]) == body
        last[body[:44]] = body
    return lap
