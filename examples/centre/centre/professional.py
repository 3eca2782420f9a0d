"""A professional, and the sessions' events for everyone: the rules of who may do what are the library's."""

from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from centre.pages import Day, PageRoute, back, page, words_of
from centre.web import rayces
from rayces_core import Appointment, Role, User
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Event = Literal["confirm", "cancel", "execute", "mark_no_show"]


@router.get("/week")
def week(
    request: Request, me: Annotated[User, rayces.requires(Role.PROFESSIONAL, Role.STAFF)], day: Day | None = None
) -> Response:
    organization = organization_of(request.scope)
    zone = organization.zone
    chosen = day or datetime.now(zone).date()
    monday = chosen - timedelta(days=chosen.weekday())
    sessions = Appointment.visible_to(me).starting(*organization.local_days(monday, 7)).with_people()
    days: dict[date, list[tuple[Appointment, list[str]]]] = {monday + timedelta(days=n): [] for n in range(7)}
    for session in sessions:
        days[session.scheduled_at.astimezone(zone).date()].append((session, session.available_events(by=me)))
    return page(
        request,
        "week.html",
        me,
        days=days,
        earlier=monday - timedelta(days=7),
        later=monday + timedelta(days=7),
    )


@router.post("/sessions/{session_id}/{event}")
def happen(
    request: Request, me: rayces.CurrentUser, session_id: int, event: Event, to: Annotated[str, Form()] = "/"
) -> Response:
    session = Appointment.visible_to(me).where(Appointment.id == session_id).get()
    reason = {"reason": words_of(request)("reason_family")} if event == "cancel" and me.is_guardian else {}
    getattr(session, event)(by=me, **reason)
    return back(to if to in ("/family", "/week", "/desk") else "/", words_of(request)(f"done_{event}"))
