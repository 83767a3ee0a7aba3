"""What Redis' error answers are taken for."""

from __future__ import annotations

import pytest
import redis
from redis._parsers.base import BaseParser

from mirror.base.errors import EXIT_DEPENDENCY, EXIT_USAGE, RedisUnavailable, RedisUnsupported
from mirror.redis.answers import MEANINGS, Kind, code_of, meaning
from mirror.redis.connect import explained

ANSWERS = {
    "READONLY You can't write against a read only replica.": "READONLY",
    "READONLY You can't write against a read only replica. script: 5c1, on @user_script:9.": (
        "READONLY"
    ),
    "ERR Error running script (call to f_5c1): @user_script:9: @user_script: 9: -READONLY You "
    "can't write against a read only replica.": "READONLY",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": (
        "MASTERDOWN"
    ),
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> "
    "replica?)": "UNBLOCKED",
    "NOREPLICAS Not enough good replicas to write.": "NOREPLICAS",
    "LOADING Redis is loading the dataset in memory": "LOADING",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.": (
        "BUSY"
    ),
    "NOAUTH Authentication required.": "NOAUTH",
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
    "<proto> AUTH <user> <pass> option can be used": "NOAUTH",
    "WRONGPASS invalid username-password pair or user is disabled.": "WRONGPASS",
    "ERR invalid password": "WRONGPASS",
    "DENIED Redis is running in protected mode because protected mode is enabled": "DENIED",
    "NOPERM User mirror has no permissions to run the 'keys' command": "NOPERM",
    "ERR ACL failure in script: User mirror has no permissions to run the 'set' command": "NOPERM",
    "OOM command not allowed when used memory > 'maxmemory'.": "OOM",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to": "MISCONF",
    "ERR Error running script (call to f_5c1): @user_script:9: @user_script: 9: -MISCONF Redis "
    "is configured to save RDB snapshots": "MISCONF",
    "ERR max number of clients reached": "MAXCLIENTS",
    "MOVED 5718 127.0.0.1:7001": "MOVED",
    "ASK 5718 127.0.0.1:7001": "ASK",
    "TRYAGAIN Multiple keys request during rehashing of slot": "TRYAGAIN",
    "CROSSSLOT Keys in request don't hash to the same slot": "CROSSSLOT",
    "CLUSTERDOWN Hash slot not served": "CLUSTERDOWN",
    "ERR unknown command 'FOO', with args beginning with: ": "",
    "WRONGTYPE Operation against a key holding the wrong kind of value": "",
    "NOSCRIPT No matching script. Please use EVAL.": "",
}


def parsed(answer: str) -> redis.RedisError:
    """What redis-py makes of an error answer."""
    error = BaseParser.parse_error(answer)  # type: ignore[no-untyped-call]  # redis-py's
    assert isinstance(error, redis.RedisError)
    return error


@pytest.mark.parametrize(("answer", "code"), ANSWERS.items())
def test_an_answer_is_known_by_its_word(answer: str, code: str) -> None:
    """However redis-py and scripts wrap it."""
    assert code_of(parsed(answer)) == code


@pytest.mark.parametrize(("answer", "code"), [pair for pair in ANSWERS.items() if pair[1]])
def test_each_is_told_in_one_line_with_its_cure(answer: str, code: str) -> None:
    """The line names the server, what it is or does, and what to do."""
    with pytest.raises(RedisUnavailable) as caught, explained("Redis at here"):
        raise parsed(answer)
    found = MEANINGS[code]
    line = str(caught.value)
    assert line.startswith(f"Redis at here {found.says}")
    assert line.endswith(found.cure)
    assert caught.value.cure == found.cure
    assert "\n" not in line
    unsupported = found.kind == "unsupported"
    assert isinstance(caught.value, RedisUnsupported) == unsupported
    assert caught.value.exit_code == (EXIT_USAGE if unsupported else EXIT_DEPENDENCY)


@pytest.mark.parametrize(
    ("kind", "drops"),
    [
        ("wrong server", {"all"}),
        ("not yet", {"none"}),
        ("credentials", {"this"}),
        ("rights", {"none"}),
        ("full", {"none", "this"}),
        ("unsupported", {"none"}),
    ],
)
def test_a_kind_decides_about_connections(kind: Kind, drops: set[str]) -> None:
    """Only the wrong server ends all of them; who has no place or no login makes this one anew."""
    found = [known for known in MEANINGS.values() if known.kind == kind]
    assert found
    assert {known.drops for known in found} == drops


def test_what_is_no_answer_means_nothing() -> None:
    """A broken connection, or an error of ours."""
    assert meaning(redis.ConnectionError("Connection closed by server.")) is None
    assert meaning(ValueError("READONLY")) is None
