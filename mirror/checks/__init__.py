"""Checks of settings, Redis, Kafka, Genesys and this machine; each problem comes with its fix.

Each check is a function that returns findings. It never raises for the problems it looks for. The
checks live outside the command line, so `mirror doctor`, health endpoints and tests share them.
"""

from mirror.checks.examine import examine
from mirror.checks.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
