"""The credits that clients have bought and not used yet, at the end of each period, and what moved them within it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, run
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.ledgers import nothing_of_appointments
from rayces_core.analysis.periods import PERIODS

if TYPE_CHECKING:
    import polars as pl

FLOWS: Final = {
    "purchased": "sum(amount) FILTER (WHERE transaction_type = 'purchase')",
    "used": "-sum(amount) FILTER (WHERE transaction_type = 'appointment_debit')",
    "refunded": "sum(amount) FILTER (WHERE transaction_type = 'cancellation_refund')",
    "adjusted": "sum(amount) FILTER (WHERE transaction_type = 'admin_adjustment')",
    "expired": "-sum(amount) FILTER (WHERE transaction_type = 'expiry')",
}
ORGANIZATIONS: Final = "SELECT id AS organization_id FROM {organizations} AS o"
BALANCES: Final = "SELECT DISTINCT organization_id%(apart)s FROM {credit_balances} AS held"
# What a balance is told apart by → its column.
OWNERS: Final = {"client": "user_id", "credit_kind": "credit_kind_id"}
COLUMNS: Final = {
    "purchased": "credits bought within the period",
    "used": "credits that sessions took within the period, above zero",
    "refunded": "credits that cancellations gave back within the period",
    "adjusted": "credits that corrections by hand gave (above zero) or took (below) within the period",
    "expired": "credits of packages that nobody used in time, above zero",
    "outstanding": "credits of all balances at the period's end: what is still owed in sessions",
}
DEFINITION: Final = Definition(
    text="All completed entries of the ledger that were processed before the period's end: the sum of the balances "
    "then. What the period itself brought is told apart by kind. Credits are counted, not money.",
    numerator="sum(amount) FILTER (WHERE status = 'completed' AND (processed_at AT TIME ZONE time_zone)::date < ends)",
    denominator=None,
    source="credit_transactions",
    zone=LOCAL,
    columns=COLUMNS,
)
# Each entry is added once, in its period, and carried on from there: a year of days is no harder than a year. What came
# before the first period stands in one of its own, without a day.
SQL: Final = """
WITH entry AS (
    SELECT t.organization_id{client}, t.amount, t.transaction_type,
           (t.processed_at AT TIME ZONE organization.time_zone)::date AS day
      FROM {{credit_transactions}} AS t JOIN {{organizations}} AS organization ON organization.id = t.organization_id
     WHERE t.status = 'completed'
), dated AS (
    SELECT entry.*, CASE WHEN day >= %(start)s::date THEN {period} END AS period FROM entry WHERE day < %(end)s::date
), flow AS (
    SELECT organization_id{client}, period, sum(amount) AS net, {flows}
      FROM dated GROUP BY organization_id{client}, period
), place AS ({places}), standing AS (
    SELECT place.*, span.period, {kept},
           sum(flow.net) OVER (PARTITION BY place.* ORDER BY span.period NULLS FIRST) AS outstanding
      FROM place CROSS JOIN (SELECT period FROM {spans} UNION ALL SELECT NULL) AS span
      LEFT JOIN flow ON flow.organization_id = place.organization_id {same}
                    AND flow.period IS NOT DISTINCT FROM span.period
)
SELECT organization_id{shown}{client}, {figures} FROM standing WHERE period IS NOT NULL
 ORDER BY organization_id, period{client}
"""


@metric(DEFINITION)
def credit_liability(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Count the credits that are owed at the end of each period, and what moved them within it.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: "client", whose balance it is, "credit_kind", of which kind (None is the default one), or both; every
            balance then has a row, those at zero as well.
        where: is refused: entries of the ledger are of no appointment.
        now: the present, aware; here it makes no difference: an end that lies ahead shows what is there.

    Returns:
        A frame of organization_id, period, client_id and credit_kind_id where asked for, and the columns that the
        definition tells.
        `outstanding` is the one before plus purchased, less used, plus refunded and adjusted, less expired.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    nothing_of_appointments(where, "entries of the ledger")
    asked = Asked.of(start, end, every=every, by=by, now=now, allowed=tuple(OWNERS))
    apart = {dimension.column: dimension.kind for dimension in asked.by}
    columns = [OWNERS[dimension.name] for dimension in asked.by]
    owners = "".join(f", {column}" for column in columns)
    sql = SQL.format(
        client=owners,
        period=asked.periods.of_day("day"),
        flows=", ".join(f"{figure} AS {name}" for name, figure in FLOWS.items()),
        places=BALANCES % {"apart": owners} if apart else ORGANIZATIONS,
        kept=", ".join(f"flow.{name}" for name in FLOWS),
        same=" ".join(f"AND flow.{column} IS NOT DISTINCT FROM place.{column}" for column in columns),
        spans=PERIODS,
        shown=", period" if asked.shown else "",
        figures=", ".join(f"coalesce({name}, 0)::bigint AS {name}" for name in COLUMNS),
    )
    schema = {"organization_id": "integer", **({"period": "day"} if asked.shown else {}), **apart}
    return run(sql, asked.values, schema | dict.fromkeys(COLUMNS, "integer"))
