"""uvicorn's HTTP/1.1 with a deadline for a request, its head and its body.

uvicorn closes a connection that idles between two requests. A connection that sends nothing, or
half a request, would stay for ever and keep its descriptor. The dashboard's requests are small, so
one deadline is enough for the whole of each. The answer has none: streams last for hours.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

REQUEST_SECONDS: Final = 10.0


class Punctual(H11Protocol):
    """Closes a connection whose request is not complete `REQUEST_SECONDS` after it could begin."""

    request_seconds = REQUEST_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its parent
        """The first request is due."""
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        """More of a request: just received, or kept while the answer before was under way."""
        super().handle_events()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._relax()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._awaits_request():
            self._relax()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self._late)

    def _awaits_request(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        return cycle is None or cycle.response_complete or cycle.more_body

    def _late(self) -> None:
        self._deadline = None
        if self._awaits_request():
            self.transport.close()

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
