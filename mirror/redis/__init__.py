"""The Redis end: connections, the keyspace, and the Lua commands that all processes share.

connect, connections  clients that follow a fail-over; answers: what an error answer means
keys                  the only place that spells a key
rate                  the request budget of each OAuth client
clock                 Redis' clock, in epoch milliseconds
scripts, documents    Lua commands; values read so that garbage ends no process
"""
