"""What a user has and had: the balance, now or as of a moment, and the statement of a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from peewee import JOIN

from rayces_core import clock
from rayces_core.credits.arguments import check_tenant, credit_kind_id, user_id
from rayces_core.credits.lines import Line, lines
from rayces_core.credits.places import BEFORE, UNTIL, place, wait_for_postings
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.user import User

EXPIRED: Final = """
SELECT credit_balance_id, sum(remaining) FROM credit_lots
 WHERE organization_id = %(tenant)s AND credit_balance_id = ANY(%(balances)s::bigint[])
   AND expires_at <= coalesce(%(set)s, clock_timestamp())
 GROUP BY credit_balance_id"""


@dataclass(frozen=True, slots=True)
class Statement:
    """What moved a user's credits from `start` on and before `end`: balances in whole credits, lines in their order.

    Up to 1,000 lines are a tuple; more are read as they are looked at, where the tenant is bound (`lines[:50]`,
    `len(lines)`, or one after the other).
    """

    user_id: int
    start: datetime
    end: datetime
    opening_balance: int
    lines: Sequence[Line]
    closing_balance: int


def balance(user: User | int, *, kind: CreditKind | int | None = None, at: datetime | None = None) -> int:
    """The credits that a user has, or had at a moment, entries of that very moment included; 0 without a balance.

    They are those of a `kind`, or of the default one.
    With `at` it waits for what is being posted to the balance, since that may bear an earlier moment: what is told of
    the past never changes.
    """
    check_tenant()
    of, key = user_id(user), credit_kind_id(kind) or 0
    if at is None:
        held = CreditBalance.get_or_none((CreditBalance.user == of) & (CreditBalance.credit_kind_key == key))
        return 0 if held is None else held.balance
    moment = clock.utc(at, "at")
    wait_for_postings(of, key)
    found = place(UNTIL, of, moment, key)
    return 0 if found is None else found[2]


def balances(user: User | int) -> list[CreditBalance]:
    """A user's balances, one for each kind there were credits of: the default kind's first, the others by name.

    Each tells what is `reserved` of it, what has `expired` and is still there, and what is `available`.
    """
    check_tenant()
    select = CreditBalance.select(CreditBalance, CreditKind).join(CreditKind, JOIN.LEFT_OUTER)
    mine = select.where(CreditBalance.user == user_id(user))
    found = list(mine.order_by(CreditKind.name.asc(nulls="FIRST")))
    if any(held.in_lots for held in found):
        _note_expired(found)
    return found


def available(user: User | int, *, kind: CreditKind | int | None = None) -> int:
    """The credits of a kind, or of the default one, that a user can spend now: not reserved, and not expired."""
    of = credit_kind_id(kind)
    return next((held.available for held in balances(user) if held.credit_kind_id == of), 0)


def _note_expired(balances: list[CreditBalance]) -> None:
    ids, at = [held.id for held in balances], clock.now() if clock.is_frozen() else None
    values = {"tenant": current().organization_id, "balances": ids, "set": at}
    expired = dict(current().engine.run_prepared(EXPIRED, values).fetchall())
    for held in balances:
        held.expired = expired.get(held.id, 0)


def statement(user: User | int, start: datetime, end: datetime, *, kind: CreditKind | int | None = None) -> Statement:
    """The statement of a user's credits from `start` on and before `end`; of a span that is over it never changes.

    They are those of a `kind`, or of the default one.
    It waits for what is being posted to the balance, as `balance` does with `at`.

    Raises:
        InvalidDataError: `end` is not after `start`.
    """
    check_tenant()
    of, begins, ends = user_id(user), clock.utc(start, "start"), clock.utc(end, "end")
    if ends <= begins:
        raise InvalidDataError("end", end, "must be after start")
    key = credit_kind_id(kind) or 0
    wait_for_postings(of, key)
    opening, closing = place(BEFORE, of, begins, key), place(BEFORE, of, ends, key)
    if opening is None or closing is None:
        return Statement(of, begins, ends, 0, (), 0)
    between = lines(closing[0], opening[1], closing[1])
    return Statement(of, begins, ends, opening[2], between, closing[2])
