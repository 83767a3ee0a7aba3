"""Checks of settings, Redis, Kafka, Genesys and this machine; each problem comes with its fix.

Each check is a function that returns findings. It never raises for the problems it looks for. The
checks live outside the command line, so `mirror doctor`, health endpoints and tests share them.

examine      all checks; checkup: those that running processes repeat; finding: what a check says
genesys      what OAuth clients may do; genesys_rules: what the answers mean (pure)
channel, socket  a channel that works; a way to the streaming host
kafka, kafka_rights, growth, registry, projector  Kafka, and what stands on it
redis, machine, personal  Redis; the spool's disk, unread settings; where personal data goes
"""

from mirror.checks.examine import examine
from mirror.checks.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
