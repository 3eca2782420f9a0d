"""The report of a check: its texts, files and what a notebook shows; the example of the documentation."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from rayces_core import Database, ImportRefusedError, Student, User, importing
from rayces_core.importing import Problem, Report
from tests.importing.world import PEOPLE

DOCS = Path(__file__).parents[2] / "docs" / "importing.md"
NASTY = '<script>alert("x")</script>'


@pytest.mark.slow
def test_the_example_of_the_documentation_runs_as_it_stands(
    capsys: pytest.CaptureFixture[str], on_the_runs_server: None
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    exec(compile(example, DOCS.name, "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*# (.*)", example)


def test_what_a_notebook_shows_is_escaped(db: Database, a: Any) -> None:
    with db.tenant(a):
        report = importing.check([{"email": NASTY, NASTY: 1}], User)
    shown = report._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    report.source = NASTY
    assert "<script>" not in report._repr_html_()


def test_a_notebook_shows_the_first_problems_and_how_many_there_are() -> None:
    report = Report("users", "people.csv", rows=30, skipped=30)
    report.add(Problem(number, "email", "x", "is wrong", "correct it") for number in range(30))
    assert report._repr_html_().count("<tr>") == 21
    assert "and 10 more" in report._repr_html_()
    assert "<table>" not in Report("users", "people.csv")._repr_html_()


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_none_in_the_csv(tmp_path: Path, value: str) -> None:
    report = Report("users", "people.csv")
    report.add([Problem(1, "email", value, "is wrong", "correct it")])
    report.save(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        _, row = csv.reader(file)
    assert row == ["1", "email", "'" + value, "is wrong", "correct it"]


def test_the_json_has_the_counts_and_every_problem(db: Database, a: Any, tmp_path: Path) -> None:
    rows = [{"email": f"nobody {number} ñ", "Otra": "x"} for number in range(1100)]
    rows += [{"email": row["email"]} for row in PEOPLE]
    with db.tenant(a), pytest.raises(ImportRefusedError) as refused:
        importing.run(rows, User)
    refused.value.report.save(tmp_path / "out.json")
    facts = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert len(facts["problems"]) == facts["problem_count"] == facts["skipped"] == 1100
    assert (facts["rows"], facts["created"], facts["written"], facts["unused"]) == (1103, 3, False, ["Otra"])
    assert facts["problems"][1099]["value"] == "nobody 1099 ñ"


def test_a_report_says_what_would_be_done_and_what_was(db: Database, a: Any) -> None:
    with db.tenant(a):
        assert str(importing.check(PEOPLE, User)).endswith("3 users, 3 to create, 0 to update, 0 unchanged")
        assert str(importing.run(PEOPLE, User)).endswith("3 users, 3 created, 0 updated, 0 unchanged")


def test_a_header_that_is_nearly_known_is_suggested(db: Database, a: Any) -> None:
    with db.tenant(a):
        report = importing.check([{"Nombre": "Luz", "Apellido": "Sosa", "Notas medicass": "-"}], Student)
    assert report.unused == ("Notas medicass",)
    assert report.suggestions == {"Notas medicass": "medical_notes"}
    assert "did you mean medical_notes?" in report._repr_html_()


def test_one_is_told_in_the_singular_and_many_with_commas() -> None:
    report = Report("users", "people.csv", rows=1, skipped=1)
    report.add([Problem(1, "email", "x", "is wrong", "correct it")])
    assert "1 user, " in str(report)
    assert str(report).endswith("1 with 1 problem")
    assert "1,200 users, " in str(Report("users", "people.csv", rows=1200))


def test_a_resumed_import_says_what_was_there() -> None:
    report = Report("users", "people.csv", rows=60_000, resumed_after=55_001, there_before=55_000)
    assert str(report).endswith("; 55,000 rows were there from the run before")
    assert "from the run before" not in str(Report("users", "people.csv", rows=3, resumed_after=0))


def test_a_row_known_by_several_columns_is_told_under_all_of_their_headers(tmp_path: Path) -> None:
    report = Report("students", "x.csv", columns={"first_name": "Nombre", "last_name": "Apellido"})
    report.add([Problem(2, "first_name, last_name, date_of_birth", "x", "is wrong", "correct it")])
    assert "<td>Nombre, Apellido, date_of_birth</td>" in report._repr_html_()
    report.save(tmp_path / "x.json")
    facts = json.loads((tmp_path / "x.json").read_text("utf-8"))
    assert facts["problems"][0]["column"] == "first_name, last_name, date_of_birth"
