"""The projector: from the interaction topic to two topics that consumers can use as they are.

program.py     the process
loop.py        reads, has it projected, writes: one transaction a batch
share.py       which partitions, from the group's word to the first record
projection.py  the records of a partition → what is to be written (pure)
memory.py      one conversation and its next event; what is kept of it, and its bounds (pure)
offsets.py     what Kafka is asked for
placing.py     from which offset a partition goes on (pure)
restore.py     a partition's conversations, read back from Kafka
writer.py      transactions
topics.py      the three topics and their partitions, which must be as many
rebuild.py     both topics from the retained past
"""
