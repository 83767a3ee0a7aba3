"""A stand-in for Genesys Cloud: OAuth, notification channels, WebSockets, REST, conversations.

It serves real clients over HTTP and WebSocket on one port. Its conversations live and end in the
shapes that Genesys sends. It keeps a ledger of every transition that it caused, and can misbehave
on demand. docs/protocol.md has the protocol's facts; docs/simulator.md says which behaviour is a
fact and which is a guess. The simulator imports nothing of the mirror. So the two only agree if
both are right.

    cli, server, app      the command line; a port; the HTTP application
    world, org, settings  one org: its parts, its people and queues, its settings
    clock, ids            Genesys' time; ids in Genesys' forms
    model, parts          one conversation and what can happen to it
    scenarios/, engine    scripts of conversations, and the engine that plays them
    shapes/, frames       bodies and frames of a conversation
    routes/, hub          REST and sockets; the open sockets
    oauth, channels       tokens; channels and subscriptions; topics: those that exist
    ratelimit, errors     request budgets; error answers
    analytics             the answers of a details query
    ledger                every transition that was caused; rules: every rule that a client broke
    faults, saboteur      faults, and how they are caused; garbage: invalid frames
    quirks                settings for behaviour of Genesys that is a guess
    load, replay          frames for benchmarks; recorded frames
"""
