"""`rayces import` of files as people have them: which sheet, which row names the columns, what is told of the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xlsxwriter

from rayces_core import Database, Organization, Student
from tests.cli.process import Terminal
from tests.factory import make_organization


@pytest.fixture
def north(bare_db: Database) -> Organization:
    """The organization `north`."""
    return make_organization(bare_db, subdomain="north", name="North")


@pytest.mark.slow
def test_several_sheets_are_named_until_somebody_says_which(
    bare: Terminal, bare_db: Database, north: Organization, tmp_path: Path
) -> None:
    path = str(tmp_path / "alumnos.xlsx")
    with xlsxwriter.Workbook(path) as book:
        for title in ("Sala 4", "Sala 5"):
            sheet = book.add_worksheet(title)
            sheet.write_column(0, 0, ["Alumnos", "", "Nombre", f"Luz de {title}", "=1"])
            sheet.write_column(2, 1, ["Apellido", "Sosa"])
            sheet.write_column(2, 2, ["Sala", title])

    refused = bare("import", "students", path, "--tenant", "north")
    assert (refused.code, "say which with --sheet, or read every one" in " ".join(refused.err.split())) == (3, True)
    ran = bare("import", "students", path, "--tenant", "north", "--sheet", "all", "--on-error", "skip")
    assert "Sala 5: row 1 above the names of the columns, in row 3, is not read" in " ".join(ran.out.split())
    assert "5 of 'Sala 4'" in ran.out
    with bare_db.tenant(north):
        assert {student.grade_level for student in Student.select()} == {"Sala 4", "Sala 5"}


@pytest.mark.slow
def test_what_was_found_out_about_a_file_is_told(bare: Terminal, north: Organization, tmp_path: Path) -> None:
    path = tmp_path / "alumnos.csv"
    path.write_bytes("x\nNombre;Apellido;Sala\nTOMÁS;GARCÍA;s/d\nTotal;;1\n".encode("cp1252"))
    options = ("--tenant", "north", "--header-row", "2", "--null", "s/d")

    shown = " ".join(bare("import", "students", str(path), *options, "--check").out.split())
    assert "is read as cp1252, as its words tell: TOMÁS, GARCÍA" in shown
    assert "row 4 at the end is a total and not read" in shown
    told = json.loads(bare("import", "students", str(path), *options, "--json").out)
    assert (told["created"], len(told["notes"])) == (1, 2)


def test_a_file_without_a_header_is_read_by_places(bare: Terminal, north: Organization, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Luz,Sosa\nTeo,Paz\n")
    places = ("--map", "column 1=first_name", "--map", "column 2=last_name")

    ran = bare("import", "students", str(tmp_path / "a.csv"), "--tenant", "north", "--no-header", *places)
    assert "2 students, 2 created" in ran.out
