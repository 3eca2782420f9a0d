"""The key by which another program knows a row: exported, imported, and what rows are known by where that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayces_core import Appointment, Database, Professional, Student, User, exporting, importing
from tests.importing.test_ids import corrected, done
from tests.importing.world import NOW, make_centre, session, told
from tests.sizes import first


def child(external_id: Any, first_name: str = "Luz", **more: Any) -> dict[str, Any]:
    return {"legajo": external_id, "nombre": first_name, "apellido": "Sosa"} | more


def children() -> list[tuple[str | None, str, str | None]]:
    return [(each.external_id, each.first_name, each.grade_level) for each in Student.select().order_by(Student.id)]


@pytest.mark.slow
def test_two_children_of_one_name_are_two_by_their_keys(db: Database, a: Any, b: Any) -> None:
    rows = [child("007"), child(8.0, curso="2")]
    with db.tenant(a):
        assert told(importing.check(rows, Student)) == [(2, "first_name, last_name, date_of_birth")]
        for outcome in ((2, 0, 0, 0), (0, 0, 2, 0)):
            assert done(importing.run(rows, Student, key="external_id")) == outcome
        assert children() == [("007", "Luz", None), ("8", "Luz", "2")]
    with db.tenant(b):
        assert done(importing.run(rows, Student, key="external_id")) == (2, 0, 0, 0)


@pytest.mark.slow
def test_under_its_key_a_row_is_renamed_by_an_update(db: Database, a: Any) -> None:
    with db.tenant(a):
        importing.run([child("7", "Joze"), child("8", "Ana")], Student)
        report = importing.run([child("7", "José", curso="1")], Student, key="external_id", on_error="skip")
        assert told(report) == [(1, "grade_level")]
        assert report.problems[0].problem == "is there already, with another grade_level, first_name"
        renamed = importing.run([child("7", "José", curso="1")], Student, key="external_id", update=True)
        assert done(renamed) == (0, 1, 0, 0)
        assert children() == [("7", "José", "1"), ("8", "Ana", None)]


@pytest.mark.slow
def test_who_is_there_without_a_key_gets_it_by_an_update(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        rows = [child("7", nacimiento="31/12/2019"), child("8", "Teo", nacimiento="1/2/2020"), child("9", "Eva")]
        assert told(importing.check(rows, Student, key="external_id")) == [(1, "external_id"), (2, "external_id")]
        assert done(importing.run(rows, Student, key="external_id", update=True)) == (1, 2, 0, 0)
        assert [key for key, _, _ in children()] == ["7", "8", "9"]
        assert done(importing.run(rows, Student)) == (0, 0, 3, 0)


@pytest.mark.slow
@pytest.mark.parametrize("update", [False, True])
def test_another_key_is_another_child_and_never_a_change(db: Database, a: Any, update: bool) -> None:
    with db.tenant(a):
        importing.run([child("7")], Student)
        report = importing.run([child("8")], Student, update=update, on_error="skip")
        assert done(report) == (0, 0, 0, 1)
        assert "the student Luz Sosa has here the external_id 7" in {problem.problem for problem in report.problems}
        luz = Student.get()
        assert done(importing.run([child("8", id=luz.id)], Student, update=True)) == (0, 1, 0, 0)
        assert children() == [("8", "Luz", None)]


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"key": "external_id"}, {"key": "external_id", "update": True}, {"update": True}])
def test_a_key_that_lost_its_zeros_is_neither_another_child_nor_a_change(
    db: Database, a: Any, how: dict[str, Any]
) -> None:
    with db.tenant(a):
        importing.run([child("007"), child("0012", "Ana"), child("13", "Teo")], Student, key="external_id")
        ana = Student.get(first_name="Ana")
        rows = [child("7"), child("012", "Anita") | {"id": ana.id}, child("13", "Teo"), child("1", "Eva")]
        report = importing.run(rows, Student, on_error="skip", **how)
        assert {row for row, column in told(report) if column == "external_id"} == {1, 2}
        assert "may have lost its zeros: 007 is here the key of the student Luz Sosa" in {
            problem.problem for problem in report.problems
        }
        assert children() == [("007", "Luz", None), ("0012", "Ana", None), ("13", "Teo", None), ("1", "Eva", None)]


@pytest.mark.slow
def test_an_export_whose_keys_lost_their_zeros_changes_none(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        importing.run([child("007")], Student, key="external_id")
        sheet = corrected(tmp_path / "zeros.csv", Student, {(2, "external_id"): "7", (2, "grade_level"): "2"})
        report = importing.run(sheet, Student, update=True, on_error="skip")
        assert told(report) == [(2, "external_id")]
        assert children() == [("007", "Luz", None)]


@pytest.mark.slow
def test_a_key_is_one_rows_alone(db: Database, a: Any) -> None:
    with db.tenant(a):
        importing.run([child("7"), child("8", "Ana")], Student)
        assert told(importing.check([child("7", "Teo")], Student)) == [(1, "external_id")]
        assert told(importing.check([child("9", "Teo"), child("9", "Leo")], Student)) == [(2, "external_id")]
        ana = Student.get(Student.first_name == "Ana")
        swapped = importing.check([child("7", "Ana", id=ana.id)], Student, update=True, key="id")
        assert told(swapped) == [(1, "external_id")]


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_a_row_without_the_key_that_rows_are_known_by_is_refused(db: Database, a: Any, missing: Any) -> None:
    with db.tenant(a):
        report = importing.check([child("7"), child(missing, "Teo")], Student, key="external_id")
        assert told(report) == [(2, "external_id")]
        assert importing.check([child("7"), child(missing, "Teo")], Student).is_clean


def test_a_key_is_short(db: Database, a: Any) -> None:
    with db.tenant(a):
        assert told(importing.check([child("7" * 201), child("8" * 200, "Teo")], Student)) == [(1, "external_id")]


@pytest.mark.slow
def test_an_address_is_one_users_whatever_the_key(db: Database, a: Any) -> None:
    with db.tenant(a):
        rows = [{"sourcedId": "u1", "email": "ana@x.org"}, {"sourcedId": "u2", "email": "leo@x.org"}]
        importing.run(rows, User)
        moved = [{"sourcedId": "u1", "email": "ana.paz@x.org"}]
        assert done(importing.run(moved, User, key="external_id", update=True)) == (0, 1, 0, 0)
        for taken in ("u3", "u1"):
            report = importing.check([{"sourcedId": taken, "email": "leo@x.org"}], User, key="external_id", update=True)
            assert told(report) == [(1, "email")]
        User.create(email="eva@x.org")
        report = importing.check([{"sourcedId": "u1", "email": "eva@x.org"}], User, key="external_id", update=True)
        assert told(report) == [(1, "email")]
        assert done(importing.run([{"sourcedId": "u4", "email": "leo@x.org"}], User, update=True)) == (0, 1, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "xlsx"])
def test_keys_go_out_and_come_in_again(db: Database, a: Any, b: Any, tmp_path: Path, form: str) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([session(24, external_id="T-1")], Appointment, now=NOW)
        for model, key in ((User, "000123"), (Professional, "12"), (Student, "=17")):
            first = model.select(model.id).order_by(model.id).limit(1)
            model.update(external_id=key).where(model.id == first).execute()
        for kind in ("users", "professionals", "students", "appointments"):
            exporting.export(kind, tmp_path / f"{kind}.{form}")
    with db.tenant(b):
        for kind in ("users", "professionals", "students", "appointments"):
            importing.run(tmp_path / f"{kind}.{form}", kind, now=NOW)
        models = (User, Professional, Student, Appointment)
        held = [[row.external_id for row in model.select().order_by(model.id)] for model in models]
        assert held == [["000123", None, None], ["12", None], ["=17", None], ["T-1"]]


@pytest.mark.slow
def test_an_appointment_is_known_by_its_key_and_gets_one_but_nothing_else(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([session(24)], Appointment, now=NOW)
        keyed = session(24, external_id="T-1")
        assert told(importing.check([keyed], Appointment, now=NOW)) == [(1, "external_id")]
        assert done(importing.run([keyed], Appointment, now=NOW, update=True)) == (0, 1, 0, 0)
        assert Appointment.get().external_id == "T-1"
        history = Appointment.get().history().count()
        changed = keyed | {"notes": "late"}
        assert told(importing.check([changed], Appointment, now=NOW, update=True)) == [(1, "notes")]
        assert done(importing.run([keyed], Appointment, now=NOW, key="external_id")) == (0, 0, 1, 0)
        assert Appointment.get().history().count() == history


@pytest.mark.slow
def test_an_appointment_under_its_key_at_another_time_is_not_moved_nor_doubled(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([session(24, external_id="T-1")], Appointment, now=NOW)
        moved = session(48, external_id="T-1")
        for options in ({}, {"key": "external_id"}, {"key": "external_id", "update": True}):
            report = importing.run([moved], Appointment, now=NOW, on_error="skip", **options)
            assert done(report) == (0, 0, 0, 1), options
        assert Appointment.select().count() == 1


def test_a_profile_does_not_go_over_to_another_user_by_its_key(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([{"email": "eva@example.org", "external_id": "P1"}], Professional, update=True)
        row = {"email": "leo@example.org", "external_id": "P1"}
        report = importing.check([row], Professional, key="external_id", update=True)
        assert "is here the key of the professional eva@example.org" in {each.problem for each in report.problems}


@pytest.mark.slow
def test_an_emptied_key_is_cleared_where_that_is_said(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        importing.run([child("7")], Student)
        sheet = corrected(tmp_path / "students.csv", Student, {(2, "external_id"): None})
        assert done(importing.run(sheet, Student, update=True)) == (0, 0, 1, 0)
        assert done(importing.run(sheet, Student, update=True, clear_empty=True)) == (0, 1, 0, 0)
        assert children() == [(None, "Luz", None)]


@pytest.mark.slow
def test_a_key_that_came_since_the_check_is_met(db: Database, a: Any) -> None:
    from tests.importing.test_writing import during_the_read

    rows = [child(str(number), f"Luz {number}") for number in range(20)]
    with db.tenant(a):
        other = {"first_name": "x", "last_name": "y", "external_id": "15"}
        act = during_the_read(rows, db, a, lambda: Student.create(**other), False)
        report = importing.run(rows, Student, key="external_id", batch_rows=5, on_error="skip", progress=act)
        assert done(report) == (19, 0, 0, 1)


@pytest.mark.parametrize("word", first(2, ["nan", "NaN", "NULL", "None", "<NA>", "N/A", "#N/A", "#REF!"]))
def test_a_word_for_nothing_is_no_key(db: Database, a: Any, word: str) -> None:
    with db.tenant(a):
        assert told(importing.check([child(word)], Student)) == [(1, "external_id")]
        assert not importing.check([child(word)], Student, null=[word]).problems
