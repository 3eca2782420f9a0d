"""Weekly hours: the desk sees everybody's and gives somebody other ones from a day on; the days before keep theirs."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from centre.absences import On, hit_by
from centre.pages import PageRoute, back, page, words_of
from centre.web import db, rayces
from centre.weekly import WEEKDAYS, from_day_on, text_of, windows_of
from rayces_core import Professional, Role, User
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Windows = Annotated[str, Form(max_length=200)]


@router.get("/schedules")
def schedules(request: Request, me: Staff) -> Response:
    today = datetime.now(organization_of(request.scope).zone).date()
    people = Professional.select(Professional, User).join(User).where(Professional.active)
    return page(
        request,
        "schedules.html",
        me,
        professionals=list(people.order_by(User.last_name, User.first_name)),
        weekdays=WEEKDAYS,
        text_of=text_of,
        today=today,
        tomorrow=today + timedelta(days=1),
        day_of=date.fromisoformat,
    )


def change(user_id: int) -> Professional:
    """The professional's row, locked: of two who change it at once the second sees what the first has written."""
    of_user = Professional.select().where(Professional.user == user_id)
    found: Professional = of_user.for_update().get()
    return found


@router.post("/schedules/{user_id}")
def give(
    request: Request,
    me: Staff,
    user_id: int,
    start: On,
    monday: Windows = "",
    tuesday: Windows = "",
    wednesday: Windows = "",
    thursday: Windows = "",
    friday: Windows = "",
    saturday: Windows = "",
    sunday: Windows = "",
) -> Response:
    texts = zip(WEEKDAYS, (monday, tuesday, wednesday, thursday, friday, saturday, sunday), strict=True)
    schedule = {day: windows for day, text in texts if (windows := windows_of(text))}
    with db.atomic():
        professional = change(user_id)
        professional.dated_schedules = from_day_on(professional.dated_schedules, start, schedule)
        professional.save()
    return back("/schedules", words_of(request)("hours_saved", hit=hit_by(professional)))


@router.post("/schedules/{user_id}/drop")
def drop(request: Request, me: Staff, user_id: int, start: On) -> Response:
    """Take a schedule away; the days that it held for have the usual hours again."""
    with db.atomic():
        professional = change(user_id)
        kept = [each for each in professional.dated_schedules if each["start"] != start.isoformat()]
        professional.dated_schedules = kept
        professional.save()
    return back("/schedules", words_of(request)("hours_saved", hit=hit_by(professional)))
