"""The command line of the simulator: `mirror simulator`, `python -m simulator`."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from typing import TypeVar

import click

from simulator.faults import Fault, parse
from simulator.oauth import OAuthClient, divisions_from, role_from
from simulator.quirks import Quirks, changed
from simulator.quirks import parse as parse_quirk
from simulator.ratelimit import DEFAULT_ORG_LIMIT
from simulator.scenarios import DEFAULT_WEIGHTS, Playbill
from simulator.settings import Settings

T = TypeVar("T")
_EXAMPLE = ",".join(f"{medium}={weight:g}" for medium, weight in DEFAULT_WEIGHTS.items())


def _clients(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[OAuthClient]:
    try:
        return [OAuthClient.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter("expected id:secret or id:secret:token_ttl_seconds") from error


def _named(values: tuple[str, ...], read: Callable[[str], T]) -> dict[str, T]:
    """`CLIENT=TEXT`, the text read by `read`."""
    found = {}
    for value in values:
        client, equals, text = value.partition("=")
        try:
            if not equals:
                raise ValueError("expected CLIENT=…")
            found[client] = read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return found


def _roles(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> dict[str, frozenset[str]]:
    return _named(values, role_from)


def _grants(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> dict[str, frozenset[int] | None]:
    return _named(values, divisions_from)


def _faults(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[Fault]:
    try:
        return [parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _quirks(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> Quirks:
    try:
        return changed(Quirks(), dict(map(parse_quirk, values)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _weights(_: click.Context, __: click.Parameter, value: str | None) -> dict[str, float] | None:
    if value is None:
        return None
    try:
        weights = {}
        for part in value.split(","):
            medium, _sign, weight = part.strip().partition("=")
            weights[medium] = float(weight or 1)
        Playbill(weights, random.Random(0))  # refuses media that nothing plays
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return weights


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option(
    "--port", default=8090, type=click.IntRange(0, 65535), help="Port; 0 takes any free one."
)
@click.option("--users", default=50, type=click.IntRange(1), help="Users of the org.")
@click.option("--queues", default=5, type=click.IntRange(1), help="Queues of the org.")
@click.option("--rate", default=1.0, type=click.FloatRange(0), help="New conversations a second.")
@click.option("--seed", default=1, help="The same seed gives the same ids and conversations.")
@click.option(
    "--speed",
    default=1.0,
    type=click.FloatRange(0.001),
    help="How many times faster conversations go.",
)
@click.option(
    "--time-scale",
    default=1.0,
    type=click.FloatRange(0.001),
    help="How many times faster the simulated clock goes.",
)
@click.option("--clock-offset", default=0.0, help="Seconds by which the simulated clock is ahead.")
@click.option("--media", callback=_weights, help=f"Weights of media, e.g. {_EXAMPLE}.")
@click.option(
    "--client",
    "clients",
    multiple=True,
    callback=_clients,
    help="ID:SECRET[:TOKEN_TTL_SECONDS] of an OAuth client.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    callback=_roles,
    help="CLIENT=PERMISSION,... instead of the documented role, or CLIENT=-PERMISSION,+PERMISSION.",
)
@click.option(
    "--grant",
    "grants",
    multiple=True,
    callback=_grants,
    help="CLIENT=NUMBER,... of the divisions in which its role is granted; all if not given.",
)
@click.option("--divisions", default=1, type=click.IntRange(1), help="Divisions of the org.")
@click.option("--autostart/--no-autostart", default=True, help="Begin conversations at once.")
@click.option("--conversations", type=click.IntRange(0), help="Begin at most this many.")
@click.option(
    "--rate-limit",
    default=300,
    type=click.IntRange(0),
    help="Requests a minute for each token; 0: no limit.",
)
@click.option(
    "--org-rate-limit",
    default=DEFAULT_ORG_LIMIT,
    type=click.IntRange(0),
    help="Requests a minute of all clients together, for each of: queue routes, member routes, "
    "conversation routes; 0: no limit.",
)
@click.option(
    "--heartbeat", default=30.0, type=click.FloatRange(0.01), help="Seconds between heartbeats."
)
@click.option(
    "--replay",
    "replays",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="A file of recorded frames; each is sent when a channel is subscribed to its topic.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_faults,
    help="NAME:KEY=VALUE,... of a fault, e.g. drop:every=30,count=1 (docs/simulator.md).",
)
@click.option(
    "--analytics-lag",
    default=0.0,
    type=click.FloatRange(0),
    help="Simulated seconds until analytics knows what happened.",
)
@click.option(
    "--quirk",
    "quirks",
    multiple=True,
    callback=_quirks,
    help="NAME=VALUE: answer an open question differently (docs/simulator.md).",
)
@click.option(
    "--load",
    type=click.FloatRange(0),
    help="Send this many prepared frames a second; 0: as many as clients read.",
)
@click.option(
    "--lanes", default=1000, type=click.IntRange(1), help="Conversations at a time, with --load."
)
@click.option(
    "--retained",
    default=20_000,
    type=click.IntRange(0),
    help="Ended conversations that REST knows.",
)
@click.option("--ledger", default=500_000, type=click.IntRange(1), help="Records in the ledger.")
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificate, to serve over TLS.",
)
@click.option(
    "--tls-key", type=click.Path(exists=True, dir_okay=False), help="Key of the certificate."
)
def main(
    host: str,
    port: int,
    users: int,
    queues: int,
    rate: float,
    seed: int,
    speed: float,
    time_scale: float,
    clock_offset: float,
    media: dict[str, float] | None,
    clients: list[OAuthClient],
    roles: dict[str, frozenset[str]],
    grants: dict[str, frozenset[int] | None],
    divisions: int,
    autostart: bool,
    conversations: int | None,
    rate_limit: int,
    org_rate_limit: int,
    heartbeat: float,
    replays: tuple[str, ...],
    faults: list[Fault],
    analytics_lag: float,
    quirks: Quirks,
    load: float | None,
    lanes: int,
    retained: int,
    ledger: int,
    tls_cert: str | None,
    tls_key: str | None,
) -> None:
    """A Genesys Cloud to develop and test against; prints its address when it is ready."""
    from simulator.replay import load as read_recording
    from simulator.server import serve  # aiohttp is slow to import: not for `--help`

    settings = Settings(
        users=users,
        queues=queues,
        divisions=divisions,
        rate=rate,
        seed=seed,
        speed=speed,
        time_scale=time_scale,
        clock_offset=clock_offset,
        media=media,
        autostart=autostart,
        conversations=conversations,
        rate_limit=rate_limit,
        org_rate_limit=org_rate_limit,
        heartbeat=heartbeat,
        analytics_lag=analytics_lag,
        quirks=quirks,
        load=load,
        lanes=lanes,
        retained=retained,
        ledger_capacity=ledger,
    )
    if clients:
        settings.clients = clients
    known = {client.id: client for client in settings.clients}
    for name in [*roles, *grants]:
        if name not in known:
            raise click.BadParameter(f"no --client {name}", param_hint="--role, --grant")
    for name, role in roles.items():
        known[name].permissions = role
    for name, granted in grants.items():
        known[name].divisions = granted
    tls = None
    if tls_cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            tls.load_cert_chain(tls_cert, tls_key)
        except OSError as error:  # a key that does not fit is an OSError too
            raise click.BadParameter(str(error), param_hint="--tls-cert") from error
    recorded = []
    for path in replays:
        try:
            recorded.extend(read_recording(path))
        except ValueError as error:
            raise click.BadParameter(f"{path}: {error}", param_hint="--replay") from error
    try:
        code = asyncio.run(serve(settings, host, port, tls, recorded, faults))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error
    raise SystemExit(code)
