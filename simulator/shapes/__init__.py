"""The bodies that Genesys gives of one conversation: nested frames, REST, analytics.

All come from the same `model.Conversation`, so they cannot disagree about facts; they disagree
about spelling and fields exactly where Genesys' own surfaces do (docs/protocol.md, "Shapes").

nested   frames; rest: the answer to a GET; analytics: that to a query
status   presence, routing status and the like, of a person
"""
