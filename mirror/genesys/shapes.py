"""Structs of Genesys' answers, with only the fields that the mirror reads, by SDK class name.

What a list consists of has no default: a body without it is an answer of something else, and does
not mean that there is nothing.
"""

from __future__ import annotations

import msgspec

from mirror.genesys.handles import Handle, shorten


class Token(msgspec.Struct):
    """Answer of the login host to a client-credentials request."""

    access_token: str
    expires_in: float = 86_400.0

    def __repr__(self) -> str:
        return f"Token(expires_in={self.expires_in!r})"


class ErrorBody(msgspec.Struct):
    """The error of a REST call (`ErrorBody`) or of the login host (`error`, `description`)."""

    message: str = ""
    code: str = ""
    context_id: str = msgspec.field(default="", name="contextId")
    error: str = ""
    description: str = ""
    error_description: str = ""


class ChannelBody(msgspec.Struct, rename="camel"):
    """`Channel`. Channels of other tokens come without id and URI."""

    id: str = ""
    connect_uri: str = ""
    expires: str = ""

    def __repr__(self) -> str:
        return f"ChannelBody({shorten(self.id)})"


class ChannelList(msgspec.Struct):
    """`ChannelEntityListing`."""

    entities: list[ChannelBody]


class ChannelTopic(msgspec.Struct, rename="camel"):
    """`ChannelTopic`: a subscribed topic, or the reason of its refusal."""

    id: str
    state: str = "Permitted"
    rejection_reason: str = ""
    missing_permissions: list[str] | None = None


class ChannelTopicList(msgspec.Struct):
    """`ChannelTopicEntityListing`."""

    entities: list[ChannelTopic]


class AvailableTopic(msgspec.Struct, rename="camel"):
    """`AvailableTopic`: a topic template, its permissions and its transports."""

    id: str
    requires_permissions: list[str] | None = None
    transports: list[str] | None = None


class AvailableTopics(msgspec.Struct):
    """`AvailableTopicEntityListing`."""

    entities: list[AvailableTopic]


class Entity(msgspec.Struct):
    """A queue or a user."""

    id: str
    name: str = ""


class EntityPage(msgspec.Struct, rename="camel"):
    """A page of a listing. `next_uri` is absent on the last page. `left_out` counts the entities
    that cannot be read (`mirror.genesys.pages`)."""

    entities: list[Entity]
    page_count: int = 1
    total: int = 0
    next_uri: str = ""
    left_out: int = 0


class AnalyticsConversation(msgspec.Struct, rename="camel"):
    """`AnalyticsConversationWithoutAttributes`. Without `conversation_end` it still goes on.

    `is_unread`: nothing of it can be read, and its id is that of a question.
    """

    conversation_id: str
    conversation_start: str = ""
    conversation_end: str | None = None
    participants: msgspec.Raw = msgspec.Raw(b"[]")
    is_unread: bool = False


class AnalyticsPage(msgspec.Struct, rename="camel"):
    """One page of details. Genesys leaves out `conversations` after the last page. `left_out`
    counts the conversations that cannot be read (`mirror.genesys.pages`)."""

    conversations: list[AnalyticsConversation] | None = None
    total_hits: int | None = None
    left_out: int = 0

    @property
    def says_nothing(self) -> bool:
        """Whether it neither lists nor counts: is nothing found, or is this no answer at all?"""
        return self.conversations is None and self.total_hits is None


class NewChannel(msgspec.Struct, frozen=True):
    """A channel just created. Times are seconds from now, None if Genesys did not say.

    `token_expires_in` belongs to the token that created the channel: the channel may die with it.
    """

    handle: Handle
    expires_in: float | None
    token_expires_in: float | None


class Subscriptions(msgspec.Struct, frozen=True):
    """The topics that a channel has now, and the reasons why it lacks others."""

    permitted: tuple[str, ...]
    rejected: dict[str, str]
