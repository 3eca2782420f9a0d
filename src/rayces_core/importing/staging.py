"""The staged rows of an import within one unit of work: temporary tables, and what is asked about them by sets.

`staged` holds the rows as they were read, `resolved` the same with references as ids, and which row of the table each
is the same as; `faults` what keeps rows out. They end with the unit of work.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, Final

from rayces_core.database.binding import Binding
from rayces_core.importing.bringing import brought
from rayces_core.importing.knowing import GIVEN, Knowing
from rayces_core.importing.record import Record
from rayces_core.importing.report import Problem

OWN: Final = "row bigint, existing_id bigint, given_id bigint, differs text[] NOT NULL DEFAULT '{}'"
FAULTS: Final = (
    'CREATE TEMP TABLE faults (row bigint, "column" text, value text, problem text, advice text) ON COMMIT DROP'
)
# Each problem of a row, the first row first; what several occurrences of a series have is told once.
LISTED: Final = (
    "SELECT DISTINCT row, \"column\", coalesce(value, '') AS value, problem, advice "
    'FROM faults ORDER BY row, "column", value, problem'
)
OUTCOMES: Final = """
SELECT count(*) FILTER (WHERE existing_id IS NULL),
       count(*) FILTER (WHERE existing_id IS NOT NULL AND cardinality(differs) > 0),
       count(*) FILTER (WHERE existing_id IS NOT NULL AND cardinality(differs) = 0) FROM resolved
"""
FETCHED: Final = 2000
NEWEST_ID: Final = 2**63 - 1


class Staging:
    """Statements over the temporary tables of one record type, for one organization."""

    def __init__(self, binding: Binding, record: Record, now: datetime, zone: str, knowing: Knowing) -> None:
        self.engine, self.record, self.knowing = binding.engine, record, knowing
        self.parameters: dict[str, Any] = {"tenant": binding.organization_id, "now": now, "zone": zone, "since": 0}
        self.parameters["emptied"] = sorted(knowing.columns) if knowing.clear_empty else []
        self.names = tuple(record.resolved)

    def run(self, sql: str, **more: Any) -> Any:
        """Run a statement of a record type; returns the cursor."""
        if self.engine.kind.binds_apart:
            sql = brought(sql)
        return self.engine.run_prepared(sql, {**self.parameters, **more})

    # -- filling ----------------------------------------------------------------------------------------------

    def stage(self, columns: tuple[str, ...], rows: IO[bytes], faults: IO[bytes]) -> None:
        """Make the tables and fill `staged` with the rows of `columns`, and `faults` with what was found before."""
        declared = ", ".join(f'"{name}" {kind}' for name, kind in self.record.types.items())
        self.run(f"CREATE TEMP TABLE staged (row bigint, faulty boolean, {declared}) ON COMMIT DROP; {FAULTS}")
        self.make_resolved()
        named = ", ".join(f'"{name}"' for name in columns)
        self._copy(f"COPY staged (row, faulty{', ' if named else ''}{named}) FROM STDIN", rows)
        self._copy("COPY faults FROM STDIN", faults)

    def mark_faulty(self) -> None:
        """Mark the rows of which a fault was found when they were spooled as right."""
        self.run("UPDATE staged SET faulty = true WHERE row IN (SELECT row FROM faults)")

    def make_resolved(self) -> None:
        """Make the table that is written from, empty."""
        declared = ", ".join(f"{name} {kind}" for name, kind in self.record.resolved.items())
        extra = ", ".join(f"{flag} boolean NOT NULL DEFAULT false" for flag in ("faulty", "late", "certain"))
        self.run(f"CREATE TEMP TABLE resolved ({OWN}, {extra}, {declared}) ON COMMIT DROP")

    def forget_until(self, row: int) -> int:
        """Leave out the rows up to this one, which an earlier run has committed; returns how many."""
        self.run("DELETE FROM faults WHERE row <= %(last)s", last=row)
        return int(self.run("DELETE FROM staged WHERE row <= %(last)s", last=row).rowcount)

    def resolve(self) -> None:
        """Fill `resolved`."""
        names, rows = f"row, faulty, {', '.join(self.names)}", self.record.resolving
        if self.knowing.has_ids:
            names, rows = f"{names}, given_id", f"SELECT q.*, {GIVEN} FROM ({rows}) AS q JOIN staged AS s USING (row)"
        self.run("ANALYZE staged")
        self.run(f"INSERT INTO resolved ({names}) {rows}")
        self.run("ANALYZE resolved")

    # -- asking -----------------------------------------------------------------------------------------------

    def match(self, since: int = 0, until: int = NEWEST_ID) -> int:
        """Find the rows that are in the table already, with an id above `since` up to `until`; returns how many."""
        return sum(self._match(*way, since, until) for way in self.knowing.ways(self.record))

    def match_ids(self) -> int:
        """Find the rows that say the id of a row of the table; returns how many."""
        return self._match("t.id = r.given_id", True, 0, NEWEST_ID)

    def _match(self, condition: str, certain: bool, since: int, until: int) -> int:
        # What a table has got since it was last analyzed is unknown to the planner: a nested loop would take for ever.
        found = self.run(
            "SET LOCAL enable_nestloop = off; "
            f"UPDATE resolved AS r SET existing_id = t.id, differs = {self.knowing.differences(self.record)}, "
            f"late = true, certain = {certain} "
            f"FROM {self.record.table} AS t WHERE t.{self.record.owner} = %(tenant)s "
            "AND t.id > %(since)s AND t.id <= %(until)s "
            f"AND r.existing_id IS NULL AND NOT r.faulty AND {condition}",
            since=since,
            until=until,
        )
        matched = int(found.rowcount)
        self.run("SET LOCAL enable_nestloop TO DEFAULT")
        return matched

    def note_differences(self, condition: str = "true") -> None:
        """Note the rows that are in the table with something else, where that may not or should not be updated."""
        advice = "give --update (update=True) to change it, or leave the row out"
        allowed = self.knowing.update and bool(self.record.updating)
        self.run(
            """
            INSERT INTO faults
            SELECT r.row, r.differs[1], NULL, 'is there already, with another ' || array_to_string(r.differs, ', '),
                   CASE WHEN r.differs && %(fixed)s::text[] THEN %(why)s ELSE %(advice)s END
              FROM resolved AS r WHERE cardinality(r.differs) > 0 AND NOT r.faulty
               AND (NOT %(allowed)s OR r.differs && %(fixed)s::text[]) AND """
            + condition,
            fixed=list(self.record.fixed),
            why=self.record.why_fixed,
            advice=advice,
            allowed=allowed,
        )

    def drop_faulty(self) -> None:
        """Leave out every row that has a fault."""
        self.run("DELETE FROM resolved AS r WHERE r.faulty OR EXISTS (SELECT 1 FROM faults AS f WHERE f.row = r.row)")

    def outcomes(self) -> tuple[int, int, int]:
        """How many rows are new, how many differ, how many are there as they are."""
        new, different, same = self.run(OUTCOMES).fetchone()
        return new, different, same

    def skipped(self) -> int:
        """How many rows have a fault."""
        (rows,) = self.run("SELECT count(DISTINCT row) FROM faults").fetchone()
        return int(rows)

    def problems(self) -> Iterator[Problem]:
        """The faults that were noted, by row."""
        cursor = self.engine.cursor("faults")
        cursor.itersize = FETCHED
        cursor.run(LISTED)
        for row in cursor:
            yield Problem(*row)
        cursor.close()

    # -- moving -----------------------------------------------------------------------------------------------

    @property
    def _moved(self) -> str:
        return f"row, existing_id, given_id, differs, certain, {', '.join(self.names)}"

    def take_out(self, file: IO[bytes]) -> None:
        """Write the rows that there is something to do for to `file`, in order."""
        to_do = "existing_id IS NULL OR cardinality(differs) > 0"
        self.engine.copy(f"COPY (SELECT {self._moved} FROM resolved WHERE {to_do} ORDER BY row) TO STDOUT", file)

    def bring_in(self, file: IO[bytes]) -> None:
        """Make `resolved`, and read rows that were taken out into it."""
        self.make_resolved()
        self.engine.copy(f"COPY resolved ({self._moved}) FROM STDIN", file)

    def _copy(self, sql: str, file: IO[bytes]) -> None:
        file.seek(0)
        self.engine.copy(sql, file)
