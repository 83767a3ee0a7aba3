"""Checks of Genesys Cloud: each OAuth client's credentials, and what its role may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mirror.doctor.finding import Finding, bad, good
from mirror.errors import EXIT_DEPENDENCY, GenesysError, GenesysRefused, SettingsError
from mirror.genesys.client import GenesysClient
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import OAuthClient, Settings

_ONE: Final = 1  # the smallest page: only its total is wanted


def check_genesys(settings: Settings) -> Iterator[Finding]:
    """Findings on every OAuth client; only the first where none is set or one is refused."""
    try:
        clients = settings.require_clients()
    except SettingsError as error:
        yield bad("Genesys", str(error), "make an OAuth client and set it", error.exit_code)
        return
    redis, keys = connect(settings), Keys(settings.namespace)
    for oauth_client in clients:
        budget = RateBudget(redis, keys, oauth_client.id)
        yield from _client(settings, oauth_client, GenesysClient(settings, oauth_client, budget))


def _client(
    settings: Settings, oauth_client: OAuthClient, client: GenesysClient
) -> Iterator[Finding]:
    subject = f"Genesys client {oauth_client.id}"
    try:
        client.sign_in()
    except GenesysError as error:
        cure = (
            "correct GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET, or enable the client"
            if isinstance(error, GenesysRefused)
            else "check GENESYS_REGION and the network"
        )
        yield bad(subject, str(error), cure, EXIT_DEPENDENCY)
        return
    expires = client.token_expires_in() or 0
    yield good(subject, f"token at {settings.login_url}, {expires / 3600:.1f} h left")
    try:
        yield _channels(subject, settings, client)
        if "queues" in settings.families:
            yield good(f"{subject} queues", f"{client.queues(1, _ONE).total} visible")
        if "users" in settings.families:
            yield good(f"{subject} users", f"{client.users(1, _ONE).total} visible")
    except GenesysError as error:
        yield bad(
            subject,
            str(error),
            "give its role Conversation > Communication > View, Routing > Queue > View and "
            "Analytics > Conversation Detail > View, in every division to be mirrored",
            EXIT_DEPENDENCY,
        )


def _channels(subject: str, settings: Settings, client: GenesysClient) -> Finding:
    held = len(client.channels(all_tokens=True))
    limit = settings.channels_per_client
    return good(f"{subject} channels", f"{held} of {limit} exist")
