"""The life of a channel, from its grant to its end.

table        the state machines of a channel as data (docs/channel.md shows them)
channel      the machine of one channel: inputs; machine: its steps (both pure)
upkeep       a live channel's calls to Genesys (pure); topic_list: its topics (pure)
silence      finds a silent socket (pure)
attempts     the number of tries and the pauses in between (pure)
lifetime     when a channel is renewed and when it needs a successor (pure)
session      all channels of the process (pure)
actions      a channel's requests to its shell, as data; executor: carries them out
workers      threads for blocking calls; adapters: Redis and Genesys for the executor
"""
