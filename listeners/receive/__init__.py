"""From sockets to events.

loop         the thread that reads all sockets; inbox: how other threads reach it; snapshot: what it
             leaves for them
connection   one socket: opened, read, closed
frames       bytes → WebSocket messages (pure)
intake       messages → events, agents' states, dead letters; system_messages: what those ask
complaints   what is wrong, in sentences for health and beats
"""
