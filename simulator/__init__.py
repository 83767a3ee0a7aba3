"""A stand-in for Genesys Cloud: OAuth, notification channels, WebSockets, REST, conversations.

It serves real clients over HTTP and WebSocket on one port. Its conversations live and end in the
shapes that Genesys sends. It keeps a ledger of every transition that it caused, and can misbehave
on demand. docs/protocol.md has the protocol's facts; docs/simulator.md says which behaviour is a
fact and which is a guess. The simulator imports nothing of the mirror. So the two only agree if
both are right.
"""
