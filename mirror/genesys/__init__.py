"""The Genesys Cloud end: REST calls, their errors, and the hosts to trust.

client           the calls that the mirror makes, typed; shapes: their answers; topics
http             one call with token, budget, time-outs and retries
refusals         error answers: their source and meaning; timing: durations of calls
wire, proxy      connections to hosts; sockets: WebSocket handshakes; hosts: which to trust
listing, filters bounded listings; filters of queues and users; rights; handles
pages            pages of entries; an odd entry spoils no other
"""
