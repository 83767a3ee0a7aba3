"""Takes secrets out of text that people will see: passwords in URLs and channel ids."""

from __future__ import annotations

import re
from typing import Final

_URL_PASSWORD: Final = re.compile(r"(?<=://)[^/\s@]*@")
# A channel's id is the secret that opens its socket (docs/protocol.md, "Channels").
_CHANNEL_ID: Final = re.compile(r"\b(streaming-\d+-[0-9a-z]{4})[0-9a-z]{8,}", re.IGNORECASE)


def scrub(text: str) -> str:
    """`text` without URL passwords and with channel ids shortened."""
    return _CHANNEL_ID.sub(r"\1…", _URL_PASSWORD.sub("***@", text))
