"""The command line of the simulator: `mirror simulator`, `python -m simulator`."""

from __future__ import annotations

import asyncio
import random
import ssl

import click

from simulator.oauth import OAuthClient
from simulator.scenarios import DEFAULT_WEIGHTS, Playbill
from simulator.settings import Settings


class ClientParam(click.ParamType[OAuthClient]):
    """`id:secret[:token_ttl_seconds]`."""

    name = "ID:SECRET[:TTL]"

    def convert(
        self, value: str | OAuthClient, param: click.Parameter | None, ctx: click.Context | None
    ) -> OAuthClient:
        if isinstance(value, OAuthClient):
            return value
        try:
            return OAuthClient.parse(value)
        except ValueError:
            self.fail("expected id:secret or id:secret:token_ttl_seconds", param, ctx)


class WeightsParam(click.ParamType[dict[str, float]]):
    """`call=4,chat=2`: media with their weights."""

    name = "MEDIUM=WEIGHT,..."

    def convert(
        self,
        value: str | dict[str, float],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> dict[str, float]:
        if isinstance(value, dict):
            return value
        try:
            weights = {}
            for part in value.split(","):
                medium, _, weight = part.strip().partition("=")
                weights[medium] = float(weight or 1)
            Playbill(weights, random.Random(0))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return weights


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8090, type=click.IntRange(0, 65535), help="Port; 0 takes any free.")
@click.option("--users", default=50, type=click.IntRange(1), help="Users of the org.")
@click.option("--queues", default=5, type=click.IntRange(1), help="Queues of the org.")
@click.option("--rate", default=1.0, type=click.FloatRange(0), help="Conversations begun a second.")
@click.option("--seed", default=1, help="Same seed, same ids and the same course of events.")
@click.option("--speed", default=1.0, type=click.FloatRange(0.001), help="Faster conversations.")
@click.option(
    "--time-scale", default=1.0, type=click.FloatRange(0.001), help="Faster Genesys clock."
)
@click.option("--clock-offset", default=0.0, help="Seconds by which the Genesys clock is ahead.")
@click.option("--media", type=WeightsParam(), help=f"Weights of media, e.g. {DEFAULT_WEIGHTS}.")
@click.option("--client", "clients", multiple=True, type=ClientParam(), help="An OAuth client.")
@click.option("--autostart/--no-autostart", default=True, help="Begin conversations at once.")
@click.option("--conversations", type=click.IntRange(0), help="Stop after so many were begun.")
@click.option("--rate-limit", default=300, type=click.IntRange(0), help="Requests/min of a token.")
@click.option(
    "--heartbeat", default=30.0, type=click.FloatRange(0.01), help="Seconds between them."
)
@click.option(
    "--replay",
    "replays",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="A file of recorded frames to send once their topics are listened to.",
)
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Serve over TLS.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Key of the cert.")
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
    clients: tuple[OAuthClient, ...],
    autostart: bool,
    conversations: int | None,
    rate_limit: int,
    heartbeat: float,
    replays: tuple[str, ...],
    tls_cert: str | None,
    tls_key: str | None,
) -> None:
    """A Genesys Cloud to develop and test against; prints its address when it is ready."""
    from simulator.replay import load
    from simulator.server import serve  # aiohttp is slow to import: not for `--help`

    settings = Settings(
        users=users,
        queues=queues,
        rate=rate,
        seed=seed,
        speed=speed,
        time_scale=time_scale,
        clock_offset=clock_offset,
        media=media,
        autostart=autostart,
        conversations=conversations,
        rate_limit=rate_limit,
        heartbeat=heartbeat,
        tls=tls_cert is not None,
    )
    if clients:
        settings.clients = list(clients)
    tls = None
    if tls_cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(tls_cert, tls_key)
    recorded = []
    for path in replays:
        try:
            recorded.extend(load(path))
        except ValueError as error:
            raise click.BadParameter(f"{path}: {error}", param_hint="--replay") from error
    raise SystemExit(asyncio.run(serve(settings, host, port, tls, recorded)))
