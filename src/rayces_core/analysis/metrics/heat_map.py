"""At which hours of the week working time is booked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked
from rayces_core.analysis.definition import LOCAL, metric
from rayces_core.analysis.metrics.occupancy import DEFINITION as OCCUPANCY
from rayces_core.analysis.occupied import FIGURES, occupied

if TYPE_CHECKING:
    import polars as pl

DEFINITION: Final = replace(
    OCCUPANCY,
    text="Occupancy by weekday and hour of the wall clock. A session over two hours counts in both, by its minutes; an "
    "hour that the clock skips does not exist, one that it shows twice counts twice. Every hour of the week is a row.",
    zone=LOCAL,
    columns={
        "weekday": "1 is Monday, 7 is Sunday",
        "hour": "of the wall clock, 0 to 23",
        **{name: OCCUPANCY.columns[name] for name in ("working_minutes", "booked_minutes", "occupancy")},
    },
)
KEYS: Final = {"weekday": "integer", "hour": "integer"}
OF_WEEK: Final = "generate_series(1, 7) AS week(weekday) CROSS JOIN generate_series(0, 23) AS day(hour)"


@metric(DEFINITION)
def heat_map(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Measure occupancy by weekday and hour, by two statements: the schedules, then the minutes.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: "professional", "specialization", or both; what rows are told apart by besides weekday and hour.
        where: a Peewee expression over Appointment that sessions have to meet; working time stays whole.
        now: the present, aware, at which overdue holds take no time; without it the clock's.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells: 168 rows for
        each period, organization and value of `by`.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed, or what is
        stored is no schedule. MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now, allowed=("professional", "specialization"))
    figures = {name: FIGURES[name] for name in ("working_minutes", "booked_minutes", "occupancy")}
    columns = "".join(f", {dimension.column}" for dimension in asked.by)
    found = "(SELECT DISTINCT organization_id{} FROM fact) AS found"
    source = found.format(columns) if columns else "(SELECT id AS organization_id FROM {organizations} AS o) AS found"
    places = f"SELECT organization_id{columns}, weekday, hour FROM {source} CROSS JOIN {OF_WEEK}"
    return occupied(asked, figures, keys=KEYS, places=places)
