"""What a user has and had: the balance, now or as of a moment, and the statement of a span of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import fn

from rayces_core import clock
from rayces_core.credits.arguments import check_tenant, user_id
from rayces_core.errors import InvalidDataError
from rayces_core.models.credit import CreditBalance, CreditTransaction, TransactionStatus
from rayces_core.models.user import User


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of a statement, and the balance after it within the statement."""

    entry: CreditTransaction
    balance: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What moved a user's credits from `start` on and before `end`: balances in whole credits, lines in order."""

    user_id: int
    start: datetime
    end: datetime
    opening_balance: int
    lines: tuple[Line, ...]
    closing_balance: int


def balance(user: User | int, *, at: datetime | None = None) -> int:
    """The credits that a user has, or had at a moment, entries of that very moment included; 0 without a balance."""
    check_tenant()
    of = user_id(user)
    if at is None:
        held = CreditBalance.get_or_none(CreditBalance.user == of)
        return 0 if held is None else held.balance
    return _sum(of, CreditTransaction.processed_at <= clock.utc(at, "at"))


def statement(user: User | int, start: datetime, end: datetime) -> Statement:
    """The statement of a user's credits from `start` on and before `end`.

    Raises:
        InvalidDataError: `end` is not after `start`.
    """
    check_tenant()
    of, begins, ends = user_id(user), clock.utc(start, "start"), clock.utc(end, "end")
    if ends <= begins:
        raise InvalidDataError("end", end, "must be after start")
    opening = _sum(of, CreditTransaction.processed_at < begins)
    within = (CreditTransaction.processed_at >= begins) & (CreditTransaction.processed_at < ends)
    lines, running = [], opening
    for entry in _completed(of, within).order_by(CreditTransaction.processed_at, CreditTransaction.sequence):
        running += entry.amount
        lines.append(Line(entry, running))
    return Statement(of, begins, ends, opening, tuple(lines), running)


def _completed(of: int, condition: Any) -> Any:
    own = (CreditTransaction.user == of) & (CreditTransaction.status == TransactionStatus.COMPLETED)
    return CreditTransaction.select().where(own & condition)


def _sum(of: int, condition: Any) -> int:
    total = _completed(of, condition).select(fn.COALESCE(fn.SUM(CreditTransaction.amount), 0)).scalar()
    return int(total)
