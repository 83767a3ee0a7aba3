"""From sockets to events.

loop         the thread that reads all sockets
connection   one socket: opened, read, closed
frames       bytes → WebSocket messages (pure)
"""
