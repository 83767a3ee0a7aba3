"""The native reader, `interaction-mirror-native`: what it offers, and whether it is here.

It is a distribution of its own, behind the extra `fast`, and nothing depends on it
(docs/native.md).
"""

from __future__ import annotations

import importlib
from typing import Any, Final, Protocol

from mirror.base.errors import SettingsError
from mirror.conversation.normaliser.lending import State
from mirror.kafka.record import NativeRecord

MODULE: Final = "interaction_mirror_native"
API: Final = 1  # what this version of the mirror speaks


class Reader(Protocol):
    """The native reader. All its methods belong to one thread."""

    failures: int
    refused: int

    def interrupted(self) -> None:
        """As `Normaliser.interrupted`."""

    def read(
        self, messages: list[Any], start: int, received_at: str, now: float
    ) -> tuple[list[NativeRecord], int]:
        """The records of the messages from `start`, and the place of the first not read."""

    def take(self, conversation_id: str) -> State | None:
        """Give a conversation away."""

    def put(self, conversation_id: str, state: State) -> bool:
        """Take a conversation, unless it has what only Python knows of."""

    def break_next(self) -> None:
        """Break off amid the next frame: for tests."""

    def __len__(self) -> int: ...

    def __contains__(self, conversation_id: str) -> bool: ...


def load(mode: str) -> Any:
    """The native module, null where it is not wished for or not here.

    `mode` is `MIRROR_NATIVE`. Raises `SettingsError` where it is required and cannot be had.
    """
    if mode == "off":
        return None
    try:
        module = importlib.import_module(MODULE)
    except ImportError as error:
        if mode == "require":
            raise SettingsError(
                f"MIRROR_NATIVE is require, and {MODULE} cannot be imported ({error}): "
                "install interaction-mirror[fast], or set MIRROR_NATIVE to auto"
            ) from error
        return None
    if module.API == API:
        return module
    if mode == "require":
        raise SettingsError(
            f"MIRROR_NATIVE is require, and interaction-mirror-native {module.VERSION} belongs to "
            "another version of the mirror: install interaction-mirror[fast] again"
        )
    return None
