"""From sockets to events.

loop         the thread that reads all sockets; inbox: calls of other threads; loop_state: its state
             for other threads
connection   one open socket: read, written, closed
frames       bytes → WebSocket messages (pure)
intake       messages → events, agents' states, dead letters; system_messages: their requests
native       common frames to the native reader, others to the normaliser; native_reader: its
             interface; shadow: compares the two
complaints   problems in sentences, for health and beats
"""
