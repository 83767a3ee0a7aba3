"""The Kafka end: client configurations, topics, records and a reader."""
