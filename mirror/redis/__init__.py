"""The Redis end: connections, the keyspace, and the Lua commands that all processes share."""
