"""Which adoption a database takes: a MyHub's, or that of a rayces Rails application with organizations of its own.

And what it would do, statement by statement.
"""

from __future__ import annotations

from typing import Any

from rayces_core.migrating.adopting.adoption import Adoption
from rayces_core.migrating.adopting.finding import Report
from rayces_core.migrating.adopting.planning import Planned, plan
from rayces_core.migrating.adopting.rails import RailsAdoption, is_rails
from rayces_core.migrating.adopting.rails.planning import plan_of_rails
from rayces_core.migrations.session import dedicated


def adoption_of(database: Any, **options: Any) -> Adoption | RailsAdoption:
    """The adoption that fits the database; it looks, and changes nothing.

    Args:
        database, options: as for `Adoption`.

    Raises:
        DatabaseUnreachableError, ServerTooOldError: the database cannot be looked at.
    """
    kind = RailsAdoption if is_rails(dedicated(database)) else Adoption
    return kind(database, **options)


def plan_of(adoption: Adoption | RailsAdoption, report: Report, scratch_url: str) -> tuple[Planned, ...]:
    """What `adoption.run()` would do, as `plan` has it, of either kind of adoption."""
    if isinstance(adoption, RailsAdoption):
        return plan_of_rails(adoption, report, scratch_url)
    return plan(adoption, report, scratch_url)
