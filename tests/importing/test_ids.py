"""Out, corrected and in again: a row that says its id is that row, and nothing else in it turns it into another one."""

from __future__ import annotations

import csv
import itertools
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    ColumnMappingError,
    ConfigurationError,
    Database,
    Organization,
    Post,
    Professional,
    Student,
    User,
    exporting,
    importing,
)
from tests.importing.world import NOW, counts, make_centre, session, told
from tests.sizes import exhaustive

BORN = date(2017, 2, 1)


def done(report: importing.Report) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, report.skipped


def corrected(path: Path, what: object, changes: dict[tuple[int, str], Any]) -> Path:
    """An export as a CSV with other values in the cells (line, header)."""
    exporting.export(what, path)
    header, *rows = csv.reader(path.read_text("utf-8").splitlines())
    for (line, name), value in changes.items():
        rows[line - 2][header.index(name)] = "" if value is None else str(value)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def names() -> list[tuple[str, str]]:
    return [(each.first_name, each.last_name) for each in Student.select().order_by(Student.id)]


def two_children() -> None:
    Student.create(first_name="Joze", last_name="Peres", date_of_birth=BORN)
    Student.create(first_name="Jose", last_name="SOSA", date_of_birth=BORN)


RENAMED = {
    (2, "first_name"): "José",
    (2, "last_name"): "Pérez",
    (3, "first_name"): "José",
    (3, "last_name"): "Sosa",
}


@pytest.mark.slow
def test_a_row_under_another_name_is_refused_until_names_may_be_corrected(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        two_children()
        sheet = corrected(tmp_path / "rt_s.csv", Student, RENAMED)
        report = importing.run(sheet, Student, update=True, on_error="skip")
        assert done(report) == (0, 1, 0, 1)
        assert told(report) == [(2, "id")]
        (problem,) = report.problems
        assert problem.problem == "is here the id of the student Joze Peres 2017-02-01"
        assert 'key="id"' in problem.advice
        assert names() == [("Joze", "Peres"), ("José", "Sosa")]
        assert done(importing.run(sheet, Student, update=True, key="id")) == (0, 1, 1, 0)
        assert names() == [("José", "Pérez"), ("José", "Sosa")]
        assert done(importing.run(sheet, Student)) == (0, 0, 2, 0)


def test_three_corrected_cells_are_three_changes_an_emptied_one_included(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        make_centre()
        Student.update(medical_notes="asthma", grade_level="1").execute()
        before = list(Student.select().order_by(Student.id).dicts())
        changes = {(2, "grade_level"): "2", (3, "medical_notes"): None, (3, "date_of_birth"): date(2020, 2, 2)}
        sheet = corrected(tmp_path / "students.csv", Student, changes)
        report = importing.run(sheet, Student, update=True, clear_empty=True, key="id", now=NOW)
        assert done(report) == (0, 2, 0, 0)
        before[0]["grade_level"] = "2"
        before[1] |= {"medical_notes": None, "date_of_birth": date(2020, 2, 2)}
        for row in before:
            row["updated_at"] = NOW
        assert list(Student.select().order_by(Student.id).dicts()) == before


FORMS = ("csv", "jsonl", "parquet", "xlsx")
RECORDS = ("users", "professionals", "students", "appointments", "posts", "organizations")
# Every record and every form once.
SOME = [(what, FORMS[number % len(FORMS)]) for number, what in enumerate(RECORDS)]
OTHERS = exhaustive(*(each for each in itertools.product(RECORDS, FORMS) if each not in SOME))


@pytest.mark.slow
@pytest.mark.parametrize("exported", [*SOME, *OTHERS], ids="-".join)
def test_an_export_as_it_is_changes_nothing_whatever_is_asked(
    db: Database, a: Any, tmp_path: Path, exported: tuple[str, str]
) -> None:
    what, form = exported
    with db.tenant(a):
        make_centre()
        importing.run([session(24), session(-24 * 90, state="executed", notes="=1")], Appointment, now=NOW)
        Post.create(user=User.get(), content="hola")
        exporting.export(what, tmp_path / f"all.{form}")
        before = counts()
        options: dict[str, Any] = {} if what == "posts" else {"update": True, "clear_empty": True}
        if what in ("appointments", "posts"):
            options = {}
        if what != "organizations":
            options["key"] = "id"
        report = importing.run(tmp_path / f"all.{form}", what, now=NOW, **options)
        assert done(report) == (0, 0, report.rows, 0)
        assert not report.notes
        assert counts() == before


@pytest.mark.parametrize("given", [{}, {"update": True}, {"key": "id"}, {"key": "id", "update": True}])
def test_an_address_of_a_user_is_corrected_under_its_id_alone(db: Database, a: Any, given: dict[str, Any]) -> None:
    with db.tenant(a):
        make_centre()
        ana = User.get(User.email == "ana@example.org")
        rows = [{"id": ana.id, "email": "ana.paz@example.org", "first_name": "Ana"}]
        report = importing.run(rows, User, on_error="skip", **given)
        corrects = given == {"key": "id", "update": True}
        assert done(report) == ((0, 1, 0, 0) if corrects else (0, 0, 0, 1))
        assert User.get_by_id(ana.id).email == ("ana.paz@example.org" if corrects else "ana@example.org")
        assert User.get_by_id(ana.id).last_name == "Paz"
        assert User.select().count() == 3


@pytest.mark.parametrize("what", [User, Student])
def test_nobody_is_renamed_to_somebody_else(db: Database, a: Any, what: Any) -> None:
    with db.tenant(a):
        make_centre()
        first, second = what.select().order_by(what.id).limit(2)
        taken = {name: getattr(second, name) for name in ("first_name", "last_name")}
        taken |= {"email": second.email} if what is User else {"date_of_birth": second.date_of_birth}
        report = importing.run([{"id": first.id, **taken}], what, key="id", update=True, on_error="skip")
        assert done(report) == (0, 0, 0, 1)
        assert report.problems[0].problem == f"another one is called so already: id {second.id}"


def test_two_users_do_not_get_one_address(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        rows = [{"id": user.id, "email": "new@example.org"} for user in User.select().order_by(User.id).limit(2)]
        report = importing.run(rows, User, key="id", update=True, on_error="skip")
        assert done(report) == (0, 1, 0, 1)
        assert told(report) == [(2, "email")]


def test_a_row_is_not_there_by_its_id_and_by_its_name_as_well(db: Database, a: Any) -> None:
    with db.tenant(a):
        two_children()
        joze = Student.get(Student.first_name == "Joze")
        new_name = {"id": joze.id, "first_name": "José", "last_name": "Pérez", "date_of_birth": BORN}
        old_name = {"first_name": "Joze", "last_name": "Peres", "date_of_birth": BORN}
        report = importing.check([new_name, old_name], Student, key="id", update=True)
        assert told(report) == [(2, "id")]
        same_id_twice = [new_name, new_name | {"last_name": "Paz"}]
        assert told(importing.check(same_id_twice, Student, key="id", update=True)) == [(2, "id")]


def test_twins_are_told_apart_by_their_ids(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        for grade in ("1", "2"):
            Student.create(first_name="Luz", last_name="Sosa", grade_level=grade)
        sheet = corrected(tmp_path / "twins.csv", Student, {(3, "grade_level"): "3"})
        assert done(importing.run(sheet, Student, update=True)) == (0, 1, 1, 0)
        assert [each.grade_level for each in Student.select().order_by(Student.id)] == ["1", "3"]


@pytest.mark.slow
def test_an_id_that_is_nobodys_here_is_refused_beside_one_that_is(db: Database, a: Any, b: Any) -> None:
    with db.tenant(b):
        stranger = Student.create(first_name="Teo", last_name="Paz")
    with db.tenant(a):
        two_children()
        joze = Student.get()
        mine = {"id": joze.id, "first_name": "Joze", "last_name": "Peres", "grade_level": "1"}
        for other in (stranger.id, 2**70, "A-17"):
            rows = [mine, {"id": other, "first_name": "Teo", "last_name": "Paz"}]
            assert told(importing.check(rows, Student, update=True)) == [(2, "id")]
        assert done(importing.run([mine, {"first_name": "Teo", "last_name": "Paz"}], Student, update=True))[:2] == (
            1,
            1,
        )
    with db.tenant(b):
        assert Student.get().grade_level is None


@pytest.mark.parametrize("ids", [["7001", "7002"], ["A-17", "b"], [7.1e20, None], ["5f0c", "007"]])
def test_a_list_with_numbers_of_its_own_is_known_by_names_and_says_so(db: Database, a: Any, ids: list[Any]) -> None:
    with db.tenant(a):
        rows = [
            {"ID": given, "nombre": name, "apellido": "Sosa"} for given, name in zip(ids, ("Luz", "Teo"), strict=True)
        ]
        report = importing.run(rows, Student)
        assert done(report) == (2, 0, 0, 0)
        assert report.notes[0].startswith("none of the ids in the column 'id' is of this organization's students")
        assert told(importing.check(rows, Student, key="id")) == [(n, "id") for n in (1, 2)[: 2 - ids.count(None)]]


def test_numbers_that_went_through_a_float_are_still_ids(db: Database, a: Any) -> None:
    with db.tenant(a):
        two_children()
        rows = [{"id": f"{each.id}.0", "first_name": each.first_name, "last_name": "P"} for each in Student.select()]
        assert told(importing.check(rows, Student)) == [(1, "id"), (2, "id")]


@pytest.mark.slow
def test_an_appointment_and_a_post_are_never_moved_or_doubled_by_a_corrected_cell(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([session(24)], Appointment, now=NOW)
        moved = session(48) | {"id": Appointment.get().id}
        report = importing.run([moved], Appointment, now=NOW, on_error="skip")
        assert done(report) == (0, 0, 0, 1)
        assert report.problems[0].problem.startswith("is here the id of the appointment Luz Sosa at 2031-04-08")
        post = Post.create(user=User.get(), content="hola")
        row = {"id": post.id, "author": User.get().email, "content": "Hola.", "created_at": post.created_at}
        assert done(importing.run([row], Post, on_error="skip")) == (0, 0, 0, 1)
        assert (Appointment.select().count(), Post.select().count()) == (1, 1)


@pytest.mark.slow
def test_who_is_written_otherwise_is_told_of_and_corrected_by_an_update(db: Database, a: Any) -> None:
    with db.tenant(a):
        two_children()
        rows = [{"nombre": "José", "apellido": "Sosa", "nacimiento": "01/02/2017"}]
        report = importing.run(rows, Student)
        assert done(report) == (0, 0, 1, 0)
        (note,) = report.notes
        assert note.startswith("1 row differs from what is there in capitals, accents or blanks only")
        assert "(row 1: 'José Sosa', here 'Jose SOSA 2017-02-01'); --update" in note
        assert done(importing.run(rows, Student, update=True)) == (0, 1, 0, 0)
        assert names()[1] == ("José", "Sosa")
        again = importing.run(rows, Student)
        assert (done(again), again.notes) == ((0, 0, 1, 0), ())


def test_an_empty_value_clears_only_where_that_is_said(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        eva = User.get(User.email == "eva@example.org")
        Professional.update(title="Lic.", weekly_schedule={"monday": [{"start": "09:00", "end": "13:00"}]}).execute()
        row = {"email": "eva@example.org", "title": "", "weekly_schedule": None}
        assert done(importing.run([row], Professional, update=True)) == (0, 0, 1, 0)
        assert done(importing.run([row], Professional, update=True, clear_empty=True)) == (0, 1, 0, 0)
        profile = Professional.get(Professional.user == eva)
        assert (profile.title, profile.weekly_schedule, profile.buffer_minutes) == (None, {}, 15)
        assert done(importing.run([row], Professional, update=True, clear_empty=True)) == (0, 0, 1, 0)


@pytest.mark.parametrize(
    ("what", "row", "column"),
    [
        ("professionals", {"email": "eva@example.org", "buffer_minutes": ""}, "buffer_minutes"),
        ("users", {"email": "eva@example.org", "role": ""}, "role"),
        ("students", {"first_name": "Luz", "last_name": "", "date_of_birth": "31/12/2019"}, "last_name"),
        (
            "students",
            {"first_name": "Luz", "last_name": "Sosa", "date_of_birth": "31/12/2019", "admission_state": ""},
            "admission_state",
        ),
        ("organizations", {"name": "", "currency": "ARS"}, "name"),
    ],
)
def test_what_none_can_be_without_is_not_cleared(
    db: Database, a: Any, what: str, row: dict[str, Any], column: str
) -> None:
    with db.tenant(a):
        make_centre()
        report = importing.run([row], what, update=True, clear_empty=True, on_error="skip")
        assert told(report) == [(1, column)]
        assert done(report) == (0, 0, 0, 1)


@pytest.mark.slow
def test_a_contact_and_a_setting_are_cleared_as_well(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        luz = {"first_name": "Luz", "last_name": "Sosa", "date_of_birth": "31/12/2019", "primary_contact": None}
        assert done(importing.run([luz], Student, update=True, clear_empty=True)) == (0, 1, 0, 0)
        assert Student.get(Student.first_name == "Luz").primary_contact is None
        importing.run(
            [{"phone": "+541143215678", "confirmation_hours": 5, "open_holds_per_client": 2}],
            "organizations",
            update=True,
        )
        emptied = {"phone": "", "confirmation_hours": None, "currency": "ARS"}
        report = importing.run([emptied], "organizations", update=True, clear_empty=True)
        assert done(report) == (0, 1, 0, 0)
        held = Organization.get()
        assert (held.phone, held.settings) == (None, {"open_holds_per_client": 2})


@pytest.mark.parametrize(
    ("what", "options", "says"),
    [
        ("students", {"clear_empty": True}, "needs --update"),
        ("posts", {"clear_empty": True, "update": True}, "is nothing for posts"),
        ("students", {"key": "email"}, "may be id"),
        ("credits", {"key": "id"}, "is nothing for them"),
    ],
)
def test_options_that_say_nothing_are_refused(
    db: Database, a: Any, what: str, options: dict[str, Any], says: str
) -> None:
    with db.tenant(a), pytest.raises(ConfigurationError, match=says):
        row = {} if what == "credits" else {"id": 1}
        row |= {"first_name": "x", "last_name": "y", "user": "u@x.org", "credits": 1, "author": "u@x.org"}
        importing.check([row | {"content": "c", "created_at": "2026-01-01 10:00"}], what, **options)


def test_a_key_that_the_source_has_not_is_refused(db: Database, a: Any) -> None:
    with db.tenant(a), pytest.raises(ColumnMappingError, match='--map "HEADER=id"'):
        importing.check([{"first_name": "Luz", "last_name": "Sosa"}], Student, key="id")
