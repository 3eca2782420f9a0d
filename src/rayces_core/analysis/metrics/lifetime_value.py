"""What each client has had and paid for: first and last session, how many, and their prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, counted
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.dimensions import DIMENSIONS
from rayces_core.analysis.metrics.revenue import CURRENCY, REVENUE, executed

if TYPE_CHECKING:
    import polars as pl

COLUMNS: Final = {
    "client_id": "the user who booked",
    "first_day": "local day of the first executed session; null in a period without any",
    "last_day": "local day of the last executed session; null in a period without any",
    "sessions": "executed sessions, those without a price among them",
    "revenue_cents": "their prices, in hundredths of the currency",
    "currency": "of the prices, ISO 4217; that of the organization for sessions without a price",
}
DEFINITION: Final = Definition(
    text="For each client and currency, the executed sessions whose start lies in the period and the prices that they "
    "have kept. Ask from the first day there is for all that a client was worth.",
    numerator=f"{REVENUE} FILTER (WHERE state = 'executed')",
    denominator=None,
    source="appointments (client_id, price_cents, currency); organizations (currency)",
    zone=LOCAL,
    columns=COLUMNS,
)
ALLOWED: Final = tuple(name for name in DIMENSIONS if name != "client")


@metric(DEFINITION)
def lifetime_value(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Tell of each client the first and last session, how many there were, and their prices by currency.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: what a client's rows are told apart by: names of `dimensions.DIMENSIONS`, but "client".
        where: a Peewee expression over Appointment that the sessions have to meet.
        now: the present, aware; here it makes no difference.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells; a client
        without executed sessions from `start` to `end` has no row.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now, allowed=ALLOWED)
    facts = executed(
        asked,
        {"price_cents": "a.price_cents", "day": "clock.local::date"},
        {"client_id": "a.client_id", "currency": CURRENCY},
    )
    frame = counted(
        asked,
        facts,
        ("state", "price_cents", "day"),
        {
            "first_day": Figure("min(day)", "day"),
            "last_day": Figure("max(day)", "day"),
            "sessions": Figure("count(state)"),
            "revenue_cents": Figure(REVENUE),
        },
        keys={"client_id": "integer", "currency": "text"},
    )
    return frame.select([*(name for name in frame.columns if name not in COLUMNS), *COLUMNS])
