"""Adopting a rayces Rails database: its organizations become tenants of this library."""

from rayces_core.migrating.adopting.rails.adoption import RailsAdoption
from rayces_core.migrating.adopting.rails.outcome import RailsOutcome
from rayces_core.migrating.adopting.rails.recognition import is_rails

__all__ = ["RailsAdoption", "RailsOutcome", "is_rails"]
