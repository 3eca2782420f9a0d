"""Hours that change: a professional's time off and other hours on a date, and days on which the centre is closed."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response

from centre.pages import PageRoute, back, page, words_of
from centre.web import db, rayces
from centre.weekly import WEEKDAYS, text_of
from rayces_core import ClosedDay, Professional, Role, TimeOffRequest, User, scheduling
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Given = Annotated[User, rayces.requires(Role.PROFESSIONAL)]
Decision = Literal["approve", "decline", "withdraw", "revoke"]
Text = Annotated[str, Form(max_length=200)]
On = Annotated[date, Form(ge=date(2000, 1, 1), le=date(2200, 1, 1))]


def hours_of(start: str, end: str) -> dict[str, str] | None:
    """The hours that two time fields hold; None where both are empty."""
    return {"start": start, "end": end} if start or end else None


def hit_by(saved: Professional | ClosedDay) -> int:
    """How many sessions a change has hit; a group is one, whether somebody attends it or not."""
    return sum(each.group_session_id is None for each in saved.affected) + len(saved.affected_groups)


@router.get("/hours")
def hours(request: Request, me: Given) -> Response:
    today = datetime.now(organization_of(request.scope).zone).date()
    own = TimeOffRequest.visible_to(me).order_by(TimeOffRequest.starts_on.desc())
    mine = Professional.get(Professional.user == me)
    return page(
        request,
        "hours.html",
        me,
        requests=[(each, each.available_events(by=me)) for each in own],
        overrides=[each for each in mine.date_overrides if each["date"] >= today.isoformat()],
        mine=mine,
        weekdays=WEEKDAYS,
        text_of=text_of,
        day_of=date.fromisoformat,
        today=today,
    )


@router.post("/hours/time-off")
def ask(
    request: Request, me: Given, first: On, last: On, start: Text = "", end: Text = "", note: Text = ""
) -> Response:
    scheduling.request_time_off(me, first, last, hours=hours_of(start, end), note=note, by=me)
    return back("/hours", words_of(request)("asked"))


@router.post("/hours/date")
def other_hours(request: Request, me: Given, day: On, start: Text = "", end: Text = "") -> Response:
    windows = hours_of(start, end)
    return _overridden(request, me, day, {"date": day, "windows": [windows] if windows else []})


@router.post("/hours/date/drop")
def usual_hours(request: Request, me: Given, day: On) -> Response:
    return _overridden(request, me, day)


def _overridden(request: Request, me: User, day: date, *given: dict[str, Any]) -> Response:
    """Give a day other hours, or the usual ones again; the row is locked, so that two who do it both count."""
    with db.atomic():
        mine = Professional.select().where(Professional.user == me).for_update().get()
        others = [override for override in mine.date_overrides if override["date"] != day.isoformat()]
        mine.date_overrides = [*others, *given]
        mine.save()
    return back("/hours", words_of(request)("hours_saved", hit=hit_by(mine)))


@router.post("/time-off/{request_id}/{event}")
def decide(
    request: Request, me: rayces.CurrentUser, request_id: int, event: Decision, to: Annotated[str, Form()] = "/"
) -> Response:
    asked = TimeOffRequest.visible_to(me).where(TimeOffRequest.id == request_id).get()
    getattr(asked, event)(by=me)
    appointments, groups = asked.hits() if event == "approve" else ((), ())
    hit = sum(each.group_session_id is None for each in appointments) + len(groups)
    return back(to if to in ("/hours", "/absences") else "/", words_of(request)(f"done_{event}", hit=hit))


@router.get("/absences")
def absences(request: Request, me: Staff) -> Response:
    organization = organization_of(request.scope)
    today = datetime.now(organization.zone).date()
    waiting = TimeOffRequest.visible_to(me).where(TimeOffRequest.state == "requested")
    granted = TimeOffRequest.visible_to(me).where(TimeOffRequest.state == "approved", TimeOffRequest.ends_on >= today)
    return page(
        request,
        "absences.html",
        me,
        waiting=[(each, each.hits()) for each in waiting.order_by(TimeOffRequest.starts_on)],
        granted=list(granted.order_by(TimeOffRequest.starts_on)),
        closed=list(ClosedDay.select().where(ClosedDay.day >= today).order_by(ClosedDay.day)),
        today=today,
    )


@router.post("/closed-days")
def close(request: Request, me: Staff, day: On, name: Text) -> Response:
    closed = ClosedDay.create(day=day, name=name.strip())
    return back("/absences", words_of(request)("closed", hit=hit_by(closed)))


@router.post("/closed-days/holidays")
def holidays(request: Request, me: Staff) -> Response:
    filled = scheduling.fill_holidays()
    return back("/absences", words_of(request)("filled", new=len(filled), hit=sum(map(hit_by, filled))))


@router.post("/closed-days/{closed_id}/{event}")
def work(request: Request, me: Staff, closed_id: int, event: Literal["work", "close"]) -> Response:
    closed = ClosedDay.get_by_id(closed_id)
    closed.is_open = event == "work"
    closed.save()
    return back("/absences", words_of(request)(f"done_{event}", hit=hit_by(closed)))
