"""`python -m console.awaited PID`: tells the terminal of `mirror up` what its processes wait for.

`mirror up` becomes supervisord, which prints nothing, and the processes log into files. So `mirror
up` starts this process beside supervisord. It says if Redis or Kafka does not answer, what
processes wait for at their start (such as a token of Genesys), and when the wait is over. It ends
with supervisord, or once both answer and no process has waited for `QUIET_SECONDS`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from console.render import filled, say
from mirror.base.errors import KafkaUnavailable, RedisUnavailable
from mirror.fleet.waiting import list_waits, reasons
from mirror.kafka.admin import check_topics
from mirror.redis.connect import address, check, connect
from mirror.redis.keys import Keys
from mirror.settings import Settings, load

_LOOK_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 3.0
# Processes begin to wait some seconds after supervisord started them.
QUIET_SECONDS: Final = 20.0


def main(parent: int) -> None:
    """Watch until nobody waits, or until `parent`, the process id of ours, has ended."""
    settings = load()
    services: dict[str, Callable[[Settings], None]] = {
        f"Redis at {address(settings)}": _redis,
        f"Kafka at {settings.kafka.properties['bootstrap.servers']}": _kafka,
    }
    told: dict[str, str] = {}
    waits: list[str] = []
    quiet_at = time.monotonic()
    while os.getppid() == parent and time.monotonic() - quiet_at <= QUIET_SECONDS:
        _ask(services, told, settings)
        if not services:
            waits = _tell_waits(settings, waits)
        if services or waits:
            quiet_at = time.monotonic()
        time.sleep(_LOOK_SECONDS)


def _ask(
    services: dict[str, Callable[[Settings], None]], told: dict[str, str], settings: Settings
) -> None:
    """Take away the services that answer, and say why the others do not, if that is news."""
    for name, ask in list(services.items()):
        try:
            ask(settings)
        except (RedisUnavailable, KafkaUnavailable) as error:
            if told.get(name) != str(error):
                told[name] = str(error)
                say(filled("  Waits      ", str(error)))
        else:
            del services[name]
            if name in told:
                say(filled("  Answers    ", name))


def _tell_waits(settings: Settings, before: list[str]) -> list[str]:
    """Say what processes wait for at their start, if that is news, a line each. Returns the lines.

    Without Redis nothing is known, so these are the lines from `before`.
    """
    try:
        with connect(settings) as client:
            waits = reasons(list_waits(client, Keys(settings.namespace)))
    except RedisUnavailable:
        return before
    for reason in waits:
        if reason not in before:
            say(filled("  Waits      ", reason))
    if before and not waits:
        say("  Started    no process waits any more")
    return waits


def _redis(settings: Settings) -> None:
    with connect(settings) as client:
        check(client, settings)


def _kafka(settings: Settings) -> None:
    check_topics(settings, _ANSWER_SECONDS, agents=settings.agents)


if __name__ == "__main__":
    main(int(sys.argv[1]))
