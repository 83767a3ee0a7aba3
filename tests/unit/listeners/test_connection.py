"""A connection's reads over real TLS: what came before a fault is not lost with it."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from threading import Thread

import pytest

from listeners.receive.connection import Connection
from tests.services.certificates import Authority


def secured(folder: Path) -> tuple[ssl.SSLSocket, socket.socket, ssl.SSLSocket]:
    """A pair of sockets: ours, the server's without TLS, and the server's with TLS."""
    authority = Authority(folder)
    certificate = authority.server()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate.cert, certificate.key)
    trusting = ssl.create_default_context(cafile=str(authority.path))
    near, far = socket.socketpair()
    bare = far.dup()
    ends: list[ssl.SSLSocket] = []
    thread = Thread(target=lambda: ends.append(served.wrap_socket(far, server_side=True)))
    thread.start()
    ours = trusting.wrap_socket(near, server_hostname="127.0.0.1")
    thread.join()
    ours.setblocking(False)
    return ours, bare, ends[0]


def test_frames_before_a_broken_record_are_read(tmp_path: Path) -> None:
    """The connection breaks in the read that brought a frame: first the frame, then the fault."""
    ours, bare, server = secured(tmp_path)
    with ours, bare, server:
        server.sendall(b"\x81\x02{}")
        bare.sendall(b"no record of TLS")
        connection, view = Connection(ours), memoryview(bytearray(256 * 1024))
        items, _, more = connection.read(view)
        assert (items, more) == ([b"{}"], True)
        with pytest.raises((OSError, EOFError)):
            connection.read(view)
