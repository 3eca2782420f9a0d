"""The report of a month: its figures against those worked out by hand, and its three formats."""

import io
import re
import stat
from datetime import date, datetime, timedelta
from html import unescape

import pytest
from python_calamine import CalamineWorkbook

from rayces_core import Database, InvalidDataError, TenantNotSetError
from rayces_core.analysis.report import Report, last_month, month_of, monthly
from rayces_core.analysis.report.monthly import QUESTIONS
from tests.analysis.report import centre
from tests.factory import make_organization, make_user

pytestmark = pytest.mark.slow

OCTOBER = date(2026, 10, 1)


@pytest.fixture(scope="module")
def organization(db: Database):
    return centre.made(db, f"report-{id(db) % 10_000}")


@pytest.fixture(scope="module")
def report(db: Database, organization) -> Report:
    with db.tenant(organization):
        return monthly("2026-10", now=centre.NOW)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return report.html()


@pytest.fixture(scope="module")
def sheets(report: Report):
    return CalamineWorkbook.from_filelike(io.BytesIO(report.xlsx()))


def figures(report: Report, key: str) -> dict[str, tuple]:
    (section,) = (section for section in report.sections if section.key == key)
    return {figure.label: (figure.value, figure.before) for figure in section.figures}


@pytest.mark.slow
def test_there_are_twelve_questions_each_with_a_figure_and_a_definition(report):
    assert len(report.sections) == len(QUESTIONS) == 12
    assert len({section.key for section in report.sections}) == 12
    for section in report.sections:
        assert section.figures
        assert section.metrics
        assert section.frames


@pytest.mark.slow
def test_figures_are_those_of_the_month_and_of_the_month_before(report):
    sessions = figures(report, "sessions")
    assert sessions["Sesiones realizadas"] == (3, 1)
    assert sessions["Ausencias"] == (1, 0)
    assert sessions["Horas realizadas"] == (3.0, 1.0)
    # Four Mondays of four hours; a session takes an hour.
    assert figures(report, "occupancy")["Ocupación"] == (4 / 16, 1 / 16)
    assert figures(report, "lost")["Ausencias"] == (0.25, 0.0)
    assert figures(report, "week")["Hora más llena"][0] == "lunes 10:00 (100\u202f%)"
    assert figures(report, "liability")["Créditos sin usar"] == (10, 10)
    assert figures(report, "clients")["Clientes con una sesión"] == (1, 1)
    assert figures(report, "clients")["Clientes nuevos"] == (0, 1)
    assert figures(report, "clients")["De los nuevos del mes anterior, volvieron"] == (1.0, None)
    assert figures(report, "holds") == {"Reservas que vencen en 48 horas": (1, None)}


@pytest.mark.slow
def test_money_is_told_by_currency(report, page):
    assert figures(report, "revenue") == {
        "Ingresos en ARS": (30_000, 0),
        "Ingresos en USD": (0, 550),
        "Sesiones sin precio": (0, 0),
    }
    assert "ARS\u00a0300,00" in page
    assert "septiembre de 2026: USD\u00a05,50" in page


@pytest.mark.slow
def test_the_page_has_every_question_figure_chart_and_definition(report, page):
    text = unescape(page)
    for place, section in enumerate(report.sections, 1):
        assert f'<section id="q{place}">' in page
        assert report.scope.writing.word(f"question.{section.key}") in text
        for metric in section.metrics:
            assert report.scope.writing.word(f"definition.{metric}") in text
    assert page.count("<svg") == sum(len(section.charts) for section in report.sections) >= 12
    assert 'lang="es"' in page
    assert "Octubre de 2026" in page
    assert 'name="viewport"' in page


def test_the_page_runs_and_loads_nothing_and_rows_are_text(page):
    assert "<script" not in page
    assert centre.HOSTILE in unescape(page)
    assert set(re.findall(r"https?://[^\"' <]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page
    assert not re.search(r"<(img|link|iframe|object)\b|@import|url\((?!#)", page)


def test_names_within_charts_are_each_charts_own(page):
    identities = re.findall(r'\bid="([^"]+)"', page)
    assert len(identities) == len(set(identities))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(identities)


def test_a_month_that_is_not_over_is_told_to_be(db, organization):
    with db.tenant(organization):
        running = monthly(date(2026, 11, 30), now=centre.NOW, language="en")
    assert running.scope.running
    assert "The month is not over: figures are those until now." in Report(running.scope, running.sections[-1:]).html()


@pytest.mark.slow
def test_a_month_without_anything_says_so(db):
    with db.tenant(make_organization(db)):
        nothing = monthly("2026-10", now=centre.NOW, language="en")
    assert nothing.is_empty
    page = Report(nothing.scope, nothing.sections[:2]).html()
    assert "This month has no session, no credit and no application." in page
    assert page.count("Nothing in this time") == 4
    assert nothing.xlsx()[:2] == b"PK"


def test_a_report_is_of_one_tenant_alone(db, organization, report):
    other = centre.made(db, f"report-other-{id(db) % 10_000}")
    with db.tenant(organization):
        again = monthly("2026-10", now=centre.NOW)
    assert [section.figures for section in again.sections] == [section.figures for section in report.sections]
    with db.tenant(other):
        assert monthly("2026-10", now=centre.NOW).scope.organization == other.name


def test_a_report_needs_a_tenant(db):
    with pytest.raises(TenantNotSetError):
        monthly("2026-10")
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        monthly("2026-10")


def test_a_report_is_asked_within_a_unit_of_work_that_is_open(db, organization, report):
    with db.tenant(organization), db.atomic():
        assert monthly("2026-10", now=centre.NOW).sections[0].figures == report.sections[0].figures


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-1", "October", "", "0001-01", "9999-12", 202610, None, datetime(2026, 10, 1)]
)
def test_what_is_no_month_is_refused(month):
    with pytest.raises(InvalidDataError, match="2026-10"):
        month_of(month)


def test_a_month_that_has_not_begun_is_refused(db, organization):
    with db.tenant(organization), pytest.raises(InvalidDataError, match="2026-12 has not begun; today is 2026-11-10"):
        monthly("2026-12", now=centre.NOW)
    # It begins by the centre's clock: at 02:00 UTC of 1 December it is still November there.
    with db.tenant(organization):
        at = centre.NOW.replace(month=12, day=1, hour=2)
        with pytest.raises(InvalidDataError, match="has not begun"):
            monthly("2026-12", now=at)
        assert last_month(organization, at) == OCTOBER
        assert last_month(organization, at + timedelta(hours=1)) == date(2026, 11, 1)


def test_a_language_without_words_is_refused(db, organization):
    with db.tenant(organization), pytest.raises(InvalidDataError, match="there are en, es"):
        monthly("2026-10", language="fr", now=centre.NOW)


# -- the workbook and the paper ----------------------------------------------------------------------------------------


def test_the_workbook_has_a_sheet_for_each_frame_and_numbers_are_numbers(report, sheets):
    named = [name for section in report.sections for name in section.frames]
    assert sheets.sheet_names == ["Resumen", *named, "Definiciones"]
    summary = {row[1]: row[2:] for row in sheets.get_sheet_by_name("Resumen").to_python()}
    assert summary["Sesiones realizadas"] == [3.0, 1.0]
    assert summary["Ocupación"] == [0.25, 0.0625]
    assert summary["Ingresos en ARS"] == [300.0, 0.0]


def test_money_in_the_workbook_is_an_amount_beside_its_currency_and_days_are_days(sheets):
    head, *rows = sheets.get_sheet_by_name("revenue").to_python()
    assert head == ["period", "currency", "sessions", "unpriced", "revenue"]
    assert [date(2026, 10, 1), "ARS", 3.0, 0.0, 300.0] in rows
    assert [date(2026, 9, 1), "USD", 1.0, 0.0, 5.5] in rows


def test_moments_in_the_workbook_are_those_of_the_centres_clock_and_texts_run_nothing(sheets):
    head, row = sheets.get_sheet_by_name("expiring_holds").to_python()
    told = dict(zip(head, row, strict=True))
    assert told["scheduled_at"] == datetime(2026, 11, 30, 12)
    assert told["client_id"] == "Ana =1+1"
    assert told["professional_id"] == f"{centre.HOSTILE} Paz"


@pytest.mark.parametrize(
    "sheet, column, name",
    [
        ("sessions_by_professional", "professional_id", f"{centre.HOSTILE} Paz"),
        ("occupancy_by_professional", "professional_id", f"{centre.HOSTILE} Paz"),
        ("lifetime_value", "client_id", "Ana =1+1"),
    ],
)
def test_the_workbook_names_people(sheets, sheet, column, name):
    head, *rows = sheets.get_sheet_by_name(sheet).to_python()
    assert {row[head.index(column)] for row in rows} == {name}


def test_the_workbook_says_what_each_column_means_and_what_is_counted_in_the_readers_language(sheets):
    rows = sheets.get_sheet_by_name("Definiciones").to_python()
    (counted,) = [row[2] for row in rows if row[:2] == ["no_show_rate", ""]]
    assert counted.startswith("Sesiones a las que el alumno no vino")
    assert ["occupancy", "working_minutes"] in [row[:2] for row in rows]
    assert all(row[2] for row in rows)


def test_a_file_is_whole_and_its_owners_and_replaces_what_was_there(report, tmp_path):
    path = tmp_path / "report.HTML"
    path.write_text("before")
    Report(report.scope, report.sections[-1:]).save(path)
    assert path.read_text("utf-8").endswith("</html>\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_another_ending_is_refused_and_what_was_there_stays(report, tmp_path, monkeypatch):
    for name in ("report.txt", "report", "html", ".pdf"):
        with pytest.raises(InvalidDataError, match=r"ends in none of \.html, \.xlsx, \.pdf"):
            report.save(tmp_path / name)
    path = tmp_path / "report.xlsx"
    path.write_text("before")
    monkeypatch.setattr(Report, "xlsx", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.save(path)
    assert [(left.name, left.read_text()) for left in tmp_path.iterdir()] == [("report.xlsx", "before")]


@pytest.mark.slow
def test_the_paper_is_a_pdf_that_loads_nothing_and_changes_no_page_after_it(report, page, tmp_path):
    Report(report.scope, report.sections[-3:]).save(tmp_path / "report.pdf")
    written = (tmp_path / "report.pdf").read_bytes()
    assert written.startswith(b"%PDF-")
    assert written.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type ?/Page\b", written)) >= 1 or b"/ObjStm" in written
    assert report.html() == page
    assert page.count("<svg") == page.count("<figure>")


def test_namesakes_have_their_address_beside_them_so_that_none_is_taken_for_another(db):
    with db.tenant(make_organization(db)):
        one, other, alone = make_user(), make_user(), make_user(first_name="Eva")
        names = monthly("2026-10", now=centre.NOW).scope.names
    assert names[one.id] == f"Ana Paz ({one.email})"
    assert names[other.id] == f"Ana Paz ({other.email})"
    assert names[alone.id] == "Eva Paz"
