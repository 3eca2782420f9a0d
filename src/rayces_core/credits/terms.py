"""The terms that a package was sold on: they are kept with the sale, and open its lot whenever it counts.

Rule it guards: whoever changes a package changes nothing of what was sold, paid or not; and nobody is given credits
that nobody could use any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from rayces_core.database.binding import current
from rayces_core.errors import PackageExpiredError
from rayces_core.models.credit import CreditTransaction
from rayces_core.models.credit_package import CreditPackage
from rayces_core.tenancy.organization import day_begins

# What an earlier version has sold says nothing of it: then it is what the package says now.
_AGREED: Final = "CASE WHEN entry.package_name IS NULL THEN package.{0} ELSE entry.{0} END"
_TODAY: Final = "(entry.processed_at AT TIME ZONE root.time_zone)::date"
_LAST_DAY: Final = f"coalesce({_AGREED.format('valid_until')}, {_TODAY} + {_AGREED.format('valid_days')})"
_SOLD: Final = """FROM credit_transactions AS entry
        JOIN organizations AS root ON root.id = %(tenant)s
        JOIN credit_packages AS package ON package.organization_id = %(tenant)s
             AND package.organization_id = entry.organization_id AND package.id = entry.credit_package_id
       WHERE entry.organization_id = %(tenant)s AND entry.id = %(entry)s"""
# One that holds for ever opens none. The balance is locked, since its entry was just posted.
OPEN: Final = f"""
WITH lot AS (
    INSERT INTO credit_lots (
        organization_id, credit_balance_id, credit_transaction_id, credits, remaining, expires_at, created_at,
        updated_at
    ) SELECT %(tenant)s, entry.credit_balance_id, entry.id, entry.amount, entry.amount,
             {day_begins(f"{_LAST_DAY} + 1", "root.time_zone")},
             entry.processed_at, entry.processed_at
        {_SOLD} AND {_LAST_DAY} >= {_TODAY}
    RETURNING id, credit_balance_id, credit_transaction_id, credits
), noted AS (
    INSERT INTO credit_lot_movements (organization_id, credit_lot_id, credit_transaction_id, amount)
    SELECT %(tenant)s, id, credit_transaction_id, credits FROM lot RETURNING 1
)
UPDATE credit_balances AS mine SET in_lots = mine.in_lots + lot.credits
  FROM lot WHERE mine.organization_id = %(tenant)s AND mine.id = lot.credit_balance_id"""
OVER: Final = f"SELECT {_AGREED.format('valid_until')} {_SOLD} AND {_LAST_DAY} < {_TODAY}"


@dataclass(frozen=True, slots=True)
class Terms:
    """Which package was sold, under which name, and until when its credits hold: for days, until a day, or for ever."""

    package_id: int | None
    name: str | None
    valid_days: int | None
    valid_until: date | None

    @classmethod
    def of_package(cls, sold: CreditPackage) -> Terms:
        """What a package is sold on now."""
        return cls(sold.id, sold.name, sold.valid_days, sold.valid_until)

    @classmethod
    def of_sale(cls, entry: CreditTransaction) -> Terms | None:
        """What an entry was sold on; None for one of no package."""
        if entry.credit_package_id is None:
            return None
        return cls(entry.credit_package_id, entry.package_name, entry.valid_days, entry.valid_until)


def open_lot(entry: CreditTransaction) -> None:
    """Let the credits of a sale that counts since now hold until their day, where they have one.

    Raises:
        PackageExpiredError: that day is over; the caller's unit of work takes the entry back.
    """
    run, values = current().engine.run_prepared, {"tenant": entry.organization_id, "entry": entry.id}
    if run(OPEN, values).rowcount == 0 and (over := run(OVER, values).fetchone()) is not None:
        raise PackageExpiredError(over[0])
