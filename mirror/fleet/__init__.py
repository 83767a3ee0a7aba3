"""The fleet's shared state in Redis: who holds which seat, and which intervals are missing.

All functions that ask Redis raise `RedisUnavailable` if Redis does not answer, refuses, or holds a
value of somebody else.

words        shard, seat, grant, beat: the messages between leader and listeners
gaps         the ledger of intervals that no socket covered
tracked      the tracker's record of each conversation
workers      the status that trackers, janitors and projectors report
waiting      what processes wait for at their start
reasons      why a mirror is not healthy, and the next step
status       the state of all processes → the health of the mirror (pure); status_reader: read from
             Redis, for commands and pages
requests     requests of operators to the leader
pinned       the number of partitions that keys are spread over
backfill     gaps filed by hand
names        names of queues and users; topics: the mirrored topics, with names and channels
"""
