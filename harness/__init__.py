"""`mirror sandbox`: the whole mirror and all it needs on loopback, for a first look and for tests.

services.py   the embedded Redis, the embedded broker and the simulator, and their ports
house.py      starts and stops it all under one supervisord
demo.py       shows the event stream, then counts it against the simulator's ledger
"""
