"""The tracker: folds the interaction topic into Redis, so that all know the active conversations.

fold.py      one conversation and its next events → the conversation after them (pure)
batch.py     the records of one partition → the writes of the Lua command (pure)
store.py     reads and writes the fold, exactly once, by `lua/fold.lua`
service.py   the consumer around them
lag.py       how far it is behind (pure)
health.py    whether it works, from librdkafka's statistics (pure)
"""

from coordinator.tracker.service import Tracker

__all__ = ["Tracker"]
