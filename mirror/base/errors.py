"""The errors a user can meet, and the exit code each one ends a command with.

    MirrorError                      1  the work failed
    ├── SettingsError                2  wrong usage or settings
    └── DependencyError              3  a dependency is unreachable or refuses us
        ├── RedisUnavailable
        │   └── RedisUnsupported     2  a kind of Redis that the mirror does not work with
        ├── KafkaUnavailable
        ├── RegistryUnavailable
        └── GenesysError
            ├── GenesysUnavailable      no answer, time-out, 5xx
            ├── GenesysRefused          401, 403: credentials or permissions
            └── GenesysRateLimited      429, carries `retry_after`

The text of an error is the one line that its reader sees: what failed, where, and what to do. The
text never holds a secret, a channel id or personal data, so it can be logged as it is.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DEPENDENCY = 3


class MirrorError(Exception):
    """The work failed; the text says what, where and what to do."""

    exit_code = EXIT_FAILED


class SettingsError(MirrorError):
    """A setting does not parse, is missing, or contradicts another one."""

    exit_code = EXIT_USAGE


class DependencyError(MirrorError):
    """A service that the mirror needs is unreachable or refuses it.

    The text is `problem`, a colon and `cure`, which says how to fix it; `problem` alone if the cure
    is not known.
    """

    exit_code = EXIT_DEPENDENCY

    def __init__(self, problem: str, *, cure: str = "") -> None:
        super().__init__(f"{problem}: {cure}" if cure else problem)
        self.problem = problem
        self.cure = cure


class RedisUnavailable(DependencyError):
    """Redis does not answer in time, or refuses us."""


class RedisUnsupported(RedisUnavailable):
    """The mirror does not work with this kind of Redis server. Waiting does not help."""

    exit_code = EXIT_USAGE


class KafkaUnavailable(DependencyError):
    """No Kafka broker answers, or the cluster refuses us."""


class RegistryUnavailable(DependencyError):
    """The schema registry does not answer, or refuses us or our schema."""


class GenesysError(DependencyError):
    """Genesys Cloud answered with an error, or not at all.

    `status` is the HTTP status (0 if Genesys did not answer), `code` Genesys' own error code
    (`not.found`, `too.many.requests`, ...) and `said` Genesys' message, empty if the body had none.
    Genesys' support asks for the `correlation_id`. `is_genesys` is false if there was no answer or
    a proxy or gateway answered instead: then the status says nothing about the requested object.
    """

    def __init__(
        self,
        problem: str,
        *,
        cure: str = "",
        status: int = 0,
        code: str = "",
        said: str = "",
        correlation_id: str = "",
        is_genesys: bool | None = None,
    ) -> None:
        super().__init__(problem, cure=cure)
        self.status = status
        self.code = code
        self.said = said
        self.correlation_id = correlation_id
        self.is_genesys = status > 0 if is_genesys is None else is_genesys


class GenesysUnavailable(GenesysError):
    """No answer in time, a broken connection, a 5xx, or an answer from something else."""


class GenesysRefused(GenesysError):
    """401 or 403: wrong credentials, an expired token, or a missing permission."""


class GenesysRateLimited(GenesysError):
    """429. `retry_after` is how long Genesys asks us to stay away, in seconds."""

    def __init__(
        self,
        problem: str,
        *,
        retry_after: float,
        code: str = "",
        said: str = "",
        correlation_id: str = "",
        is_genesys: bool | None = None,
    ) -> None:
        super().__init__(
            problem,
            status=429,
            code=code,
            said=said,
            correlation_id=correlation_id,
            is_genesys=is_genesys,
        )
        self.retry_after = retry_after
