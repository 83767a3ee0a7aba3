"""Real services for tests: Redis or Valkey, Apache Kafka, and our own processes.

Each server runs on loopback, on a free port, with its data in a folder that the caller gives, and
is stopped by the process id that was started. Nothing here knows the product.
"""
