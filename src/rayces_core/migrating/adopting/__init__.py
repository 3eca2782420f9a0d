"""Adopting a live MyHub: its database becomes one organization of this library while the old application goes on."""

from rayces_core.migrating.adopting.adoption import Adoption, Outcome
from rayces_core.migrating.adopting.finding import Finding, Report
from rayces_core.migrating.adopting.planning import Planned, plan

__all__ = ["Adoption", "Finding", "Outcome", "Planned", "Report", "plan"]
