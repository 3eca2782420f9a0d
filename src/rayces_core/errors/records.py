"""What bringing records in and out raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayces_core.errors.base import RaycesError

if TYPE_CHECKING:
    from rayces_core.importing.report import Report


class ImportingError(RaycesError):
    """Records could not be brought in; batches that were committed before stay."""


class SourceError(ImportingError, ValueError):
    """A source cannot be read as what it is taken for.

    Attributes: `source`, what it is called; `row`, the row's number where one is at fault, else None.
    """

    def __init__(self, source: str, reason: str, row: int | None = None) -> None:
        self.source, self.row = source, row
        super().__init__(f"{source}{'' if row is None else f', row {row}'}: {reason}")


class ColumnMappingError(ImportingError, ValueError):
    """The columns of a source do not fit the record type.

    Attributes: `missing`, required columns that nothing is mapped to; `unknown`, names that are no column.
    """

    def __init__(self, reason: str, missing: tuple[str, ...] = (), unknown: tuple[str, ...] = ()) -> None:
        self.missing, self.unknown = missing, unknown
        super().__init__(reason)


class ImportRefusedError(ImportingError):
    """The check found faults, so nothing was written. Attribute: `report`, with each of them."""

    def __init__(self, reason: str, report: Report) -> None:
        self.report = report
        super().__init__(reason)


class ArchiveError(ImportingError, ValueError):
    """An archive of a tenant is damaged, of another kind, or cannot go into this organization."""
