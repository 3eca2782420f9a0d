"""What work over all cells gives: a line for each of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from rayces_core.doctor import Finding
from rayces_core.errors import RaycesError


@dataclass(frozen=True, slots=True)
class CellMigrated:
    """What migrating made of a cell.

    Attributes:
        cell: its name. state: "migrated", "failed", or "not tried" after one that failed.
        applied: names of the migrations that were run. error: why it failed.
    """

    cell: str
    state: str
    applied: list[str] = field(default_factory=list)
    error: RaycesError | None = None


@dataclass(frozen=True, slots=True)
class CellFindings:
    """What the doctor finds in a cell: `findings`, and the `error` because of which it could not look at all."""

    cell: str
    findings: list[Finding] = field(default_factory=list)
    error: RaycesError | None = None

    @property
    def is_well(self) -> bool:
        """Whether there is no error among them."""
        return self.error is None and all(finding.severity != "error" for finding in self.findings)
