"""Finds the file that keeps a client of librdkafka from opening: a CA, a certificate or a key.

A secret manager replaces such files while processes run: for a moment a file is missing, half
written, or does not belong to its partner yet. So a file that cannot be used now is an outage, and
not a wrong setting: a start waits for the file, and running processes try again. An encrypted key
that is whole is different: only another `KAFKA_CONF_SSL_KEY_PASSWORD` opens it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mirror.base.errors import EXIT_USAGE, KafkaUnavailable

# librdkafka's properties whose value is the path of a file end so.
_ENDINGS: Final = (".location", ".file", ".keytab")
# The platform's own variable sets the same property (`mirror.settings.kafka`).
_ALSO: Final = {"ssl.ca.location": " or SSL_CERT_FILE"}


class FileUnusable(KafkaUnavailable):
    """A file that the settings name cannot be used now.

    Waiting may help, so processes wait. A command that does not wait takes it for a wrong setting.
    """

    exit_code = EXIT_USAGE


def is_file(key: str) -> bool:
    """Whether the value of librdkafka's property `key` is the path of a file."""
    return key.endswith(_ENDINGS)


def variable(key: str) -> str:
    """The variables that set librdkafka's property `key` to a path."""
    return f"KAFKA_CONF_{key.upper().replace('.', '_')}{_ALSO.get(key, '')}"


def unusable(config: Mapping[str, Any], reason: str, shown: str) -> FileUnusable | None:
    """The error for a client that was refused with `reason` because of a file of `config`.

    None if no file is to blame. `shown` is the reason for people.
    """
    if "mandatory" in reason:  # another property is missing beside the file
        return None
    for key, path in config.items():
        if not is_file(key) or key not in reason or not isinstance(path, str):
            continue
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            cause = error.strerror or str(error)
        else:
            if b"ENCRYPTED" in content and b"-----END " in content:
                return None
            cause = shown
        return FileUnusable(
            f"{variable(key)} is {path!r}, which cannot be used now ({cause}): Kafka is reached "
            "again once the file is there, readable, whole PEM, and belongs to its partner"
        )
    return None
