"""The line for a time: a family asks, sees its offer and answers; the desk sees the line and offers what is free."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from centre.pages import PageRoute, back, known_students, page, words_of
from centre.web import rayces
from centre.weekly import WEEKDAYS
from rayces_core import Appointment, Professional, Role, Service, SlotRequest, Student, User, scheduling
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Answer = Literal["accept", "decline", "leave"]
ANSWERS = {
    "accept": scheduling.accept_offer,
    "decline": scheduling.decline_offer,
    "leave": scheduling.withdraw_slot_request,
}
OPEN = ("waiting", "offered")
On = Annotated[date, Form(ge=date(2000, 1, 1), le=date(2200, 1, 1))]


def with_offers(requests: list[SlotRequest]) -> list[tuple[SlotRequest, Appointment | None]]:
    """Each request with the session that is held for it."""
    held = Appointment.select().where(Appointment.slot_request << requests, Appointment.state == "pre_confirmed")
    offers = {offer.slot_request_id: offer for offer in held}
    return [(each, offers.get(each.id)) for each in requests]


@router.get("/family/waiting")
def waiting(request: Request, me: rayces.CurrentUser) -> Response:
    own = SlotRequest.visible_to(me).where(SlotRequest.client == me, SlotRequest.state << OPEN)
    return page(
        request,
        "waiting.html",
        me,
        requests=with_offers(list(own.order_by(SlotRequest.place_at))),
        children=list(known_students(me).order_by(Student.first_name)),
        professionals=list(Professional.select(Professional, User).join(User).where(Professional.active)),
        services=list(Service.select().where(Service.active, Service.families_may_book).order_by(Service.name)),
        weekdays=WEEKDAYS,
        today=datetime.now(organization_of(request.scope).zone).date(),
    )


@router.post("/family/waiting")
def ask(
    request: Request,
    me: rayces.CurrentUser,
    student: Annotated[int, Form()],
    until: On,
    weekdays: Annotated[list[str], Form()] = list(WEEKDAYS),  # noqa: B006 - FastAPI copies it
    start: Annotated[str, Form(max_length=5)] = "",
    end: Annotated[str, Form(max_length=5)] = "",
    professional: Annotated[int, Form()] = 0,
    service: Annotated[int, Form()] = 0,
) -> Response:
    scheduling.request_slot(
        student=student,
        client=me,
        professional=professional or None,
        service=service or None,
        weekdays=weekdays,
        from_time=start or "00:00",
        until_time=end or "24:00",
        until_day=until,
        by=me,
    )
    return back("/family/waiting", words_of(request)("in_line"))


@router.post("/waiting/{request_id}/{answer}")
def answer(
    request: Request, me: rayces.CurrentUser, request_id: int, answer: Answer, to: Annotated[str, Form()] = "/"
) -> Response:
    asked = SlotRequest.visible_to(me).where(SlotRequest.id == request_id).get()
    ANSWERS[answer](asked, by=me)
    return back(to if to in ("/family/waiting", "/waiting") else "/", words_of(request)(f"done_{answer}"))


@router.get("/waiting")
def line(request: Request, me: Staff) -> Response:
    requests = SlotRequest.visible_to(me).where(SlotRequest.state << OPEN).order_by(SlotRequest.place_at)
    return page(request, "line.html", me, requests=with_offers(list(requests)))


@router.post("/waiting")
def offer(request: Request, me: Staff) -> Response:
    return back("/waiting", words_of(request)("offers_made", made=len(scheduling.offer_slots())))
