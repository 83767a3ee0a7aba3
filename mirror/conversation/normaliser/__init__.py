"""The normaliser: any shape in, the one flat event out. Serves listeners and janitor alike.

normaliser.py    bytes → `Reading` (events, or why not); never raises on content
topics.py        what a topic name says
bodies.py        the fields that are read, nested and flat shape in one
pieces.py        which participants of a snapshot are as they were in the last one
salvage.py       what can be read of a frame that is wrong in part
transitions.py   snapshot against memory → what happened (the rules)
holds.py         what a leg can go into and come out of several times
report.py        what happened → `Event` (names, times, origin)
memory.py        what was reported of each conversation, bounded
words.py         Genesys' words → ours
analytics.py     the shape of analytics queries, made into a body
agents.py        presence and routing status of users
ending.py        ends that no frame showed, for the janitor
times.py, personal.py
"""

from mirror.conversation.ending import ending, finalize
from mirror.conversation.normaliser.normaliser import Normaliser, Problem, Reading
from mirror.conversation.normaliser.personal import Personal

__all__ = ["Normaliser", "Personal", "Problem", "Reading", "ending", "finalize"]
