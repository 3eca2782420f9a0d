"""Which adoption a database takes: a MyHub's, or that of a rayces Rails application with organizations of its own."""

from __future__ import annotations

from typing import Any

from rayces_core.migrating.adopting.adoption import Adoption
from rayces_core.migrating.adopting.rails import RailsAdoption, is_rails
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
