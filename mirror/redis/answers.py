"""What Redis' error answers mean, and what follows from them. Pure.

An error answer is a word and a text (`READONLY You can't write against a read only replica.`). For
every caller and every command it has one of six meanings:

    wrong server   this is not, or no longer, the server that `REDIS_URL` means; all connections
                   made until now lead to it, so all are closed
    not yet        the server recovers by itself (loads data, runs a long script); the connection
                   stays
    credentials    the server does not know us; the connection is opened again, with the
                   credentials that REDIS_URL has then
    rights         the server knows us and does not permit the command
    full           the server has no more room (memory, disk, clients)
    unsupported    the mirror does not work with this kind of server

`MEANINGS` is the table. `mirror.redis.connections` acts on it, `mirror.redis.connect` and
`mirror doctor` take their texts from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
import redis
from redis import exceptions

Kind = Literal["wrong server", "not yet", "credentials", "rights", "full", "unsupported"]
#: The connections that an answer ends: all made so far, the connection it came by, or none.
Drops = Literal["all", "this", "none"]


class Meaning(msgspec.Struct, frozen=True):
    """The meaning of an answer. `says` follows the server's name, `cure` is the fix."""

    kind: Kind
    drops: Drops
    says: str
    cure: str


_MASTER: Final = (
    "let REDIS_URL lead to the master; after a fail-over the mirror reconnects by itself"
)
_CLUSTER: Final = Meaning(
    "unsupported",
    "none",
    "is a Redis Cluster, which the mirror does not support",
    "use a single server, one behind a fail-over address, or Sentinel (redis+sentinel://)",
)
_CREDENTIALS: Final = "check REDIS_URL; a rotated password is read again from REDIS_URL_FILE"

MEANINGS: Final[Mapping[str, Meaning]] = {
    "READONLY": Meaning("wrong server", "all", "is a read-only replica, not the master", _MASTER),
    "MASTERDOWN": Meaning("wrong server", "all", "is a replica that has lost its master", _MASTER),
    "UNBLOCKED": Meaning("wrong server", "all", "was made a replica just now", _MASTER),
    "NOREPLICAS": Meaning(
        "wrong server",
        "all",
        "is a master with fewer replicas than it needs to accept writes",
        "bring its replicas back, or lower min-replicas-to-write",
    ),
    "LOADING": Meaning(
        "not yet", "none", "is loading its data", "wait: it answers when it has loaded them"
    ),
    "BUSY": Meaning(
        "not yet",
        "none",
        "is busy with another program's script",
        "wait, or end that script with SCRIPT KILL",
    ),
    "NOAUTH": Meaning("credentials", "this", "wants a user name or password", _CREDENTIALS),
    "WRONGPASS": Meaning("credentials", "this", "refuses the user name or password", _CREDENTIALS),
    "DENIED": Meaning(
        "credentials",
        "this",
        "takes connections of its own machine only (protected mode)",
        "give it a password, and REDIS_URL too",
    ),
    "NOPERM": Meaning(
        "rights",
        "none",
        "does not permit something to the user of REDIS_URL",
        "give it the rights of deploy/redis.acl for this MIRROR_NAMESPACE",
    ),
    "OOM": Meaning(
        "full",
        "none",
        "is full and takes no writes",
        "raise its maxmemory, or find what else fills it",
    ),
    "MISCONF": Meaning(
        "full",
        "none",
        "cannot save to its disk and takes no writes",
        "free its disk, or fix what its log says of saving",
    ),
    "MAXCLIENTS": Meaning(
        "full",
        "this",
        "has no connection left for us",
        "raise its maxclients, or find who holds so many connections",
    ),
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "TRYAGAIN": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "SENTINEL": Meaning(
        "unsupported",
        "none",
        "is a Sentinel, not a data server",
        "write redis+sentinel://host:port,host:port/service/db",
    ),
}

# redis-py removes the words that it knows. Subclasses come first.
_CLASSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
    (exceptions.MovedError, "MOVED"),
    (exceptions.AskError, "ASK"),
    (exceptions.TryAgainError, "TRYAGAIN"),
    (exceptions.ClusterCrossSlotError, "CROSSSLOT"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.AuthenticationError, "WRONGPASS"),
)
# Redis before 7 wraps answers to commands in scripts: `… @user_script:5: -READONLY You can't…`
_IN_SCRIPT: Final = re.compile(r"-([A-Z]{3,12}) ")
_NO_LOGIN: Final = re.compile(r"authentication required|already authenticated", re.IGNORECASE)
_NO_CLIENTS: Final = "max number of clients"
_NO_RIGHT_IN_SCRIPT: Final = "ACL failure in script"


class Refused(redis.RedisError):
    """The mirror does not work with this kind of server; never tried again. `code` is ours."""

    def __init__(self, code: str) -> None:
        super().__init__(MEANINGS[code].says)
        self.code = code


class WrongServer(redis.ConnectionError):
    """The connection leads to the wrong server and is closed; redis-py tries a fresh one."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def code_of(error: BaseException) -> str:
    """The word of an answer (a key of `MEANINGS`); empty for other errors."""
    if isinstance(error, Refused | WrongServer):
        return error.code
    if not isinstance(error, redis.RedisError):
        return ""
    text = str(error)
    if isinstance(error, exceptions.AuthenticationError) and _NO_LOGIN.search(text):
        return "NOAUTH"
    for kind, code in _CLASSES:
        if isinstance(error, kind):
            return code
    if _NO_CLIENTS in text:
        return "MAXCLIENTS"
    if _NO_RIGHT_IN_SCRIPT in text:
        return "NOPERM"
    word = text.partition(" ")[0]
    if word in MEANINGS:
        return word
    found = _IN_SCRIPT.search(text)
    return found.group(1) if found and found.group(1) in MEANINGS else ""


def meaning(error: BaseException) -> Meaning | None:
    """The meaning of an error answer; None for other errors and other answers."""
    return MEANINGS.get(code_of(error))
