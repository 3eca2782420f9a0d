"""Who came, and invoices: a day's attendance marked in one go, drafts, issuing, credit notes, both on paper."""

from datetime import date, datetime, timedelta
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from centre.pages import SAFE_HEADERS, Day, PageRoute, back, page, words_of
from centre.web import rayces
from rayces_core import Appointment, Invoice, Role, User, invoicing, scheduling
from rayces_core.integrations.tenants import organization_of
from rayces_core.invoicing import money

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Marking = Annotated[User, rayces.requires(Role.PROFESSIONAL, Role.STAFF)]
On = Annotated[date, Form(ge=date(2000, 1, 1), le=date(2200, 1, 1))]


def listed(me: User, day: date) -> list[scheduling.Attendance]:
    return scheduling.attendance_list(day, professional=None if me.is_staff else me)


def paper(content: bytes, name: str) -> Response:
    shown = {"Content-Disposition": f'inline; filename="{name}.pdf"'}
    return Response(content, media_type="application/pdf", headers=SAFE_HEADERS | shown)


@router.get("/attendance")
def attendance(request: Request, me: Marking, day: Day | None = None) -> Response:
    chosen = day or datetime.now(organization_of(request.scope).zone).date()
    return page(
        request,
        "attendance.html",
        me,
        day=chosen,
        earlier=chosen - timedelta(days=1),
        later=chosen + timedelta(days=1),
        rows=listed(me, chosen),
        unmarked=Appointment.visible_to(me).unmarked().count(),
    )


@router.post("/attendance")
def mark(
    request: Request,
    me: Marking,
    day: On,
    session: Annotated[list[int], Form()],
    became: Annotated[list[Literal["", "executed", "no_show"]], Form()],
) -> Response:
    marks = {key: became for key, became in zip(session, became, strict=True) if became}
    marked = scheduling.mark_attendance(marks, by=me)
    return back(f"/attendance?day={day}", words_of(request)("marked", many=len(marked)))


@router.get("/attendance/paper")
def attendance_paper(request: Request, me: Marking, day: Day) -> Response:
    language = words_of(request).language
    made = invoicing.attendance_pdf(day, listed(me, day), organization_of(request.scope), language=language)
    return paper(made, f"attendance-{day}")


@router.get("/invoices")
def invoices(request: Request, me: rayces.CurrentUser, first: Day | None = None, last: Day | None = None) -> Response:
    """The latest; for the desk also who is to be invoiced for a period, the last two months unless chosen."""
    last = last or datetime.now(organization_of(request.scope).zone).date()
    first = first or last - timedelta(days=60)
    found = Invoice.visible_to(me).where(Invoice.state != "discarded").order_by(Invoice.id.desc()).limit(100)
    language = words_of(request).language
    due = invoicing.payers_due(first, last) if me.is_staff else []
    return page(
        request,
        "invoices.html",
        me,
        invoices=list(found),
        due=due,
        first=first,
        last=last,
        money=partial(money, language=language),
    )


@router.post("/invoices")
def draft(request: Request, me: Staff, user: Annotated[int, Form()], first: On, last: On) -> Response:
    invoicing.draft_invoice(user, first, last, language=words_of(request).language, by=me)
    return back("/invoices", words_of(request)("drafted"))


@router.get("/invoices/table")
def table(request: Request, me: Staff, first: Day, last: Day) -> Response:
    """What was issued in a period, as accountants are given it."""
    told = {"Content-Disposition": f'attachment; filename="invoices-{first}-{last}.csv"'}
    written = invoicing.invoices_csv(first, last)
    return Response(written.encode("utf-8-sig"), media_type="text/csv", headers=SAFE_HEADERS | told)


@router.post("/invoices/{invoice_id}/{event}")
def decide(
    request: Request,
    me: Staff,
    invoice_id: int,
    event: Literal["issue", "discard", "credit"],
    reason: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    invoice = Invoice.visible_to(me).where(Invoice.id == invoice_id).get()
    if event == "credit":
        invoicing.credit_note(invoice, reason=reason or words_of(request)("wrong_invoice"), by=me)
    else:
        getattr(invoice, event)(by=me)
    return back("/invoices", words_of(request)(f"done_{event}"))


@router.get("/invoices/{invoice_id}/paper")
def invoice_paper(me: rayces.CurrentUser, invoice_id: int) -> Response:
    invoice = Invoice.visible_to(me).where(Invoice.id == invoice_id).get()
    return paper(invoicing.invoice_pdf(invoice), f"{invoice.kind}-{invoice.title or 'draft'}")
