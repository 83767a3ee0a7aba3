"""`python -m console.awaited PID`: tells the terminal of `mirror up` what its processes wait for.

`mirror up` becomes supervisord, which prints nothing, and the processes log into files. So `mirror
up` starts this process beside supervisord. It says that Redis or Kafka does not answer, and when
it does. It ends once both answer, or with supervisord.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from console.render import filled, say
from mirror.base.errors import KafkaUnavailable, RedisUnavailable
from mirror.kafka.admin import check_topics
from mirror.redis.connect import address, check, connect
from mirror.settings import Settings, load

_LOOK_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 3.0


def main(parent: int) -> None:
    """Watch until both services answer, or until `parent`, the process id of ours, has ended."""
    settings = load()
    asked: dict[str, Callable[[Settings], None]] = {
        f"Redis at {address(settings)}": _redis,
        f"Kafka at {settings.kafka.properties['bootstrap.servers']}": _kafka,
    }
    told: dict[str, str] = {}
    while asked and os.getppid() == parent:
        for name, ask in list(asked.items()):
            try:
                ask(settings)
            except (RedisUnavailable, KafkaUnavailable) as error:
                if told.get(name) != str(error):
                    told[name] = str(error)
                    say(filled("  Waits    ", str(error)))
            else:
                del asked[name]
                if name in told:
                    say(filled("  Answers  ", name))
        time.sleep(_LOOK_SECONDS)


def _redis(settings: Settings) -> None:
    with connect(settings) as client:
        check(client, settings)


def _kafka(settings: Settings) -> None:
    check_topics(settings, _ANSWER_SECONDS, agents=settings.agents)


if __name__ == "__main__":
    main(int(sys.argv[1]))
