"""Invoices and the day's attendance as PDF; the same rows give the same bytes.

reportlab sets them (`rayces-core[pdf]`); it is imported when a paper is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any, Final
from xml.sax.saxutils import escape

from rayces_core.errors import InvalidDataError
from rayces_core.invoicing.accounting import rates_of
from rayces_core.invoicing.due import due_lines
from rayces_core.invoicing.fonts import Font, faces_for, reportlab, written
from rayces_core.invoicing.texts import day as told_day
from rayces_core.invoicing.texts import money, rate, words
from rayces_core.models.invoice import Invoice, InvoiceKind, InvoiceLine, InvoiceState
from rayces_core.models.user import User, person_id
from rayces_core.scheduling.attendance import Attendance
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import check_saved

PARTY: Final = ("name", "tax_id", "address", "email", "phone")
WIDTH: Final = 511
PADDING: Final = 13


def invoice_pdf(invoice: Invoice, *, font: Font | None = None) -> bytes:
    """An invoice or a credit note as PDF, in its own language: number, both parties, lines, taxes and totals.

    A draft says so across its head, has no number, and shows what it would have if it were issued now.

    Args:
        font: a TrueType file, or one for plain and one for bold text. Without it, or where it lacks a letter, it is
            Helvetica, or the system's DejaVu Sans where letters are not those of Western Europe.

    Raises:
        MissingFontError: no font has all letters. InvalidDataError: `font` is none.
        MissingExtraError: reportlab is not installed.
    """
    check_saved(invoice, Invoice, "invoice")
    said = words(invoice.language)
    lines = _lines_of(invoice)
    title = f"{said[invoice.kind]} {invoice.title}" if invoice.title else said[str(invoice.state)]
    story: list[_Text | _Table] = [
        _Text(title, "head"),
        *(_Text(text) for text in _facts(invoice, said)),
        _Text(""),
        *_parties(invoice, said),
        _Text(""),
        _Table(list(_line_rows(invoice, lines, said)), wide=(1,), right=(2, 3, 4, 5)),
        _Text(""),
        _Table([("", *row) for row in _totals(invoice, lines, said)], wide=(0,), right=(1, 2), is_sum=True),
    ]
    return _set(story, title, font)


def attendance_pdf(
    day: date,
    rows: Sequence[Attendance],
    organization: Organization,
    *,
    language: str = "es",
    font: Font | None = None,
) -> bytes:
    """The attendance list of a day as PDF, as `scheduling.attendance_list` gives its rows; `font` as in `invoice_pdf`.

    Raises:
        InvalidDataError: there is no such language or day. MissingFontError, MissingExtraError as `invoice_pdf`.
    """
    said = words(language)
    if not isinstance(day, date):
        raise InvalidDataError("day", day, "needs a date")
    title = f"{said['attendance']} {told_day(day, language)}"
    header = tuple(said[name] for name in ("time", "professional", "student", "state"))
    body = [
        (f"{row.starts_at.astimezone(organization.zone):%H:%M}", row.professional, row.student, said[row.mark])
        for row in rows
    ]
    listed: list[Any] = [_Table([header, *body], wide=(1, 2))] if body else [_Text(said["nobody"])]
    return _set([_Text(title, "head"), _Text(organization.name), _Text(""), *listed], title, font)


# -- what is said -----------------------------------------------------------------------------------------------


def _lines_of(invoice: Invoice) -> list[Any]:
    if invoice.state == InvoiceState.ISSUED:
        mine = (InvoiceLine.invoice == invoice.id) & (InvoiceLine.organization == invoice.organization_id)
        return list(InvoiceLine.select().where(mine).order_by(InvoiceLine.position))
    return list(due_lines(draft=invoice)) if invoice.state == InvoiceState.DRAFT else []


def _facts(invoice: Invoice, said: dict[str, str]) -> Iterable[str]:
    language = invoice.language
    if invoice.issued_on and invoice.due_on:
        yield f"{said['issued_on']}: {told_day(invoice.issued_on, language)}"
        if invoice.kind == InvoiceKind.INVOICE:
            yield f"{said['due_on']}: {told_day(invoice.due_on, language)}"
    if invoice.starts_on and invoice.ends_on:
        yield f"{said['period']}: {told_day(invoice.starts_on, language)} - {told_day(invoice.ends_on, language)}"
    if invoice.corrects_number is not None:
        yield f"{said['corrects']}: {invoice.corrects_series}{invoice.corrects_number}"
        yield f"{said['reason']}: {invoice.reason}"


def _parties(invoice: Invoice, said: dict[str, str]) -> Iterable[_Text]:
    biller, customer = invoice.biller, invoice.customer
    if biller is None:
        centre = Organization.get_by_id(invoice.organization_id)
        payer = User.get_by_id(person_id(invoice.user_id))
        biller = {name: getattr(centre, name) for name in ("name", "address", "email", "phone")}
        biller["tax_id"] = centre.settings.get("tax_id")
        given = {name: said for name, said in customer.items() if str(said or "").strip()}
        known = {} if payer.erased_at else {"name": payer.full_name, "email": payer.email, "phone": payer.phone}
        customer = known | given
    for who, heading in ((biller, None), (customer, said["to"])):
        yield from ([_Text(heading, "bold")] if heading else [])
        for name in PARTY:
            prefix = f"{said['tax_id']}: " if name == "tax_id" else ""
            for line in str(who.get(name) or "").splitlines():
                yield _Text(f"{prefix}{line}", "bold" if name == "name" else "plain")
        yield _Text("")


def _line_rows(invoice: Invoice, lines: Sequence[Any], said: dict[str, str]) -> Iterable[tuple[str, ...]]:
    yield tuple(said[name] for name in ("day", "description", "quantity", "unit", "rate", "total"))
    for line in lines:
        yield (
            told_day(line.happened_on, invoice.language),
            line.description,
            str(line.quantity),
            money(line.unit_cents, invoice.currency, invoice.language),
            rate(line.tax_basis_points, invoice.language),
            money(line.total_cents, invoice.currency, invoice.language),
        )


def _totals(invoice: Invoice, lines: Sequence[Any], said: dict[str, str]) -> Iterable[tuple[str, str]]:
    def told(cents: int) -> str:
        return money(cents, invoice.currency, invoice.language)

    by_rate = rates_of(lines)
    for basis_points, (net, tax) in by_rate.items():
        percentage = rate(basis_points, invoice.language)
        yield said["net_at"].format(percentage) if len(by_rate) > 1 else said["net"], told(net)
        yield said["tax_at"].format(percentage), told(tax)
    yield said["total"], told(sum(line.total_cents for line in lines))


# -- how it is set ----------------------------------------------------------------------------------------------


class _Text:
    def __init__(self, text: str, style: str = "plain") -> None:
        self.text, self.style = written(text), style

    def texts(self) -> Iterable[str]:
        return (self.text,)


class _Table:
    def __init__(
        self,
        rows: list[tuple[str, ...]],
        *,
        wide: Sequence[int] = (),
        right: Sequence[int] = (),
        is_sum: bool = False,
    ) -> None:
        self.rows = [tuple(map(written, cells)) for cells in rows]
        self.wide, self.right, self.is_sum = wide, right, is_sum

    def texts(self) -> Iterable[str]:
        return (cell for cells in self.rows for cell in cells)


def _set(story: Sequence[_Text | _Table], title: str, font: Font | None) -> bytes:
    pages = reportlab("platypus")
    faces = faces_for((text for each in story for text in each.texts()), font)
    made = _styles(*faces)
    file = io.BytesIO()
    # Without a moment or a random id of its own the same rows give the same bytes.
    document = pages.SimpleDocTemplate(
        file,
        pagesize=(595, 842),
        leftMargin=42,
        rightMargin=42,
        topMargin=48,
        bottomMargin=48,
        title=title,
        invariant=1,
    )
    numbered = partial(_page, face=faces.plain)
    document.build([_flowable(each, pages, made) for each in story], onFirstPage=numbered, onLaterPages=numbered)
    return file.getvalue()


def _styles(plain: str, bold: str) -> dict[str, Any]:
    style = partial(reportlab("lib.styles").ParagraphStyle, fontSize=9, leading=12)
    return {
        "plain": style("plain", fontName=plain),
        "bold": style("bold", fontName=bold),
        "head": style("head", fontName=bold, fontSize=16, leading=24),
        "right": style("right", fontName=plain, alignment=2),
        "right-bold": style("right-bold", fontName=bold, alignment=2),
    }


def _flowable(each: _Text | _Table, pages: Any, styles: dict[str, Any]) -> Any:
    if isinstance(each, _Text):
        return pages.Paragraph(escape(each.text), styles[each.style]) if each.text else pages.Spacer(1, 8)
    rows = [
        [pages.Paragraph(escape(cell), styles[_style(each, row, column)]) for column, cell in enumerate(cells)]
        for row, cells in enumerate(each.rows)
    ]
    lines = [("LINEBELOW", (int(each.is_sum), 0), (-1, -1), 0.25, "#bbbbbb"), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    table = partial(pages.Table, rows, colWidths=_widths(each, styles), style=lines)
    return pages.KeepTogether([table()]) if each.is_sum else table(repeatRows=1)


def _widths(table: _Table, styles: dict[str, Any]) -> list[float]:
    """Of each column what its cells need in one line; those that are wide share what is left."""
    width = reportlab("pdfbase.pdfmetrics").stringWidth
    needed = [0.0] * len(table.rows[0])
    for row, cells in enumerate(table.rows):
        for column, cell in enumerate(cells):
            style = styles[_style(table, row, column)]
            needed[column] = max(needed[column], width(cell, style.fontName, style.fontSize) + PADDING)
    left = WIDTH - sum(each for column, each in enumerate(needed) if column not in table.wide)
    return [left / len(table.wide) if column in table.wide else each for column, each in enumerate(needed)]


def _style(table: _Table, row: int, column: int) -> str:
    bold = row == (len(table.rows) - 1 if table.is_sum else 0)
    if column in table.right:
        return "right-bold" if bold else "right"
    return "bold" if bold else "plain"


def _page(canvas: Any, document: Any, *, face: str) -> None:
    canvas.setFont(face, 8)
    canvas.drawRightString(553, 28, str(document.page))
