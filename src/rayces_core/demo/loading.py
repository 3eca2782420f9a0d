"""Writes the demo's centres through the public API, as a host application would.

Rule it guards: a centre that is there already is left alone, so loading twice doubles nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from peewee import fn

from rayces_core import clock, scheduling, sign_in
from rayces_core.database.database import Database
from rayces_core.demo.centres import CENTRES, Centre, Child, Session
from rayces_core.demo.ledger import buy_credits
from rayces_core.models import (
    AdmissionState,
    AppointmentState,
    Like,
    Organization,
    Post,
    Professional,
    Role,
    Student,
    User,
)
from rayces_core.models.signing_in import Credential

# The events that lead to each state of an admission, and of an appointment once it is booked.
ADMISSION: dict[AdmissionState, tuple[str, ...]] = {
    AdmissionState.PROSPECT: (),
    AdmissionState.ADMITTED: ("apply", "admit"),
    AdmissionState.ENROLLED: ("apply", "admit", "enroll"),
    AdmissionState.ON_LEAVE: ("apply", "admit", "enroll", "suspend"),
}
ENDINGS = {AppointmentState.EXECUTED: "execute", AppointmentState.NO_SHOW: "mark_no_show"}


@dataclass
class People:
    """Who was written already, by the names that the data use."""

    users: dict[str, User]
    students: dict[str, Student]
    profiles: dict[str, Professional]

    @property
    def desk(self) -> User:
        """The member of staff who acts where no other does."""
        return next(user for user in self.users.values() if user.role == Role.STAFF)


def load_centres(
    database: Database,
    centres: Sequence[Centre] = CENTRES,
    *,
    now: datetime | None = None,
    password: str | None = None,
) -> list[Organization]:
    """Make the centres and fill those that are empty, each in one transaction; returns their organizations.

    Args:
        database: migrated.
        centres: what to write.
        now: the moment that "this week" and "ago" are counted from; default: the present.
        password: whoever has none yet may sign in by this one (extra `sign-in`); None gives nobody one.

    Raises:
        InvalidDataError: the password is too short.
    """
    moment = now or clock.now()
    organizations = []
    for centre in centres:
        organization = _organization(database, centre)
        with database.tenant(organization), database.atomic():
            if not User.select().exists():
                _fill(organization, centre, moment)
            if password is not None:
                _let_in(password)
        organizations.append(organization)
    return organizations


def _organization(database: Database, centre: Centre) -> Organization:
    with database.privileged(reason="rayces demo"):
        found = Organization.get_or_none(Organization.subdomain == centre.subdomain)
    return found or database.create_organization(
        centre.name,
        subdomain=centre.subdomain,
        email=f"hola@{centre.subdomain}.example.org",
        phone=centre.phone,
        address=centre.address,
        settings={"cancellation_notice_hours": 24},
    )


def _let_in(password: str) -> None:
    has_one = fn.EXISTS(Credential.select(Credential.id).where(Credential.user == User.id))
    for user in User.select().where(~has_one):
        sign_in.set_password(user, password)


def _fill(organization: Organization, centre: Centre, now: datetime) -> None:
    with clock.frozen(now - timedelta(days=60)):
        people = _write_people(centre)
        for child in centre.children:
            _admit(people, child)
    with clock.frozen(now):  # or the ledger would not believe what was long ago
        buy_credits(centre, people.users, people.desk, now)
        for session in centre.sessions:
            _book(organization, people, session, now)
    for days_ago, message in enumerate(reversed(centre.messages), start=1):
        with clock.frozen(now - timedelta(days=days_ago)):
            post = Post.create(user=people.users[message.author], content=message.content)
            for liker in message.likes:
                Like.create(user=people.users[liker], post=post)


def _write_people(centre: Centre) -> People:
    users = {
        person.name: User.create(
            email=f"{person.name}@{centre.subdomain}.example.org",
            first_name=person.first_name,
            last_name=person.last_name,
            role=person.role,
            phone=person.phone,
        )
        for person in centre.people
    }
    profiles = {
        profile.person: Professional.create(
            user=users[profile.person],
            title=profile.title,
            specialization=profile.specialization,
            license_number=profile.license_number,
            weekly_schedule={
                day: [{"start": start, "end": end} for start, end in windows] for day, windows in profile.hours.items()
            },
            session_duration_minutes=profile.session_minutes,
            buffer_minutes=profile.buffer_minutes,
            session_price_cents=profile.price_cents,
        )
        for profile in centre.profiles
    }
    students = {child.first_name: _write_student(child, users) for child in centre.children}
    return People(users, students, profiles)


def _write_student(child: Child, users: dict[str, User]) -> Student:
    first, *others = (users[name] for name in child.contacts)
    return Student.create(
        first_name=child.first_name,
        last_name=child.last_name,
        date_of_birth=date.fromisoformat(child.born),
        grade_level=child.grade,
        primary_contact=first,
        secondary_contact=others[0] if others else None,
        educational_notes=child.notes,
        emergency_contacts=[{"name": first.full_name, "relationship": "guardian", "phone": first.phone}],
    )


def _admit(people: People, child: Child) -> None:
    for days, event in enumerate(ADMISSION[child.admission]):
        admission = getattr(people.students[child.first_name], event)
        admission(by=people.desk, now=clock.now() + timedelta(days=3 * days))


def _book(organization: Organization, people: People, session: Session, now: datetime) -> None:
    profile, student = people.profiles[session.professional], people.students[session.child]
    starts = _starts_at(organization, session, now)
    # Held some days before, or this morning where it is still to be confirmed.
    still_held = session.state == AppointmentState.PRE_CONFIRMED
    held = now - timedelta(hours=3) if still_held else min(starts - timedelta(days=4), now - timedelta(hours=3))
    appointment = scheduling.book(
        student=student,
        professional=profile,
        client=student.primary_contact or people.desk,
        scheduled_at=starts,
        uses_credit=session.paid,
        draft=session.state == AppointmentState.DRAFT,
        by=people.desk,
        now=held,
    )
    if session.state not in (AppointmentState.DRAFT, AppointmentState.PRE_CONFIRMED):
        appointment.confirm(by=student.primary_contact, now=held + timedelta(hours=1))
    if session.state == AppointmentState.CANCELLED:
        cancelled = min(starts - timedelta(days=2), now - timedelta(hours=1))
        appointment.cancel(by=people.desk, reason=session.reason, now=cancelled)
    elif session.state in ENDINGS:
        end = getattr(appointment, ENDINGS[session.state])
        end(by=profile.user, now=starts + timedelta(minutes=50))


def _starts_at(organization: Organization, session: Session, now: datetime) -> datetime:
    today = now.astimezone(organization.zone).date()
    day = today - timedelta(days=today.weekday()) + timedelta(weeks=session.week, days=session.day)
    return datetime.combine(day, time.fromisoformat(session.at), organization.zone).astimezone(now.tzinfo)
