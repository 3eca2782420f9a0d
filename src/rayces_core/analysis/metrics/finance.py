"""What was sold and is owed: packages and what is left of them, credits that holds reserve, invoices and payments."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, run
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.periods import FIRST_DAY, PERIODS

if TYPE_CHECKING:
    import polars as pl

MOMENTS: Final = "the present moment; days make no difference"
LOTS: Final = {
    "client_id": ("integer", "the user whose credits they are"),
    "credit_kind_id": ("integer", "of which kind; null is the default one"),
    "credit_package_id": ("integer", "what was sold; null for credits that came from a duplicate of the client"),
    "lot_id": ("integer", "which purchase's credits"),
    "bought": ("integer", "credits that were bought"),
    "spent": ("integer", "credits that were taken out, less those that came back"),
    "expired": ("integer", "credits that nobody used in time and a sweep took"),
    "left": ("integer", "credits that are left: bought, less spent, less expired"),
    "valid_until": ("moment", "when what is left is gone"),
    "overdue": ("boolean", "whether that is over, so that what is left pays for nothing and the next sweep takes it"),
}
PACKAGE_CREDITS: Final = Definition(
    text="Every lot of credits that holds until a day: how many were bought, spent and not used in time, and how many "
    "are left.",
    numerator="-sum(amount) FILTER (WHERE transaction_type = 'expiry')",
    denominator=None,
    source="credit_lots; credit_lot_movements; credit_transactions; credit_balances",
    zone=MOMENTS,
    columns={name: meaning for name, (_, meaning) in LOTS.items()},
)
LOTS_SQL: Final = """
WITH gone AS (
    SELECT movement.organization_id, movement.credit_lot_id, -sum(movement.amount) AS credits
      FROM {credit_lot_movements} AS movement
      JOIN {credit_transactions} AS entry ON entry.organization_id = movement.organization_id
           AND entry.id = movement.credit_transaction_id AND entry.transaction_type = 'expiry'
     GROUP BY movement.organization_id, movement.credit_lot_id
)
SELECT lot.organization_id, held.user_id, held.credit_kind_id, bought.credit_package_id, lot.id, lot.credits::bigint,
       (lot.credits - lot.remaining - coalesce(gone.credits, 0))::bigint, coalesce(gone.credits, 0)::bigint,
       lot.remaining::bigint, lot.expires_at, lot.expires_at <= %(now)s
  FROM {credit_lots} AS lot
  JOIN {credit_balances} AS held ON held.organization_id = lot.organization_id AND held.id = lot.credit_balance_id
  JOIN {credit_transactions} AS bought ON bought.organization_id = lot.organization_id
       AND bought.id = lot.credit_transaction_id
  LEFT JOIN gone ON gone.organization_id = lot.organization_id AND gone.credit_lot_id = lot.id
 ORDER BY lot.organization_id, lot.expires_at, lot.id
"""
RESERVED: Final = {
    "credit_kind_id": ("integer", "of which kind; null is the default one"),
    "clients": ("integer", "clients with a balance of the kind"),
    "balance": ("integer", "credits of all their balances"),
    "reserved": ("integer", "credits of these that pre-confirmed sessions hold"),
    "holds": ("integer", "pre-confirmed sessions that hold some"),
    "expired": ("integer", "credits of these whose day is over, and which no sweep has taken"),
}
RESERVED_CREDITS: Final = Definition(
    text="The credits of every kind that clients have now, and how many of them pre-confirmed sessions have reserved.",
    numerator="sum(reserved)",
    denominator=None,
    source="credit_balances; appointments; credit_lots",
    zone=MOMENTS,
    columns={name: meaning for name, (_, meaning) in RESERVED.items()},
)
RESERVED_SQL: Final = """
WITH holding AS (
    SELECT a.organization_id, coalesce(a.credit_kind_id, 0) AS kind, count(*) AS holds
      FROM {appointments} AS a WHERE a.reserved_credits > 0 GROUP BY 1, 2
), gone AS (
    SELECT lot.organization_id, held.credit_kind_key AS kind, sum(lot.remaining) AS credits
      FROM {credit_lots} AS lot
      JOIN {credit_balances} AS held ON held.organization_id = lot.organization_id AND held.id = lot.credit_balance_id
     WHERE lot.remaining > 0 AND lot.expires_at <= %(now)s GROUP BY 1, 2
), had AS (
    SELECT organization_id, credit_kind_key AS kind, count(*) AS clients, sum(balance) AS balance,
           sum(reserved) AS reserved
      FROM {credit_balances} AS held GROUP BY 1, 2
)
SELECT had.organization_id, nullif(had.kind, 0), had.clients, had.balance, had.reserved,
       coalesce(holding.holds, 0), coalesce(gone.credits, 0)
  FROM had
  LEFT JOIN holding ON holding.organization_id = had.organization_id AND holding.kind = had.kind
  LEFT JOIN gone ON gone.organization_id = had.organization_id AND gone.kind = had.kind
 ORDER BY had.organization_id, had.kind
"""
BILLED: Final = {
    "invoices": "invoices that were issued on a day of the period",
    "invoiced_cents": "their totals, taxes among them, in hundredths of the currency",
    "credited_cents": "totals of the credit notes that were issued on a day of the period",
    "payments": "purchases of credits with a sum that began to count within the period",
    "paid_cents": "their sums, in hundredths of the currency",
}
BILLED_DEFINITION: Final = Definition(
    text="What was invoiced and credited by the day of issue, and what was paid for credits by the day on which it "
    "counts; each currency by itself.",
    numerator="sum(total_cents) FILTER (WHERE state = 'issued' AND kind = 'invoice')",
    denominator=None,
    source="invoices; credit_transactions (amount_cents, currency)",
    zone=LOCAL,
    columns={"currency": "of the sums, ISO 4217", **BILLED},
)
BILLED_SQL: Final = """
WITH sums AS (
    SELECT organization_id, currency, issued_on AS day, (kind = 'invoice')::int AS invoices,
           CASE kind WHEN 'invoice' THEN total_cents ELSE 0 END AS invoiced_cents,
           CASE kind WHEN 'credit_note' THEN total_cents ELSE 0 END AS credited_cents, 0 AS payments, 0 AS paid_cents
      FROM {{invoices}} AS invoice WHERE state = 'issued'
    UNION ALL
    SELECT entry.organization_id, entry.currency, (entry.processed_at AT TIME ZONE root.time_zone)::date, 0, 0, 0, 1,
           entry.amount_cents
      FROM {{credit_transactions}} AS entry JOIN {{organizations}} AS root ON root.id = entry.organization_id
     WHERE entry.status = 'completed' AND entry.transaction_type = 'purchase' AND entry.amount_cents IS NOT NULL
), dated AS (
    SELECT sums.*, {period} AS period FROM sums WHERE day >= %(start)s::date AND day < %(end)s::date
), place AS (
    SELECT DISTINCT organization_id, currency FROM dated
)
SELECT place.organization_id{shown}, place.currency, {figures}
  FROM place CROSS JOIN {spans}
  LEFT JOIN dated ON dated.organization_id = place.organization_id AND dated.currency = place.currency
                 AND dated.period = span.period
 GROUP BY place.organization_id, span.period, place.currency ORDER BY place.organization_id, span.period, place.currency
"""


@metric(PACKAGE_CREDITS)
def package_credits(*, now: datetime | None = None) -> pl.DataFrame:
    """List the credits that hold until a day, those that are gone first at first.

    Args:
        now: the present, aware, by which they are overdue; without it the clock's.

    Returns:
        A frame of organization_id and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. NaiveDatetimeError: `now`. MissingExtraError: polars is not installed.
    """
    return _now(LOTS_SQL, {name: kind for name, (kind, _) in LOTS.items()}, now)


@metric(RESERVED_CREDITS)
def reserved_credits(*, now: datetime | None = None) -> pl.DataFrame:
    """Add up, for each kind of credit, what clients have and what of it is reserved.

    Args:
        now: the present, aware, by which credits have expired; without it the clock's.

    Returns:
        A frame of organization_id and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. NaiveDatetimeError: `now`. MissingExtraError: polars is not installed.
    """
    return _now(RESERVED_SQL, {name: kind for name, (kind, _) in RESERVED.items()}, now)


@metric(BILLED_DEFINITION)
def billed(start: date, end: date, *, every: str | None = None, now: datetime | None = None) -> pl.DataFrame:
    """Add up invoices, credit notes and payments for credits, for each currency by itself.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        now: the present, aware; here it makes no difference.

    Returns:
        A frame of organization_id, period where asked for, and the columns that the definition tells: a row for each
        currency in which there was anything between start and end, and each period.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, now=now)
    sql = BILLED_SQL.format(
        period=asked.periods.of_day("day"),
        spans=PERIODS,
        shown=", span.period" if asked.shown else "",
        figures=", ".join(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in BILLED),
    )
    schema = {"organization_id": "integer", **({"period": "day"} if asked.shown else {}), "currency": "text"}
    return run(sql, asked.values, schema | dict.fromkeys(BILLED, "integer"))


def _now(sql: str, columns: dict[str, str], now: Any) -> pl.DataFrame:
    asked = Asked.of(FIRST_DAY, FIRST_DAY.replace(year=3), now=now)
    return run(sql, {"now": asked.now}, {"organization_id": "integer", **columns})
