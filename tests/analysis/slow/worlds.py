"""Centres as plain values, how they get into the database, and random ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from rayces_core import Appointment, Database, Organization, Professional, Student, User
from rayces_core.fields.schemas import WEEKDAYS
from tests.factory import make_organization, make_professional, make_resource, make_student, make_user
from tests.scheduling.oracle import blocked_json, schedule_json, utc
from tests.scheduling.random_cases import windows_of_a_day

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STATES = ("draft", "pre_confirmed", "confirmed", "executed", "no_show", "cancelled")
REASONS = ("ill", "expired", "student discharged", "student on leave")

# A zone, and a moment near which its clock changes.
PLACES = [
    ("America/Santiago", utc(2026, 4, 5, 3)),  # 24:00 back to 23:00
    ("America/Santiago", utc(2026, 9, 6, 4)),  # 00:00 on to 01:00
    ("Australia/Lord_Howe", utc(2026, 4, 4, 15)),  # back by half an hour
    ("Australia/Lord_Howe", utc(2026, 10, 3, 15, 30)),
    ("America/Havana", utc(2026, 11, 1, 5)),  # 01:00 back to 00:00: midnight comes twice
    ("Europe/Berlin", utc(2026, 3, 29, 1)),
    ("Pacific/Apia", utc(2011, 12, 30, 10)),  # 30 December never was
    ("America/Argentina/Buenos_Aires", utc(2026, 2, 28, 20)),  # a month's end
    ("Asia/Kathmandu", utc(2026, 1, 10)),
]


@dataclass(frozen=True)
class Person:
    """A professional: windows of each weekday in minutes from midnight, and blocked days."""

    schedule: dict[str, list[tuple[int, int]]]
    blocked: tuple[tuple[date, date], ...] = ()
    active: bool = True
    specialization: str | None = None


@dataclass(frozen=True)
class Session:
    """An appointment; people are numbers. `moved` is when it was moved to where it is."""

    professional: int
    student: int
    client: int
    start: datetime
    minutes: int
    buffer: int
    state: str
    created: datetime
    expires: datetime
    cancelled: datetime | None = None
    was_confirmed: bool = True
    was_held: bool = True
    reason: str = "ill"
    before: int = 0

    @property
    def end(self) -> datetime:
        return self.start + self.minutes * MINUTE

    def is_taking_time(self, now: datetime) -> bool:
        """Whether it takes its professional's time."""
        is_overdue = self.state == "pre_confirmed" and self.expires < now
        return self.state not in ("draft", "cancelled") and not is_overdue


@dataclass
class World:
    """A centre."""

    zone: str
    notice_hours: int
    people: list[Person]
    grades: list[str | None]
    sessions: list[Session]
    first: date
    last: date
    now: datetime
    organization: Any = None
    ids: dict[str, list[int]] = field(default_factory=dict)

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.zone))

    def insert(self, db: Database) -> Organization:
        """Write it as an organization of its own."""
        settings = {"cancellation_notice_hours": self.notice_hours}
        self.organization = make_organization(db, time_zone=self.zone, settings=settings)
        with db.tenant(self.organization), db.atomic():
            professionals = [_professional(person) for person in self.people]
            students = [make_student(grade_level=grade) for grade in self.grades]
            clients, room = [make_user(), make_user()], make_resource()
            self.ids = {
                "professional": [one.user_id for one in professionals],
                "student": [one.id for one in students],
                "client": [one.id for one in clients],
                "room": [room.id],  # of the first professional
            }
            rows = [_row(one, professionals, students, clients) for one in self.sessions]
            for row in rows:
                row["room"] = room if row["professional"] is professionals[0] else None
            if rows:
                Appointment.insert_many(rows).execute()
        return self.organization


def _professional(person: Person) -> Professional:
    return make_professional(
        weekly_schedule=schedule_json(person.schedule),
        blocked_dates=blocked_json(person.blocked),
        active=person.active,
        specialization=person.specialization,
    )


def _row(one: Session, professionals: list[Professional], students: list[Student], clients: list[User]) -> Any:
    confirmed = one.state in ("confirmed", "executed", "no_show") or (one.state == "cancelled" and one.was_confirmed)
    held = one.state != "draft" and (one.state != "cancelled" or one.was_held or one.was_confirmed)
    return {
        "professional": professionals[one.professional],
        "student": students[one.student],
        "client": clients[one.client],
        "scheduled_at": one.start,
        "duration_minutes": one.minutes,
        "buffer_minutes": one.buffer,
        "buffer_before_minutes": one.before,
        "state": one.state,
        "created_at": one.created,
        "pre_confirmed_at": one.created if held else None,
        "expires_at": one.expires if held else None,
        "confirmed_at": one.created if confirmed else None,
        "executed_at": one.end if one.state == "executed" else None,
        "no_show_at": one.end if one.state == "no_show" else None,
        "cancelled_at": one.cancelled if one.state == "cancelled" else None,
        "cancellation_reason": one.reason if one.state == "cancelled" else None,
    }


# -- random ones ------------------------------------------------------------------------------------------------------


@st.composite
def people(draw, around: date):
    day = around + DAY * draw(st.integers(-2, 2))
    off = draw(st.sets(st.sampled_from(WEEKDAYS), max_size=3))
    return Person(
        {weekday: draw(windows_of_a_day()) for weekday in WEEKDAYS if weekday not in off},
        draw(st.sampled_from([(), (), ((day, day),), ((day, day + DAY),)])),
        draw(st.sampled_from([True, True, True, False])),
        draw(st.sampled_from([None, "speech therapy", "psychology"])),
    )


@st.composite
def sessions(draw, professional: int, around: datetime):
    """Sessions of one professional, in order; those that may take time do not overlap."""
    made, at = [], around - DAY * draw(st.integers(1, 4))
    for _ in range(draw(st.integers(0, 6))):
        at += MINUTE * draw(st.one_of(st.integers(0, 40).map(lambda n: 30 * n), st.integers(0, 1500)))
        minutes, buffer = draw(st.sampled_from([15, 45, 60, 90, 480])), draw(st.sampled_from([0, 0, 15, 1440]))
        state = draw(st.sampled_from(STATES))
        before = draw(st.sampled_from([0, 0, 20, 1440]))
        at += MINUTE * before
        created = at - MINUTE * draw(st.sampled_from([-5, 30, 1439, 1440, 4319, 4320, 10080, 20160, 50000]))
        made.append(
            Session(
                professional,
                draw(st.integers(0, 1)),
                draw(st.integers(0, 1)),
                at,
                minutes,
                buffer,
                state,
                created,
                max(created, at - HOUR),
                at - MINUTE * draw(st.sampled_from([-30, 0, 1, 600, 1440, 1441])),
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.sampled_from(REASONS)),
                before,
            )
        )
        # Time that was given back may be taken by the next one, in whole or in part.
        at += MINUTE * (draw(st.integers(0, minutes)) if state in ("draft", "cancelled") else minutes + buffer)
    return made


@st.composite
def worlds(draw):
    zone, change = draw(st.sampled_from(PLACES))
    around = change.replace(minute=0) + HOUR * draw(st.integers(-20, 20))
    count = draw(st.integers(1, 2))
    first = around.date() - DAY * draw(st.integers(0, 4))
    return World(
        zone,
        draw(st.sampled_from([0, 1, 24, 48])),
        [draw(people(around.date())) for _ in range(count)],
        [draw(st.sampled_from([None, "3"])), "4"],
        [session for number in range(count) for session in draw(sessions(number, around))],
        first,
        first + DAY * draw(st.integers(1, 6)),
        around + HOUR * draw(st.integers(-72, 72)),
    )
