"""How many of the clients who began in one month come back in those after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, run, same
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.errors import InvalidDataError

if TYPE_CHECKING:
    import polars as pl

COLUMNS: Final = {
    "cohort": ("day", "first day of the month in which the clients had their first executed session"),
    "age_months": ("integer", "months after that one; 0 is the month itself"),
    "clients": ("integer", "clients of the cohort"),
    "active": ("integer", "of them, those with an executed session in that month; null while it is not over"),
    "retention": ("ratio", "active by clients; null while the month is not over, and without clients"),
}
DEFINITION: Final = Definition(
    text="Clients by the month of their first executed session ever, and how many of them had at least one executed "
    "session in each month from then on. A month that is not over, or that the end cuts off, is null and not 0.",
    numerator="count(DISTINCT client_id) FILTER (WHERE month = cohort + age_months * interval '1 month')",
    denominator="count(DISTINCT client_id) FILTER (WHERE month = cohort)",
    source="appointments (client_id, scheduled_at, state)",
    zone=LOCAL,
    columns={name: meaning for name, (_, meaning) in COLUMNS.items()},
)
# What a client is told apart by is what the first session was, so each belongs to one cohort.
SQL: Final = """
WITH session AS (
    SELECT a.organization_id, a.client_id AS whose, date_trunc('month', clock.local)::date AS month,
           row_number() OVER (PARTITION BY a.organization_id, a.client_id ORDER BY a.scheduled_at, a.id) AS place,
           clock.local >= %(start)s::date AS begins_here{by}
      FROM {{appointments}} AS a
      JOIN {{organizations}} AS organization ON organization.id = a.organization_id
      CROSS JOIN LATERAL (SELECT a.scheduled_at AT TIME ZONE organization.time_zone AS local) AS clock
      {joins}
     WHERE a.state = 'executed' AND clock.local < %(end)s::date
), client AS (
    SELECT * FROM session WHERE place = 1 AND begins_here
), span AS (
    SELECT first::date AS month, (first + interval '1 month')::date AS ends
      FROM generate_series(date_trunc('month', %(start)s::timestamp), %(end)s::timestamp - interval '1 day',
                           interval '1 month') AS first
), place AS ({places}), sized AS (
    SELECT {key}, month, count(*) AS clients FROM client GROUP BY {key}, month
), seen AS (
    SELECT {key_of_client}, client.month, held.month AS seen_in, count(DISTINCT client.whose) AS active
      FROM client JOIN session AS held USING (organization_id, whose)
     GROUP BY {key_of_client}, client.month, held.month
)
SELECT {shown}, cohort.month,
       (extract(year FROM age(later.month, cohort.month)) * 12
        + extract(month FROM age(later.month, cohort.month)))::bigint AS age_months,
       coalesce(sized.clients, 0),
       CASE WHEN later.ends <= present.day THEN coalesce(seen.active, 0) END,
       CASE WHEN later.ends <= present.day THEN coalesce(seen.active, 0)::float8 / sized.clients END
  FROM place
  JOIN {{organizations}} AS organization ON organization.id = place.organization_id
  CROSS JOIN LATERAL (
      SELECT least(%(end)s::date, (%(now)s AT TIME ZONE organization.time_zone)::date) AS day
  ) AS present
  CROSS JOIN span AS cohort
  JOIN span AS later ON later.month >= cohort.month
  LEFT JOIN sized ON sized.month = cohort.month AND {same_size}
  LEFT JOIN seen ON seen.month = cohort.month AND seen.seen_in = later.month AND {same_seen}
 ORDER BY {order}, cohort.month, age_months
"""


@metric(DEFINITION)
def retention(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Count, for the clients who began in each month, how many came in it and in each month after.

    Args:
        start, end: local days of each organization, `end` outside: who began in them, and how far they are followed.
        every: None or "1mo": cohorts are of months; with the latter the cohort is the column `period` as well.
        by: what cohorts are told apart by: names of `dimensions.DIMENSIONS`, each as the client's first session had it.
        where: a Peewee expression over Appointment that sessions have to meet, the first one too.
        now: the present, aware, up to which months are over; without it the clock's.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells: a row for
        each cohort and each of its months up to the end.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    if every not in (None, "1mo"):
        raise InvalidDataError("every", every, f"{every!r} is no period of cohorts; use '1mo', or None for the same")
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now)
    apart = {dimension.column: dimension.kind for dimension in asked.by}
    key = ["organization_id", *apart]
    found = f"SELECT DISTINCT {', '.join(key)} FROM client"
    sql = SQL.format(
        by="".join(f", {dimension.sql} AS {dimension.column}" for dimension in asked.by),
        joins="\n".join(dict.fromkeys(dimension.join for dimension in asked.by if dimension.join)),
        places=found if apart else "SELECT id AS organization_id FROM {organizations} AS o",
        key=", ".join(key),
        key_of_client=", ".join(f"client.{name}" for name in key),
        shown=", ".join(["place.organization_id", *(["cohort.month"] if asked.shown else []), *_of_place(apart)]),
        order=", ".join(_of_place(key)),
        same_size=_same("sized", key),
        same_seen=_same("seen", key),
    )
    schema = {"organization_id": "integer", **({"period": "day"} if asked.shown else {}), **apart}
    return run(sql, asked.values, schema | {name: kind for name, (kind, _) in COLUMNS.items()}, where=asked.where)


def _of_place(names: Iterable[str]) -> list[str]:
    return [f"place.{name}" for name in names]


def _same(table: str, names: Iterable[str]) -> str:
    return " AND ".join(same(name, table, "place") for name in names)
