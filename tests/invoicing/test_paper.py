"""Paper: number, both parties, lines, taxes, totals and what is corrected are on it, in either language."""

import io
import sys
import unicodedata
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pypdf import PdfReader

from rayces_core import InvalidDataError, MissingExtraError, MissingFontError, invoicing, people, scheduling
from rayces_core.invoicing import fonts
from tests.factory import make_service, make_student, make_user
from tests.invoicing.test_drafting import issued
from tests.invoicing.world import FIRST, LAST, NOON, NOW, purchase, session


def text_of(paper):
    lines = (line for page in PdfReader(io.BytesIO(paper)).pages for line in page.extract_text().splitlines())
    return "\n".join(line.strip() for line in lines)


@pytest.mark.slow
def test_an_invoice_says_all_of_it(centre, ana):
    session(ana, 12_100, at=NOON, student=make_student(first_name="Luz", last_name="Sosa"))
    purchase(ana, amount_cents=1_210_000, at=NOON)
    invoice = issued(ana, customer={"tax_id": "27-12345678-9", "address": "Mitre 1"})

    text = text_of(invoicing.invoice_pdf(invoice))

    for said in (
        "Factura 1",
        *(centre.name, "CUIT: 30-71234567-1", "Ana Gómez", "CUIT: 27-12345678-9", "Mitre 1", ana.email),
        *("Fecha de emisión: 02/04/2031", "Vencimiento: 12/04/2031", "Período: 01/03/2031 - 31/03/2031"),
        *("Sesión · Luz Sosa", "Créditos", "10", "ARS 1.210,00", "21 %", "ARS 121,00", "ARS 12.100,00"),
        *("ARS 10.100,00", "IVA 21 %", "ARS 2.121,00", "ARS 12.221,00"),
    ):
        assert said in text, said


def test_a_credit_note_names_what_it_corrects(ana):
    session(ana, 12_100)
    invoice = issued(ana, language="en")
    text = text_of(invoicing.invoice_pdf(invoicing.credit_note(invoice, reason="the wrong <month> & year")))
    for said in ("Credit note 1", "Corrects invoice: 1", "Reason: the wrong <month> & year", "ARS 121.00", "Tax 21 %"):
        assert said in text, said


def test_a_draft_says_so_and_shows_what_is_due(ana):
    session(ana, 12_100)
    draft = invoicing.draft_invoice(ana, FIRST, LAST)
    text = text_of(invoicing.invoice_pdf(draft))
    assert "Borrador" in text
    assert "ARS 121,00" in text
    draft.discard()
    assert "Descartada" in text_of(invoicing.invoice_pdf(draft))


def test_the_same_invoice_gives_the_same_bytes(ana):
    session(ana)
    invoice = issued(ana)
    assert invoicing.invoice_pdf(invoice) == invoicing.invoice_pdf(invoice)


@pytest.mark.slow
def test_a_long_one_goes_on_on_a_second_page(ana):
    for _ in range(70):
        session(ana)
    paper = invoicing.invoice_pdf(issued(ana))
    assert len(PdfReader(io.BytesIO(paper)).pages) >= 2
    assert text_of(paper).count("Detalle") >= 2  # the head of the table again


def test_the_attendance_of_a_day_as_paper(centre, ana):
    child = make_student(first_name="Luz", last_name="Sosa")
    session(ana, at=NOON, student=child)
    session(ana, at=NOON.replace(hour=17), state="confirmed", executed_at=None)
    rows = scheduling.attendance_list(date(2031, 3, 3), now=NOW)

    text = text_of(invoicing.attendance_pdf(date(2031, 3, 3), rows, centre))
    for said in ("Asistencia 03/03/2031", "12:00", "Luz Sosa", "asistió", "14:00", "sin marcar"):
        assert said in text, said
    empty = text_of(invoicing.attendance_pdf(date(2031, 3, 4), [], centre, language="en"))
    assert "Nobody is expected on this day." in empty


def test_sums_by_rate_are_told_where_there_are_several(ana):
    session(ana, 12_100, at=NOON)
    session(ana, 11_050, at=NOON, service=make_service(name="Books", tax_basis_points=1050))
    session(ana, 5_000, at=NOON, service=make_service(name="Therapy", tax_basis_points=0))
    invoice = issued(ana)
    text = text_of(invoicing.invoice_pdf(invoice))
    for said in (
        *("Neto al 0 %\nARS 50,00", "IVA 0 %\nARS 0,00", "Neto al 10,5 %\nARS 100,00", "IVA 10,5 %\nARS 10,50"),
        *("Neto al 21 %\nARS 100,00", "IVA 21 %\nARS 21,00", "Total\nARS 281,50"),
    ):
        assert said in text, said
    note = text_of(invoicing.invoice_pdf(invoicing.credit_note(invoice, [1, 2], reason="wrong")))
    assert "Neto al 21 %\nARS 100,00" in note
    assert "Therapy" not in note


def test_days_amounts_and_what_is_short_stand_on_one_line(centre, ana):
    purchase(ana, amount_cents=2**31 - 8, at=NOON)
    session(ana, 100_000_000, at=NOON, student=make_student(first_name="Bartolomé" * 5, last_name="Villaseñor " * 10))
    for name in ("Gómez", "Щербаківська"):  # in either font, of which one is wider
        draft = invoicing.draft_invoice(ana, FIRST, LAST, customer={"name": name})
        text = text_of(invoicing.invoice_pdf(draft))
        for said in ("03/03/2031", "Cantidad", "1", "ARS 1.000.000,00", "ARS 21.474.836,40", "21 %"):
            assert f"\n{said}\n" in text, said


def test_both_parties_are_told_on_a_draft_as_on_the_invoice(centre, ana):
    centre.phone, centre.address = "+541148110000", "Mitre 1\nOlivos"
    centre.save()
    session(ana)
    draft = invoicing.draft_invoice(
        ana, FIRST, LAST, customer={"tax_id": "27-1", "address": "Alsina 5\nBanfield", "name": None, "phone": ""}
    )
    for _ in range(2):
        text = text_of(invoicing.invoice_pdf(draft))
        for said in ("CUIT: 30-71234567-1", "+541148110000", "Mitre 1\nOlivos", "CUIT: 27-1", "Alsina 5\nBanfield"):
            assert said in text, said
        assert ana.full_name in text
        assert "+541155550000" in text
        if draft.state == "draft":
            draft.issue()


def test_a_draft_of_a_duplicate_tells_of_the_one_that_stays_as_the_invoice_will(ana, desk):
    twin = make_user(first_name="Anna", last_name="Gomes")
    session(twin)
    draft = invoicing.draft_invoice(twin, FIRST, LAST)
    people.merge_users(ana, twin, by=desk)
    text = text_of(invoicing.invoice_pdf(draft))
    for said, is_there in ((ana.full_name, True), (ana.email, True), ("Anna", False), ("merged.invalid", False)):
        assert (said in text) == is_there, said


def test_a_draft_of_who_was_erased_tells_no_address(db, ana, desk):
    session(ana)
    people.erase_user(db, ana, by=desk)
    assert "erased" not in text_of(invoicing.invoice_pdf(invoicing.draft_invoice(ana, FIRST, LAST)))


@pytest.mark.slow
def test_the_sums_are_not_torn_apart_by_the_end_of_a_page(ana):
    for number in range(24, 36):
        while len(invoicing.due_lines(ana, FIRST, LAST)) < number:
            session(ana)
        draft = invoicing.draft_invoice(ana, FIRST, LAST)
        pages = [page.extract_text() for page in PdfReader(io.BytesIO(invoicing.invoice_pdf(draft))).pages]
        assert ["Neto" in page for page in pages] == ["IVA 21 %" in page for page in pages]


NAMES = {
    "Greek": "Ελένη Παπαδοπούλου",
    "Cyrillic": "Юлія Щербаківська",
    "Polish": "Łucja Żółć-Śmigły",
    "Turkish": "Işıl Gökçeoğlu",  # noqa: RUF001 - it is their letter
    "Vietnamese": "Nguyễn Thị Phượng",
    "Romanian": "Ștefan Țîru",
    "Western": "Zoë Nuñez œ € “x”",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_are_printed_in_their_letters_however_they_were_typed(centre, name):
    first, _, last = unicodedata.normalize("NFD", name).partition(" ")
    user = make_user(first_name=first, last_name=last)
    session(user, at=NOON, student=make_student(first_name=first, last_name=last))
    invoice = issued(user)
    paper = invoicing.invoice_pdf(invoice)
    assert text_of(paper).count(name) >= 2
    assert invoicing.invoice_pdf(invoice) == paper
    rows = scheduling.attendance_list(date(2031, 3, 3), now=NOW)
    assert name in text_of(invoicing.attendance_pdf(date(2031, 3, 3), rows, centre))


@pytest.mark.parametrize("name", ["山田 花子", "ประภาส ชลศรานนท์", "שרה כהן", "علي حسن", "আনিকা", "A \U0010ffff"])
def test_what_no_font_has_or_sets_is_refused_by_letter(ana, name):
    session(ana)
    invoice = issued(ana, customer={"name": name})
    with pytest.raises(MissingFontError) as caught:
        invoicing.invoice_pdf(invoice)
    assert caught.value.letters
    assert set(caught.value.letters) <= set(name)
    assert f"U+{ord(caught.value.letters[0]):04X}" in str(caught.value)


def fonts_of(paper):
    fonts = PdfReader(io.BytesIO(paper)).pages[0]["/Resources"]["/Font"].values()
    return {font.get_object()["/BaseFont"].partition("+")[2] or font.get_object()["/BaseFont"] for font in fonts}


def test_the_font_is_the_hosts_or_helvetica_or_one_that_has_the_letters(ana):
    session(ana)
    invoice = issued(ana, customer={"name": "Ελένη"})
    plain = issued_to(make_user(first_name="Zoë", last_name="Nuñez"))
    assert fonts_of(invoicing.invoice_pdf(plain)) == {"/Helvetica", "/Helvetica-Bold"}
    assert "DejaVuSans" in fonts_of(invoicing.invoice_pdf(invoice))
    both = "DejaVuSerif.ttf", Path("DejaVuSerif-Bold.ttf")
    assert {"DejaVuSerif", "DejaVuSerif-Bold"} <= fonts_of(invoicing.invoice_pdf(invoice, font=both))
    one = fonts_of(invoicing.invoice_pdf(plain, font="DejaVuSans.ttf"))
    assert "DejaVuSans-Bold" not in one
    # Vera is reportlab's own and has Western letters alone, so that the paper falls back.
    assert "DejaVuSans" in fonts_of(invoicing.invoice_pdf(invoice, font="Vera.ttf"))
    with pytest.raises(InvalidDataError, match="no TrueType font"):
        invoicing.invoice_pdf(plain, font=__file__)


def issued_to(user):
    session(user)
    return issued(user)


def test_without_a_font_of_the_system_it_says_which_letters_are_lacking(ana, monkeypatch):
    monkeypatch.setattr(fonts, "DEJAVU", ("not there.ttf", "nor there.ttf"))
    session(ana)
    invoice = issued(ana, customer={"name": "Ελένη Ж"})
    for font in (None, "Vera.ttf"):
        with pytest.raises(MissingFontError, match=r"Ж \(U\+0416\)") as caught:
            invoicing.invoice_pdf(invoice, font=font)
        assert caught.value.letters == tuple(sorted({*"Ελένη", "Ж"}))


def test_without_reportlab_it_says_what_to_install(ana, monkeypatch):
    session(ana)
    invoice = issued(ana)
    for name in [name for name in sys.modules if name.partition(".")[0] == "reportlab"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reportlab", None)
    with pytest.raises(MissingExtraError, match=r"rayces-core\[pdf\]"):
        invoicing.invoice_pdf(invoice)


def test_the_day_is_the_centres(centre, ana):
    session(ana, at=datetime(2031, 3, 4, 2, tzinfo=UTC))
    assert len(scheduling.attendance_list(date(2031, 3, 3), now=NOW)) == 1
    assert scheduling.attendance_list(date(2031, 3, 4), now=NOW) == []
