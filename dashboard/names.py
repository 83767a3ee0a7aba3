"""What the page calls queues: the file that `MIRROR_DASHBOARD_NAMES` names."""

from __future__ import annotations

import msgspec

from mirror.base.errors import SettingsError
from mirror.settings import Settings


def read_names(settings: Settings) -> dict[str, str]:
    """What the page calls queues. Raises `SettingsError` where the file does not say."""
    path = settings.dashboard_names
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"MIRROR_DASHBOARD_NAMES is {str(path)!r}, which cannot be read ({reason}): it takes "
            'the path of a JSON file {"<queue id>": "name"}'
        ) from error
