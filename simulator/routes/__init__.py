"""HTTP and WebSocket handlers, one module for each part of the API. Shells around pure parts.

oauth          tokens; guard: what every request must have
notifications  channels and subscriptions; streaming: the socket of a channel
conversations, analytics, directory  what REST knows; directory: users and queues
admin          `/_sim`: the truth, and the controls
"""
