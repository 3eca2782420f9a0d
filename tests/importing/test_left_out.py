"""Rows that are not what they seem: left out, gone, exported from here, or given with options of another kind."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    ColumnMappingError,
    CreditBalance,
    Database,
    ImportRefusedError,
    InvalidDataError,
    Student,
    User,
    credits,
    exporting,
    importing,
)
from tests.credits.ledger import early, held_appointment
from tests.factory import make_user
from tests.importing.world import NOW, make_centre, session, told


def problems(rows: list[dict[str, Any]]) -> dict[int, str]:
    """Row → its first problem."""
    return {each.row: each.problem for each in reversed(importing.check(rows, Appointment, now=NOW).problems)}


# -- overlaps -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_row_that_is_left_out_holds_no_time(db: Database, a: Any) -> None:
    nobody = session(student_first_name="Nobody")
    beside, behind = session(0.5), session(1.5, student_first_name="Teo")
    with db.tenant(a):
        make_centre()
        assert set(problems([nobody, beside])) == {1}
        assert set(problems([session(), session(0.5, student_first_name="Teo"), behind])) == {2}
        importing.run([session(-0.5, student_first_name="Teo")], Appointment, now=NOW)
        assert set(problems([session(), session(1)])) == {1}


def test_the_row_that_holds_the_time_is_named(db: Database, a: Any) -> None:
    rows = [session(duration_minutes=480), session(2, student_first_name="Teo"), session(7)]
    with db.tenant(a):
        make_centre()
        found = problems(rows)
        assert ["overlaps row 1," in found[row] for row in (2, 3)] == [True, True]


# -- what was exported from here ------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["sequence", "Balance After", "balance_before"])
def test_an_export_of_the_ledger_is_refused_by_each_of_its_columns(db: Database, a: Any, mark: str) -> None:
    with db.tenant(a):
        make_centre()
        with pytest.raises(ColumnMappingError, match="export tenant"):
            importing.run([{"user": "ana@example.org", "credits": 5, mark: 1}], "credits")
        assert not CreditBalance.select().exists()


@pytest.mark.slow
def test_the_reference_of_an_export_goes_before_its_id(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([{"user": "ana@example.org", "credits": 3, "reference": "R1"}], "credits")
        exporting.export("credits", tmp_path / "c.csv", columns=["id", "user", "credits", "reference"])
        assert importing.run(tmp_path / "c.csv", "credits").unchanged == 1
        assert CreditBalance.get().balance == 3


@pytest.mark.parametrize("form", ["csv", "xlsx", "jsonl", "parquet"])
def test_a_text_that_looks_like_a_forced_one_comes_back_exactly(
    db: Database, a: Any, b: Any, tmp_path: Path, form: str
) -> None:
    with db.tenant(a):
        make_user(email="q@example.org", first_name='="x"', last_name='\'="y"')
        exporting.export("users", tmp_path / f"u.{form}")
    with db.tenant(b):
        importing.run(tmp_path / f"u.{form}", "users")
        found = User.get()
        assert (found.first_name, found.last_name) == ('="x"', '\'="y"')


@pytest.mark.slow
def test_an_appointment_that_used_credit_is_unchanged(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        client = make_user()
        credits.purchase(client, 5)
        held = held_appointment(client, 2)
        held.confirm(now=early(held))
        exporting.export("appointments", tmp_path / "a.csv")
        again = importing.check(tmp_path / "a.csv", Appointment, now=held.scheduled_at)
        assert (again.unchanged, told(again)) == (1, [])
        make_centre()
        assert told(importing.check([session(uses_credit=True)], Appointment, now=NOW)) == [(1, "uses_credit")]


# -- gone, and given ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_row_that_vanished_after_the_check_is_not_told_as_updated(db: Database, a: Any, on_error: str) -> None:
    rows = [{"first_name": name, "last_name": "L", "grade_level": "2"} for name in ("A", "B")]

    def vanish(what: str, done: int, _: int | None) -> None:
        if what == "check" and done:
            Student.delete().where(Student.first_name == "B").execute()

    with db.tenant(a):
        importing.run([{**row, "grade_level": "1"} for row in rows], "students")
        if on_error == "stop":
            with pytest.raises(ImportRefusedError, match="was deleted"):
                importing.run(rows, "students", update=True, progress=vanish)
            assert Student.get().grade_level == "1"
        else:
            report = importing.run(rows, "students", update=True, progress=vanish, on_error="skip")
            assert (report.updated, report.skipped, [row for row, _ in told(report)]) == (1, 1, [2])


@pytest.mark.parametrize("given", [{"columns": 5}, {"columns": {"a": 5}}, {"reading": 5}])
def test_options_of_another_kind_are_refused(db: Database, a: Any, given: dict[str, Any]) -> None:
    with db.tenant(a), pytest.raises(InvalidDataError, match=next(iter(given))):
        importing.check([{"email": "a@example.org"}], "users", **given)


@pytest.mark.parametrize("name", ["report.csv", "report.json"])
def test_a_report_is_its_owners_alone(db: Database, a: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch(mode=0o644)
    with db.tenant(a):
        importing.check([{"email": "nobody"}], "users").save(tmp_path / name)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
