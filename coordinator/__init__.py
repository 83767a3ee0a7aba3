"""Coordinators: one of them leads and shares out the channels; all of them track conversations.

program.py   what a coordinator is built from
passes.py    its passes: claims the lead, and while it leads reads, decides, writes
election.py  who leads: a Redis lock with a fence
leader.py    one pass of the leader, from what Redis shows to what is written (pure)
plan/        the decisions of a pass (pure)
store.py     what the leader reads from and writes to Redis
discovery.py lists queues and users of Genesys
tracker/     folds the topic into Redis: which conversations are active
"""
