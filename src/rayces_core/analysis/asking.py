"""Asks the database: one statement a metric, through the library's own connection and its three walls.

Rule it guards: every table is read as the bound tenant's rows of it (all organizations' in privileged work), and what
comes back is a frame whose types are declared, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import peewee
from psycopg2 import errorcodes as code

from rayces_core import clock
from rayces_core.analysis.dimensions import Dimension, dimensions
from rayces_core.analysis.periods import PERIODS, Periods
from rayces_core.analysis.typed import typed
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, StatementError
from rayces_core.models.appointment import Appointment

if TYPE_CHECKING:
    import polars as pl

# More rows than this are no figures that anybody looks at, and may not fit into memory.
MOST_ROWS: Final = 1_000_000
# What the server refuses of a condition where appointments are all there is, and what it has to be instead.
NO_CONDITION: Final = {
    code.UNDEFINED_TABLE: "put columns of other models into a subquery, as in "
    "Appointment.student.in_(Student.select().where(...))",
    code.UNDEFINED_COLUMN: "name columns of Appointment, and those of other models in a subquery",
    code.UNDEFINED_FUNCTION: "compare a column of Appointment with a value of its type",
    code.DATATYPE_MISMATCH: "give what is true or false of an appointment, such as Appointment.uses_credit == True",
    code.GROUPING_ERROR: "give what is true or false of one appointment; an aggregate is of many",
}
_PLACE: Final = re.compile(r"%[s%]")
# A name in braces is a table, {appointments} those that `where` leaves; with "!" behind it, all of them.
_TABLE: Final = re.compile(r"\{(\w+)(!?)\}")


class Figure(NamedTuple):
    """A column: its SQL over the rows that are counted, and its kind (`typed.KINDS`)."""

    sql: str
    kind: str = "integer"


def ratio(numerator: str, denominator: str) -> Figure:
    """Numerator by denominator; null where the denominator is 0."""
    return Figure(f"({numerator})::float8 / nullif(({denominator})::float8, 0)", "ratio")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a metric was asked, checked."""

    periods: Periods
    by: tuple[Dimension, ...] = ()
    where: Any = None
    now: datetime | None = None

    @classmethod
    def of(
        cls,
        start: object,
        end: object,
        *,
        every: object = None,
        by: object = (),
        where: object = None,
        now: object = None,
        allowed: Iterable[str] | None = None,
    ) -> Asked:
        """Check the arguments that every metric takes.

        Args:
            allowed: the names that the metric's `by` knows; without it all there are.

        Raises:
            TenantNotSetError: nothing is bound.
            InvalidDataError: an argument is malformed; the message says what is allowed. NaiveDatetimeError: `now`.
        """
        current()
        if where is not None and (not isinstance(where, peewee.Node) or isinstance(where, peewee.Query)):
            example = "an expression over Appointment, such as Appointment.uses_credit == True"
            raise InvalidDataError("where", where, f"needs {example}, got {type(where).__name__}")
        return cls(Periods.of(start, end, every), dimensions(by, allowed), where, clock.moment(now))

    @property
    def shown(self) -> bool:
        """Whether the frame has a column `period`."""
        return self.periods.every is not None

    @property
    def values(self) -> dict[str, Any]:
        """The values of the SQL: those of the periods, and `now`."""
        return {**self.periods.values, "now": self.now}


def same(name: str, one: str, other: str) -> str:
    """That a key's column is equal on both sides; what has no value is equal to what has none.

    An organization always has one, and is said to be equal: that can be hashed, the other cannot, and every
    row of a chain of centres would be held against every other.
    """
    equal = "=" if name == "organization_id" else "IS NOT DISTINCT FROM"
    return f"{one}.{name} {equal} {other}.{name}"


def run(sql: str, values: Mapping[str, Any], schema: Mapping[str, str], *, where: Any = None) -> pl.DataFrame:
    """Run one statement and give its rows as a frame.

    Args:
        sql: with %(name)s for values, and tables as {table}: each is read as the bound tenant's rows of it, and
            {appointments} as those of them that `where` leaves; {appointments!} are all.
        values: the values by name.
        schema: for each column, in the statement's order, its kind: one of `typed.KINDS`.
        where: a Peewee expression over Appointment.

    Raises:
        TenantNotSetError: nothing is bound. MissingExtraError: polars is not installed.
        InvalidDataError: there are more than MOST_ROWS.
    """
    rows = rows_of(f"{sql}\nLIMIT {MOST_ROWS + 1}", values, where=where)
    if len(rows) > MOST_ROWS:
        reason = f"gives more than {MOST_ROWS:,} rows; ask for longer periods, for fewer days, or with less in by="
        raise InvalidDataError("rows", len(rows), reason)
    return typed(rows, schema)


def rows_of(sql: str, values: Mapping[str, Any], *, where: Any = None) -> list[tuple[Any, ...]]:
    """Run one statement, as `run` does, and give its rows."""
    engine, given = current().engine, {**values, "tenant": current().organization_id}
    narrowed = "" if where is None else _narrowed(where, given)

    def source(found: re.Match[str]) -> str:
        return narrowed if narrowed and found[0] == "{appointments}" else source_of(found[1])

    text = _TABLE.sub(source, sql)
    # What `where` holds may be SQL of the caller's own, which is looked at as all such SQL is.
    cursor = _run_narrowed(text, given, where) if narrowed else engine.run_prepared(text, given)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _run_narrowed(sql: str, given: Mapping[str, Any], where: Any) -> Any:
    try:
        return current().engine.execute_sql(sql, given)
    except StatementError as error:
        if error.sqlstate not in NO_CONDITION:
            raise
        advice = NO_CONDITION[error.sqlstate]
        raise InvalidDataError("where", where, f"{advice} (the server says: {_plainly(error)})") from error


def _plainly(error: StatementError) -> str:
    """What the server says, without the place: that is one in the metric's SQL, which nobody here has written."""
    diag = getattr(error.__cause__, "diag", None)
    return str(getattr(diag, "message_primary", None) or error)


def source_of(table: str) -> str:
    """SQL: the rows of a table that are the bound tenant's, or all of them in privileged work."""
    if current().privileged:
        return f'"{table}"'
    tenant = "id" if table == "organizations" else "organization_id"
    return f'(SELECT * FROM "{table}" WHERE "{tenant}" = %(tenant)s)'


def _narrowed(where: Any, given: dict[str, Any]) -> str:
    """SQL: the appointments that meet `where`, as the library compiles it; its values go into `given`."""
    sql, params = current().engine.get_sql_context().sql(Appointment.select().where(where)).query()
    left = iter(params)

    def named(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return found[0]
        name = f"where_{len(given)}"
        given[name] = next(left)
        return f"%({name})s"

    return f"({_PLACE.sub(named, sql)})"


# -- what most metrics are: rows counted by organization, period and `by` ----------------------------------------------


def appointments(
    asked: Asked, columns: Mapping[str, str], *, keys: Mapping[str, str] | None = None, only: str = "true"
) -> str:
    """SQL: a row for each appointment that begins in the periods, by the wall clock of its organization; see `dated`.

    Args:
        columns: what the figures need of it: name → SQL over the appointment `a`, `organization` and `clock.local`.
    """
    return dated(asked, "{appointments}", columns, at="a.scheduled_at", keys=keys, only=only)


def dated(
    asked: Asked,
    rows: str,
    columns: Mapping[str, str],
    *,
    at: str,
    keys: Mapping[str, str] | None = None,
    joins: str = "",
    only: str = "true",
) -> str:
    """SQL: a row for each of `rows` whose moment `at` lies in the periods, by the wall clock of its organization.

    Args:
        rows: a table, or a SELECT in brackets: `a` in what follows, with an organization_id.
        columns: what the figures need of it: name → SQL over `a`, `organization` and `clock.local`, which is `at` by
            that wall clock.
        keys: further columns to tell rows apart by, as `counted` takes them: name → SQL.
        joins: what all this needs besides. only: SQL that they have to meet.

    Returns:
        SELECT of organization_id, period, the columns of `by`, `keys` and `columns`.
    """
    keys = keys or {}
    selected = {
        "organization_id": "a.organization_id",
        "period": asked.periods.of_day("clock.local"),
        **{dimension.column: dimension.sql for dimension in asked.by},
        **keys,
        **columns,
    }
    besides = "\n".join(dict.fromkeys(dimension.join for dimension in asked.by if dimension.join))
    return f"""
    SELECT {", ".join(f"{sql} AS {name}" for name, sql in selected.items())}
      FROM {rows} AS a
      JOIN {{organizations}} AS organization ON organization.id = a.organization_id
      CROSS JOIN LATERAL (SELECT {at} AT TIME ZONE organization.time_zone AS local) AS clock
      {besides} {joins}
     WHERE {at} >= %(from)s AND {at} < %(until)s
       AND clock.local >= %(start)s::date AND clock.local < %(end)s::date AND {only}"""


def counted(
    asked: Asked,
    facts: str,
    columns: Sequence[str],
    figures: Mapping[str, Figure],
    *,
    keys: Mapping[str, str] | None = None,
    places: str | None = None,
    before: str = "",
    values: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """Count rows by organization, period, `by` and `keys`, in one statement; periods without rows are rows too.

    Args:
        facts: SELECT of organization_id, period, the columns of `by`, `keys` and `columns`; see `appointments`.
        columns: names of what the figures are made of. In a period without rows there is one row of nulls.
        figures: the columns of the frame: name → aggregate over `columns`.
        keys: further columns to tell rows apart by: name → kind.
        places: SELECT of what stands in every period: organization_id, the columns of `by` and of `keys`. Without it,
            whatever the facts have in any period; or, with neither `by` nor `keys`, each organization.
        before: what stands before the facts in WITH, ending in a comma. values: what all this needs.

    Returns:
        organization_id, period (absent without `every`), the columns of `by`, `keys`, and the figures; in this order.
    """
    keys = keys or {}
    apart = [dimension.column for dimension in asked.by] + list(keys)
    kinds = {dimension.column: dimension.kind for dimension in asked.by} | dict(keys)
    everywhere = "SELECT id AS organization_id FROM {organizations} AS o"
    found = f"SELECT DISTINCT {_list('organization_id', *apart)} FROM fact"
    sql = f"""
WITH {before} fact AS ({facts}),
place AS ({places or (found if apart else everywhere)}),
counted AS (
    SELECT {_list("organization_id", "period", *apart, *columns)} FROM fact
     UNION ALL
    SELECT {_list("place.organization_id", "span.period", *_of("place", apart), *_of("nothing", columns))}
      FROM place CROSS JOIN {PERIODS} LEFT JOIN fact AS nothing ON false
)
SELECT {_list("organization_id", *_if(asked.shown, "period"), *apart)},
       {", ".join(f"{_cast(figure)} AS {name}" for name, figure in figures.items())}
  FROM counted
 GROUP BY {_list("organization_id", "period", *apart)}"""
    schema = {"organization_id": "integer", **({"period": "day"} if asked.shown else {}), **kinds}
    schema |= {name: figure.kind for name, figure in figures.items()}
    frame = run(sql, {**asked.values, **(values or {})}, schema, where=asked.where)
    return frame.sort(["organization_id", *_if(asked.shown, "period"), *apart], nulls_last=True)


def _cast(figure: Figure) -> str:
    # Sums of bigint are numeric, which the driver reads as decimals.
    return f"coalesce({figure.sql}, 0)::bigint" if figure.kind == "integer" else figure.sql


def _list(*names: str) -> str:
    return ", ".join(names)


def _of(source: str, names: Iterable[str]) -> list[str]:
    return [f"{source}.{name}" for name in names]


def _if(condition: bool, *names: str) -> tuple[str, ...]:
    return names if condition else ()
