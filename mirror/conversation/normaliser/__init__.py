"""The normaliser: any shape in, the one flat event out. Serves listeners and janitor alike.

normaliser.py    bytes → `Reading` (events, or the problem); never raises on content
topics.py        topic name → kind of frame
bodies.py        the fields that are read
snapshot.py      which participants of a snapshot are as they were in the last one
salvage.py       the readable part of a frame that is partly wrong
analytics.py     the shape of analytics queries, made into a body
rules.py         snapshot against memory → the list of transitions
views.py         the legs of a snapshot that differ from their last reading
transition.py    the items of that list
spells.py        holds and parks: states that a leg can enter and leave several times
after_call.py    after-call work and wrap-up codes
roles.py         who monitors, coaches, barges, is consulted
events.py        transitions → `Event` (names, times, origin)
memory.py        the reported transitions of each conversation, bounded
lending.py       hands a conversation to the native reader and takes it back
words.py         Genesys' words → ours
lengths.py       texts of absurd length, dropped
agents.py        presence and routing status of users
personal.py      personal fields: left out, hashed or kept
"""

from mirror.conversation.normaliser.normaliser import Normaliser, Problem, Reading
from mirror.conversation.normaliser.personal import Personal

__all__ = ["Normaliser", "Personal", "Problem", "Reading"]
