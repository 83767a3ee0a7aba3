"""Coordinators: one of them leads and assigns the channels; all of them track conversations.

program.py   the parts of a coordinator
passes.py    its passes: claims the lead; while it leads, reads, decides and writes
election.py  the election of the leader: a Redis lock with a fence
leader.py    one pass of the leader, from the state in Redis to the writes (pure)
plan/        the decisions of a pass (pure)
store.py     the leader's reads from and writes to Redis
discovery.py lists queues and users of Genesys; topics.py: the topics that are wanted of them
naming.py    the names of queues and users
metrics.py   a coordinator's metrics
tracker/     folds the topic into Redis: the active conversations
"""
