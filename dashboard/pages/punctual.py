"""uvicorn's HTTP/1.1 with a deadline for each request.

uvicorn closes a connection that is idle between two requests. But a connection that sends nothing,
or half a request, would stay open for ever. The dashboard's requests are small, so one deadline
covers head and body. Answers have no deadline, because streams last for hours.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

REQUEST_SECONDS: Final = 10.0


class Punctual(H11Protocol):
    """Closes a connection if no request is complete within `REQUEST_SECONDS`."""

    request_seconds = REQUEST_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its parent
        """Start the deadline of the first request."""
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        """Take more of a request: new bytes, or bytes kept during the answer before."""
        super().handle_events()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline."""
        self._relax()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._awaits_request():
            self._relax()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self._late)

    def _awaits_request(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is None or cycle.response_complete or cycle.more_body

    def _late(self) -> None:
        self._deadline = None
        if self._awaits_request():
            self.transport.close()

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
