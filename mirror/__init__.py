"""What every process of interaction mirror shares.

Settings, the event and its identity, the normaliser, errors, telemetry, the Genesys Cloud REST
client, and the Kafka and Redis ends. Imports nothing from the rooms above it (`listeners`,
`coordinator`, `janitor`, `dashboard`, `simulator`) at import time.
"""

__version__ = "0.1.0"
