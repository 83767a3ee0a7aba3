"""The leader's decisions: data and `now` in, data out. Pure.

sharding     topics → shards
assignment   seats → listeners; target: the wanted place of each; seats: grants
moves        changes of hands; requests: those that operators and listeners ask for
liveness     the live listeners; clock: steps back of Redis' clock
coverage     received intervals → gaps; gap_memory: filed gaps
deafness     replicas that hear nothing while another one hears frames
problems     seats that do not serve, in sentences for status and health
sight        the topics that each OAuth client may see; refusals, departed: missing topics
"""
