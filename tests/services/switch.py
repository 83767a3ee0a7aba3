"""A TCP switch: one address in front of several servers, as a Kubernetes Service or a VIP is.

New connections lead to the server that was chosen last; those that are open stay where they are.
"""

from __future__ import annotations

import socket

from tests.services.relay import Relay


class Switch(Relay):
    """Listens on a port of its own; a context manager that ends every connection with it."""

    def __init__(self, target: int) -> None:
        """`target` is a port of this machine."""
        super().__init__(self._lead)
        self.target = target
        self.opened: list[int] = []  # where each connection was led to, in order

    def _lead(self, near: socket.socket) -> None:
        target = self.target
        far = self.dial(target)
        self.opened.append(target)
        self.join(near, far)
