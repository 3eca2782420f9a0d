"""What the centre offers and sells, for the desk: its services, and packages of credits."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from centre.pages import PageRoute, back, page, words_of
from centre.web import db, rayces
from rayces_core import (
    CreditKind,
    CreditPackage,
    Professional,
    ProfessionalService,
    Role,
    Service,
    User,
    credits,
)
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Number = Annotated[int, Form()]
Choice = Annotated[bool, Form()]
Name = Annotated[str, Form(min_length=1, max_length=200)]
# With a comma or a point; a thousand is written without either.
Amount = Annotated[str, Form(pattern=r"^\s*(\d{1,7}([.,]\d{1,2})?)?\s*$")]


@router.get("/services")
def services(request: Request, me: Staff) -> Response:
    offered = Service.select().order_by(Service.active.desc(), Service.name)
    given = {(each.service_id, each.professional_id) for each in ProfessionalService.select()}
    return page(
        request,
        "services.html",
        me,
        services=list(offered),
        kinds=list(CreditKind.select().order_by(CreditKind.name)),
        professionals=list(Professional.select(Professional, User).join(User).where(Professional.active)),
        given=given,
    )


@router.post("/services")
@router.post("/services/{service_id}")
def save(
    request: Request,
    me: Staff,
    name: Name,
    duration_minutes: Number,
    cost: Number,
    service_id: int = 0,
    kind: Number = 0,
    price: Amount = "",
    tax: Annotated[str, Form(pattern=r"^\s*(\d{1,3}([.,]\d{1,2})?)?\s*$")] = "",
    before: Annotated[int, Form(ge=0, le=1440)] = 0,
    after: Annotated[str, Form(pattern=r"^\s*\d{0,4}\s*$")] = "",
    colour: Annotated[str, Form(pattern=r"^(#[0-9a-f]{6})?$")] = "",
    features: Annotated[str, Form(max_length=500)] = "",
    giver: Annotated[Sequence[int], Form()] = (),
    families_may_book: Choice = False,
    active: Choice = False,
) -> Response:
    """Make a service, or change one: what is booked already keeps what it was booked with."""
    service = Service.get_by_id(service_id) if service_id else Service()
    service.name, service.duration_minutes, service.credits = name.strip(), duration_minutes, cost
    service.credit_kind = CreditKind.get_by_id(kind) if kind else None
    service.price_cents = hundredths(price)
    service.currency = organization_of(request.scope).currency if service.price_cents is not None else None
    service.tax_basis_points = hundredths(tax)
    service.buffer_before_minutes, service.buffer_after_minutes = before, int(after) if after.strip() else None
    service.colour, service.room_features = colour or None, words_in(features)
    service.families_may_book, service.active = families_may_book, active
    with db.atomic():
        service.save()
        give(service, set(giver))
    return back("/services", words_of(request)("saved"))


def hundredths(text: str) -> int | None:
    """Cents of an amount, or basis points of a percentage; None of an empty field."""
    return int(Decimal(text.strip().replace(",", ".")) * 100) if text.strip() else None


def words_in(text: str) -> list[str]:
    """What is written with commas between."""
    return [word for word in text.split(",") if word.strip()]


def give(service: Service, wanted: set[int]) -> None:
    """Have these professionals give the service; what the others charge for it is forgotten with them."""
    given = {
        each.professional_id: each
        for each in ProfessionalService.select().where(ProfessionalService.service == service)
    }
    for gone in given.keys() - wanted:
        given[gone].delete_instance()
    for new in wanted - given.keys():
        ProfessionalService.create(service=service, professional=new)


@router.get("/packages")
def packages(request: Request, me: Staff) -> Response:
    sold = CreditPackage.select().where(CreditPackage.active).order_by(CreditPackage.name)
    families = User.select().where(User.role == Role.GUARDIAN, User.merged_into.is_null(), User.erased_at.is_null())
    families = families.order_by(User.last_name, User.first_name)
    return page(
        request,
        "packages.html",
        me,
        packages=list(sold),
        all_packages=list(CreditPackage.select().order_by(CreditPackage.active.desc(), CreditPackage.name)),
        kinds=list(CreditKind.select().order_by(CreditKind.name)),
        families=list(families),
    )


@router.post("/packages")
def offer(
    request: Request,
    me: Staff,
    name: Name,
    how_many: Annotated[int, Form(ge=1, le=1_000_000)],
    price: Amount = "",
    kind: Number = 0,
    days: Annotated[str, Form(pattern=r"^\s*\d{0,5}\s*$")] = "",
    until: Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
) -> Response:
    """Make a package; what was sold of others stays as it was."""
    cents = hundredths(price)
    CreditPackage.create(
        name=name.strip(),
        credits=how_many,
        credit_kind=CreditKind.get_by_id(kind) if kind else None,
        price_cents=cents,
        currency=organization_of(request.scope).currency if cents is not None else None,
        valid_days=int(days) if days.strip() else None,
        valid_until=until or None,
    )
    return back("/packages", words_of(request)("saved"))


@router.post("/packages/{package_id}/{event}")
def sell_no_more(request: Request, me: Staff, package_id: int, event: Literal["close", "open"]) -> Response:
    package = CreditPackage.get_by_id(package_id)
    package.active = event == "open"
    package.save()
    return back("/packages", words_of(request)("saved"))


@router.post("/kinds")
def add_kind(request: Request, me: Staff, name: Name) -> Response:
    CreditKind.create(name=name.strip())
    return back("/packages", words_of(request)("saved"))


@router.post("/packages/sell")
def sell(
    request: Request,
    me: Staff,
    package: Number,
    family: Number,
    key: Annotated[str, Form(min_length=8, max_length=64)],
) -> Response:
    user = User.get_by_id(family)
    made = credits.purchase_package(user, package, payment_method="cash", by=me, idempotency_key=f"{me.id}:{key}")
    return back("/packages", words_of(request)("sold", credits=made.amount, name=user.full_name))
