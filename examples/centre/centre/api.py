"""The same for programs: a small JSON API, which the library's schemas describe."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from centre.web import rayces
from rayces_core import Appointment, Role, Student, User, credits, scheduling, sign_in
from rayces_core.integrations.pages import Page, keyset
from rayces_core.integrations.schemas import BalanceOut, BookIn, RescheduleIn, schema_of

router = APIRouter(prefix="/api", tags=["centre"])
AppointmentOut = schema_of(Appointment)
StudentOut = schema_of(Student, include={"id", "first_name", "last_name", "admission_state"})


class Credentials(BaseModel):
    email: str = Field(examples=["lucia@arrayanes.example.org"], max_length=254)
    password: str = Field(examples=["correct horse battery"], max_length=200)


class Token(BaseModel):
    access_token: str
    token_type: str = "bearer"


# Slots of the days after it are asked for, so it is not the last there is.
Start = Annotated[AwareDatetime, Query(le=datetime(2200, 1, 1, tzinfo=UTC))]


class SlotOut(BaseModel):
    start: datetime
    end: datetime


@router.post("/sign-in")
def enter(request: Request, data: Credentials) -> Token:
    caller = request.client and request.client.host
    return Token(access_token=rayces.tokens.issue(sign_in.check_password(data.email, data.password, address=caller)))


@router.get("/students")
def students(me: rayces.CurrentUser) -> list[StudentOut]:
    return list(Student.visible_to(me).order_by(Student.id).limit(200))


@router.get("/slots")
def slots(me: rayces.CurrentUser, professional: int, start: Start, days: int = Query(7, ge=1, le=31)) -> list[SlotOut]:
    found = scheduling.free_slots(professional, start, start + timedelta(days=days))
    return [SlotOut(start=slot.start, end=slot.end) for slot in found]


@router.get("/appointments")
def appointments(me: rayces.CurrentUser, after: str | None = None, limit: int = 50) -> Page[AppointmentOut]:
    return keyset(
        Appointment.visible_to(me), after=after, limit=limit, order=(Appointment.scheduled_at, Appointment.id)
    )


@router.post("/appointments", status_code=201)
def book(me: rayces.CurrentUser, data: BookIn, key: rayces.IdempotencyKey = None) -> AppointmentOut:
    return scheduling.book(**data.arguments(), by=me, idempotency_key=key)


@router.post("/appointments/{appointment_id}/confirm")
def confirm(me: rayces.CurrentUser, appointment_id: int) -> AppointmentOut:
    appointment = Appointment.visible_to(me).where(Appointment.id == appointment_id).get()
    appointment.confirm(by=me)
    return appointment


@router.post("/appointments/{appointment_id}/cancel")
def cancel(
    me: rayces.CurrentUser, appointment_id: int, reason: str = Query(min_length=1, max_length=200)
) -> AppointmentOut:
    appointment = Appointment.visible_to(me).where(Appointment.id == appointment_id).get()
    appointment.cancel(by=me, reason=reason)
    return appointment


@router.post("/appointments/{appointment_id}/reschedule")
def reschedule(
    me: Annotated[User, rayces.requires(Role.STAFF)],
    appointment_id: int,
    data: RescheduleIn,
    key: rayces.IdempotencyKey = None,
) -> AppointmentOut:
    appointment = Appointment.visible_to(me).where(Appointment.id == appointment_id).get()
    return scheduling.reschedule(appointment, **data.arguments(), by=me, idempotency_key=key)


@router.get("/credits")
def balances(me: rayces.CurrentUser) -> list[BalanceOut]:
    return credits.balances(me)
