"""From events to Kafka, by the spool where Kafka cannot take them.

publisher    the direct way: encode, produce, keep account until Kafka has it
lanes        one lane per topic partition, and how far each is durable (pure)
store        the spools of a process; spool: one of them on disk; extent: its limits
drain        what waits in the store → Kafka, lane by lane
salvage      spools of processes that are gone, and damaged ones
producers    producers made and let go; waits: why something waits; dead_letters
"""
