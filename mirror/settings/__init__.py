"""All settings, read from environment variables once, checked, and frozen.

`load` is pure: it takes the environment as a mapping and returns `Settings`, or raises
`SettingsError` with one line that names the variable, what it held (never a secret) and what it
takes. Any variable may instead be given as `<NAME>_FILE`, the path of a file that holds it, which
keeps secrets out of the environment. `describe` lists what is in force with secrets masked.
"""

from mirror.settings.load import load
from mirror.settings.model import KafkaSettings, OAuthClient, Settings, Unread
from mirror.settings.reader import describe, value

__all__ = ["KafkaSettings", "OAuthClient", "Settings", "Unread", "describe", "load", "value"]
