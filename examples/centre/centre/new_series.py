"""A new series, at the desk: what of it cannot be booked is shown before anything is."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field, field_validator

from centre.pages import PageRoute, back, bookable, local_moment, page, words_of
from centre.series import Staff, told
from centre.weekly import WEEKDAYS
from rayces_core import Professional, Resource, Service, Student, User, scheduling
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Plan(BaseModel):
    """What the form holds, or not yet, without `when`. Without `until` it goes on until the school year's end."""

    student: int = 0
    professional: int = 0
    when: str = Field("", max_length=40)
    weekdays: list[Weekday] = []
    until: date | None = Field(None, ge=date(2000, 1, 1), le=date(2200, 1, 1))
    service: int = Field(0, ge=0)
    room: int = Field(0, ge=0)

    @field_validator("until", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None


class Booking(Plan):
    """A plan that is to be booked, under the name of this request."""

    key: str = Field(min_length=8, max_length=64)
    skip_conflicts: bool = False


def book(request: Request, me: User, plan: Plan, **how: Any) -> scheduling.Series:
    child = Student.visible_to(me).where(Student.id == plan.student).get()
    return scheduling.book_series(
        student=child,
        professional=plan.professional,
        client=child.primary_contact,
        scheduled_at=local_moment(request, plan.when),
        weekdays=plan.weekdays or None,
        until=plan.until or "school_year_end",
        service=plan.service or None,
        room=plan.room or None,
        override_window=True,
        by=me,
        **how,
    )


@router.get("/series/new")
def form(request: Request, me: Staff, plan: Annotated[Plan, Query()]) -> Response:
    tried = book(request, me, plan, dry_run=True) if plan.when else None
    students = bookable(me)
    professionals = Professional.select(Professional, User).join(User).where(Professional.active)
    return page(
        request,
        "new_series.html",
        me,
        plan=plan,
        conflicts=None if tried is None else told(request, tried.skipped),
        weekdays=WEEKDAYS,
        students=list(students.order_by(Student.first_name)),
        professionals=list(professionals.order_by(User.last_name)),
        services=list(Service.select().where(Service.active).order_by(Service.name)),
        rooms=list(Resource.select().where(Resource.kind == "room", Resource.active).order_by(Resource.name)),
        has_year_end=organization_of(request.scope).policy.school_year_end is not None,
    )


@router.post("/series/new")
def make(request: Request, me: Staff, plan: Annotated[Booking, Form()]) -> Response:
    done = book(request, me, plan, skip_conflicts=plan.skip_conflicts, idempotency_key=f"{me.id}:{plan.key}")
    words = words_of(request)("series_booked", booked=len(done.booked), left=len(done.skipped))
    return back(f"/series/{done.booked[0].id}" if done.booked else "/series", words)
