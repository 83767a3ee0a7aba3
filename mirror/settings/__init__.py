"""All settings, read from environment variables once, checked, and frozen.

`load` is pure: it takes the environment as a mapping and returns `Settings`, or raises
`SettingsError` with one line that names the variable, its value (never a secret) and the accepted
form. `<NAME>_FILE` may replace any variable: it is the path of a file with the value, which keeps
secrets out of the environment. `describe` lists the values in force, with secrets masked.

model        `Settings`; load: makes them; reader: a variable, or the file that it names
values       parsers by kind; redis_url: that of `REDIS_URL`; kafka: Kafka's properties
supervised   settings of `mirror up`; directory: folders that settings name
unread       variables that look like settings and change nothing
"""

from mirror.settings.load import load
from mirror.settings.model import KafkaSettings, OAuthClient, Settings, Unread
from mirror.settings.reader import describe, value

__all__ = ["KafkaSettings", "OAuthClient", "Settings", "Unread", "describe", "load", "value"]
