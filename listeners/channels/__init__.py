"""The life of a channel, from its grant to its end.

channel      the state machine of one channel (pure)
lifetime     when a channel is renewed and when it wants a successor (pure)
session      all channels of the process (pure)
actions      what a channel asks for, as data; executor: carries those out
workers      threads for what blocks; links: Redis and Genesys as the executor needs them
"""
