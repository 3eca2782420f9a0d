"""What the centre offers and sells, for the desk: its services, and packages of credits."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from centre.pages import PageRoute, back, page, words_of
from centre.web import rayces
from rayces_core import CreditKind, CreditPackage, Role, Service, User, credits
from rayces_core.integrations.tenants import organization_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Number = Annotated[int, Form()]
Choice = Annotated[bool, Form()]
CENTS = 100


@router.get("/services")
def services(request: Request, me: Staff) -> Response:
    offered = Service.select().order_by(Service.active.desc(), Service.name)
    return page(request, "services.html", me, services=list(offered), kinds=list(CreditKind.select()))


@router.post("/services")
@router.post("/services/{service_id}")
def save(
    request: Request,
    me: Staff,
    name: Annotated[str, Form(min_length=1, max_length=200)],
    duration_minutes: Number,
    cost: Number,
    service_id: int = 0,
    kind: Number = 0,
    price: Annotated[str, Form()] = "",
    tax: Annotated[str, Form(pattern=r"^\s*(\d{1,3}([.,]\d{1,2})?)?\s*$")] = "",
    families_may_book: Choice = False,
    active: Choice = False,
) -> Response:
    """Make a service, or change one: what is booked already keeps what it was booked with."""
    service = Service.get_by_id(service_id) if service_id else Service()
    service.name, service.duration_minutes, service.credits = name.strip(), duration_minutes, cost
    service.credit_kind = CreditKind.get_by_id(kind) if kind else None
    service.price_cents = int(price) * CENTS if price.strip().isdecimal() else None
    service.currency = organization_of(request.scope).currency if service.price_cents is not None else None
    service.tax_basis_points = int(Decimal(tax.replace(",", ".")) * 100) if tax.strip() else None
    service.families_may_book, service.active = families_may_book, active
    service.save()
    return back("/services", words_of(request)("saved"))


@router.get("/packages")
def packages(request: Request, me: Staff) -> Response:
    sold = CreditPackage.select().where(CreditPackage.active).order_by(CreditPackage.name)
    families = User.select().where(User.role == Role.GUARDIAN, User.merged_into.is_null(), User.erased_at.is_null())
    families = families.order_by(User.last_name, User.first_name)
    return page(request, "packages.html", me, packages=list(sold), families=list(families))


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
