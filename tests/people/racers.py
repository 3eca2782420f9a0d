"""What processes that race for people do with the row they are given; a process finds these by name."""

from datetime import timedelta
from typing import Any

from rayces_core import Appointment, Database, Professional, Role, Student, User, credits, people, scheduling
from rayces_core.database.binding import current
from tests.citus.suite import url_of


def desk() -> User:
    return User.get(User.role == Role.STAFF)


def merge(duplicate: User) -> None:
    people.merge_users(User.get(User.first_name == "Keep"), duplicate, by=desk())


def merge_crossed(duplicate: User) -> None:
    people.merge_users(duplicate, User.get(User.first_name == "Keep"), by=desk())


def buy(duplicate: User) -> None:
    credits.purchase(duplicate, 3)


def spend(duplicate: User) -> None:
    credits.debit(duplicate, 1)


def book(duplicate: User) -> Any:
    taken = Appointment.select().count()
    return scheduling.book(
        student=Student.get(),
        professional=Professional.get(),
        client=duplicate,
        scheduled_at=Appointment.get().scheduled_at + timedelta(days=1, hours=taken),
        override_schedule=True,
        override_window=True,
        by=desk(),
    )


def erase(user: User) -> None:
    binding = current()
    with Database.connect(url_of(binding.engine.dsn)) as db, db.tenant(binding.organization_id):
        people.erase_user(db, user.id, by=desk(), cancel=True, forfeit=True)


def write(user: User) -> None:
    User.update(phone="11 4000 0000").where(User.id == user.id).execute()
