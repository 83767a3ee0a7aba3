"""The REST calls that the mirror makes, typed. `mirror.genesys.http` does the transport.

Every method raises a `GenesysError` of `mirror.base.errors`: `GenesysUnavailable` after its
retries, `GenesysRefused` on 401 and 403, `GenesysRateLimited` if the budget does not allow the call
in time, otherwise `GenesysError` with `status` (404: the channel or conversation is gone).

Sources: docs/protocol.md, "Channels", "Reading conversations", "Analytics", "Lists".
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from mirror.base.errors import GenesysError, GenesysRefused
from mirror.base.log import logger
from mirror.genesys.handles import Handle
from mirror.genesys.hosts import check_stream_uri
from mirror.genesys.http import Transport, decode, undocumented
from mirror.genesys.listing import LARGE_PAGE
from mirror.genesys.pages import NOT_READ, read_page
from mirror.genesys.refusals import Answer, channel_life, is_word
from mirror.genesys.shapes import (
    AnalyticsConversation,
    AnalyticsPage,
    AvailableTopic,
    AvailableTopics,
    ChannelBody,
    ChannelList,
    ChannelTopic,
    ChannelTopicList,
    Entity,
    EntityPage,
    NewChannel,
    Subscriptions,
)
from mirror.genesys.timing import Calls
from mirror.genesys.topics import plain
from mirror.redis.rate import RateBudget
from mirror.settings import OAuthClient, Settings

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
L = TypeVar("L", ChannelList, ChannelTopicList, AvailableTopics, EntityPage)

CHANNELS: Final = "/api/v2/notifications/channels"
# The first needs the same permission as the topics of queues. The second lists the same queues by a
# permission of its own, for roles that have only that one (docs/permissions.md).
QUEUES: Final = ("/api/v2/routing/queues", "/api/v2/routing/queues/divisionviews/all")
USERS: Final = "/api/v2/users"
DETAILS: Final = "/api/v2/analytics/conversations/details"
MAX_ANALYTICS_IDS: Final = 100
# Requests to find the topics that Genesys calls invalid: enough for five among a thousand.
MOST_HALVES: Final = 96
_FORBIDDEN: Final = 403
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = "too.many"


class GenesysClient:
    """Genesys Cloud in the name of one OAuth client. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        oauth_client: OAuthClient,
        budget: RateBudget,
        stop: threading.Event | None = None,
    ) -> None:
        """When `stop` is set, calls fail instead of waiting for retries or budget."""
        self.id = oauth_client.id
        self._settings = settings
        self._http = Transport(settings, oauth_client, budget, stop)
        self._queues = QUEUES[0]
        self._log = logger("genesys")

    @property
    def calls(self) -> Calls:
        """The durations and outcomes of its requests."""
        return self._http.calls

    @property
    def token_left(self) -> float | None:
        """Seconds until the token in use expires, if known without waiting."""
        return self._http.token_left

    def sign_in(self) -> None:
        """Get a token if there is none: shows whether host and credentials are right."""
        self._http.sign_in()

    def token_expires_in(self) -> float | None:
        """Seconds until the token in use expires; None while there is none."""
        return self._http.token_expires_in()

    def check_uri(self, uri: str) -> None:
        """Raise `GenesysError` if a channel's `uri` is not on a host of Genesys."""
        check_stream_uri(uri, self._settings)

    def create_channel(self) -> NewChannel:
        """A new channel, without topics. Reserve it first (I5). Not repeated after a time-out."""
        answer = self._http.call("POST", CHANNELS, body={}, repeatable=False)
        channel = self._decode(answer, ChannelBody, f"POST {CHANNELS}")
        self.check_uri(channel.connect_uri)
        if not is_word(channel.id):
            raise undocumented(f"POST {CHANNELS}", self._http.api_host)
        return NewChannel(
            handle=Handle(channel.id, channel.connect_uri),
            expires_in=_seconds_until(channel.expires, answer),
            token_expires_in=channel_life(self._http.token_expires_in()),
        )

    def put_subscriptions(self, channel_id: str, topics: Iterable[str]) -> Subscriptions:
        """Replace the channel's topics by `topics` (I4); renews its 24 hours.

        Topics that Genesys refuses do not affect the others (`ignoreErrors`), and neither do topics
        for which it refuses the whole list. If it refuses every topic, the topics are not the
        reason: then the channel keeps what it has, and the error is raised. Topics missing in the
        answer count as refused.
        """
        wanted = list(topics)
        try:
            return self._subscribe("PUT", channel_id, wanted)
        except GenesysError as error:
            if not _is_about_topics(error):
                raise
            refusal = error
        had = {name for topic in self.get_subscriptions(channel_id) for name in plain(topic)}
        kept = [topic for topic in wanted if not had.isdisjoint(plain(topic))]
        added = [topic for topic in wanted if had.isdisjoint(plain(topic))]
        found, invalid = None, dict[str, str]()
        # A full channel has room for new topics only when those that are no longer wanted are gone.
        for part in filter(None, (kept, added)):
            invalid |= self._invalid(channel_id, part)
            known = part if part is kept else wanted
            if valid := [topic for topic in known if topic not in invalid]:
                found = self._subscribe("PUT", channel_id, valid)
        if found is None:
            raise refusal
        return Subscriptions(found.permitted, {**found.rejected, **invalid})

    def _invalid(self, channel_id: str, wanted: list[str]) -> dict[str, str]:
        """The topics for which Genesys refuses a whole list (400), each with its reason.

        Found by halves, with POSTs: they take no topic from a channel that receives. Topics of one
        kind stand together, because all of a kind may be invalid. After `MOST_HALVES` calls, all
        that is refused counts as invalid; large parts are halved first, so that is little.
        """
        invalid: dict[str, str] = {}
        groups, calls = deque([sorted(wanted, key=lambda topic: topic.rpartition(".")[2])]), 0
        while groups:
            group = groups.popleft()
            calls += 1
            try:
                self._subscribe("POST", channel_id, group)
            except GenesysError as error:
                if not _is_about_topics(error):
                    raise
                half = len(group) // 2
                if not half or calls >= MOST_HALVES:
                    invalid.update(dict.fromkeys(group, error.code or str(error.status)))
                else:
                    groups += [group[:half], group[half:]]
        self._log.warning("topics_invalid", count=len(invalid), calls=calls)
        return invalid

    def _subscribe(self, method: str, channel_id: str, wanted: list[str]) -> Subscriptions:
        answer = self._http.call(
            method,
            CHANNELS + "/{}/subscriptions",
            channel_id,
            query={"ignoreErrors": "true"},
            body=[{"id": topic} for topic in wanted],
        )
        listing, _ = self._listing(
            answer, ChannelTopicList, ChannelTopic, f"{method} subscriptions", "state"
        )
        permitted: set[str] = set()
        rejected = {}
        for entity in listing.entities:
            if entity.state.lower() == "rejected":
                missing = ", ".join(entity.missing_permissions or ())
                reason = entity.rejection_reason or "rejected"
                rejected[entity.id] = f"{reason}: {missing}" if missing else reason
            else:
                permitted.add(entity.id.lower())
        confirmed = []
        for topic in wanted:
            if not permitted.isdisjoint((topic.lower(), *plain(topic))):
                confirmed.append(topic)
            elif topic not in rejected:
                rejected[topic] = "not confirmed by Genesys"
        return Subscriptions(tuple(confirmed), rejected)

    def get_subscriptions(self, channel_id: str) -> frozenset[str]:
        """The topics that a channel has.

        An entry that cannot be read fails the call: its topic would count as lost.
        """
        answer = self._http.call("GET", CHANNELS + "/{}/subscriptions", channel_id)
        if answer.is_empty_object:  # perhaps a channel without topics: it gets all of them again
            return frozenset()
        name = "GET subscriptions"
        listing, left_out = self._listing(answer, ChannelTopicList, ChannelTopic, name, "state")
        if left_out:
            raise undocumented(name, self._http.api_host)
        return frozenset(topic.id for topic in listing.entities if topic.state != "Rejected")

    def channels(self, *, all_tokens: bool = False) -> dict[str, float | None]:
        """Channel id → seconds until it expires, of this token's channels.

        With `all_tokens`, of the whole OAuth client. Genesys hides the ids of other tokens'
        channels; they are numbered `?1`, `?2`, … here.
        """
        query = {"includechannels": "oauthclient" if all_tokens else "token"}
        answer = self._http.call("GET", CHANNELS, query=query)
        listing, left_out = self._listing(answer, ChannelList, ChannelBody, f"GET {CHANNELS}")
        channels = listing.entities + [ChannelBody()] * left_out  # they count all the same
        return {
            channel.id or f"?{number}": _seconds_until(channel.expires, answer)
            for number, channel in enumerate(channels, 1)
        }

    def available_topics(self) -> list[AvailableTopic]:
        """Topic templates, with the permissions that they need and their transports."""
        path = "/api/v2/notifications/availabletopics"
        answer = self._http.call("GET", path, query={"expand": "transports,requiresPermissions"})
        listing, _ = self._listing(answer, AvailableTopics, AvailableTopic, f"GET {path}")
        return listing.entities

    def queues(self, page: int, size: int = LARGE_PAGE) -> EntityPage:
        """A page of queues (from 1), of the divisions that the client's role is granted in.

        Genesys has two listings of queues; the first page finds the one that the role may read.
        """
        try:
            return self._page(self._queues, page, size, {})
        except GenesysRefused as refusal:
            if page > 1 or refusal.status != _FORBIDDEN:
                raise
            tried = self._queues
            self._queues = next(path for path in QUEUES if path != tried)
            try:
                return self._page(self._queues, page, size, {})
            except GenesysRefused as second:
                # Both are refused: the fix is the documented role, whichever was tried first.
                self._queues = QUEUES[0]
                raise (refusal if tried == QUEUES[0] else second) from None

    def users(self, page: int, size: int = LARGE_PAGE) -> EntityPage:
        """A page of active users (from 1)."""
        return self._page(USERS, page, size, {"state": "active"})

    def conversation(self, conversation_id: str) -> bytes:
        """The raw body of a conversation, in the nested shape."""
        return self._http.call("GET", "/api/v2/conversations/{}", conversation_id).body

    def query_details(self, query: Mapping[str, Any]) -> AnalyticsPage:
        """One page of an analytics details query; `query` is Genesys' `ConversationQuery`.

        A page that says nothing (`AnalyticsPage.says_nothing`) may mean that nothing is found.
        """
        answer = self._http.call("POST", f"{DETAILS}/query", body=dict(query))
        return self._analytics(answer, f"POST {DETAILS}/query")

    def details(self, conversation_ids: Sequence[str]) -> list[AnalyticsConversation]:
        """Analytics of up to `MAX_ANALYTICS_IDS` conversations, without unknown ones.

        If the id of a conversation in the answer cannot be read, it may be the id of any that seems
        unknown. So these are in the result too, as `is_unread`.
        """
        if len(conversation_ids) > MAX_ANALYTICS_IDS:
            raise ValueError(f"at most {MAX_ANALYTICS_IDS} ids")
        query = {"id": ",".join(conversation_ids)}
        answer = self._http.call("GET", DETAILS, query=query)
        page = self._analytics(answer, f"GET {DETAILS}")
        found = page.conversations or []
        if page.left_out:
            shown = {conversation.conversation_id for conversation in found}
            unread = [id_ for id_ in conversation_ids if id_ not in shown]
            found += [AnalyticsConversation(id_, is_unread=True) for id_ in unread]
        return found

    def _analytics(self, answer: Answer, name: str) -> AnalyticsPage:
        """A page of details. Of bodies that say nothing, only `{}` may be Genesys'."""
        page, left_out = self._read(
            answer, AnalyticsPage, "conversations", AnalyticsConversation, name
        )
        page.left_out = left_out
        if page.says_nothing and not answer.is_empty_object:
            raise undocumented(name, self._http.api_host)
        return page

    def _page(self, path: str, page: int, size: int, more: dict[str, str]) -> EntityPage:
        query: dict[str, str | int] = {"pageSize": size, "pageNumber": page, **more}
        answer = self._http.call("GET", path, query=query)
        name = f"GET {path}"
        if page == 1:
            listing, left_out = self._listing(answer, EntityPage, Entity, name)
        else:
            listing, left_out = self._read(answer, EntityPage, "entities", Entity, name)
        listing.left_out = left_out
        return listing

    def _listing(
        self, answer: Answer, kind: type[L], entry: type[msgspec.Struct], name: str, *needed: str
    ) -> tuple[L, int]:
        """A first page of entities, and how many of them cannot be read. If it has entities and
        none can be read, it is no page."""
        listing, left_out = self._read(answer, kind, "entities", entry, name, *needed)
        if left_out and not listing.entities:
            raise undocumented(name, self._http.api_host)
        return listing, left_out

    def _read(
        self,
        answer: Answer,
        kind: type[S],
        field: str,
        entry: type[msgspec.Struct],
        name: str,
        *needed: str,
    ) -> tuple[S, int]:
        try:
            page, left_out = read_page(answer.body, kind, field, entry, needed)
        except NOT_READ as error:
            raise undocumented(name, self._http.api_host) from error
        if left_out:
            self._log.warning("entries_left_out", call=name, count=left_out)
        return page, left_out

    def _decode(self, answer: Answer, kind: type[T], name: str) -> T:
        return decode(answer.body, kind, name, self._http.api_host)


def _is_about_topics(error: GenesysError) -> bool:
    """Whether a topic of a list may be the reason for Genesys' refusal, and not their number."""
    return error.status == _BAD_REQUEST and error.is_genesys and _TOO_MANY not in error.code


def _seconds_until(expires: str, answer: Answer) -> float | None:
    """Seconds from Genesys' time of the answer until `expires`, within bounds.

    Our own clock plays no part.
    """
    try:
        return channel_life(datetime.fromisoformat(expires).timestamp() - answer.date())
    except (ValueError, OverflowError):
        return None
