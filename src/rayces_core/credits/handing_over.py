"""All that a user has goes to another: what holds until a day goes on holding until then, what is reserved stays so.

Rule it guards: both ledgers keep their chains; each credit leaves by an entry of the one and comes by one of the other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from rayces_core import clock
from rayces_core.credits.ledger import lock_balances, open_balance, post
from rayces_core.credits.posting import Posting
from rayces_core.database.binding import current
from rayces_core.models.credit import TransactionType
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.credit_lot import CreditLot
from rayces_core.models.user import User

# Both balances are locked, since their entries were just posted.
OPEN_AGAIN: Final = """
WITH lot AS (
    INSERT INTO credit_lots (
        organization_id, credit_balance_id, credit_transaction_id, purchase_id, credits, remaining, expires_at,
        created_at, updated_at
    ) SELECT %(tenant)s, entry.credit_balance_id, entry.id, %(purchase)s, entry.amount, entry.amount, %(expires)s,
             entry.processed_at, entry.processed_at
        FROM credit_transactions AS entry
       WHERE entry.organization_id = %(tenant)s AND entry.id = %(entry)s
    RETURNING id, credit_balance_id, credit_transaction_id, credits
), noted AS (
    INSERT INTO credit_lot_movements (organization_id, credit_lot_id, credit_transaction_id, amount)
    SELECT %(tenant)s, id, credit_transaction_id, credits FROM lot RETURNING 1
)
UPDATE credit_balances AS mine SET in_lots = mine.in_lots + lot.credits
  FROM lot WHERE mine.organization_id = %(tenant)s AND mine.id = lot.credit_balance_id"""
# What holds credits of the user, as it is locked before balances are.
HOLDS: Final = """
SELECT id, reserved_credits FROM appointments
 WHERE organization_id = %(tenant)s AND client_id = %(user)s AND reserved_credits > 0 ORDER BY id FOR NO KEY UPDATE"""
LET_GO: Final = """
UPDATE appointments SET reserved_credits = 0 WHERE organization_id = %(tenant)s AND id = ANY(%(ids)s::bigint[])"""
FREE: Final = "UPDATE credit_balances SET reserved = 0 WHERE organization_id = %(tenant)s AND user_id = %(user)s"


def let_go_of_holds(giver: int, taker: int) -> dict[int, int]:
    """Free what the giver's appointments have reserved; id → how many credits, for `hold` in the same unit."""
    values = {"tenant": current().organization_id, "user": giver}
    held: dict[int, int] = dict(current().engine.run_prepared(HOLDS, values).fetchall())
    lock_balances([giver, taker])
    if held:
        current().engine.run_prepared(LET_GO, values | {"ids": list(held)})
        current().engine.run_prepared(FREE, values)
    return held


def hand_over(giver: int, taker: int, *, reason: str, by: User, now: datetime) -> dict[int | None, int]:
    """Move every balance of one user to another, lot by lot; within the caller's unit of work.

    Returns:
        Kind of credit → how many; without what has expired, which is posted as that.
    """
    lock_balances([giver, taker])
    moved = {}
    for held in _balances(giver):
        open_balance(taker, now, credit_kind_id=held.credit_kind_id)
        going = _Going(giver, taker, held.credit_kind_id, reason, by, now)
        lots = CreditLot.select().where((CreditLot.credit_balance == held.id) & (CreditLot.remaining > 0))
        amounts = [going.lot(lot) for lot in lots.order_by(CreditLot.expires_at, CreditLot.id)]
        if held.balance > held.in_lots:
            going.credits(held.balance - held.in_lots)
        moved[held.credit_kind_id] = sum(amounts) + held.balance - held.in_lots
    return {kind: amount for kind, amount in moved.items() if amount}


def forfeit(user_id: int, organization_id: int, *, reason: str, by: User, now: datetime) -> int:
    """Take all that a user has, kind by kind; how many credits that were. Privileged work may do it as well."""
    taken = 0
    mine = (CreditBalance.user == user_id) & (CreditBalance.organization == organization_id)
    for held in CreditBalance.select().where(mine & (CreditBalance.balance > 0)):
        posting = Posting(
            user_id,
            -held.balance,
            TransactionType.ADMIN_ADJUSTMENT,
            now,
            credit_kind_id=held.credit_kind_id,
            by=by,
            reason=reason,
            organization_id=organization_id,
        )
        gone = _expire(posting, held, now)
        if held.balance > gone:
            taken += held.balance - gone
            post(replace(posting, amount=gone - held.balance))
    return taken


def _expire(like: Posting, held: CreditBalance, now: datetime) -> int:
    """Post what has expired of a balance as that; how many credits that were."""
    present, gone = _present(now), 0
    mine = (CreditLot.credit_balance == held.id) & (CreditLot.organization == held.organization_id)
    for lot in CreditLot.select().where(mine & (CreditLot.remaining > 0)):
        if lot.expires_at <= present:
            expiry = replace(like, amount=-lot.remaining, kind=TransactionType.EXPIRY, by=None, reason=None)
            post(replace(expiry, lot_id=lot.id))
            gone += lot.remaining
    return gone


def _balances(user_id: int) -> list[CreditBalance]:
    mine = (CreditBalance.user == user_id) & (CreditBalance.balance > 0)
    return list(CreditBalance.select().where(mine).order_by(CreditBalance.credit_kind_key))


def _present(now: datetime) -> datetime:
    """The server's moment, by which a lot has expired or not, unless the program has set the clock."""
    if clock.is_frozen():
        return now
    moment: datetime = current().engine.run_prepared("SELECT clock_timestamp()", {}).fetchone()[0]
    return moment


class _Going:
    """What goes from one balance to another."""

    def __init__(
        self, giver: int, taker: int, credit_kind_id: int | None, reason: str, by: User, now: datetime
    ) -> None:
        self.giver, self.taker, self.now = giver, taker, now
        self.credit_kind_id, self.reason, self.by = credit_kind_id, reason, by

    def lot(self, lot: CreditLot) -> int:
        """Have what is left of a lot go, or expire where its day is over; the oldest one first, as it is drawn on."""
        if lot.expires_at <= _present(self.now):
            expiry, kind = TransactionType.EXPIRY, self.credit_kind_id
            post(Posting(self.giver, -lot.remaining, expiry, self.now, credit_kind_id=kind, lot_id=lot.id))
            return 0
        entry_id = self.credits(lot.remaining)
        values = {"tenant": lot.organization_id, "entry": entry_id, "expires": lot.expires_at}
        values["purchase"] = lot.purchase_id or lot.credit_transaction_id
        current().engine.run_prepared(OPEN_AGAIN, values)
        return lot.remaining

    def credits(self, amount: int) -> int:
        """Post both entries; the id of the one that gives."""
        post(self._posting(self.giver, -amount, {"transfer_to": self.taker}))
        return post(self._posting(self.taker, amount, {"transfer_from": self.giver})).id

    def _posting(self, of: int, amount: int, metadata: dict[str, int]) -> Posting:
        return Posting(
            of,
            amount,
            TransactionType.ADMIN_ADJUSTMENT,
            self.now,
            credit_kind_id=self.credit_kind_id,
            by=self.by,
            reason=self.reason,
            metadata=metadata,
        )
