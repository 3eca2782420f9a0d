"""What bringing records in and out raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, Protocol

from rayces_core.errors.base import RaycesError


class Findings(Protocol):
    """What a check found; `rayces_core.importing.Report` is one."""

    record_type: str
    source: str
    rows: int
    skipped: int
    problem_count: int
    problems: list[Any]

    def every_problem(self) -> Iterator[Any]:
        """All problems, also those that are not kept in memory."""

    def summary(self) -> dict[str, Any]:
        """The counts, as plain data."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON to a path that ends in .json, else as CSV."""


class ImportingError(RaycesError):
    """Records could not be brought in; batches that were committed before stay."""

    code = "importing"


class SourceError(ImportingError, ValueError):
    """A source cannot be read as what it is taken for.

    Attributes: `source`, what it is called; `row`, the row's number where one is at fault, else None.
    """

    code = "source"

    def __init__(self, source: str, reason: str, row: int | None = None) -> None:
        self.source, self.row = source, row
        super().__init__(f"{source}{'' if row is None else f', row {row}'}: {reason}")


class ColumnMappingError(ImportingError, ValueError):
    """The columns of a source do not fit the record type.

    Attributes: `missing`, required columns that nothing is mapped to; `unknown`, names that are no column.
    """

    code = "column_mapping"

    def __init__(self, reason: str, missing: tuple[str, ...] = (), unknown: tuple[str, ...] = ()) -> None:
        self.missing, self.unknown = missing, unknown
        super().__init__(reason)


class AmbiguousColumnsError(ColumnMappingError):
    """A header may mean several columns, or a column and something else, and nobody has said which.

    Attribute: `choices`, header → the columns that it may mean; as for ColumnMappingError besides.
    """

    code = "ambiguous_columns"

    def __init__(
        self,
        reason: str,
        missing: tuple[str, ...] = (),
        unknown: tuple[str, ...] = (),
        choices: Mapping[str, tuple[str, ...]] = {},
    ) -> None:
        self.choices = dict(choices)
        super().__init__(reason, missing, unknown)


class ImportRefusedError(ImportingError):
    """The check found faults, so nothing was written. Attribute: `report`, with each of them."""

    code = "import_refused"

    def __init__(self, reason: str, report: Findings) -> None:
        self.report = report
        super().__init__(reason)


class ArchiveError(ImportingError, ValueError):
    """An archive of a tenant is damaged, of another kind, or cannot go into this organization."""

    code = "archive"
