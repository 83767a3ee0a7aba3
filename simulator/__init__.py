"""A stand-in for Genesys Cloud: OAuth, notification channels, WebSockets, REST, conversations.

It serves real clients over HTTP and WebSocket on one port, makes conversations live and end in
the shapes that Genesys sends, keeps a ledger of every transition it caused, and can misbehave on
demand.
The protocol facts stand in docs/protocol.md; `docs/simulator.md` says
which behaviour is a fact and which a guess. It imports nothing of the mirror, so that the two can
only agree by both being right.
"""
