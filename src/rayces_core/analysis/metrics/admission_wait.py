"""How long families wait from their application to the first day of the student."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.admissions import ALLOWED, SOURCE, applications
from rayces_core.analysis.asking import Asked, run, same
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.ledgers import nothing_of_appointments

if TYPE_CHECKING:
    import polars as pl

COLUMNS: Final = {
    "student_id": ("integer", "whose admission was asked for; several rows for one who applied again"),
    "applied_at": ("moment", "when the family applied"),
    "enrolled_at": ("moment", "when the student began; null if that has not happened"),
    "wait_days": ("number", "days of 24 hours from applied_at to enrolled_at, or to the end of waiting, or to now"),
    "censored": ("boolean", "whether nobody began: the family waits still, or was turned away, or has left"),
    "median_days": (
        "number",
        "Kaplan-Meier median of the row's period and `by`, the same in its rows: half began by then; null if never",
    ),
}
DEFINITION: Final = Definition(
    text="Days from an application in the period to the first enrolment after it and before any other application. "
    "Applications of families who wait still, were turned away or have left are censored: of them it is known that it "
    "took longer. Moments that an import made up are left out.",
    numerator="min(occurred_at) FILTER (WHERE to_state = 'enrolled') - "
    "min(occurred_at) FILTER (WHERE to_state = 'applied')",
    denominator=None,
    source=SOURCE,
    zone=LOCAL,
    columns={name: meaning for name, (_, meaning) in COLUMNS.items()},
)
# Kaplan and Meier (1958): at each wait that ended with a first day, the share that is left of those still waiting. Who
# is censored at that very wait was still waiting.
SQL: Final = """
WITH {applications}, waiting AS (
    SELECT application.*, coalesce(enrolled_at, least(rejected_at, discharged_at), %(now)s) AS ended_at,
           enrolled_at IS NULL AS censored
      FROM application
), waited AS (
    SELECT waiting.*, greatest(extract(epoch FROM ended_at - applied_at)::float8 / 86400, 0) AS wait_days FROM waiting
), risk AS (
    SELECT {key}, wait_days, count(*) FILTER (WHERE NOT censored) AS began,
           sum(count(*)) OVER (PARTITION BY {key} ORDER BY wait_days DESC) AS at_risk
      FROM waited GROUP BY {key}, wait_days
), left_over AS (
    SELECT risk.*, bool_or(began = at_risk) OVER longer AS nobody,
           sum(ln(CASE WHEN began < at_risk THEN 1 - began::float8 / at_risk::float8 END)) OVER longer AS share
      FROM risk WINDOW longer AS (PARTITION BY {key} ORDER BY wait_days)
), median AS (
    SELECT {key}, min(wait_days) AS median_days FROM left_over
     WHERE began > 0 AND (nobody OR exp(share) <= 0.5 + 1e-9) GROUP BY {key}
)
SELECT {shown}, waited.student_id, waited.applied_at, waited.enrolled_at, waited.wait_days, waited.censored,
       median.median_days
  FROM waited LEFT JOIN median ON {same}
 ORDER BY {shown}, waited.applied_at, waited.student_id
"""


@metric(DEFINITION)
def admission_wait(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Tell of each application how long it took, or takes already, until the student began.

    Args:
        start, end: local days of each organization, `end` outside, on which the application was made.
        every: "1mo", "1w" (from Monday) or "1d", to which the median belongs; without it the whole is one period.
        by: "grade", what the median belongs to besides.
        where: is refused: applications are no appointments.
        now: the present, aware, up to which the journal is read; without it the clock's.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells: a row for
        each application.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    nothing_of_appointments(where, "applications")
    asked = Asked.of(start, end, every=every, by=by, now=now, allowed=ALLOWED)
    apart = {dimension.column: dimension.kind for dimension in asked.by}
    key = ["organization_id", "period", *apart]
    shown = {"organization_id": "integer", **({"period": "day"} if asked.shown else {}), **apart}
    sql = SQL.format(
        applications=applications(asked),
        key=", ".join(key),
        shown=", ".join(f"waited.{name}" for name in shown),
        same=" AND ".join(same(name, "median", "waited") for name in key),
    )
    return run(sql, asked.values, shown | {name: kind for name, (kind, _) in COLUMNS.items()})
