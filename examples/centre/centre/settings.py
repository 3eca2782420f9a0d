"""The centre's own rules, for an admin: what families may do, holidays, what invoices say."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, Field

from centre.catalogue import hundredths
from centre.pages import PageRoute, back, page, words_of
from centre.web import db, rayces
from rayces_core import Organization, Role, User

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Admin = Annotated[User, rayces.requires(Role.ADMIN)]
NUMBERS = (
    *("cancellation_notice_hours", "confirmation_hours", "booking_window_days", "minimum_notice_minutes"),
    *("slot_offer_minutes", "invoice_due_days"),
)
WORDS = ("school_year_end", "holiday_country", "holiday_subdivision", "tax_id", "invoice_series", "credit_note_series")
SWITCHES = ("families_book_groups", "reserve_credits")


@contextmanager
def change() -> Iterator[Organization]:
    """The organization, to be changed; who changes settings at the same time waits, and sees what was written."""
    with db.atomic():
        organization = Organization.select().for_update().get()
        yield organization
        organization.save()


class Rules(BaseModel):
    """What the form holds. What is within bounds the library says."""

    cancellation_notice_hours: int
    confirmation_hours: int
    booking_window_days: int
    minimum_notice_minutes: int
    slot_offer_minutes: int
    invoice_due_days: int
    school_year_end: str = Field("", max_length=50)
    holiday_country: str = Field("", max_length=50)
    holiday_subdivision: str = Field("", max_length=50)
    tax_id: str = Field("", max_length=50)
    invoice_series: str = Field("", max_length=50)
    credit_note_series: str = Field("", max_length=50)
    tax: str = Field("", pattern=r"^\s*(\d{1,3}([.,]\d{1,2})?)?\s*$")
    families_book_groups: bool = False
    reserve_credits: bool = False


@router.get("/settings")
def settings(request: Request, me: Admin) -> Response:
    policy = Organization.get().policy
    return page(request, "settings.html", me, policy=policy, numbers=NUMBERS, plain=WORDS, switches=SWITCHES)


@router.post("/settings")
def save(request: Request, me: Admin, rules: Annotated[Rules, Form()]) -> Response:
    said = {name: getattr(rules, name) for name in (*NUMBERS, *SWITCHES)}
    said |= {name: text.strip() for name in WORDS if (text := getattr(rules, name)).strip()}
    said |= {"tax_basis_points": hundredths(rules.tax) or 0}
    with change() as organization:
        others = {name: value for name, value in organization.settings.items() if name not in WORDS}
        organization.settings = others | said
    return back("/settings", words_of(request)("saved"))
