"""Tells an odd request, which Genesys refuses or fails at, from a Genesys that is away. Pure."""

from __future__ import annotations

from typing import Final

from mirror.base.errors import GenesysError, GenesysRateLimited, GenesysRefused, GenesysUnavailable

# Halving a hundred down to an odd one takes eight requests. If more fail in a row, Genesys is away.
MOST_IN_A_ROW: Final = 9
# A 503 is about the service, and not about the request.
_MAY_BE_ODD: Final = frozenset({500, 502, 504})


def refuses_request(error: GenesysError) -> bool:
    """Whether Genesys refuses what was asked for (400 and the like), and not who asks."""
    ours = (GenesysRefused, GenesysRateLimited, GenesysUnavailable)
    return 400 <= error.status < 500 and not isinstance(error, ours)


def may_be_odd(error: GenesysError) -> bool:
    """Whether something odd in the request may be the cause: Genesys refuses it, or fails at it."""
    return refuses_request(error) or (error.is_genesys and error.status in _MAY_BE_ODD)


class Oddity:
    """Decides whether an odd id in a request explains an error, or Genesys is away. Pure.

    An odd id may make Genesys refuse the request (400) or fail (500). While Genesys is away, it
    fails at every request.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._in_a_row = 0

    def answered(self) -> None:
        """Note an answer."""
        self._in_a_row = 0

    def explains(self, error: GenesysError) -> bool:
        """Note an error; whether something odd in the request may be its cause."""
        if refuses_request(error):
            return True
        if not may_be_odd(error):
            return False
        self.failed += 1
        self._in_a_row += 1
        return self._in_a_row < MOST_IN_A_ROW
