"""The normaliser: any shape in, the one flat event out. Serves listeners and janitor alike.

normaliser.py    bytes → `Reading` (events, or why not); never raises on content
topics.py        what a topic name says
bodies.py        the fields that are read
snapshot.py      which participants of a snapshot are as they were in the last one
salvage.py       what can be read of a frame that is wrong in part
analytics.py     the shape of analytics queries, made into a body
rules.py         snapshot against memory → the list of transitions
views.py         the legs of a snapshot, as far as they differ from their last reading
transition.py    what that list is made of
spells.py        holds and parks: what a leg can go into and come out of several times
after_call.py    after-call work and wrap-up codes
roles.py         who monitors, coaches, barges, is consulted
events.py        transitions → `Event` (names, times, origin)
memory.py        what was told of each conversation, bounded
lending.py       a conversation, handed to the native reader and back
words.py         Genesys' words → ours
agents.py        presence and routing status of users
personal.py      personal fields: left out, hashed or kept
"""

from mirror.conversation.normaliser.normaliser import Normaliser, Problem, Reading
from mirror.conversation.normaliser.personal import Personal

__all__ = ["Normaliser", "Personal", "Problem", "Reading"]
