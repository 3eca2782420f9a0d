"""What executed sessions cost, by the price that each has kept since it was booked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, appointments, counted
from rayces_core.analysis.definition import LOCAL, Definition, metric

if TYPE_CHECKING:
    import polars as pl

# Nobody knows in which currency a session without a price would have been; it is told beside the centre's own money.
CURRENCY: Final = "coalesce(a.currency, organization.currency)"
REVENUE: Final = "sum(price_cents)"

DEFINITION: Final = Definition(
    text="The prices of executed sessions whose start lies in the period, each the price that the session has kept "
    "since it was booked or last priced, by currency: money of one is never added to that of another.",
    numerator=f"{REVENUE} FILTER (WHERE state = 'executed')",
    denominator=None,
    source="appointments (price_cents, currency); organizations (currency)",
    zone=LOCAL,
    columns={
        "currency": "of the prices, ISO 4217; that of the organization for sessions without a price",
        "sessions": "executed sessions, those without a price among them",
        "unpriced": "executed sessions without a price; they add nothing to the revenue",
        "revenue_cents": "prices, in hundredths of the currency",
    },
)


def executed(asked: Asked, columns: dict[str, str], keys: dict[str, str]) -> str:
    """SQL: a row for each executed session of the periods, as `asking.appointments` gives them."""
    facts = appointments(asked, {"state": "a.state", **columns}, keys=keys)
    return f"SELECT * FROM ({facts}) AS session WHERE state = 'executed'"


@metric(DEFINITION)
def revenue(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Add up the prices of executed sessions, for each currency by itself.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: what rows are told apart by: names of `dimensions.DIMENSIONS`.
        where: a Peewee expression over Appointment that they have to meet.
        now: the present, aware; here it makes no difference.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells: a row for
        the organization's own currency, and for each other that its sessions have.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now)
    facts = executed(asked, {"price_cents": "a.price_cents"}, {"currency": CURRENCY})
    own = "SELECT id AS organization_id, currency FROM {organizations} AS o"
    return counted(
        asked,
        facts,
        ("state", "price_cents"),
        {
            "sessions": Figure("count(state)"),
            "unpriced": Figure("count(state) - count(price_cents)"),
            "revenue_cents": Figure(REVENUE),
        },
        keys={"currency": "text"},
        places=None if asked.by else f"{own} UNION SELECT organization_id, currency FROM fact",
    )
