"""A family: its children, free times by local day, bookings, credits."""

from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from centre.pages import Day, PageRoute, back, held_until, known_students, page
from centre.payments import start_package_payment, start_payment
from centre.web import rayces
from rayces_core import (
    Appointment,
    CreditPackage,
    CreditTransaction,
    Professional,
    ProfessionalService,
    Service,
    Student,
    User,
    credits,
    scheduling,
)
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
DAYS = 7
SHOWN = 30


@router.get("/family")
def family(request: Request, me: rayces.CurrentUser) -> Response:
    sessions = Appointment.visible_to(me).upcoming().with_people().order_by(Appointment.scheduled_at).limit(SHOWN)
    return page(
        request,
        "family.html",
        me,
        children=list(known_students(me).order_by(Student.first_name)),
        sessions=[(session, session.available_events(by=me)) for session in sessions],
        balance=credits.balance(me),
        available=credits.available(me),
        reserved=sum(held.reserved for held in credits.balances(me)),
    )


@router.get("/family/book")
def times(
    request: Request,
    me: rayces.CurrentUser,
    student: int,
    professional: int | None = None,
    service: int = 0,
    day: Day | None = None,
    uses_credit: bool = False,
) -> Response:
    organization = organization_of(request.scope)
    zone = organization.zone
    child = Student.visible_to(me).where(Student.id == student).get()
    offered = list(Service.select().where(Service.active, Service.families_may_book).order_by(Service.name))
    people = _professionals(service)
    ids = [each.user_id for each in people]
    chosen = professional if professional in ids or not ids else ids[0]
    today = datetime.now(zone).date()
    first = max(day or today, today)
    days = organization.local_days(first, DAYS)
    slots = scheduling.free_slots(chosen, *days, service=service or None) if chosen else []
    by_day = groupby(slots, key=lambda slot: slot.start.astimezone(zone).date())
    return page(
        request,
        "times.html",
        me,
        child=child,
        professionals=people,
        services=offered,
        service=service,
        chosen=chosen,
        uses_credit=uses_credit,
        days=[(which, list(free)) for which, free in by_day],
        earlier=first - timedelta(days=DAYS) if first > today else None,
        later=first + timedelta(days=DAYS),
    )


def _professionals(service: int) -> list[Professional]:
    """The active ones, or those of them who give the service."""
    active = Professional.select(Professional, User).join(User).where(Professional.active).order_by(User.last_name)
    if service:
        giving = ProfessionalService.select(ProfessionalService.professional).where(
            ProfessionalService.service == service
        )
        active = active.where(Professional.user << giving)
    return list(active)


@router.post("/family/book")
def book(
    request: Request,
    me: rayces.CurrentUser,
    student: Annotated[int, Form()],
    professional: Annotated[int, Form()],
    start: Annotated[datetime, Form()],
    key: Annotated[str, Form(min_length=8, max_length=64)],
    service: Annotated[int, Form()] = 0,
    uses_credit: Annotated[bool, Form()] = False,
) -> Response:
    booked = scheduling.book(
        student=student,
        professional=professional,
        client=me,
        service=service or None,
        scheduled_at=start,
        uses_credit=uses_credit,
        by=me,
        idempotency_key=f"{me.id}:{key}",
    )
    return back("/family", held_until(request, booked))


@router.get("/family/credits")
def account(request: Request, me: rayces.CurrentUser) -> Response:
    now = datetime.now(UTC)
    return page(
        request,
        "credits.html",
        me,
        balance=credits.balance(me),
        available=credits.available(me),
        reserved=sum(held.reserved for held in credits.balances(me) if held.credit_kind_id is None),
        kinds=[held for held in credits.balances(me) if held.credit_kind_id is not None],
        lots=[lot for held in credits.balances(me) for lot in credits.lots(me, kind=held.credit_kind_id)],
        last_day=lambda lot: (lot.expires_at - timedelta(minutes=1)).astimezone(organization_of(request.scope).zone),
        statement=credits.statement(me, now - timedelta(days=90), now),
        waiting=list(CreditTransaction.visible_to(me).where(CreditTransaction.status == "pending")),
        packages=sold_today(now.astimezone(organization_of(request.scope).zone).date()),
    )


@router.post("/family/credits")
def buy(
    request: Request,
    me: rayces.CurrentUser,
    how_many: Annotated[int, Form(ge=1, le=100)],
    key: Annotated[str, Form(min_length=8, max_length=64)],
) -> Response:
    return back(start_payment(me, how_many, f"{me.id}:{key}"))


def sold_today(today: date) -> list[CreditPackage]:
    """The packages that a family can buy by itself: those with a price, whose day is not over."""
    lasting = CreditPackage.valid_until.is_null() | (CreditPackage.valid_until >= today)
    priced = CreditPackage.select().where(CreditPackage.active, CreditPackage.price_cents.is_null(False), lasting)
    return list(priced.order_by(CreditPackage.name))


@router.post("/family/packages")
def buy_package(
    me: rayces.CurrentUser,
    package: Annotated[int, Form(gt=0)],
    key: Annotated[str, Form(min_length=8, max_length=64)],
) -> Response:
    return back(start_package_payment(me, package, f"{me.id}:{key}"))
