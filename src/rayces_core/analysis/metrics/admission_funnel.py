"""How far applications for admission come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.admissions import ALLOWED, SOURCE, applications
from rayces_core.analysis.asking import Asked, Figure, counted, ratio
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.ledgers import nothing_of_appointments
from rayces_core.errors import InvalidDataError

if TYPE_CHECKING:
    import polars as pl

WINDOW_DAYS: Final = 180
MOST_DAYS: Final = 36_600
STAGES: Final = ("waitlisted", "admitted", "enrolled", "rejected")
APPLIED: Final = "count(applied_at)"
ENROLLED: Final = "count(*) FILTER (WHERE enrolled)"

DEFINITION: Final = Definition(
    text="Applications of the period, and how many of them came to each stage within the window after the application "
    "and before any other one of the student. Who begins was admitted before, so each counts at every stage that it "
    "passed. Moments that an import made up are left out.",
    numerator=ENROLLED,
    denominator=APPLIED,
    source=SOURCE,
    zone=LOCAL,
    columns={
        "applied": "applications that were made",
        "waitlisted": "of them, those that came onto the waiting list",
        "admitted": "of them, those that were given a place",
        "enrolled": "of them, those whose student began",
        "rejected": "of them, those that were turned away",
        "conversion": "enrolled by applied, a ratio; null without applications",
        "pending": "of them, those that may still get there: they have not ended, and their window is not over",
    },
)
FACTS: Final = """
SELECT organization_id, period{by}, applied_at, {reached},
       coalesce(enrolled_at, rejected_at, discharged_at) IS NULL
           AND coalesce(applied_at + make_interval(hours => %(window_hours)s::int) > %(now)s, true) AS pending
  FROM application"""
IN_TIME: Final = (
    "coalesce({0}_at <= applied_at + make_interval(hours => %(window_hours)s::int), {0}_at IS NOT NULL) AS {0}"
)


@metric(DEFINITION)
def admission_funnel(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
    window: int | None = WINDOW_DAYS,
) -> pl.DataFrame:
    """Count applications, and how far they came.

    Args:
        start, end: local days of each organization, `end` outside, on which the application was made.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: "grade", what rows are told apart by.
        where: is refused: applications are no appointments.
        now: the present, aware, up to which the journal is read; without it the clock's.
        window: days of 24 hours after an application in which stages count; None for all that came after it.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    nothing_of_appointments(where, "applications")
    if window is not None and (type(window) is not int or not 0 < window <= MOST_DAYS):
        raise InvalidDataError("window", window, f"needs whole days, 1 to {MOST_DAYS}, or None for no end")
    asked = Asked.of(start, end, every=every, by=by, now=now, allowed=ALLOWED)
    facts = FACTS.format(
        by="".join(f", {dimension.column}" for dimension in asked.by),
        reached=", ".join(IN_TIME.format(stage) for stage in STAGES),
    )
    figures = {
        "applied": Figure(APPLIED),
        **{stage: Figure(f"count(*) FILTER (WHERE {stage})") for stage in STAGES},
        "conversion": ratio(ENROLLED, APPLIED),
        "pending": Figure("count(*) FILTER (WHERE pending)"),
    }
    values = {"window_hours": None if window is None else window * 24}
    before = f"{applications(asked)},"
    return counted(asked, facts, ("applied_at", *STAGES, "pending"), figures, before=before, values=values)
