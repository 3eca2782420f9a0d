"""Audits a live database: whether its catalogue still holds every tenant. An audit only reads; `repairing` mends.

What is expected follows from rules, not from a list of tables, so a host application's own are audited as well.
"""

from rayces_core.doctor.audit import CHECKS, audit, audit_connection, is_hardened
from rayces_core.doctor.finding import Check, Finding

__all__ = ["CHECKS", "Check", "Finding", "audit", "audit_connection", "is_hardened"]
