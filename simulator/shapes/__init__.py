"""Genesys' bodies of a conversation: nested frames, REST, analytics.

All come from the same `model.Conversation`, so they agree about facts. They differ in spelling and
fields exactly as Genesys' own surfaces do (docs/protocol.md, "Shapes").
"""
