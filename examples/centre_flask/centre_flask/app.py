"""The application: signing in, a family's children, free times, bookings and credits, and the desk's day."""

import os
from datetime import UTC, date, datetime, timedelta

from flask import Flask, Response, request
from pydantic import AwareDatetime, BaseModel, Field

from rayces_core import (
    Appointment,
    CreditTransaction,
    Database,
    Professional,
    Role,
    Student,
    User,
    credits,
    scheduling,
    sign_in,
)
from rayces_core.integrations.flask import Rayces
from rayces_core.integrations.schemas import CancelIn, input_of, schema_of

db = Database.from_env()
rayces = Rayces(
    db,
    domain=os.environ.get("CENTRE_DOMAIN", "localhost"),
    secret=os.environ["CENTRE_SECRET"],
    cookie="centre",
    max_body=100_000,
)
app = Flask(__name__)
rayces.install(app)

Person = schema_of(User, include={"id", "first_name", "last_name"}, name="Person")
StudentOut = schema_of(Student, include={"id", "first_name", "last_name", "admission_state"})
ProfessionalOut = schema_of(Professional, include={"user_id", "title", "specialization"}, user=Person)
SessionOut = schema_of(
    Appointment,
    include={"id", "scheduled_at", "duration_minutes", "state", "expires_at"},
    name="SessionOut",
    student=StudentOut,
    professional=ProfessionalOut,
)


EntryOut = schema_of(CreditTransaction, include={"transaction_type", "amount", "processed_at"}, name="EntryOut")
SessionIn = input_of(scheduling.book, name="SessionIn", exclude=("client",))


class SignIn(BaseModel):
    email: str = Field(max_length=254)
    password: str = Field(max_length=200)


class Week(BaseModel):
    professional: int
    day: date | None = None
    days: int = Field(7, ge=1, le=31)


class Day(BaseModel):
    day: date | None = None


class SlotOut(BaseModel):
    start: AwareDatetime
    end: AwareDatetime


class LineOut(BaseModel):
    entry: EntryOut
    balance: int


class Account(BaseModel):
    balance: int
    lines: list[LineOut]


def today() -> date:
    return datetime.now(rayces.tenant.zone).date()


def session_of(number: int) -> Appointment:
    """The session of this number, if whoever asks may see it; 404 otherwise."""
    return Appointment.visible_to(rayces.current_user).with_people().where(Appointment.id == number).get()


@app.post("/sign-in")
def enter() -> Response:
    rayces.check_own_page()
    data = rayces.body(SignIn)
    user = sign_in.check_password(data.email, data.password, address=request.remote_addr)
    device = request.headers.get("User-Agent") or "?"
    response = rayces.answer(Person, user)
    rayces.set_cookie(response, rayces.tokens.issue(user, device, address=request.remote_addr))
    return response


@app.post("/sign-out")
@rayces.signed_in
def leave() -> Response:
    response = Response(status=204)
    sign_in.sign_out(rayces.current_user, rayces.claims.device)
    rayces.clear_cookie(response)
    return response


@app.get("/children")
@rayces.signed_in
def children() -> Response:
    mine = Student.visible_to(rayces.current_user).order_by(Student.first_name, Student.id)
    return rayces.answer(list[StudentOut], list(mine))


@app.get("/professionals")
@rayces.signed_in
def professionals() -> Response:
    working = Professional.select(Professional, User).join(User).where(Professional.active).order_by(User.last_name)
    return rayces.answer(list[ProfessionalOut], list(working))


@app.get("/slots")
@rayces.signed_in
def slots() -> Response:
    asked = rayces.query(Week)
    start, end = rayces.tenant.local_days(asked.day or today(), asked.days)
    return rayces.answer(list[SlotOut], scheduling.free_slots(asked.professional, start, end))


@app.get("/sessions")
@rayces.signed_in
def sessions() -> Response:
    coming = Appointment.visible_to(rayces.current_user).upcoming().with_people().limit(200)
    return rayces.answer(list[SessionOut], list(coming))


@app.post("/sessions")
@rayces.signed_in
def book() -> tuple[Response, int]:
    me, data = rayces.current_user, rayces.body(SessionIn)
    booked = scheduling.book(**data.arguments(), client=me, by=me, idempotency_key=rayces.idempotency_key)
    return rayces.answer(SessionOut, session_of(booked.id)), 200 if booked.was_repeated else 201


@app.post("/sessions/<int:number>/confirm")
@rayces.signed_in
def confirm(number: int) -> Response:
    session = session_of(number)
    session.confirm(by=rayces.current_user)
    return rayces.answer(SessionOut, session)


@app.post("/sessions/<int:number>/cancel")
@rayces.signed_in
def cancel(number: int) -> Response:
    session = session_of(number)
    session.cancel(**rayces.body(CancelIn).arguments(), by=rayces.current_user)
    return rayces.answer(SessionOut, session)


@app.get("/credits")
@rayces.signed_in
def account() -> Response:
    me, now = rayces.current_user, datetime.now(UTC)
    statement = credits.statement(me, now - timedelta(days=90), now)
    return rayces.answer(Account, {"balance": credits.balance(me), "lines": statement.lines})


@app.get("/day")
@rayces.requires(Role.STAFF)
def day() -> Response:
    start, end = rayces.tenant.local_days(rayces.query(Day).day or today())
    held = Appointment.visible_to(rayces.current_user).starting(start, end).with_people()
    return rayces.answer(list[SessionOut], list(held))
