"""Listeners: hold channels, turn frames into events, and produce those straight to Kafka.

`channel`, `session` and `frames` are pure; `loop`, `actions`, `publisher` and `service` do the
I/O around them. Nothing on the way from a socket to Kafka waits for Redis or for REST.
"""
