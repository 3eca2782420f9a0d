"""Group sessions: families see what has places left and take one; the desk sees who attends each, and changes it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from centre.pages import PageRoute, back, bookable, held_until, known_students, local_moment, page, words_of
from centre.web import rayces
from rayces_core import (
    Appointment,
    GroupSession,
    Professional,
    Resource,
    Role,
    Student,
    User,
    scheduling,
)

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
AHEAD = timedelta(days=60)


@router.get("/groups")
def groups(request: Request, me: Staff) -> Response:
    now = datetime.now(UTC)
    ahead = GroupSession.visible_to(me).where(
        GroupSession.state == "open", GroupSession.scheduled_at.between(now, now + AHEAD)
    )
    attending = Appointment.visible_to(me).where(Appointment.group_session << ahead, Appointment.seat.is_null(False))
    seated = list(attending.with_people().order_by(Appointment.seat))
    people = Professional.select(Professional, User).join(User).where(Professional.active).order_by(User.last_name)
    return page(
        request,
        "groups.html",
        me,
        groups=[
            (group, [each for each in seated if each.group_session_id == group.id])
            for group in ahead.order_by(GroupSession.scheduled_at)
        ],
        professionals=list(people),
        students=list(bookable(me).order_by(Student.first_name)),
        rooms=list(Resource.select().where(Resource.kind == "room", Resource.active).order_by(Resource.name)),
    )


@router.post("/groups")
def gather(
    request: Request,
    me: Staff,
    professional: Annotated[int, Form()],
    when: Annotated[str, Form()],
    capacity: Annotated[int, Form()],
    name: Annotated[str, Form(max_length=200)],
    room: Annotated[int, Form(ge=0)] = 0,
) -> Response:
    scheduling.create_group_session(
        professional=professional,
        scheduled_at=local_moment(request, when),
        capacity=capacity,
        name=name.strip() or None,
        room=room or None,
        by=me,
    )
    return back("/groups", words_of(request)("saved"))


def group_of(me: User, group_id: int) -> GroupSession:
    found: GroupSession = GroupSession.visible_to(me).where(GroupSession.id == group_id).get()
    return found


@router.post("/groups/{group_id}/move")
def move(request: Request, me: Staff, group_id: int, when: Annotated[str, Form()]) -> Response:
    """Move the group with everybody in it."""
    scheduling.reschedule_group(group_of(me, group_id), local_moment(request, when), by=me)
    return back("/groups", words_of(request)("group_moved"))


@router.post("/groups/{group_id}/cancel")
def cancel(request: Request, me: Staff, group_id: int) -> Response:
    scheduling.cancel_group_session(group_of(me, group_id), by=me)
    return back("/groups", words_of(request)("group_cancelled"))


@router.post("/groups/{group_id}/students")
def put_in(
    request: Request,
    me: Staff,
    group_id: int,
    student: Annotated[int, Form()],
    key: Annotated[str, Form(min_length=8, max_length=64)],
) -> Response:
    child = Student.visible_to(me).where(Student.id == student).get()
    scheduling.book_group(
        group_id, student=child, client=child.primary_contact, by=me, idempotency_key=f"{me.id}:{key}"
    )
    return back("/groups", words_of(request)("put_in", name=child.full_name))


@router.post("/groups/{group_id}/students/{session_id}/out")
def take_out(request: Request, me: Staff, group_id: int, session_id: int) -> Response:
    seated = Appointment.visible_to(me).where(Appointment.id == session_id, Appointment.group_session == group_id).get()
    seated.cancel(by=me)
    return back("/groups", words_of(request)("taken_out", name=seated.student.full_name))


@router.get("/family/groups")
def on_offer(request: Request, me: rayces.CurrentUser) -> Response:
    now = datetime.now(UTC)
    slots = scheduling.group_slots(now, now + AHEAD, by=me)
    return page(
        request,
        "family_groups.html",
        me,
        slots=slots,
        children=list(known_students(me).order_by(Student.first_name)),
    )


@router.post("/family/groups/{group_id}")
def join(
    request: Request,
    me: rayces.CurrentUser,
    group_id: int,
    student: Annotated[int, Form()],
    key: Annotated[str, Form(min_length=8, max_length=64)],
    uses_credit: Annotated[bool, Form()] = False,
) -> Response:
    booked = scheduling.book_group(
        group_id, student=student, client=me, uses_credit=uses_credit, by=me, idempotency_key=f"{me.id}:{key}"
    )
    return back("/family", held_until(request, booked))
