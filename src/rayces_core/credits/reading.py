"""What a user has and had: the balance, now or as of a moment, and the statement of a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rayces_core import clock
from rayces_core.credits.arguments import check_tenant, user_id
from rayces_core.credits.lines import Line, lines
from rayces_core.credits.places import BEFORE, UNTIL, place, wait_for_postings
from rayces_core.errors import InvalidDataError
from rayces_core.models.credit import CreditBalance
from rayces_core.models.user import User


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


def balance(user: User | int, *, at: datetime | None = None) -> int:
    """The credits that a user has, or had at a moment, entries of that very moment included; 0 without a balance.

    With `at` it waits for what is being posted to the balance, since that may bear an earlier moment: what is told of
    the past never changes.
    """
    check_tenant()
    of = user_id(user)
    if at is None:
        held = CreditBalance.get_or_none(CreditBalance.user == of)
        return 0 if held is None else held.balance
    moment = clock.utc(at, "at")
    wait_for_postings(of)
    found = place(UNTIL, of, moment)
    return 0 if found is None else found[2]


def statement(user: User | int, start: datetime, end: datetime) -> Statement:
    """The statement of a user's credits from `start` on and before `end`; of a span that is over it never changes.

    It waits for what is being posted to the balance, as `balance` does with `at`.

    Raises:
        InvalidDataError: `end` is not after `start`.
    """
    check_tenant()
    of, begins, ends = user_id(user), clock.utc(start, "start"), clock.utc(end, "end")
    if ends <= begins:
        raise InvalidDataError("end", end, "must be after start")
    wait_for_postings(of)
    opening, closing = place(BEFORE, of, begins), place(BEFORE, of, ends)
    if opening is None or closing is None:
        return Statement(of, begins, ends, 0, (), 0)
    between = lines(closing[0], opening[1], closing[1])
    return Statement(of, begins, ends, opening[2], between, closing[2])
