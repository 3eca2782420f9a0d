"""What tests ask of the ledger: its rows, its figures, and whether anything was written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from rayces_core import Appointment, CreditBalance, CreditTransaction, StateTransition, credits
from tests.factory import make_appointment, rows_of

NOW = datetime.fromisoformat("2031-02-03T15:00Z")


def figures(user: Any) -> tuple[int, int, int]:
    """Balance, lifetime_purchased and lifetime_used of a user; zeros without a balance."""
    held = CreditBalance.get_or_none(CreditBalance.user == user)
    return (0, 0, 0) if held is None else (held.balance, held.lifetime_purchased, held.lifetime_used)


def entries(user: Any) -> list[CreditTransaction]:
    """Every entry of a user, the first one first."""
    return list(CreditTransaction.select().where(CreditTransaction.user == user).order_by(CreditTransaction.id))


def amounts(user: Any) -> list[int]:
    return [entry.amount for entry in entries(user)]


def picture() -> dict[str, list[str]]:
    """Every row that the ledger or a lifecycle writes for the bound tenant."""
    return rows_of(CreditBalance, CreditTransaction, Appointment, StateTransition)


@contextmanager
def nothing_written() -> Iterator[None]:
    """Fails if a row of the bound tenant differs afterwards; balances that were opened empty do not count."""
    before = picture()
    yield
    after = picture()
    opened = set(after["CreditBalance"]) - set(before["CreditBalance"])
    assert all('"balance": 0' in row and '"last_sequence": null' in row for row in opened)
    after["CreditBalance"] = [row for row in after["CreditBalance"] if row not in opened]
    assert after == before


@contextmanager
def still_usable(db: Any, user: Any) -> Iterator[None]:
    """A unit of work in which something is refused; what comes before and after the refusal is kept."""
    before = credits.balance(user)
    with db.atomic():
        credits.purchase(user, 1)
        yield
        credits.purchase(user, 1)
    assert credits.balance(user) == before + 2


@contextmanager
def statements(db: Any) -> Iterator[list[str]]:
    """The SQL that is sent meanwhile."""
    sent: list[str] = []

    def note(event: Any) -> None:
        sent.append(event.sql)

    db.engine.query_hooks.append(note)
    try:
        yield sent
    finally:
        db.engine.query_hooks.remove(note)


def held_appointment(client: Any, cost: int = 1, **columns: Any) -> Appointment:
    """An appointment of `client` that waits for its confirmation and costs credits."""
    appointment = make_appointment(client=client, uses_credit=True, credits_used=cost, **columns)
    appointment.pre_confirm(now=early(appointment))
    return appointment


def early(appointment: Appointment, **before: int) -> datetime:
    """A moment well ahead of an appointment."""
    return appointment.scheduled_at - timedelta(**(before or {"days": 3}))


def confirmed(client: Any, cost: int = 1, **columns: Any) -> Appointment:
    """An appointment of `client` that was confirmed, and so paid."""
    appointment = held_appointment(client, cost, **columns)
    appointment.confirm(now=early(appointment, days=2))
    return appointment


def as_stored(row: Any) -> dict[str, Any]:
    """All columns of a row as the database has them."""
    return dict(type(row).get_by_id(row.id).__data__)


def without_reserving(organization: Any) -> None:
    """Have what waits for its confirmation reserve nothing from now on."""
    organization.settings = dict(organization.settings or {}) | {"reserve_credits": False}
    organization.save()
