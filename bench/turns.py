"""`python -m bench.turns`: does what standard input asks for, by the rayces_core it finds, and tells how long it took.

`bench.trees` runs one with each tree, so nothing here is newer than the oldest that is asked, except behind HAS_ALL.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg2

import rayces_core
from rayces_core import Database, Professional, Role, Student, User, credits, models, scheduling

NOW: Final = datetime(2031, 3, 1, tzinfo=UTC)
DAY: Final = datetime(2031, 3, 3, tzinfo=UTC)
DAYS, HOURS = 30, range(9, 17)
PROFESSIONALS, FAMILIES, BOOKED, AT_ONCE = 200, 40, 600, 80
EACH_DAY: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SCHEDULE: Final = {day: [{"start": "09:00", "end": "17:00"}] for day in EACH_DAY}
# Services, rooms and the hours of single dates came with migrations 044, 048 and 053.
HAS_ALL: Final = hasattr(models, "Resource") and hasattr(Professional, "date_overrides")


class Centre:
    """A centre of two hundred professionals, some of whose time is taken, and what is asked of it."""

    def __init__(self) -> None:
        users = (
            User.create(email=f"p{n}@example.org", first_name="Ana", last_name="Paz", role=Role.PROFESSIONAL)
            for n in range(PROFESSIONALS)
        )
        self._professionals = [
            Professional.create(
                user=user, title="Lic.", specialization="speech", weekly_schedule=SCHEDULE, buffer_minutes=0
            )
            for user in users
        ]
        self._families = [_family(number) for number in range(FAMILIES)]
        self._booked = 0
        self._book(BOOKED)
        self._asked: dict[str, Any] = {}
        if HAS_ALL:
            self._asked = self._with_all()

    def _with_all(self) -> dict[str, Any]:
        """Twenty rooms, half of which will do, a service that everybody gives there, and a shorter last day."""
        for number in range(20):
            models.Resource.create(kind="room", name=f"room {number}", features=["mirror"] if number % 2 else [])
        service = models.Service.create(name="speech therapy", duration_minutes=60, room_features=["mirror"])
        override = {
            "date": str((DAY + timedelta(days=DAYS - 1)).date()),
            "windows": [{"start": "10:00", "end": "15:00"}],
        }
        for professional in self._professionals:
            models.ProfessionalService.create(professional=professional, service=service)
            professional.date_overrides = [override]
            professional.save()
        return {"service": service.id}

    def _book(self, number: int, **how: Any) -> None:
        for _ in range(number):
            hour, one = divmod(self._booked, FAMILIES)
            (client, student), (day, hour) = self._families[one], divmod(hour, len(HOURS))
            begins = DAY + timedelta(days=day, hours=HOURS[hour])
            self._booked += 1
            whose = self._professionals[self._booked % PROFESSIONALS].user_id
            scheduling.book(professional=whose, student=student, client=client, scheduled_at=begins, now=NOW, **how)

    def _slots(self, **asked: Any) -> None:
        ids = [professional.user_id for professional in self._professionals]
        scheduling.find_slots(DAY, DAY + timedelta(days=DAYS), professionals=ids, now=NOW, **asked)

    def _debit(self) -> None:
        for number in range(AT_ONCE):
            credits.debit(self._families[number % FAMILIES][0], 1)

    def operations(self) -> dict[str, Callable[[], None]]:
        """What can be asked for; a tree without services, rooms and overrides lists what it has."""
        return {
            "free slots": self._slots,
            "free slots with a service, rooms and overrides": lambda: self._slots(**self._asked),
            "book": lambda: self._book(AT_ONCE),
            "book on credit": lambda: self._book(AT_ONCE, uses_credit=True),
            "debit": self._debit,
        }


def _family(number: int) -> tuple[User, Student]:
    client = User.create(email=f"f{number}@example.org", first_name="Eva", last_name="Sosa")
    credits.purchase(client, 100_000)
    return client, Student.create(first_name="Luz", last_name=f"Sosa {number}", primary_contact=client)


def _analyze(url: str) -> None:
    """Have the planner know the tables, as autovacuum does within minutes; else it takes any index for as good."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("ANALYZE")


def main() -> None:
    """Say where the library lies; then answer each line with seconds."""
    with Database.embedded() as db:
        db.migrate()
        organization = db.create_organization(
            name="Centre", subdomain="centre", time_zone="UTC", settings={"booking_window_days": 400}
        )
        with db.tenant(organization):
            operations = Centre().operations()
        _analyze(db.admin_url)
        with db.tenant(organization):
            print(rayces_core.__file__, flush=True)
            for line in sys.stdin:
                began = time.perf_counter()
                operations[line.strip()]()
                print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
