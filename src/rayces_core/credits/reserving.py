"""Holds that reserve nothing though they should, as those that were imported do, and sums that are not what holds say.

Rule it guards: appointments are locked before balances, each in one order, as whoever books does; what is reserved is
never more than what there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rayces_core import clock
from rayces_core.credits.arguments import check_tenant
from rayces_core.credits.ledger import lock_balances, undisturbed
from rayces_core.database.binding import current
from rayces_core.models.credit_holding import AT, free

# What a hold is to reserve; nothing of one that is overdue, or that was paid for by hand.
_SHOULD: Final = f"""
SELECT booked.id, booked.client_id, booked.credit_kind_id, booked.credits_used FROM appointments AS booked
  JOIN organizations AS root ON root.id = %(tenant)s
 WHERE booked.organization_id = %(tenant)s AND booked.state = 'pre_confirmed' AND booked.reserved_credits = 0
   AND booked.uses_credit AND booked.credits_used > 0 AND booked.expires_at >= {AT}
   AND coalesce((root.settings ->> 'reserve_credits')::boolean, true)
   AND NOT EXISTS (
       SELECT 1 FROM credit_transactions AS paid
        WHERE paid.organization_id = %(tenant)s AND paid.appointment_id = booked.id
          AND paid.transaction_type = 'appointment_debit' AND paid.status <> 'failed')
 ORDER BY booked.id"""
_LOCK: Final = """
SELECT client_id FROM appointments
 WHERE organization_id = %(tenant)s AND (id = ANY(%(ids)s::bigint[]) OR reserved_credits > 0)
 ORDER BY id FOR NO KEY UPDATE"""
_HOLDERS: Final = "SELECT user_id FROM credit_balances WHERE organization_id = %(tenant)s AND reserved > 0"
# Balances whose sum is another than what their holds say, and those holds.
_WRONG: Final = """
SELECT held.id, coalesce(array_agg(booked.id) FILTER (WHERE booked.id IS NOT NULL), '{}'),
       coalesce(array_agg(booked.reserved_credits) FILTER (WHERE booked.id IS NOT NULL), '{}')
  FROM credit_balances AS held
  LEFT JOIN appointments AS booked ON booked.organization_id = %(tenant)s AND booked.client_id = held.user_id
       AND coalesce(booked.credit_kind_id, 0) = held.credit_kind_key AND booked.reserved_credits > 0
 WHERE held.organization_id = %(tenant)s
 GROUP BY held.id, held.reserved HAVING held.reserved <> coalesce(sum(booked.reserved_credits), 0)
 ORDER BY held.id"""
_LET_GO: Final = """
UPDATE appointments SET reserved_credits = 0 WHERE organization_id = %(tenant)s AND id = ANY(%(ids)s::bigint[])"""
_FREE: Final = """
UPDATE credit_balances SET reserved = 0 WHERE organization_id = %(tenant)s AND id = ANY(%(balances)s::bigint[])"""
# Those that were made first have it where it is not enough for all; what costs more than there is leaves it to others.
_HOLD: Final = f"""
WITH wanted AS (
    SELECT booked.id, mine.id AS balance_id, asked.credits, booked.pre_confirmed_at,
           {free("mine", tenant="%(tenant)s", at=AT)} AS free
      FROM unnest(%(ids)s::bigint[], %(credits)s::integer[]) AS asked (id, credits)
      JOIN appointments AS booked ON booked.organization_id = %(tenant)s AND booked.id = asked.id
           AND booked.state = 'pre_confirmed' AND booked.reserved_credits = 0
      JOIN credit_balances AS mine ON mine.organization_id = %(tenant)s AND mine.user_id = booked.client_id
           AND mine.credit_kind_key = coalesce(booked.credit_kind_id, 0)
), added_up AS (
    SELECT *, sum(credits) OVER (PARTITION BY balance_id ORDER BY pre_confirmed_at, id) AS total
      FROM wanted WHERE credits <= free
), covered AS (
    SELECT id, balance_id, credits FROM added_up WHERE total <= free
), held AS (
    UPDATE appointments AS booked SET reserved_credits = covered.credits
      FROM covered WHERE booked.organization_id = %(tenant)s AND booked.id = covered.id
), summed AS (
    UPDATE credit_balances AS mine SET reserved = mine.reserved + sums.credits
      FROM (SELECT balance_id, sum(credits) AS credits FROM covered GROUP BY balance_id) AS sums
     WHERE mine.organization_id = %(tenant)s AND mine.id = sums.balance_id
)
SELECT id FROM covered"""


@dataclass(frozen=True, slots=True)
class UncoveredHold:
    """A hold that reserves nothing, as its client has fewer `credits` of the kind than it costs."""

    appointment_id: int
    client_id: int
    credit_kind_id: int | None
    credits: int


@dataclass(frozen=True, slots=True)
class Reserving:
    """For how many holds was reserved, of how many balances the sum was put right, and which holds are not covered."""

    reserved: int
    mended: int
    uncovered: tuple[UncoveredHold, ...]


def uncovered_holds() -> list[UncoveredHold]:
    """The holds that should reserve credits and reserve nothing, by id; an overdue one should not."""
    check_tenant()
    return [UncoveredHold(*row) for row in current().engine.run_prepared(_SHOULD, _moment()).fetchall()]


def reserve_holds() -> Reserving:
    """Reserve for holds that reserve nothing what their clients' balances cover, and put sums right that are wrong.

    Holds that were made first come first. One that is not covered keeps its time: its confirmation asks the balance.
    Safe to run at any time, again, and from many hosts at once.
    """
    check_tenant()
    return undisturbed(_reserve)


def hold(ids_and_credits: Mapping[int, int], now: datetime | None = None) -> set[int]:
    """Reserve for these appointments what is covered, within the caller's unit, which has locked all it is about."""
    left, covered = dict(ids_and_credits), set[int]()
    while left:
        of = {"ids": list(left), "credits": list(left.values())}
        found = {key for (key,) in current().engine.run_prepared(_HOLD, _moment(now) | of).fetchall()}
        if not found:
            break
        covered |= found
        left = {key: cost for key, cost in left.items() if key not in found}
    return covered


def _reserve() -> Reserving:
    run, tenant = current().engine.run_prepared, {"tenant": current().organization_id}
    asked = {"ids": [each.appointment_id for each in uncovered_holds()]}
    clients = {client for (client,) in run(_LOCK, tenant | asked).fetchall()}
    lock_balances(clients | {user for (user,) in run(_HOLDERS, tenant).fetchall()})
    wrong = run(_WRONG, tenant).fetchall()
    wanted = {hold_: number for _, ids, numbers in wrong for hold_, number in zip(ids, numbers, strict=True)}
    if wrong:
        run(_LET_GO, tenant | {"ids": list(wanted)})
        run(_FREE, tenant | {"balances": [balance for balance, *_ in wrong]})
    known = set(asked["ids"])
    wanted = {each.appointment_id: each.credits for each in uncovered_holds() if each.appointment_id in known} | wanted
    covered = hold(wanted) if wanted else set()
    uncovered = tuple(each for each in uncovered_holds() if each.appointment_id in wanted)
    return Reserving(len(covered), len(wrong), uncovered)


def _moment(now: datetime | None = None) -> dict[str, Any]:
    at = clock.now() if now is None else now
    return {"tenant": current().organization_id, "now": at, "is_set": clock.is_frozen()}
