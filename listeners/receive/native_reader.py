"""The interface of the native reader, `interaction-mirror-native`, and its loading.

It is a distribution of its own, installed by the extra `fast`. Nothing depends on it
(docs/native.md).
"""

from __future__ import annotations

import importlib
from typing import Any, Final, Protocol

from mirror.base.errors import SettingsError
from mirror.conversation.normaliser.lending import State
from mirror.kafka.record import NativeRecord
from mirror.settings.model import NativeMode

MODULE: Final = "interaction_mirror_native"
API: Final = 2  # the version of the interface


class NativeReader(Protocol):
    """The native reader. All its methods belong to one thread."""

    failures: int
    refused: int

    def interrupted(self) -> None:
        """Like `Normaliser.interrupted`."""

    def read(
        self, messages: list[Any], start: int, received_at: str, now: float
    ) -> tuple[list[NativeRecord], int]:
        """The records of the messages from `start` on, and the index of the first unread one."""

    def take(self, conversation_id: str) -> State | None:
        """Hand over a conversation; None if unknown."""

    def put(self, conversation_id: str, state: State) -> bool:
        """Take a conversation; False if it has something that only Python handles."""

    def break_next(self) -> None:
        """Fail in the middle of the next frame: for tests."""

    def __len__(self) -> int: ...

    def __contains__(self, conversation_id: str) -> bool: ...


def load(mode: NativeMode) -> Any:
    """The native module, None if it is not wanted or not installed.

    `mode` is `MIRROR_NATIVE`. Raises `SettingsError` if it is required but cannot be loaded.
    """
    if mode == "off":
        return None
    try:
        module = importlib.import_module(MODULE)
    except ImportError as error:
        if mode == "require":
            raise SettingsError(
                f"MIRROR_NATIVE is require, and {MODULE} cannot be imported ({error}): "
                "build and install it (docs/native.md), or set MIRROR_NATIVE to auto"
            ) from error
        return None
    if module.API == API:
        return module
    if mode == "require":
        raise SettingsError(
            f"MIRROR_NATIVE is require, and interaction-mirror-native {module.VERSION} belongs to "
            "another version of the mirror: build and install it again (docs/native.md)"
        )
    return None
