"""What the leader decides: data and `now` in, data out. Pure.

sharding     topics → shards
assignment   seats → listeners; seats, moves: what is granted, what changes hands
liveness     which listeners are alive
coverage     what was covered → gaps; gap_memory: which gaps were filed
deafness     replicas that hear nothing while another one hears frames
problems     what does not serve, in sentences for status and health
sight        what each OAuth client may see; refusals, departed: topics that went missing
"""
