"""The desk: today's sessions, booking, moving and substituting, rooms and devices, admissions, a sheet of students."""

import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response, UploadFile

from centre.pages import Day, PageRoute, back, bookable, known_students, local_moment, page, words_of
from centre.web import db, rayces
from rayces_core import (
    Appointment,
    Professional,
    Resource,
    Role,
    Service,
    Student,
    User,
    importing,
    scheduling,
)
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Admission = Literal["apply", "waitlist", "admit", "enroll", "suspend", "resume", "discharge", "reject", "reapply"]
NEED_REASON = ("reject", "discharge")


@router.get("/desk")
def desk(request: Request, me: Staff, day: Day | None = None) -> Response:
    organization = organization_of(request.scope)
    chosen = day or datetime.now(organization.zone).date()
    sessions = Appointment.visible_to(me).starting(*organization.local_days(chosen)).with_people()
    return page(
        request,
        "desk.html",
        me,
        day=chosen,
        earlier=chosen - timedelta(days=1),
        later=chosen + timedelta(days=1),
        sessions=[(session, session.available_events(by=me)) for session in sessions],
        professionals=list(Professional.select(Professional, User).join(User).where(Professional.active)),
        rooms=resources("room"),
        devices=resources("device"),
        services=list(Service.select().where(Service.active).order_by(Service.name)),
        students=list(bookable(me).order_by(Student.first_name)),
    )


def resources(kind: str) -> list[Resource]:
    """The rooms or the devices that are booked."""
    return list(Resource.select().where(Resource.kind == kind, Resource.active).order_by(Resource.name))


@router.post("/desk/sessions")
def take(
    request: Request,
    me: Staff,
    student: Annotated[int, Form()],
    professional: Annotated[int, Form()],
    when: Annotated[str, Form()],
    room: Annotated[int, Form(ge=0)],
    key: Annotated[str, Form(min_length=8, max_length=64)],
    service: Annotated[int, Form(ge=0)] = 0,
    second_professional: Annotated[int, Form(ge=0)] = 0,
    device: Annotated[int, Form(ge=0)] = 0,
    uses_credit: Annotated[bool, Form()] = False,
) -> Response:
    child, start = Student.visible_to(me).where(Student.id == student).get(), local_moment(request, when)
    booked = scheduling.book(
        student=child,
        professional=professional,
        client=child.primary_contact,
        scheduled_at=start,
        service=service or None,
        second_professional=second_professional or None,
        room=room or None,
        device=device or None,
        uses_credit=uses_credit,
        by=me,
        idempotency_key=f"{me.id}:{key}",
    )
    given = booked.room.name if booked.room_id else words_of(request)("no_room")
    told = words_of(request)("booked_at_desk", room=given)
    return back(f"/desk?day={start.date()}", told)


@router.post("/desk/sessions/{session_id}/move")
def move(
    request: Request,
    me: Staff,
    session_id: int,
    when: Annotated[str, Form()],
    professional: Annotated[int, Form()],
    key: Annotated[str, Form(min_length=8, max_length=64)],
    room: Annotated[int | None, Form(ge=0)] = None,
) -> Response:
    session = Appointment.visible_to(me).where(Appointment.id == session_id).get()
    start = local_moment(request, when)
    given = {"professional": professional, "by": me} | ({} if room is None else {"room": room or None})
    scheduling.reschedule(session, start, idempotency_key=f"{me.id}:{key}", **given)
    return back(f"/desk?day={start.date()}", words_of(request)("moved"))


@router.get("/rooms")
def rooms(request: Request, me: Staff) -> Response:
    things = Resource.visible_to(me).order_by(Resource.kind.desc(), Resource.name)
    return page(request, "rooms.html", me, things=list(things))


@router.post("/rooms")
def add_room(
    request: Request,
    me: Staff,
    kind: Annotated[Literal["room", "device"], Form()],
    name: Annotated[str, Form(max_length=200)],
    features: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    words = [word for word in features.split(",") if word.strip()]
    Resource.create(kind=kind, name=name.strip(), features=words)
    return back("/rooms", words_of(request)("saved"))


@router.post("/rooms/{resource_id}/blocked")
def block(
    request: Request,
    me: Staff,
    resource_id: int,
    day: Annotated[date, Form(ge=date(2000, 1, 1), le=date(2200, 1, 1))],
    start: Annotated[str, Form(max_length=5)] = "",
    end: Annotated[str, Form(max_length=5)] = "",
) -> Response:
    period = {"start": day, "end": day} | ({"hours": {"start": start, "end": end}} if start or end else {})
    with db.atomic():
        resource = locked(me, resource_id)
        resource.blocked_dates = [*resource.blocked_dates, period]
        resource.save()
        hits = resource.hits()
    return back("/rooms", words_of(request)("room_blocked", hit=len(hits.appointments) + len(hits.groups)))


def locked(me: User, resource_id: int) -> Resource:
    """The row, of which two who change it at once have one after the other."""
    found: Resource = Resource.visible_to(me).where(Resource.id == resource_id).for_update().get()
    return found


@router.post("/rooms/{resource_id}/unblocked")
def unblock(
    request: Request,
    me: Staff,
    resource_id: int,
    day: Annotated[date, Form(ge=date(2000, 1, 1), le=date(2200, 1, 1))],
    start: Annotated[str, Form(max_length=5)] = "",
) -> Response:
    """Take away the block that begins on a day, and at an hour of it where it is not the whole day."""
    with db.atomic():
        resource = locked(me, resource_id)
        kept = [each for each in resource.blocked_dates if begins(each) != (day.isoformat(), start)]
        resource.blocked_dates = kept
        resource.save()
    return back("/rooms", words_of(request)("saved"))


def begins(period: dict[str, Any]) -> tuple[str, str]:
    return period["start"], (period.get("hours") or {}).get("start", "")


@router.post("/rooms/{resource_id}")
def open_or_close(request: Request, me: Staff, resource_id: int, active: Annotated[bool, Form()] = False) -> Response:
    with db.atomic():
        resource = locked(me, resource_id)
        resource.active = active
        resource.save()
    return back("/rooms", words_of(request)("saved"))


@router.get("/students")
def students(request: Request, me: Staff) -> Response:
    found = known_students(me).order_by(Student.last_name, Student.first_name)
    return page(request, "students.html", me, students=[(each, each.available_events(by=me)) for each in found])


@router.post("/students/{student_id}/{event}")
def admission(request: Request, me: Staff, student_id: int, event: Admission) -> Response:
    student = Student.visible_to(me).where(Student.id == student_id).get()
    getattr(student, event)(by=me, **({"reason": words_of(request)(event)} if event in NEED_REASON else {}))
    return back("/students", words_of(request)("done_admission"))


@router.get("/import")
def sheet(request: Request, me: Staff) -> Response:
    return page(request, "import.html", me, report=None)


@router.post("/import")
def take_sheet(request: Request, me: Staff, file: UploadFile) -> Response:
    with tempfile.TemporaryDirectory() as folder:
        # The name is the sender's: what kind of sheet it is, and nothing else, is taken from it.
        path = Path(folder) / ("students.xlsx" if (file.filename or "").lower().endswith(".xlsx") else "students.csv")
        path.write_bytes(file.file.read())
        report = importing.check(path, "students")
        if not report.is_clean:
            return page(request, "import.html", me, status=422, report=report)
        done = importing.run(path, "students")
    return back("/students", words_of(request)("imported", created=done.created, updated=done.updated))
