"""Microseconds a frame of normalising and encoding: `python -m bench.normalise`.

Nested frames of about 4.2 KB, each of a conversation with five participants. `unchanged` repeats
frames of known conversations, as the second replica and most mutes do; `changed` shows holds and
resumes in turn; `first sight` shows conversations that nobody knows. Decoding alone is the floor
that the ratios are to: a ratio compares between machines, the microseconds do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

from mirror.conversation.normaliser import Normaliser
from mirror.conversation.normaliser.bodies import Frame
from mirror.conversation.times import show_epoch

FRAMES = 4_000
ROUNDS = 7
CONVERSATIONS = 500
NOW = show_epoch(1_795_000_000)


def frame(number: int, held_since: str | None = None) -> bytes:
    """One frame of conversation `number`, whose agent is on hold since `held_since` or not."""
    people = []
    for index, purpose in enumerate(("customer", "ivr", "acd", "agent", "agent")):
        live = purpose == "customer" or index == 4
        call: dict[str, Any] = {
            "id": f"9bdd231e-22cd-495b-9185-{number:06d}{index:06d}",
            "state": "connected" if live else "terminated",
            "initialState": "alerting",
            "direction": "inbound",
            "held": False,
            "muted": False,
            "confined": False,
            "recordingState": "none",
            "provider": "Edge",
            "connectedTime": NOW,
            "self": {"addressRaw": "sip:agent@example.invalid", "name": "agent"},
            "other": {"addressRaw": "tel:+15550000000", "name": "customer"},
            "afterCallWorkRequired": False,
        }
        if not live:
            call |= {"disconnectedTime": NOW, "disconnectType": "transfer"}
        if index == 4 and held_since is not None:
            call |= {"held": True, "startHoldTime": held_since}
        people.append(
            {
                "id": f"11ced81a-fc0c-4e55-9f57-{number:06d}{index:06d}",
                "purpose": purpose,
                "connectedTime": NOW,
                "queueId": "93503f04-2840-4bd5-90ff-bbc48eec0d1e",
                "wrapupRequired": False,
                "attributes": {f"attribute.{i}": "some value of the caller" for i in range(4)},
                "calls": [call],
            }
        )
    body = {"id": f"1c1a063b-45bf-4719-9127-{number:012d}", "participants": people}
    envelope = {"topicName": "v2.users.3ce84f47.conversations", "eventBody": body}
    return msgspec.json.encode(envelope)


def measure(run: Callable[[list[bytes]], int], frames: list[bytes]) -> tuple[float, float]:
    """Median microseconds of CPU a frame, and events a frame, of several rounds."""
    times, events = [], 0
    for _ in range(ROUNDS):
        began = time.process_time()
        events = run(frames)
        times.append((time.process_time() - began) / len(frames) * 1e6)
    return statistics.median(times), events / len(frames)


def main() -> None:
    """Print the table."""
    known = [frame(n % CONVERSATIONS) for n in range(FRAMES)]
    encode = msgspec.json.Encoder().encode
    decoder = msgspec.json.Decoder(Frame)

    def decode(frames: list[bytes]) -> int:
        for raw in frames:
            raw.isascii()
            decoder.decode(raw)
        return 0

    def reader(normaliser: Normaliser) -> Callable[[list[bytes]], int]:
        def read(frames: list[bytes]) -> int:
            count = 0
            for raw in frames:
                for event in normaliser.frame(raw, NOW, 0.0).events:
                    encode(event)
                    count += 1
            return count

        return read

    def fresh(frames: list[bytes]) -> int:
        return reader(Normaliser())(frames)

    warm = Normaliser()
    reader(warm)(known)
    holds = [
        frame(n % CONVERSATIONS, show_epoch(1_795_000_001 + n) if n // CONVERSATIONS % 2 else None)
        for n in range(FRAMES)
    ]
    floor, _ = measure(decode, known)
    rows = {
        "decode only": (floor, 0.0),
        "unchanged": measure(reader(warm), known),
        "changed": measure(fresh, holds),
        "first sight": measure(fresh, [frame(n) for n in range(FRAMES)]),
    }
    print(f"frames of {len(known[0])} bytes")
    for name, (microseconds, events) in rows.items():
        print(
            f"{name:12} {microseconds:6.1f} µs  {microseconds / floor:5.2f}x {events:4.1f} events"
        )


if __name__ == "__main__":
    main()
