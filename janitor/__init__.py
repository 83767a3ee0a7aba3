"""The janitor: no zombie, no hole. Asks Genesys over REST and never writes to it.

service.py   the process: start-up, loop, end
zombies.py   verifies conversations that are overdue
verdict.py   what Genesys' answers mean, and which events say so (pure)
filler.py    fills gaps of the ledger
plan.py      a gap → analytics queries (pure)
leases.py    claims work in Redis, so that janitors share it and a dead one's work goes on
genesys.py   the OAuth clients, at the janitor's share of their budget
outlet.py    events → Kafka, acknowledged
"""
