"""docs/importing.md takes a workbook as people keep it from opening to the last row; each command of it is run here."""

from __future__ import annotations

import re
import shlex
from datetime import date
from pathlib import Path

import pytest
import xlsxwriter

from rayces_core import Database, Student
from tests.cli.process import Terminal
from tests.factory import make_organization

DOCS = Path(__file__).parents[2] / "docs" / "importing.md"
HEADER = ("Apellido y nombre", "Nacimiento", "Fecha de alta", "Responsable", "Mail", "Celular", "Curso")
CHILDREN = [
    ("Sosa, Luz", date(2020, 3, 4), "1/3/2026", "sala 5"),
    ("SOSA, TEO", date(2021, 12, 31), "15/3/2026", "sala 4"),
    ("Álvarez, Ángel", date(2020, 5, 9), "1/3/2026", "sala 5"),
    ("Paz, Ana", "31/31/2020", "1/3/2026", "sala 5"),
]


def write_workbook(path: Path) -> None:
    """A title, a family's guardian merged over two children, numbers for phones, a total, and a sheet of payments."""
    with xlsxwriter.Workbook(path) as book:
        day = book.add_format({"num_format": "dd/mm/yyyy"})
        sheet = book.add_worksheet("Sala 5")
        sheet.write(0, 0, "Centro Norte: inscripciones 2026")
        sheet.write_row(2, 0, HEADER)
        for row, (name, born, since, grade) in enumerate(CHILDREN, 3):
            sheet.write(row, 0, name)
            sheet.write(row, 1, born, day if isinstance(born, date) else None)
            sheet.write(row, 2, since)
            sheet.write(row, 6, grade)
        for column, value in ((3, "Sosa, Eva"), (4, "mailto:eva@example.org"), (5, 1143215678)):
            sheet.merge_range(3, column, 4, column, value)
        sheet.write_row(5, 3, ("Álvarez, Leo", "LEO@example.org", "11 4321-9999"))
        sheet.write_row(6, 3, ("Paz, Sol", "sol@example.org", "4321-0000"))
        sheet.write_row(7, 0, ("Total", "", "", "", "", "", 4))
        payments = book.add_worksheet("Pagos")
        payments.write_row(0, 0, ("Mail", "Monto", "Moneda"))
        payments.write_row(1, 0, ("eva@example.org", 15000, "ARS"))


def shown(bare: Terminal, command: str) -> str:
    ran = bare(*shlex.split(command)[1:])
    lines = (ran.out + ran.err).splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


@pytest.mark.slow
def test_the_workbook_of_the_docs_is_imported_as_they_show(
    bare: Terminal, bare_db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    north = make_organization(bare_db, subdomain="north", name="Centro Norte", time_zone="America/Argentina/Cordoba")
    write_workbook(tmp_path / "inscripciones.xlsx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    section = DOCS.read_text("utf-8").partition("## A workbook as people keep it")[2].partition("\n## ")[0]
    told = [block.split("\n", 1) for block in re.findall(r"```console\n\$ (.*?)\n```", section, re.DOTALL)]
    assert len(told) == 4
    for command, printed in told:
        assert shown(bare, command) == printed, command
    with bare_db.tenant(north):
        kept = {(each.first_name, each.last_name, each.primary_contact.email) for each in Student.select()}
        sosa = next(each.primary_contact for each in Student.select() if each.first_name == "Luz")
    assert kept == {
        ("Luz", "Sosa", "eva@example.org"),
        ("TEO", "SOSA", "eva@example.org"),
        ("Ángel", "Álvarez", "leo@example.org"),
    }
    assert (sosa.full_name, sosa.phone) == ("Eva Sosa", "+541143215678")
