"""The web page: the contact centre's floor and the mirror itself, live.

    service.py    a dashboard process: start-up, threads, signals
    reader.py     the thread that reads Kafka: events → floor → one message a tick for everybody
    watch.py      the thread that reads Redis: how the mirror is, and whether Kafka answers
    floor.py      events → counts by queue and state; pure
    place.py      where one conversation stands, and what its agents do; pure
    timeline.py   one conversation as legs over time; pure
    pulse.py      events a second and their latency; pure
    feed.py       floor, pulse and ticker → the messages that browsers get; pure
    letters.py    dead letters that Kafka keeps; pure
    fleet.py      what Redis holds → the document of the view "Mirror"
    hub.py        one message, many browsers, each with a bounded queue
    web.py        routes, streams, static files
    guard.py      who may look: token, proxy's header, Host, and the headers of every answer
    static/       the page: plain ES modules and CSS, no build

It reads Kafka and Redis, never Genesys, and writes to neither. Any number may run.
"""
