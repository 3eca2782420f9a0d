"""`rayces invoices csv` and `verify`: what they write, exit codes, for whom."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import psycopg2
import pytest

from rayces_core import Organization, clock
from rayces_core.database.database import Database
from tests.cli.process import Terminal
from tests.factory import make_organization, make_user
from tests.invoicing.test_drafting import issued
from tests.invoicing.world import NOW, session


@pytest.fixture
def north(bare_db: Database) -> Organization:
    """An organization with an invoice, beside one without."""
    make_organization(bare_db, subdomain="south")
    with bare_db.tenant(made := make_organization(bare_db, subdomain="north")), clock.frozen(NOW):
        family = make_user(first_name="=1+1")
        session(family)
        issued(family)
    return made


DAYS = ("--from", "2031-04-01", "--until", "2031-04-30")


@pytest.mark.slow
def test_accountants_get_a_row_an_invoice(bare: Terminal, north: Organization, tmp_path: Path) -> None:
    ran = bare("invoices", "csv", "--organization", "north", *DAYS)
    assert (ran.code, ran.err) == (0, "")
    (row,) = csv.DictReader(ran.out.splitlines())
    assert (row["number"], row["total"], row["customer"]) == ("1", "1500.00", "'=1+1 Paz")

    file = tmp_path / "april.csv"
    assert bare("invoices", "csv", "--organization", "north", *DAYS, "--output", str(file)).code == 0
    assert file.read_bytes().decode() == ran.out.replace("\n", "\r\n")
    assert len(bare("invoices", "csv", "--organization", "south", *DAYS).out.splitlines()) == 1


@pytest.mark.slow
def test_sums_that_are_none_are_1(bare: Terminal, bare_db: Database, north: Organization) -> None:
    clean = bare("invoices", "verify")
    assert (clean.code, clean.out) == (0, "Every number follows the one before, and every sum is that of its lines\n")
    with psycopg2.connect(bare_db.url) as connection, connection.cursor() as superuser:
        superuser.execute("DELETE FROM invoice_lines")

    ran = bare("invoices", "verify", "--organization", "north", "--json")
    assert ran.code == 1
    assert {each["kind"] for each in json.loads(ran.out)} == {"line_count", "total_cents"}
    assert bare("invoices", "verify", "--organization", "south").code == 0
    assert "2 findings" in bare("invoices", "verify").out
