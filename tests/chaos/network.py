"""Hosts of a test, each with an address of its own, and cables between them that can be cut.

`Namespaces` makes a Linux network namespace for each name, joined by a bridge: what runs in one is
as far from the others as on another machine. It needs root. A cut swallows packets in both
directions and tells nobody, as a dead switch does; `Loopback` has no cables and cuts nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

# Nobody has this hardware address: what is sent there is sent nowhere.
NOBODY = "02:00:00:00:00:00"
FIRST_HOST = 11
NETWORKS = 250


class Network(Protocol):
    """Where processes run and how they are reached."""

    @property
    def severable(self) -> bool:
        """Whether anything can be cut."""

    def address(self, name: str, /) -> str:
        """The IP address of a host."""

    def prefix(self, name: str, /) -> list[str]:
        """What goes before a command to run it on that host; it does not fork."""

    def cut(self, first: str, second: str) -> None:
        """Swallow all packets between two hosts."""

    def heal(self, first: str, second: str) -> None:
        """Let them pass again."""

    def unplug(self, name: str) -> None:
        """Swallow all packets of a host."""

    def plug(self, name: str) -> None:
        """Let them pass again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def network(names: Iterable[str]) -> Network:
    """Namespaces where this process may make them, else loopback."""
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ip"):
        probe = f"probe-{os.getpid()}"
        if _run("ip", "netns", "add", probe, check=False):
            _run("ip", "netns", "del", probe)
            return Namespaces(names)
    return Loopback()


class Loopback:
    """All hosts are 127.0.0.1."""

    severable = False

    def address(self, _name: str) -> str:
        return "127.0.0.1"

    def prefix(self, _name: str) -> list[str]:
        return []

    def cut(self, first: str, second: str) -> None:
        raise NotImplementedError("there is no cable between hosts that are one")

    heal = cut

    def unplug(self, name: str) -> None:
        raise NotImplementedError("there is no cable to pull")

    plug = unplug

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Namespaces:
    """A bridge with this process at its `.1`, and a namespace for each name."""

    severable = True

    def __init__(self, names: Iterable[str]) -> None:
        number = os.getpid() % NETWORKS
        self._bridge = f"mirror{number}"
        self._net = f"10.213.{number}"
        self._hosts = {name: FIRST_HOST + index for index, name in enumerate(names)}

    def address(self, name: str) -> str:
        return f"{self._net}.{self._hosts[name]}"

    def prefix(self, name: str) -> list[str]:
        return ["nsenter", f"--net=/var/run/netns/{self._namespace(name)}", "--"]

    def cut(self, first: str, second: str) -> None:
        for host, peer in ((first, second), (second, first)):
            entry = ("-n", self._namespace(host), "neigh", "replace", self.address(peer))
            _run("ip", *entry, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent")

    def heal(self, first: str, second: str) -> None:
        for host, peer in ((first, second), (second, first)):
            entry = ("-n", self._namespace(host), "neigh", "del", self.address(peer))
            _run("ip", *entry, "dev", "eth0", check=False)

    def unplug(self, name: str) -> None:
        _run("ip", "link", "set", self._cable(name), "nomaster")

    def plug(self, name: str) -> None:
        _run("ip", "link", "set", self._cable(name), "master", self._bridge)

    def __enter__(self) -> Self:
        try:
            _run("ip", "link", "add", self._bridge, "type", "bridge")
            _run("ip", "addr", "add", f"{self._net}.1/24", "dev", self._bridge)
            _run("ip", "link", "set", self._bridge, "up")
            for name in self._hosts:
                self._connect(name)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _connect(self, name: str) -> None:
        namespace, cable = self._namespace(name), self._cable(name)
        _run("ip", "netns", "add", namespace)
        _run(
            *("ip", "link", "add", cable, "type", "veth"),
            *("peer", "name", "eth0", "netns", namespace),
        )
        _run("ip", "link", "set", cable, "master", self._bridge, "up")
        inside = ("ip", "-n", namespace)
        _run(*inside, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for name in self._hosts:
            _run("ip", "link", "del", self._cable(name), check=False)
            _run("ip", "netns", "del", self._namespace(name), check=False)
        _run("ip", "link", "del", self._bridge, check=False)

    def _namespace(self, name: str) -> str:
        return f"{self._bridge}-{name}"

    def _cable(self, name: str) -> str:
        return f"{self._bridge}h{self._hosts[name]}"  # 15 characters at most


def _run(*command: str, check: bool = True) -> bool:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.returncode == 0
