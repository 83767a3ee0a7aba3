"""Removes secrets from text that people will see: passwords, bearer tokens and channel ids.

A second line of defence behind careful callers: it knows patterns, not the secrets themselves.
"""

from __future__ import annotations

import re
from typing import Final

# Not the words of a message that shows the form: no secret is left out there.
_URL_PASSWORD: Final = re.compile(r"(?<=://)(?!user:password@[^@/\s]*(?:[/\s]|$))[^/\s]*@")
_PARAMETER: Final = re.compile(r"(\w*(?:password|passwd|secret|token)=)[^&\s,;'\"]+", re.IGNORECASE)
_AUTHORIZATION: Final = re.compile(r"\b(Bearer|Basic) [\w.+/=~-]{8,}", re.IGNORECASE)
# A channel's id is the secret that opens its socket (docs/protocol.md, "Channels").
_CHANNEL_ID: Final = re.compile(r"\b(streaming-\d+-[0-9a-z]{4})[0-9a-z]{8,}", re.IGNORECASE)

_SHOWN: Final = (
    (_URL_PASSWORD, "***@"),
    (_PARAMETER, r"\1***"),
    (_AUTHORIZATION, r"\1 ***"),
    (_CHANNEL_ID, r"\1…"),
)


def scrub(text: str) -> str:
    """`text` without URL passwords and bearer tokens, and with channel ids shortened."""
    for pattern, shown in _SHOWN:
        text = pattern.sub(shown, text)
    return text
