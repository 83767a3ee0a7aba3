"""The Genesys Cloud end: REST calls, their errors, and which hosts to trust.

client           the calls that the mirror makes, typed; shapes: their answers; topics
http             one call done well: token, budget, time-outs, retries
refusals         whose answer it is, and what it says; timing: how long calls take
wire, proxy      how hosts are reached; sockets: WebSocket handshakes; hosts: whom to trust
listing, filters bounded listings; which queues and users are wanted; rights; handles
"""
