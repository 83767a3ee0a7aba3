"""The life of a channel, from its grant to its end.

table        the state machines of a channel as data (docs/channel.md shows them)
channel      the machine of one channel: inputs; machine: its steps (both pure)
upkeep       what a live channel asks beside receiving (pure); topic_list: what it asks for
silence      how a silent socket is found (pure)
attempts     how often a channel is tried, and the pauses in between (pure)
lifetime     when a channel is renewed and when it wants a successor (pure)
session      all channels of the process (pure)
actions      what a channel asks for, as data; executor: carries those out
workers      threads for what blocks; adapters: Redis and Genesys as the executor needs them
"""
