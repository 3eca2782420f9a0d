"""Adopting a live MyHub: its database becomes one organization of this library while the old application goes on."""

from rayces_core.migrating.adopting.adoption import Adoption, Outcome
from rayces_core.migrating.adopting.finding import Finding, Report

__all__ = ["Adoption", "Finding", "Outcome", "Report"]
