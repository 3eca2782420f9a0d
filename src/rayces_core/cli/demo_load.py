"""Writes the demo's centres through the public API, as a host application would.

Rule it guards: a centre that is there already is left alone, so loading twice doubles nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from rayces_core import clock
from rayces_core.cli.demo_data import CENTRES, Centre, Child, Session
from rayces_core.cli.demo_ledger import post_ledger
from rayces_core.database import Database
from rayces_core.models import (
    AdmissionState,
    Appointment,
    AppointmentState,
    Like,
    Organization,
    Post,
    Professional,
    Role,
    StateTransition,
    Student,
    User,
)

# What led to each state, step by step: event and the state after it.
_HOLD = [("pre_confirm", AppointmentState.PRE_CONFIRMED)]
_CONFIRMED = [*_HOLD, ("confirm", AppointmentState.CONFIRMED)]
WAYS: dict[AppointmentState, list[tuple[str, AppointmentState]]] = {
    AppointmentState.DRAFT: [],
    AppointmentState.PRE_CONFIRMED: _HOLD,
    AppointmentState.CONFIRMED: _CONFIRMED,
    AppointmentState.EXECUTED: [*_CONFIRMED, ("execute", AppointmentState.EXECUTED)],
    AppointmentState.NO_SHOW: [*_CONFIRMED, ("mark_no_show", AppointmentState.NO_SHOW)],
    AppointmentState.CANCELLED: [*_CONFIRMED, ("cancel", AppointmentState.CANCELLED)],
}
_STAMPS = {
    AppointmentState.PRE_CONFIRMED: "pre_confirmed_at",
    AppointmentState.CONFIRMED: "confirmed_at",
    AppointmentState.EXECUTED: "executed_at",
    AppointmentState.NO_SHOW: "no_show_at",
    AppointmentState.CANCELLED: "cancelled_at",
}
_ADMISSION = {"apply": AdmissionState.APPLIED, "admit": AdmissionState.ADMITTED, "enroll": AdmissionState.ENROLLED}


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
    database: Database, centres: Sequence[Centre] = CENTRES, *, now: datetime | None = None
) -> list[Organization]:
    """Make the centres and fill those that are empty, each in one transaction; returns their organizations.

    Args:
        database: migrated.
        centres: what to write.
        now: the moment that "this week" and "ago" are counted from; default: the present.
    """
    moment = now or clock.now()
    organizations = []
    for centre in centres:
        organization = _organization(database, centre)
        with database.tenant(organization), database.atomic():
            if not User.select().exists():
                _fill(organization, centre, moment)
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


def _fill(organization: Organization, centre: Centre, now: datetime) -> None:
    with clock.frozen(now - timedelta(days=60)):
        people = _write_people(centre)
    booked = [_book(organization, people, session, now) for session in centre.sessions]
    post_ledger(centre, people.users, people.desk, booked, now)
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
    came_in = child.admission not in (AdmissionState.PROSPECT, AdmissionState.APPLIED)
    student = Student.create(
        first_name=child.first_name,
        last_name=child.last_name,
        date_of_birth=date.fromisoformat(child.born),
        grade_level=child.grade,
        primary_contact=first,
        secondary_contact=others[0] if others else None,
        educational_notes=child.notes,
        emergency_contacts=[{"name": first.full_name, "relationship": "guardian", "phone": first.phone}],
        admission_state=child.admission,
        admission_date=clock.now().date() if came_in else None,
    )
    if came_in:
        _write_admission(student)
    return student


def _write_admission(student: Student) -> None:
    before = AdmissionState.PROSPECT
    steps = dict(_ADMISSION)
    if student.admission_state == AdmissionState.ADMITTED:
        del steps["enroll"]
    if student.admission_state == AdmissionState.ON_LEAVE:
        steps["suspend"] = AdmissionState.ON_LEAVE
    for days, (event, after) in enumerate(steps.items()):
        _journal(student, event, before, after, clock.now() + timedelta(days=3 * days), None)
        before = after


def _book(organization: Organization, people: People, session: Session, now: datetime) -> Appointment:
    profile, student = people.profiles[session.professional], people.students[session.child]
    starts = _starts_at(organization, session, now)
    moments = _moments(session, starts, now)
    booked_at = min([*moments.values(), now]) - timedelta(minutes=20)
    stamps: dict[str, Any] = {_STAMPS[state]: moment for state, moment in moments.items()}
    if held_at := moments.get(AppointmentState.PRE_CONFIRMED):
        stamps["expires_at"] = min(held_at + timedelta(hours=24), starts)
    if session.state == AppointmentState.CANCELLED:
        stamps |= {"cancelled_by": student.primary_contact, "cancellation_reason": session.reason}
    with clock.frozen(booked_at):
        appointment = Appointment.create(
            professional=profile,
            student=student,
            client=student.primary_contact,
            scheduled_at=starts,
            duration_minutes=profile.session_duration_minutes,
            buffer_minutes=profile.buffer_minutes,
            state=session.state,
            uses_credit=session.paid,
            credits_used=1 if session.paid else 0,
            **stamps,
        )
    before = AppointmentState.DRAFT
    for event, after in WAYS[session.state]:
        _journal(appointment, event, before, after, moments[after], people.desk, session.reason)
        before = after
    return appointment


def _starts_at(organization: Organization, session: Session, now: datetime) -> datetime:
    today = now.astimezone(organization.zone).date()
    day = today - timedelta(days=today.weekday()) + timedelta(weeks=session.week, days=session.day)
    return datetime.combine(day, time.fromisoformat(session.at), organization.zone).astimezone(now.tzinfo)


def _moments(session: Session, starts: datetime, now: datetime) -> dict[AppointmentState, datetime]:
    """When each state on the way was entered: held, confirmed within the day, ended after it began."""
    still_held = session.state == AppointmentState.PRE_CONFIRMED
    held = now - timedelta(hours=3) if still_held else min(starts - timedelta(days=4), now - timedelta(hours=3))
    when = {
        AppointmentState.PRE_CONFIRMED: held,
        AppointmentState.CONFIRMED: held + timedelta(hours=1),
        AppointmentState.EXECUTED: starts + timedelta(minutes=50),
        AppointmentState.NO_SHOW: starts + timedelta(minutes=20),
        AppointmentState.CANCELLED: min(starts - timedelta(days=2), now - timedelta(hours=1)),
    }
    return {state: when[state] for _, state in WAYS[session.state]}


def _journal(
    subject: Appointment | Student,
    event: str,
    before: str,
    after: str,
    at: datetime,
    actor: User | None,
    reason: str | None = None,
) -> None:
    StateTransition.create(
        subject_type=type(subject).__name__,
        subject_id=subject.id,
        event=event,
        from_state=before,
        to_state=after,
        actor=actor,
        reason=reason if event == "cancel" else None,
        occurred_at=at,
    )
