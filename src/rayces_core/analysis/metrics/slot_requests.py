"""What becomes of the families who wait for a time, and how long they wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, counted, dated
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.ledgers import nothing_of_appointments

if TYPE_CHECKING:
    import polars as pl

ALLOWED: Final = ("professional", "specialization", "student", "client", "service", "grade")
TAKEN: Final = "count(*) FILTER (WHERE state = 'taken')"
ASKED: Final = "count(state)"
OPEN: Final = "state IN ('waiting', 'offered')"
MEDIAN: Final = "percentile_cont(0.5) WITHIN GROUP (ORDER BY {0}) FILTER (WHERE {1})"

DEFINITION: Final = Definition(
    text="Families' requests for a time by the day on which they were made, by the state they are in now, and what "
    "they were offered. Families who wait still are in open_days alone: it is told beside taken_days, which without it "
    "would make the wait look shorter than it is.",
    numerator=TAKEN,
    denominator=ASKED,
    source="slot_requests; state_transitions (subject_type SlotRequest, made_up)",
    zone=LOCAL,
    columns={
        "asked": "requests that were made, or that an import has put into the line by that moment",
        "offered": "of them, those that were offered a time, once or more often",
        "taken": "of them, those whose family took a time",
        "withdrawn": "of them, those that were withdrawn",
        "lapsed": "of them, those whose last day was over",
        "open": "of them, those that wait still, or whose offer waits for an answer",
        "offers": "times that were offered to them",
        "declined": "of these offers, those that the family did not want",
        "missed": "of these offers, those that nobody answered in time",
        "taken_days": "days of 24 hours until half of those taken were taken; null without any of a known moment",
        "open_days": "days of 24 hours that half of the open ones have waited until now; null without any",
    },
)
# A missed offer puts a request at the end of the line; an imported one has its place from before it was written down.
AT: Final = "least(a.created_at, a.place_at)"
ANSWERS: Final = """
      CROSS JOIN LATERAL (
          SELECT count(*) FILTER (WHERE step.event = 'offer') AS offers,
                 count(*) FILTER (WHERE step.event = 'decline') AS declined,
                 count(*) FILTER (WHERE step.event = 'miss') AS missed,
                 min(step.occurred_at) FILTER (WHERE step.event = 'take' AND NOT step.made_up) AS taken_at
            FROM {state_transitions} AS step
           WHERE step.organization_id = a.organization_id AND step.subject_type = 'SlotRequest'
             AND step.subject_id = a.id
      ) AS answer"""
DAYS: Final = f"""CASE WHEN {{0}} IS NOT NULL
         THEN extract(epoch FROM greatest({{0}} - {AT}, interval '0'))::float8 / 86400 END"""


@metric(DEFINITION)
def slot_requests(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Count families' requests for a time, what became of them, and how long they waited.

    Args:
        start, end: local days of each organization, `end` outside, on which the request was made.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: "professional" and "specialization" (null where anybody will do), "student", "client", "service" or
            "grade", or several.
        where: is refused: requests are no appointments.
        now: the present, aware, until which the open ones have waited; without it the clock's.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    nothing_of_appointments(where, "requests for a time")
    asked = Asked.of(start, end, every=every, by=by, now=now, allowed=ALLOWED)
    needed = {
        "state": "a.state",
        **{name: f"answer.{name}" for name in ("offers", "declined", "missed")},
        "taken_days": DAYS.format("answer.taken_at"),
        "open_days": DAYS.format("%(now)s"),
    }
    figures = {
        "asked": Figure(ASKED),
        "offered": Figure("count(*) FILTER (WHERE offers > 0)"),
        "taken": Figure(TAKEN),
        "withdrawn": Figure("count(*) FILTER (WHERE state = 'withdrawn')"),
        "lapsed": Figure("count(*) FILTER (WHERE state = 'lapsed')"),
        "open": Figure(f"count(*) FILTER (WHERE {OPEN})"),
        "offers": Figure("sum(offers)"),
        "declined": Figure("sum(declined)"),
        "missed": Figure("sum(missed)"),
        "taken_days": Figure(MEDIAN.format("taken_days", "state = 'taken'"), "number"),
        "open_days": Figure(MEDIAN.format("open_days", OPEN), "number"),
    }
    return counted(asked, dated(asked, "{slot_requests}", needed, at=AT, joins=ANSWERS), tuple(needed), figures)
