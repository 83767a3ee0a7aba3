"""What happened in a conversation: events, views and their rules. Pure; imports nothing above it.

event, agent_event  the flat records of the topics; schema: their JSON Schema
legs, times         names of legs and their transitions; times as text
normaliser/         frames, REST bodies and analytics → events
fold                events → a consumer's view; published: the view that the projector publishes
ending              the events that end a conversation; course: its legs step by step, for people
masking             removes personal values from dead letters
"""
