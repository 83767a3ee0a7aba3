"""From events to Kafka, by the spool where Kafka cannot take them.

publisher    what the loop calls: hands in, turns the clockwork, keeps account (I9)
path         the way of each record: direct, behind what waits, or to the store; pauses
direct       the producers of the direct way; producers: made and let go
lanes        one lane per topic partition, and how far each is durable (pure)
keeper       the spool's thread: store and drain, so that the loop waits for no disk
store        the spools of a process; spool: one of them on disk; rows, extent; held: in memory
drain        what waits in the store → Kafka, lane by lane; line: one of them; metadata: its topics
salvage      spools of processes that are gone, and damaged ones
letters      dead letters of frames and refused records; dead_letters: too many of them
latency      how long records take (pure); waits: why something waits (pure)
"""
