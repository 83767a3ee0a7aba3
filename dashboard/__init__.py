"""The web page: the contact centre's floor and the mirror itself, live.

    program.py   builds a dashboard from its threads; metrics.py: its metrics
    reader/      Kafka and Redis → messages for browsers
    hub.py       from the readers to the pages: one message, many browsers
    pages/       the web server, and the page in static/

It reads Kafka and Redis, never Genesys, and writes to neither. Any number may run.
"""
