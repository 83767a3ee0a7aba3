"""Reads Kafka and Redis, and makes the messages for the page.

reader       the thread that reads Kafka: events → floor → one message a tick for all browsers
watch        the thread that reads Redis: the mirror's health, and whether Kafka answers
availability what answers and what does not, and since when (pure)
floor        events → counts by queue and state (pure); floor_position: where one conversation
             stands
timeline     one conversation as legs over time (pure)
rates        events a second and their latency (pure)
views        the projector's conversations, with which a floor opens
today        the figures of the day by queue (pure); past: the thread that reads its beginning
presence     what agents say of themselves; selection: what a page has chosen (pure)
feed         floor, rates and ticker → messages for browsers (pure)
dead_letters dead letters that Kafka keeps (pure); fleet: what Redis holds, for the view "Mirror"
"""
