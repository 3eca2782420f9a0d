"""What the adoption of a rayces Rails database has done, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from rayces_core.migrating.adopting.adoption import Outcome
from rayces_core.migrating.adopting.rails import moving
from rayces_core.migrating.myhub import ADOPTED, FINISHED


@dataclass(frozen=True, slots=True)
class RailsOutcome(Outcome):
    """What was done.

    Attributes:
        organizations: ids of the tenants that there are now.
        copied: table → rows that were copied.
        told: what was changed on the way, a sentence for each kind and table.
        search_path: under which the old application goes on.
        seconds: how long whoever wrote to the old tables waited.
    """

    organizations: tuple[int, ...] = ()
    copied: dict[str, int] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    search_path: str = ""
    seconds: float = 0.0

    @property
    def words(self) -> tuple[str, ...]:
        """What to tell of it."""
        if self.stage == ADOPTED:
            return (
                f"{len(self.organizations)} organizations are tenants now: {', '.join(map(str, self.organizations))}",
                *self.told,
                *([f"whoever wrote meanwhile waited for {self.seconds:.1f} s"] if self.copied else []),
                f'the old application goes on with schema_search_path: "{self.search_path}" in config/database.yml',
                "once it is gone: rayces migrate adopt --finish",
            )
        if self.stage == FINISHED:
            return (
                "the adoption is finished",
                f"the old tables are in {moving.BEFORE}; once nobody needs them: DROP SCHEMA {moving.BEFORE} CASCADE;",
            )
        return ("this is the old application's database again, as it was",)
