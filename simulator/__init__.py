"""A stand-in for Genesys Cloud: OAuth, notification channels, WebSockets, REST, conversations.

It serves real clients over HTTP and WebSocket on one port, makes conversations live and end in
the shapes that Genesys sends, keeps a ledger of every transition it caused, and can misbehave on
demand.
The protocol facts stand in docs/protocol.md; `docs/simulator.md` says
which behaviour is a fact and which a guess. It imports nothing of the mirror, so that the two can
only agree by both being right.

    cli, server, app      the command line; a port; the HTTP application
    world, org, settings  one org: its parts, its people and queues, its settings
    clock, ids            Genesys' time; ids in Genesys' forms
    model, parts          one conversation and what can happen to it
    scenarios/, engine    scripts of conversations, and what plays them
    shapes/, frames       bodies and frames of a conversation
    routes/, hub          REST and sockets; the open sockets
    oauth, channels       tokens; channels and subscriptions; topics: those that exist
    ratelimit, errors     request budgets; error answers
    analytics             the answers of a details query
    ledger                every transition that was caused; rules: every rule that a client broke
    faults, saboteur      faults, and what carries them out; garbage: frames that nobody should send
    quirks                where Genesys' behaviour is a guess: either way
    load, replay          frames for benchmarks; recorded frames
"""
