"""The janitor: ends zombies and fills gaps. Asks Genesys over REST and never writes to it.

program.py   the parts of a janitor; rounds.py: the rounds of its threads
duties.py    the work of one round of each thread; metrics.py: a janitor's metrics
zombies/     verifies overdue conversations
gaps/        fills gaps of the ledger
claims.py    claims work in Redis, so janitors share it and take over a dead janitor's work
answers.py   judges an answer of Genesys; agreement.py: whether REST and analytics name legs alike
control.py   the control question: does Genesys know any conversation at all?
segments.py  the segments of a conversation as analytics shows it
genesys.py   the OAuth clients, in turn; budget.py: the janitors' share of their request budget
details.py   asks analytics about many conversations; oddity.py: is one odd, or Genesys away?
producer.py  events → Kafka, acknowledged
"""
