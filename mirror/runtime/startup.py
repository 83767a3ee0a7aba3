"""Waits for the services that a process needs: Kafka, the schema registry, Redis, Genesys Cloud.

All waits of one start share one deadline, `MIRROR_STARTUP_TIMEOUT` seconds after the start (0: wait
for ever). Each wait raises a `DependencyError` after the deadline, or at once if waiting does not
help. Each reason for waiting is logged once, and noted for `mirror status`
(`mirror.fleet.waiting`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from mirror.base.errors import DependencyError, KafkaUnavailable
from mirror.base.log import logger
from mirror.kafka import registry
from mirror.kafka.admin import Cluster, check_topics
from mirror.kafka.files import FileUnusable
from mirror.redis.connect import wait_for
from mirror.settings import Settings

if TYPE_CHECKING:
    import redis

    from mirror.kafka.record import Header

T = TypeVar("T")

#: Between two attempts, at the start and whenever a program repeats a refused call.
RETRY_SECONDS: Final = 1.0
# A deadline that has passed leaves time for one attempt; 0 would mean "for ever".
LEAST_SECONDS: Final = 0.1


class Startup:
    """The waits of one start. May be used by any thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        waits: Callable[[str], object] = str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`waits` is called with the reason, again and again while it lasts."""
        self.waits = waits
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._log = logger("startup")
        timeout = settings.startup_timeout
        self._deadline = clock() + timeout if timeout else None

    def left(self) -> float:
        """The seconds left; 0 only if there is no deadline."""
        if self._deadline is None:
            return 0.0
        return max(LEAST_SECONDS, self._deadline - self._clock())

    def kafka(self, *, agents: bool = False) -> Cluster:
        """Wait for Kafka and the mirror's topics. Raises `KafkaUnavailable`.

        A file of the settings that cannot be used now (a CA that is being replaced) is waited for.
        """
        try:
            return self._until(
                lambda: check_topics(self._settings, self.left(), agents=agents, waits=self.waits),
                FileUnusable,
            )
        except FileUnusable as error:
            # Supervisors start a process again that ends so, and not one with a wrong setting.
            raise KafkaUnavailable(str(error)) from error

    def registry(self) -> dict[str, Header]:
        """Register schemas. Returns topic → header of its records. Raises `RegistryUnavailable`."""
        return registry.register(self._settings, self.left(), self.waits)

    def view_registry(self) -> dict[str, Header]:
        """As `registry`, for the two topics of the projector. Raises `RegistryUnavailable`."""
        return registry.register_views(self._settings, self.left(), self.waits)

    def redis(self, client: redis.Redis) -> None:
        """Wait for Redis. Raises `RedisUnavailable`."""
        wait_for(client, self._settings, self.left())

    def genesys(self, *sign_ins: Callable[[], object]) -> None:
        """Wait until one of `sign_ins` gets a token. Raises `GenesysError`.

        A client that Genesys refuses stops no process: the others do the work, and the leader says
        what is wrong with it.
        """

        def any_signs_in() -> None:
            errors = []
            for sign_in in sign_ins:
                try:
                    sign_in()
                except DependencyError as error:
                    errors.append(error)
            if len(errors) == len(sign_ins):
                raise errors[0]
            for failed in errors:
                self._log.warning("sign_in_failed", error=failed)

        self._until(any_signs_in, DependencyError)

    def _until(self, work: Callable[[], T], kind: type[DependencyError]) -> T:
        """What `work` returns. While it raises a `kind`, it is repeated, up to the deadline."""
        logged = ""
        while True:
            try:
                return work()
            except kind as error:
                if self._deadline is not None and self._clock() + RETRY_SECONDS >= self._deadline:
                    raise
                self.waits(str(error))
                if str(error) != logged:
                    logged = str(error)
                    self._log.warning(
                        "waiting_for_kafka" if kind is FileUnusable else "waiting_for_genesys",
                        error=error,
                    )
            self._sleep(RETRY_SECONDS)
