"""Writes the demo's centres through the public API, as a host application would.

Rule it guards: a centre that is there already is left alone, so loading twice doubles nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from peewee import fn

from rayces_core import calendars, clock, invoicing, scheduling, sign_in
from rayces_core.database.database import Database
from rayces_core.demo.centres import CENTRES
from rayces_core.demo.days import day_of, monday_of, starts_at
from rayces_core.demo.ledger import buy_credits
from rayces_core.demo.shapes import (
    Absence,
    Centre,
    Child,
    Duplicate,
    Group,
    Offer,
    Profile,
    Session,
    Thing,
    Wait,
    Weekly,
)
from rayces_core.models import (
    AdmissionState,
    Appointment,
    AppointmentState,
    ClosedDay,
    GroupSession,
    Like,
    Organization,
    Post,
    Professional,
    ProfessionalService,
    Resource,
    Role,
    Service,
    Student,
    User,
)
from rayces_core.models.signing_in import Credential
from rayces_core.notices.expiring import make_expiries
from rayces_core.notices.making import make_reminders
from rayces_core.people import merge_users

# The events that lead to each state of an admission, and of an appointment once it is booked.
ADMISSION: dict[AdmissionState, tuple[str, ...]] = {
    AdmissionState.PROSPECT: (),
    AdmissionState.ADMITTED: ("apply", "admit"),
    AdmissionState.ENROLLED: ("apply", "admit", "enroll"),
    AdmissionState.ON_LEAVE: ("apply", "admit", "enroll", "suspend"),
}
# Families are reminded two weeks and a day before a session, and two weeks before credits expire; not at night.
NOTICES = {
    "rules": [
        {"event": event, "minutes_before": days * 24 * 60, "channels": ["email"]}
        for event, days in (("reminder", 14), ("reminder", 1), ("credits_expiring", 14))
    ],
    "quiet_hours": {"start": "22:00", "end": "08:00"},
}
ENDINGS = {AppointmentState.EXECUTED: "execute", AppointmentState.NO_SHOW: "mark_no_show"}


@dataclass
class People:
    """Who was written already, by the names that the data use."""

    users: dict[str, User]
    students: dict[str, Student]
    profiles: dict[str, Professional]
    services: dict[str, Service]

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
    for user in User.select().where(~has_one, User.merged_into.is_null()):
        sign_in.set_password(user, password)


def _fill(organization: Organization, centre: Centre, now: datetime) -> None:
    organization.settings |= {"notices": NOTICES}
    organization.save()
    with clock.frozen(now - timedelta(days=60)):
        people = _write_people(centre)
        for child in centre.children:
            _admit(people, child)
    with clock.frozen(now):  # or the ledger would not believe what was long ago
        for profile in centre.profiles:
            _plan(organization, people.profiles[profile.person], profile, now)
        buy_credits(centre, people.users, people.desk, now)
        for session in centre.sessions:
            _book(organization, people, session, now)
        for weekly in centre.weekly:
            _repeat(organization, people, weekly, now)
        for group in centre.groups:
            _gather(organization, people, group, now)
        for closed in centre.closed:
            ClosedDay.create(day=day_of(organization, closed, now), name=closed.name)
        for thing in centre.things:
            _block(organization, thing, now)
        for absence in centre.absences:
            _ask(organization, people, absence, now)
        for wait in centre.waits:
            _wait(organization, people, wait, now)
        for duplicate in centre.duplicates:
            _merge(people, duplicate, now)
        _invoice(organization, people.desk, now)
        for name in sorted({session.professional for session in centre.sessions}):
            calendars.create_feed(people.users[name])
    make_reminders(now)
    make_expiries(now)
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
        for person in (*centre.people, *(duplicate.person for duplicate in centre.duplicates))
    }
    profiles = {
        profile.person: Professional.create(
            user=users[profile.person],
            title=profile.title,
            specialization=profile.specialization,
            license_number=profile.license_number,
            weekly_schedule=_windows(profile.hours),
            session_duration_minutes=profile.session_minutes,
            buffer_minutes=profile.buffer_minutes,
            session_price_cents=profile.price_cents,
        )
        for profile in centre.profiles
    }
    students = {child.first_name: _write_student(child, users) for child in centre.children}
    for thing in centre.things:
        Resource.create(kind=thing.kind, name=thing.name, features=list(thing.features))
    return People(users, students, profiles, _write_services(centre.offers, profiles))


def _write_services(offers: Sequence[Offer], profiles: dict[str, Professional]) -> dict[str, Service]:
    """The first service of each professional."""
    first: dict[str, Service] = {}
    for offer in offers:
        service = Service.create(
            name=offer.name,
            duration_minutes=offer.minutes,
            price_cents=offer.price_cents,
            currency="ARS",
            colour=offer.colour,
            credits=offer.credits,
            families_may_book=offer.families_may_book,
            room_features=list(offer.room_features),
        )
        for name in offer.professionals:
            ProfessionalService.create(professional=profiles[name], service=service)
            first.setdefault(name, service)
    return first


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


def _plan(organization: Organization, stored: Professional, profile: Profile, now: datetime) -> None:
    """Hours that change: weekly ones from a Monday on, and those of single dates."""
    stored.dated_schedules = [
        {"start": monday_of(organization, now, each.week), "schedule": _windows(each.hours)} for each in profile.later
    ]
    stored.date_overrides = [
        {
            "date": day_of(organization, other, now),
            "windows": [{"start": start, "end": end} for start, end in other.windows],
            "reason": other.reason,
        }
        for other in profile.other_hours
    ]
    stored.save()


def _windows(hours: dict[str, list[tuple[str, str]]]) -> dict[str, list[dict[str, str]]]:
    return {day: [{"start": start, "end": end} for start, end in windows] for day, windows in hours.items()}


def _book(organization: Organization, people: People, session: Session, now: datetime) -> None:
    profile, student = people.profiles[session.professional], people.students[session.child]
    starts = starts_at(organization, session, now)
    # Held some days before, or this morning where it is still to be confirmed.
    still_held = session.state == AppointmentState.PRE_CONFIRMED
    held = now - timedelta(hours=3) if still_held else min(starts - timedelta(days=4), now - timedelta(hours=3))
    appointment = scheduling.book(
        student=student,
        professional=profile,
        client=student.primary_contact or people.desk,
        service=Service.get(name=session.service) if session.service else people.services[session.professional],
        second_professional=people.profiles[session.second] if session.second else None,
        device=Resource.get(name=session.device) if session.device else None,
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


def _repeat(organization: Organization, people: People, weekly: Weekly, now: datetime) -> None:
    student = people.students[weekly.child]
    scheduling.book_series(
        student=student,
        professional=people.profiles[weekly.professional],
        client=student.primary_contact,
        service=people.services[weekly.professional],
        scheduled_at=starts_at(organization, weekly, now),
        count=weekly.count,
        confirm=True,
        by=people.desk,
        now=now - timedelta(hours=2),
    )


def _gather(organization: Organization, people: People, group: Group, now: datetime) -> None:
    made = scheduling.create_group_session(
        professional=people.profiles[group.professional],
        scheduled_at=starts_at(organization, group, now),
        capacity=group.capacity,
        name=group.name,
        room=Resource.get(name=group.room),
        by=people.desk,
        now=now,
    )
    seats = {child: _seat(made, people, child, now) for child in group.children}
    if group.given_up is not None and group.waiting is not None:
        seats[group.given_up].cancel(by=people.desk, reason="Cannot come on that day", now=now)
        _seat(made, people, group.waiting, now)


def _seat(group: GroupSession, people: People, child: str, now: datetime) -> Appointment:
    student = people.students[child]
    guardian = student.primary_contact
    assert guardian is not None  # noqa: S101 - every child of the demonstration has one
    return scheduling.book_group(group, student=student, client=guardian, by=people.desk, now=now)


def _ask(organization: Organization, people: People, absence: Absence, now: datetime) -> None:
    day, profile = day_of(organization, absence, now), people.profiles[absence.professional]
    hours = None if absence.hours is None else dict(zip(("start", "end"), absence.hours, strict=True))
    request = scheduling.request_time_off(profile, day, day, hours=hours, note=absence.note, by=profile.user)
    for event in absence.events:
        getattr(request, event)(by=people.desk, now=now)


def _merge(people: People, duplicate: Duplicate, now: datetime) -> None:
    keep, twice = people.users[duplicate.of], people.users[duplicate.person.name]
    merge_users(keep, twice, by=people.desk, reason=duplicate.reason, now=now)


def _invoice(organization: Organization, desk: User, now: datetime) -> None:
    """Whoever paid in these two months is invoiced: the first one wrongly at first, the last one is still a draft."""
    first, last = ((now - timedelta(days=days)).astimezone(organization.zone).date() for days in (60, 0))
    invoices = [invoicing.draft_invoice(payer, first, last, by=desk) for payer in invoicing.payers_due(first, last)]
    for invoice in invoices[:-1]:
        invoice.issue(by=desk, now=now)
    for wrong in invoices[:-1][:1]:
        invoicing.credit_note(wrong, reason="Made out to the wrong person", by=desk, now=now)


def _wait(organization: Organization, people: People, wait: Wait, now: datetime) -> None:
    student, day = people.students[wait.child], day_of(organization, wait, now)
    guardian = student.primary_contact
    assert guardian is not None  # noqa: S101 - every child of the demonstration has one
    scheduling.request_slot(
        student=student,
        client=guardian,
        professional=people.profiles[wait.professional],
        from_day=day,
        until_day=day,
        from_time=wait.hours[0],
        until_time=wait.hours[1],
        by=guardian,
        now=now,
    )


def _block(organization: Organization, thing: Thing, now: datetime) -> None:
    resource = Resource.get(name=thing.name)
    days = [(day_of(organization, closed, now), closed.name) for closed in thing.blocked]
    resource.blocked_dates = [{"start": day, "end": day, "reason": reason} for day, reason in days]
    resource.save()
