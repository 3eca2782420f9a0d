"""`rayces report`: files, exit codes, what is printed."""

import json
import zipfile
from pathlib import Path

import pytest

from rayces_core import Database
from rayces_core.clock import frozen
from tests.analysis.report import centre
from tests.cli.process import Terminal, is_one_sentence
from tests.walking import walked


@pytest.fixture
def north(bare_db: Database) -> Database:
    centre.made(bare_db, "north")
    return bare_db


@pytest.fixture(autouse=True)
def today():
    with frozen(centre.NOW):
        yield


@pytest.mark.slow
def test_a_report_goes_to_a_file_of_the_format_of_its_ending(bare: Terminal, north: Database, tmp_path: Path) -> None:
    page, book = tmp_path / "report.html", tmp_path / "report.xlsx"
    page.write_text("of last month")
    ran = bare("report", "north", "--month", "2026-10", "--out", str(page), "--language", "en")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"wrote the report of north for 2026-10 to {page}\n"
    assert "How many sessions did we hold?" in page.read_text("utf-8")

    assert bare("report", "north", "--month", "2026-10", "--out", str(book)).code == 0
    assert zipfile.is_zipfile(book)


@pytest.mark.slow
def test_the_month_is_the_last_one_that_is_over_and_what_is_empty_is_told_to_be(
    bare: Terminal, north: Database, tmp_path: Path
) -> None:
    path = str(tmp_path / "r.xlsx")
    ran = bare("report", "north", "--out", path, "--json")
    assert json.loads(ran.out) == {"tenant": "north", "month": "2026-10", "path": path, "empty": False}
    assert bare("organizations", "create", "South", "--subdomain", "south").code == 0
    ran = bare("report", "south", "--out", path)
    assert (
        ran.out == f"wrote the report of south for 2026-10 to {path}; it has no session, no credit and no application\n"
    )
    with north.tenant("south") as organization:
        identity = organization.id
    assert bare("report", str(identity), "--out", path).code == 0


@walked(
    "words",
    [
        ["report"],
        ["report", "north"],
        ["report", "north", "--out", "report"],
        ["report", "north", "--out", "report.docx"],
        ["report", "north", "--out", "r.xlsx", "--month", "10/2026"],
        ["report", "north", "--out", "r.xlsx", "--month", "2026-13"],
        ["report", "north", "--out", "r.xlsx", "--month", "2026-12"],
        ["report", "north", "--out", "r.xlsx", "--language", "fr"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_leaves_no_file(
    bare: Terminal, north: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = bare(*words)
    assert (ran.code, ran.out) == (2, "")
    assert is_one_sentence(ran.err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_cannot_be_reached_is_3_and_leaves_no_file(bare: Terminal, north: Database, tmp_path: Path) -> None:
    for tenant, file in (("nowhere", tmp_path / "r.xlsx"), ("north", tmp_path / "none" / "r.xlsx")):
        ran = bare("report", tenant, "--out", str(file))
        assert ran.code == 3
        assert is_one_sentence(ran.err)
    folder = tmp_path / "folder.xlsx"
    folder.mkdir()
    assert bare("report", "north", "--out", str(folder)).code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["folder.xlsx"]
