"""Sends events to Kafka, through the spool while Kafka cannot take them.

publisher    called by the loop: takes records, drives the parts below, knows what is durable (I9)
path         the way of each record: direct, behind waiting records, or to the store; pauses
direct       the producers of the direct way; producers: creation and end of producers
lanes        one lane per topic partition, and how far each is durable (pure)
keeper       the spool's thread: store and drain, so that the loop waits for no disk
store        the spools of a process; spool: one spool on disk; rows, extent; held: in memory
drain        stored records → Kafka, lane by lane; line: one lane; metadata: its topics
salvage      spools of processes that are gone, and damaged spools
letters      dead letters of frames and refused records; dead_letters: a share that is too high
latency      how long records take (pure); waits: why records wait (pure)
"""
