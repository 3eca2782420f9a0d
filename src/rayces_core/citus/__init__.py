"""Citus: distributes the tables by organization, and compares every shard with what the migrations make."""

from rayces_core.citus.comparing import Difference, compare
from rayces_core.citus.distributing import distribute, has_citus

__all__ = ["Difference", "compare", "distribute", "has_citus"]
