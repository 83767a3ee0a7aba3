"""Genesys' bodies of a conversation: nested frames, REST, analytics.

All come from the same `model.Conversation`, so they agree about facts. They differ in spelling and
fields exactly as Genesys' own surfaces do (docs/protocol.md, "Shapes").

nested   frames; rest: the answer to a GET; analytics: that to a query
status   presence, routing status and the like, of a person
"""
