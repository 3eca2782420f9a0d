"""What a pre-confirmed appointment reserves of its client's balance, as parts of the statements of its events.

Rule it guards: `reserved` of a balance is the sum of what the pre-confirmed appointments of its user and kind hold, and
never more than the balance. Who makes or ends a hold moves both in one statement: the appointment is locked first, then
the balance, in this order everywhere, and of several clients in the order of their users.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from peewee import SQL

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InsufficientCreditsError
from rayces_core.models.appointment_states import EXPIRED

# What an event that ends a hold has to know of the row as it was.
PICKED: Final = ("client", "credit_kind", "uses_credit", "reserved_credits")

# The moment of the ledger, as every entry has it: the server's, unless the program has set the clock.
AT: Final = "CASE WHEN %(is_set)s THEN %(now)s ELSE clock_timestamp() END"


def free(balance: str, *, tenant: str, at: str) -> str:
    """SQL: what of a balance nobody has reserved and has not expired; that is still there until it is posted."""
    return f"""{balance}.balance - {balance}.reserved - (
        SELECT coalesce(sum(remaining), 0) FROM credit_lots
         WHERE organization_id = {tenant} AND credit_balance_id = {balance}.id AND expires_at <= {at}
    )"""


# -- making a hold ----------------------------------------------------------------------------------------------------

_OWN: Final = "FROM appointments WHERE organization_id = %(organization_id)s AND id = %(id)s"
LOCKS: Final = (
    f"SELECT 1 {_OWN} FOR NO KEY UPDATE",
    f"""SELECT 1 FROM credit_balances
        WHERE organization_id = %(organization_id)s AND user_id = (SELECT client_id {_OWN})
          AND credit_kind_key = (SELECT coalesce(credit_kind_id, 0) {_OWN}) FOR NO KEY UPDATE""",
)
# What it is to reserve, and what is free: nothing of one that uses no credit, or that was paid for by hand.
HOLDING: Final = f"""holding AS (
    SELECT booked.credits_used AS credits, {free("held", tenant="%(organization_id)s", at=AT)} AS free
      FROM appointments AS booked
      JOIN organizations AS root ON root.id = %(organization_id)s
      LEFT JOIN credit_balances AS held ON held.organization_id = %(organization_id)s
           AND held.user_id = booked.client_id AND held.credit_kind_key = coalesce(booked.credit_kind_id, 0)
     WHERE booked.organization_id = %(organization_id)s AND booked.id = %(id)s
       AND booked.uses_credit AND booked.credits_used > 0
       AND coalesce((root.settings ->> 'reserve_credits')::boolean, true)
       AND NOT EXISTS (
           SELECT 1 FROM credit_transactions AS paid
            WHERE paid.organization_id = %(organization_id)s AND paid.appointment_id = %(id)s
              AND paid.transaction_type = 'appointment_debit' AND paid.status <> 'failed')
)"""
_UNCOVERED: Final = "SELECT 1 FROM holding WHERE free IS NULL OR free < credits"
COVERED: Final = f"NOT EXISTS ({_UNCOVERED})"
UNCOVERED: Final = f"WITH {HOLDING} {_UNCOVERED}"
HELD: Final = SQL("(SELECT coalesce(sum(credits), 0)::integer FROM holding)")
RESERVED: Final = """reserved AS (
    UPDATE credit_balances AS mine SET reserved = mine.reserved + moved.reserved_credits
      FROM picked, moved
     WHERE {mine}mine.organization_id = picked.of_organization AND mine.user_id = picked.was_client
       AND mine.credit_kind_key = coalesce(picked.was_credit_kind, 0) AND moved.reserved_credits > 0
)"""


# -- ending it --------------------------------------------------------------------------------------------------------

_CLIENTS: Final = """ARRAY(
           SELECT {} FROM picked
            WHERE (was_uses_credit OR was_reserved_credits > 0) AND EXISTS (SELECT 1 FROM moved))"""
# All balances of the clients are locked, as what was debited may be given back afterwards. They are found by arrays,
# not joined: Citus hands on rows that are locked beside those of another part in one format, and reads them in another.
FREED: Final = f"""freeing AS (
    SELECT of_organization, was_client, coalesce(was_credit_kind, 0) AS kind, sum(was_reserved_credits)::int AS credits
      FROM picked WHERE was_reserved_credits > 0 AND EXISTS (SELECT 1 FROM moved) GROUP BY 1, 2, 3
), locked AS (
    SELECT mine.organization_id, mine.id, mine.user_id, mine.credit_kind_key FROM credit_balances AS mine
     WHERE {{mine}}mine.organization_id = ANY({_CLIENTS.format("of_organization")})
       AND mine.user_id = ANY({_CLIENTS.format("was_client")})
     ORDER BY mine.organization_id, mine.user_id, mine.credit_kind_key FOR NO KEY UPDATE
), freed AS (
    UPDATE credit_balances AS mine SET reserved = mine.reserved - freeing.credits
      FROM locked, freeing
     WHERE {{mine}}mine.organization_id = locked.organization_id AND mine.id = locked.id
       AND locked.organization_id = freeing.of_organization AND locked.user_id = freeing.was_client
       AND locked.credit_kind_key = freeing.kind
)"""


def expire_overdue(model: Any, clients: Iterable[int], now: datetime, organization_id: int | None = None) -> int:
    """Expire the overdue holds that have reserved credits of these clients, as a sweep does; returns how many.

    What another one is working on is left to it.
    """
    expired = model.lifecycle.move_many(
        "expire",
        "expires_at < %(now)s AND reserved_credits > 0 AND client_id = ANY(%(clients)s::bigint[])",
        {"clients": list(clients)},
        skip_locked=True,
        organization=organization_id,
        now=now,
        reason=EXPIRED,
    )
    return len(expired)


# -- what stands in the way -------------------------------------------------------------------------------------------

FIGURES: Final = f"""
SELECT held.balance, held.reserved, {free("held", tenant="%(tenant)s", at=AT)} FROM credit_balances AS held
 WHERE held.organization_id = %(tenant)s AND held.user_id = %(client)s AND held.credit_kind_key = %(kind)s"""


def check_free(model: Any, needed: int, *, tenant: int, client: int, kind: int | None, now: datetime) -> None:
    """Raise unless so many credits of a client can be reserved, or may be now that overdue holds are expired.

    Raises:
        InsufficientCreditsError: they are not there, or others hold them.
    """
    error = too_few(needed, tenant=tenant, client=client, kind=kind, now=now)
    if error is not None and not (error.reserved and expire_overdue(model, [client], now, tenant)):
        raise error


def too_few(
    needed: int, *, tenant: int, client: int, kind: int | None, now: datetime
) -> InsufficientCreditsError | None:
    """The error for a client who has fewer credits that can be reserved; None for one who has as many."""
    values = {"tenant": tenant, "client": client, "kind": kind or 0, "now": now, "is_set": clock.is_frozen()}
    found = current().engine.run_prepared(FIGURES, values).fetchone()
    balance, reserved, left = found or (0, 0, 0)
    if left >= needed:
        return None
    return InsufficientCreditsError(required=needed, available=max(0, left), balance=balance, reserved=reserved)


def lacking(draft: Any, now: datetime) -> InsufficientCreditsError | None:
    """The error for a draft whose client has too few; None where it reserves nothing, or they are there."""
    place = {"organization_id": draft.organization_id, "id": draft.id, "now": now, "is_set": clock.is_frozen()}
    if current().engine.run_prepared(UNCOVERED, place).fetchone() is None:
        return None
    of = {"tenant": draft.organization_id, "client": draft.client_id, "kind": draft.credit_kind_id}
    return too_few(draft.credits_used, now=now, **of)
