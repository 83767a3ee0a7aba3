"""The Kafka end: client configurations, topics, records and a reader.

config, client   what librdkafka is given; its clients opened, their messages in our log
properties       the variable that librdkafka does not accept; files: the file that keeps a client
                 from opening
admin, spread    topics made and checked; what brokers know
record           events → records; partition: which one a key belongs to; registry: schemas
consume, repeats reading without a group; repeated ids dropped
deadletters      dead letters read; limits: how large a record may be
polling          producers' reports and fatal errors; broker_states: brokers in statistics
faults           whose fault an error is; projected: the projector's names and partitions;
                 kept: what it keeps of a conversation
"""
