"""Listeners: hold channels, turn frames into events, and produce those straight to Kafka.

    program.py   the parts of a listener; shutdown.py: the order of its stop
    receive/     sockets → events
    channels/    the life of a channel, from its grant to its end
    publish/     events → Kafka, and the spool
    beats.py     reports to Redis and fetches this listener's grants; fleet_link.py: the Lua
    health.py    the health of this listener; counters.py, metrics.py: its metrics
    gc_tuning.py when Python looks for garbage

Nothing on the way from a socket to Kafka waits for Redis or for REST.
"""
