"""Who holds what, and what is missing: what leader, listeners and janitors share through Redis.

words        shard, seat, grant, beat: the words that leader and listeners exchange
gaps         the ledger of intervals that no socket covered
tracked      what the tracker keeps of conversations
status       what Redis holds → how the mirror is, for commands and pages
requests     what operators ask of the leader
backfill     gaps filed by hand
"""
