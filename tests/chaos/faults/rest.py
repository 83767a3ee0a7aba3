"""REST refuses, fails, hangs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from tests.chaos.faults.common import Deed, Hit, busiest_client, calm
from tests.chaos.faults.processes import deposed, signal_leader
from tests.chaos.site import Site
from tests.chaos.trial import UNTOLD_BY_REST, Fault

MANY = 4
EMPTY_LISTING = '{"entities":[],"pageCount":0}'


def storm(*, status: int, revoke: bool = False, **fields: Any) -> Deed:
    """Answer REST with this status, and take channels away so that the mirror needs REST."""

    def strike(site: Site) -> int:
        site.fault(fault="rest", status=status, path="/api/v2/*", **fields)
        return site.fault(fault="revoke" if revoke else "expire", client=busiest_client(site))

    return strike


def refused(times: int = MANY) -> Callable[[Site, Any], bool]:
    """REST was refused so often. Once all channels are replaced, nobody asks any more."""

    def struck(site: Site, _hit: Any) -> bool:
        faults = site.org.get("/_sim/faults")["faults"]
        return any(fault["fault"] == "rest" and fault["hits"] >= times for fault in faults)

    return struck


def replace_while(**fields: Any) -> Deed:
    """Let REST misbehave, and take the channels of one client away so that the mirror needs it."""

    def strike(site: Site) -> int:
        site.fault(fault="rest", **fields)
        return site.fault(fault="expire", client=busiest_client(site))

    return strike


def fill_while(**fields: Any) -> Deed:
    """Let reading conversations misbehave, and drop all sockets so that there is a gap to fill."""

    def strike(site: Site) -> int:
        site.fault(fault="rest", **fields)
        return site.fault(fault="drop")

    return strike


def elect_while(**fields: Any) -> Deed:
    """Let listings misbehave, and kill the leader so that another one lists."""

    def strike(site: Site) -> Hit:
        site.fault(fault="rest", **fields)
        killed: Hit = signal_leader(signal.SIGKILL)(site)
        return killed

    return strike


def endless(site: Site) -> Hit:
    """Let the listing of users never end, and kill the leader so that another one lists."""
    site.mirror.control(quirks={"endless": "/api/v2/users*"})
    killed: Hit = signal_leader(signal.SIGKILL)(site)
    return killed


def ending(site: Site, _hit: Any) -> None:
    """Let it end again."""
    site.mirror.control(quirks={"endless": ""})


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="429 storm while channels are replaced",
        proves="no event waits for REST, and Retry-After binds all processes within a second",
        leaves="a second within which the others learn of it",
        strike=storm(status=429, retry_after=3),
        struck=refused(),
        heal=calm,
    ),
    Fault(
        name="401 storm, tokens of one client revoked",
        proves="new tokens and channels are made; the other client covers meanwhile",
        leaves="all clients revoked at once",
        strike=storm(status=401, share=0.7, revoke=True),
        struck=refused(2),
        heal=calm,
    ),
    Fault(
        name="5xx storm while channels are replaced",
        proves="failures are retried with care and change nothing",
        leaves="a storm that outlasts both replicas' tokens",
        strike=storm(status=503, share=0.7),
        struck=refused(),
        heal=calm,
    ),
    Fault(
        name="REST hangs while channels are replaced",
        proves="a call that hangs has a deadline, and holds up no other",
        leaves="all clients at once",
        strike=replace_while(status=0, ms=30_000, path="/api/v2/*", count=6),
        heal=calm,
    ),
    Fault(
        name="REST cuts connections while channels are replaced",
        proves="a connection that breaks is tried again",
        leaves="",
        strike=replace_while(status=-1, path="/api/v2/*", share=0.5),
        struck=refused(),
        heal=calm,
    ),
    Fault(
        name="Retry-After that is no number",
        proves="numbers from outside are bounded before they are used",
        leaves="",
        strike=replace_while(
            status=429, retry_after="soon", path="/api/v2/notifications/*", count=6
        ),
        struck=refused(2),
        heal=calm,
        rules=frozenset({"early_retry"}),  # there is no time that could be kept
    ),
    Fault(
        name="a gateway's pages instead of REST's answers",
        proves="what is not Genesys' answer is not believed",
        leaves="",
        strike=replace_while(status=404, body="<html>gone</html>", path="/api/v2/*", share=0.5),
        struck=refused(),
        heal=calm,
    ),
    Fault(
        name="conversations refused (403) while a gap is filled",
        proves="a gap stays open while REST refuses, or analytics tells it",
        leaves="a refusal for good: the gap is unfillable",
        strike=fill_while(status=403, path="/api/v2/conversations/*"),
        struck=refused(1),
        heal=calm,
        window=UNTOLD_BY_REST,
        under_fault=60,
    ),
    Fault(
        name="conversations unknown to a gateway (404) while a gap is filled",
        proves="a gateway's 404 says nothing of a conversation",
        leaves="",
        strike=fill_while(status=404, body="<html>gone</html>", path="/api/v2/conversations/*"),
        struck=refused(1),
        heal=calm,
        window=UNTOLD_BY_REST,
        under_fault=60,
    ),
    Fault(
        name="analytics fails while a gap is filled",
        proves="a gap is filled when analytics is back",
        leaves="",
        strike=fill_while(status=500, path="/api/v2/analytics/*"),
        struck=refused(1),
        heal=calm,
        window=UNTOLD_BY_REST,
        under_fault=60,
    ),
    Fault(
        name="listings empty in the second of an election",
        proves="a fresh leader doubts what a running one would doubt",
        leaves="listings that stay empty: then they are believed in the end",
        strike=elect_while(
            status=200,
            body='{"entities":[],"pageCount":0}',
            path="/api/v2/*",
            method="GET",
            count=6,
        ),
        struck=deposed,
        heal=calm,
    ),
    Fault(
        name="a listing that never ends",
        proves="pages are bounded, and discovery starves no channel of the budget",
        leaves="",
        strike=endless,
        struck=deposed,
        heal=ending,
    ),
)
