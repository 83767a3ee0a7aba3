"""Coverage-guided fuzzing of the normaliser: `python -m tests.fuzz.fuzz_normaliser [arguments]`.

Arguments are libFuzzer's. Needs `atheris` (Linux or macOS). Each input is read as a frame, a REST
body and as an analytics body by a normaliser that remembers earlier inputs, and as a frame by one
that hashes personal fields; nothing may raise, every event must encode, fold and have an id of the
right form, and no problem may quote its input at length. `tests/fuzz/corpus.py` and the files under
`tests/recordings` are what to start from.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional, untyped
import msgspec

with atheris.instrument_imports(include=["mirror"]):
    from mirror.conversation.fold import fold
    from mirror.conversation.normaliser import Normaliser, Personal

NOW = "2026-11-23T10:00:00.000Z"
_MOST_TOLD = 600  # bytes that a problem may say; a frame has thousands
_normaliser = Normaliser(max_conversations=64)
_hashing = Normaliser(personal=Personal("key"), max_conversations=64)
_encode = msgspec.json.Encoder().encode


def read_input(data: bytes) -> None:
    """Read one input in every way."""
    readings = (
        _normaliser.frame(data, NOW, 0.0),
        _normaliser.conversation(data, NOW, 0.0),
        _normaliser.analytics(data, NOW, 0.0),
        _hashing.frame(data, NOW, 0.0),
    )
    for reading in readings:
        view = None
        for event in reading.events:
            _encode(event)
            view = fold(view, event)
            if len(event.event_id) != 32:
                raise AssertionError("an id of another form")
        for agent in reading.agents:
            _encode(agent)
        if reading.problem is not None and len(reading.problem.message) > _MOST_TOLD:
            raise AssertionError("a problem that says too much")


def main() -> None:
    """Fuzz until stopped, or as libFuzzer's arguments say (`-max_total_time=600`)."""
    atheris.Setup(sys.argv, read_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
