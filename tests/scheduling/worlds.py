"""A centre to book at: a professional with hours, a student whose contact is the client, and staff.

`refused` guards what every refusal must keep: nothing is written, and the caller's transaction goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    AppointmentSeries,
    Database,
    Organization,
    Professional,
    Role,
    StateTransition,
    Student,
    User,
)
from rayces_core.database.binding import current
from rayces_core.scheduling import book, reschedule
from tests.factory import make_organization, make_professional, make_student, make_user, rows_of
from tests.nodes import WAITING
from tests.patience import wait_until
from tests.scheduling.oracle import hours, schedule_json, utc

NOW = utc(2031, 3, 1)
DAY = utc(2031, 3, 3)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
INSTANT = timedelta(microseconds=1)
NINE_TO_FIVE = schedule_json(hours((9, 17)))
ALWAYS = schedule_json(hours((0, 24)))


def minute_after(moment: datetime) -> datetime:
    """The first whole minute that comes after it."""
    return moment.replace(second=0, microsecond=0) + MINUTE


def at(hour: float, day: int = 0) -> datetime:
    """That hour of the first day in UTC, or of a day after it."""
    return DAY + timedelta(days=day) + hour * HOUR


@dataclass(frozen=True)
class Centre:
    """An organization that is bound, and its people."""

    db: Database
    organization: Organization
    professional: Professional
    student: Student
    client: User
    staff: User

    def wanted(self, scheduled_at: Any = DAY + 10 * HOUR, **changes: Any) -> dict[str, Any]:
        """The arguments of a booking that nothing stands in the way of."""
        usual = {"student": self.student, "professional": self.professional, "client": self.client, "now": NOW}
        return usual | {"scheduled_at": scheduled_at} | changes

    def book(self, scheduled_at: Any = DAY + 10 * HOUR, **changes: Any) -> Appointment:
        return book(**self.wanted(scheduled_at, **changes))

    def book_for_another(self, scheduled_at: datetime, **changes: Any) -> Appointment:
        """A booking of the same professional by another family."""
        return self.book(scheduled_at, **(another_family() | changes))

    def settings(self, **settings: Any) -> None:
        """Replace the organization's settings."""
        self.organization.settings = settings
        self.organization.save()

    def rows(self) -> dict[str, Any]:
        """Every appointment, series and journal row."""
        return rows_of(Appointment, AppointmentSeries, StateTransition)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Fails if an appointment or the journal differs afterwards."""
        before = self.rows()
        yield
        assert self.rows() == before

    def refused(self, error: type[Exception], deed: Callable[..., object] | None = None, **asked: Any) -> Any:
        """The error of a booking (or another deed): nothing is written, in a transaction of the caller's too."""
        deed = deed or self.book
        with self.untouched():
            with self.db.atomic():
                with pytest.raises(error) as within:
                    deed(**asked)
                assert self.db.execute_sql("SELECT 1").fetchone() == (1,)
            with pytest.raises(error) as alone:
                deed(**asked)
        assert type(alone.value) is type(within.value) is error
        assert str(alone.value) == str(within.value)
        return alone.value


@contextmanager
def open_centre(db: Database, *, settings: dict[str, Any] | None = None, zone: str = "UTC", **columns: Any) -> Any:
    """A centre of its own; `columns` are the professional's, who works from nine to five without a buffer."""
    with db.tenant(make_organization(db, time_zone=zone, settings=settings or {})) as organization:
        client = make_user()
        yield Centre(
            db,
            organization,
            make_working(**columns),
            make_student(primary_contact=client, admission_state="enrolled"),
            client,
            make_user(role=Role.STAFF),
        )


def make_working(**columns: Any) -> Professional:
    """A professional who works from nine to five every day, without a buffer."""
    return make_professional(**({"weekly_schedule": NINE_TO_FIVE, "buffer_minutes": 0} | columns))


def another_family() -> dict[str, Any]:
    """A student and a client who have nothing to do with others."""
    client = make_user()
    return {"student": make_student(primary_contact=client, admission_state="enrolled"), "client": client}


def moving(appointment: Appointment, **changes: Any) -> Callable[..., Appointment]:
    """The deed of moving that appointment, for `refused`."""

    def move(scheduled_at: datetime, **options: Any) -> Appointment:
        return reschedule(appointment, scheduled_at, **({"now": NOW} | changes | options))

    return move


def noted(appointment: Appointment) -> list[tuple[str, str, str]]:
    """What the journal says of an appointment."""
    return [(row.event, row.from_state, row.to_state) for row in appointment.history()]


class Other:
    """A deed done meanwhile, in another thread with a connection of its own."""

    def __init__(self, db: Database, organization: Organization, deed: Callable[[], Any]) -> None:
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=(db, organization, deed))
        self._thread.start()

    def _run(self, db: Database, organization: Organization, deed: Callable[[], Any]) -> None:
        with db.tenant(organization):
            try:
                self.result = deed()
            except Exception as error:
                self.result = error

    def wait_until_blocked(self) -> None:
        """Wait until a session waits for a lock."""
        wait_until(lambda: _blocked() or not self._thread.is_alive())
        assert self._thread.is_alive(), f"it did not wait: {self.result!r}"

    def finish(self) -> Any:
        """Wait for its end; gives what it returned or raised."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.result


def _blocked() -> bool:
    return bool(current().engine.execute_sql(WAITING).fetchone()[0])
