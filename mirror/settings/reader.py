"""Reads variables from one environment, and remembers the values in force."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from mirror.base.errors import SettingsError
from mirror.base.redact import scrub

T = TypeVar("T")

_SECRET_NAMES: Final = frozenset(
    {
        "GENESYS_CLIENT_SECRET",
        "GENESYS_CLIENTS",
        "REDIS_URL",
        "KAFKA_URL",
        "KAFKA_SASL_PASSWORD",
        "KAFKA_CLIENT_CERT_KEY",
        "MIRROR_PII_KEY",
        "MIRROR_DASHBOARD_TOKEN",
    }
)
_SECRET_WORDS: Final = ("SECRET", "PASSWORD", "KEY", "TOKEN", "CREDENTIAL", "OAUTHBEARER_CONFIG")
_SHOWN_LENGTH: Final = 200
_SERVICE: Final = re.compile(r".*_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://.*")
# Far above any certificate chain. A device or a log, given by mistake, is not read to its end.
MAX_FILE_BYTES: Final = 256 * 1024


class SettingsReader:
    """Reads variables from one environment and remembers the values in force.

    `read` is name → value of all variables that were asked for; `used` are the variables that had a
    value, under the names by which they are set (`X` or `X_FILE`). `files` is name → the file that
    its value came from.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.read: dict[str, str] = {}
        self.used: set[str] = set()
        self.files: dict[str, Path] = {}

    def text(self, name: str, default: str = "") -> str:
        """The value of `name`, or of its file, without the white space around it.

        The variable wins over the file: `X_FILE` beside `X` is not read, and not in `used`.
        """
        value = self.environ.get(name, "").strip()
        path = self.environ.get(f"{name}_FILE", "").strip()
        self.used.add(name)
        if is_service_link(name, value):
            value = ""
        if not value and path:
            value = _contents(name, path)
            self.used.add(f"{name}_FILE")
            self.files[name] = Path(path)
        value = value or default
        self.read[name] = value
        return value

    def parse(self, name: str, default: str, parser: Callable[[str], T]) -> T:
        """The value of `name` (or `default`) through `parser`. Raises `SettingsError`."""
        value = self.text(name, default)
        try:
            return parser(value)
        except ValueError as error:
            is_secret = _is_secret(name) or "@" in value or "-----" in value
            held = "holds a value of another form" if is_secret else f"is {value!r}"
            raise SettingsError(f"{name} {held}: it takes {error}") from None


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes set this variable: each pod gets variables for the namespace's Services.

    For a Service `mirror-dashboard` every pod has `MIRROR_DASHBOARD_PORT=tcp://10.0.0.7:8080`,
    which is not a setting of ours.
    """
    is_port = name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value) is not None
    return is_port or _SERVICE.fullmatch(name) is not None


def _contents(name: str, path: str) -> str:
    """The content of the file in `<name>_FILE`, without the white space around it."""
    reason = ""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) <= MAX_FILE_BYTES:
            return content.decode().strip()
        reason = f"over {MAX_FILE_BYTES >> 10} KiB"
    except UnicodeDecodeError:
        reason = "not UTF-8 text"
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = getattr(error, "strerror", None) or "not a path"
    # Somebody may have set the secret itself in place of a path.
    told = "names a file" if _is_secret(name) else f"is {path!r}"
    raise SettingsError(
        f"{name}_FILE {told}, which cannot be read ({reason}): "
        f"it takes the path of a file that holds {name}"
    )


def value(environ: Mapping[str, str], name: str, default: str = "") -> str:
    """One variable of `environ`, for code that needs no further setting. May be `<name>_FILE`.

    Raises `SettingsError` if the file cannot be read.
    """
    return SettingsReader(environ).text(name, default)


def describe(environment: Mapping[str, str]) -> dict[str, str]:
    """Variable → value in force, for `mirror doctor --settings`. Secrets are masked."""
    return {name: _masked(name, value) for name, value in sorted(environment.items())}


def _masked(name: str, value: str) -> str:
    if not value:
        return ""
    if name == "REDIS_URL":
        return scrub(value)
    if name == "GENESYS_CLIENTS":
        return ",".join(f"{part.partition(':')[0].strip()}:***" for part in value.split(","))
    if _is_secret(name):
        return "***"
    if "PRIVATE KEY" in value:
        return "***"
    value = scrub(value)
    return (
        value
        if len(value) <= _SHOWN_LENGTH
        else f"{value[:60].splitlines()[0]}… ({len(value)} characters)"
    )


def _is_secret(name: str) -> bool:
    return name in _SECRET_NAMES or any(word in name for word in _SECRET_WORDS)
