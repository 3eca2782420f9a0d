"""The desk: today's sessions, moving and substituting, admissions, a sheet of students."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response, UploadFile

from centre.pages import Day, PageRoute, back, local_moment, page, words_of
from centre.web import rayces
from rayces_core import Appointment, Professional, Role, Student, User, importing, scheduling
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
    )


@router.post("/desk/sessions/{session_id}/move")
def move(
    request: Request,
    me: Staff,
    session_id: int,
    when: Annotated[str, Form()],
    professional: Annotated[int, Form()],
    key: Annotated[str, Form(min_length=8, max_length=64)],
) -> Response:
    session = Appointment.visible_to(me).where(Appointment.id == session_id).get()
    start = local_moment(request, when)
    scheduling.reschedule(session, start, professional=professional, by=me, idempotency_key=f"{me.id}:{key}")
    return back(f"/desk?day={start.date()}", words_of(request)("moved"))


@router.get("/students")
def students(request: Request, me: Staff) -> Response:
    found = Student.visible_to(me).order_by(Student.last_name, Student.first_name)
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
