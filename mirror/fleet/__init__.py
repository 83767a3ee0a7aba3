"""Who holds what, and what is missing: what leader, listeners and janitors share through Redis.

All that asks Redis here raises `RedisUnavailable` where it does not answer, refuses, or holds what
is not ours.

words        shard, seat, grant, beat: the words that leader and listeners exchange
gaps         the ledger of intervals that no socket covered
tracked      what the tracker keeps of conversations
workers      what trackers and janitors say of themselves
reasons      why a mirror is not well, and the next step
status       what Redis holds → how the mirror is, for commands and pages
requests     what operators ask of the leader
pinned       over how many partitions keys are spread
backfill     gaps filed by hand
"""
