"""The projector: writes two topics from the interaction topic, for consumers to use directly.

program.py     the process
loop.py        reads, projects, and writes each batch in one transaction
share.py       which partitions this process projects, and from which offsets
projection.py  the records of a partition → what is to be written (pure)
memory.py      one conversation: folds events, keeps a bounded state (pure)
offsets.py     asks Kafka for offsets
placing.py     chooses the offset at which a partition goes on (pure)
restore.py     reads a partition's conversations back from Kafka
writer.py      transactions
topics.py      checks that the three topics have equally many partitions
rebuild.py     makes both topics anew from the retained past
"""
