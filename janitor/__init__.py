"""The janitor: no zombie, no gap. Asks Genesys over REST and never writes to it.

program.py   what a janitor is built from; rounds.py: how each of its threads works
duties.py    what a round of each thread is
zombies/     verifies conversations that are overdue
gaps/        fills gaps of the ledger
claims.py    claims work in Redis, so that janitors share it and a dead one's work goes on
genesys.py   the OAuth clients, at the janitor's share of their budget
producer.py  events → Kafka, acknowledged
"""
