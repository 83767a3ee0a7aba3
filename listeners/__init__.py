"""Listeners: hold channels, turn frames into events, and produce those straight to Kafka.

    program.py   what a listener is built from; shutdown.py: the order in which it ends
    receive/     sockets → events
    channels/    the life of a channel, from its grant to its end
    publish/     events → Kafka, and the spool
    beats.py     tells Redis how this listener is, and fetches its grants; fleet_link.py: the Lua
    health.py    how this listener is

Nothing on the way from a socket to Kafka waits for Redis or for REST.
"""
