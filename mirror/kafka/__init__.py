"""The Kafka end: client configurations, topics, records and a reader.

config, admin    configurations for librdkafka; topics created and checked; spread: known to brokers
record           events → records; partition: key → partition; registry: schemas
consume, repeats reading without a group; dropping repeated ids
deadletters      reads dead letters; limits: the largest record
faults           the kind of an error; projected: the projector's names
"""
