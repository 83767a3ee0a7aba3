"""What can be wrong, and its cure: checks of settings, Redis, Kafka, Genesys and this machine.

Each check is a function that returns findings and never raises for what it looks for. They live
outside the command line, so that `mirror doctor`, health endpoints and tests share them.
"""

from mirror.checks.examine import examine
from mirror.checks.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
