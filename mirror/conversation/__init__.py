"""The ground: what happened in a conversation. Pure, and importing nothing of ours above it.

event, agent_event  the flat records of the topics; schema: their JSON Schema
legs, times         what names a leg and its transitions; times as text
normaliser/         frames, REST bodies and analytics → events
fold                events → a consumer's view; document: the view that the projector writes
ending              which events end a conversation; course: its legs step by step, for people
masking             personal values taken out of dead letters
"""
