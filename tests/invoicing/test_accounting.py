"""The accountants' CSV: one row an invoice, totals by tax rate, decimals as the currency has them, no formula runs."""

import csv
import io

from rayces_core import invoicing
from rayces_core.invoicing.texts import decimal, money
from tests.factory import make_user
from tests.invoicing.test_drafting import issued
from tests.invoicing.world import FIRST, LAST, NOW, session

TODAY = NOW.date()


def rows(since=TODAY, until=TODAY):
    return list(csv.DictReader(io.StringIO(invoicing.invoices_csv(since, until), newline="")))


def test_a_row_an_invoice_with_its_totals_by_rate(centre, ana):
    session(ana, 12_100)
    first = issued(ana)
    invoicing.credit_note(first, reason="exempt")
    centre.settings = centre.settings | {"tax_basis_points": 0, "invoice_series": "B-"}
    centre.save()
    issued(ana, customer={"tax_id": "27-1"})

    note, invoice, again = rows()

    assert (invoice["kind"], invoice["number"], invoice["net"], invoice["tax"], invoice["total"]) == (
        *("invoice", "1", "100.00", "21.00", "121.00"),
    )
    assert (invoice["net_21"], invoice["tax_21"], invoice["net_0"], invoice["tax_0"]) == ("100.00", "21.00", "", "")
    assert (note["kind"], note["corrects"], note["total"], note["tax_21"]) == ("credit_note", "1", "-121.00", "-21.00")
    assert (again["series"], again["customer_tax_id"], again["net_0"], again["tax_0"]) == (
        "B-",
        "27-1",
        "121.00",
        "0.00",
    )


def test_what_is_not_known_of_a_customer_is_an_empty_cell(ana):
    session(ana)
    issued(ana, customer={"tax_id": None})
    (row,) = rows()
    assert row["customer_tax_id"] == ""


def test_only_what_was_issued_in_those_days(ana):
    session(ana)
    invoicing.draft_invoice(ana, FIRST, LAST)
    assert rows() == []
    issued(ana)
    assert rows(FIRST, LAST) == []
    assert len(rows()) == 1


def test_no_formula_runs(centre):
    family = make_user(first_name='=HYPERLINK("http://evil")', last_name="x")
    session(family)
    issued(family, customer={"tax_id": "+1+1"})
    (row,) = rows()
    assert (row["customer"][:2], row["customer_tax_id"]) == ("'=", "'+1+1")


def test_decimals_are_the_currencys(ana):
    session(ana, 12_100, currency="CLP")
    issued(ana, currency="CLP")
    (row,) = rows()
    assert (row["currency"], row["total"], row["tax_21"]) == ("CLP", "12100", "2100")


def test_money_is_written_as_people_do():
    assert money(123_456_789, "ARS", "es") == "ARS 1.234.567,89"
    assert money(123_456_789, "ARS", "en") == "ARS 1,234,567.89"
    assert (money(1500, "CLP", "es"), decimal(5, "KWD"), decimal(-5, "ARS")) == ("CLP 1.500", "0.005", "-0.05")
