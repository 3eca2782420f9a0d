"""What processes that race for the ledger do with the row they are given; a process finds these by name."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from rayces_core import (
    CreditKind,
    CreditPackage,
    CreditTransaction,
    Professional,
    Student,
    TransactionFailedError,
    User,
    clock,
    credits,
    scheduling,
)


def complete(entry: CreditTransaction) -> None:
    credits.complete(entry)


def fail(entry: CreditTransaction) -> None:
    credits.fail(entry, "no funds")


def refund(appointment: Any) -> None:
    credits.refund(appointment)


def refund_one(appointment: Any) -> None:
    credits.refund(appointment, credits=1)


def expire(appointment: Any) -> None:
    appointment.expire(now=appointment.scheduled_at + timedelta(days=1))


def debit_for(appointment: Any) -> None:
    credits.debit(appointment.client_id, 2, appointment=appointment)


def confirm(appointment: Any) -> None:
    appointment.confirm(now=appointment.scheduled_at - timedelta(days=2))


def cancel(appointment: Any) -> None:
    appointment.cancel(reason="ill", now=appointment.scheduled_at - timedelta(days=2))


def cancel_with_refund(appointment: Any) -> None:
    appointment.cancel(reason="ill", refund=True, now=appointment.scheduled_at - timedelta(minutes=1))


def take_one(user: User) -> None:
    credits.debit(user, 1)


def expire_lots(_: User) -> None:
    credits.expire_lots()


def reserve_holds(_: Any) -> None:
    credits.reserve_holds()


def take_one_back(entry: CreditTransaction) -> None:
    credits.take_back(entry, credits=1, reason="the payment went back")


def buy_a_package(user: User) -> None:
    credits.purchase_package(user, CreditPackage.get(), idempotency_key=f"package of {user.id}")


def change_the_package(entry: CreditTransaction) -> None:
    sold = CreditPackage.id == entry.credit_package_id
    CreditPackage.update(valid_days=1, credits=99, name=f"Changed {entry.id}", active=False).where(sold).execute()


# What a package is by turns: credits, price, name, and until when they hold.
VERSIONS = (
    {"credits": 5, "price_cents": 500, "name": "Five", "valid_days": 30, "valid_until": None},
    {"credits": 9, "price_cents": 900, "name": "Nine", "valid_days": None, "valid_until": date(2040, 1, 1)},
)


def turn_the_package(_: User) -> None:
    for version in VERSIONS * 5:
        CreditPackage.update(version).execute()


def note_a_package(user: User) -> None:
    for _ in range(5):
        credits.purchase_package(user, CreditPackage.get(), pending=True)


def take_one_of_a_kind(user: User) -> None:
    credits.debit(user, 1, kind=CreditKind.get())


def take_one_of_many(user: User) -> None:
    credits.debit_many([{"user": user, "credits": 1}])


def buy_with_key(user: User) -> None:
    credits.purchase(user, 5, idempotency_key=f"key of {user.id}")


def buy_many_with_key(user: User) -> None:
    credits.purchase_many([{"user": user, "credits": 5, "idempotency_key": f"key of {user.id}"}])


def webhook(user: User) -> None:
    paid = {"payment_method": "mp", "payment_reference": f"payment of {user.id}"}
    credits.complete(credits.purchase(user, 5, pending=True, **paid))


def webhook_in_a_unit_of_work(user: User) -> None:
    from rayces_core.database.binding import current

    for _ in range(5):
        with contextlib.suppress(TransactionFailedError), current().engine.atomic():
            return webhook(user)
    raise TimeoutError("five units of work were in the way")


@dataclass(frozen=True)
class Giving:
    """Give a credit of the user raced for to another, or take one from there, many times."""

    other: int
    by: int
    takes: bool = False

    def __call__(self, user: User) -> None:
        desk = User.get_by_id(self.by)
        pair = (self.other, user.id) if self.takes else (user.id, self.other)
        for _ in range(25):
            credits.transfer(*pair, 1, reason="siblings", by=desk)


@dataclass(frozen=True)
class Buying:
    """Buy with one key for the user of this id, whomever is raced for."""

    user: int

    def __call__(self, user: User) -> None:
        credits.purchase(self.user, 5, idempotency_key=f"shared key {user.id}")


def click(number: int, user: User) -> None:
    """A booking with the professional and the student of that number, on a day of its own."""
    professional = Professional.select().order_by(Professional.id)[number]
    start = clock.now().replace(hour=4, minute=0, second=0, microsecond=0) + timedelta(days=2 + number)
    student = Student.select().order_by(Student.id)[number]
    # Several rows are raced for one after the other, at hours of their own.
    start += timedelta(hours=3 * (user.id % 7))
    people = {"student": student, "professional": professional, "client": user}
    scheduling.book(scheduled_at=start, uses_credit=True, **people)


def take_from_its_client(appointment: Any) -> None:
    credits.debit(appointment.client_id, 1)


def pay_by_hand(appointment: Any) -> None:
    credits.debit(appointment.client_id, 1, appointment=appointment)


def sweep_late(_: User) -> None:
    scheduling.expire_overdue(clock.now() + timedelta(days=3660))
