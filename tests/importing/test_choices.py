"""Words of states and roles: each is one value for certain, or the row is refused with what it may mean."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rayces_core import Appointment, ColumnMappingError, Database, InvalidDataError, Role, Student, User, importing
from tests.importing.world import NOW, make_centre, session, told
from tests.sizes import first


def state_of(word: str, **options: Any) -> str:
    """The state that a student of this word comes in, or what is said of the word."""
    row = {"nombre": "Luz", "apellido": "Sosa", "estado": word}
    problems = importing.check([row], "students", **options).problems
    if problems:
        return f"{problems[0].problem}; {problems[0].advice}"
    importing.run([row], "students", **options)
    return str(Student.get().admission_state)


@pytest.mark.parametrize("word", first(2, ["Alta", "DADO DE ALTA", "de alta", "Inactivo", "inativa", "inactive"]))
def test_a_state_of_two_meanings_is_refused_with_both(db: Database, a: Any, word: str) -> None:
    with db.tenant(a):
        said = state_of(word)
        assert "may mean" in said
        assert f'--word "{word}=' in said
        assert "discharged" in said
        assert not Student.select().exists()


@pytest.mark.parametrize(
    ("word", "state"),
    first(
        2,
        [
            ("Baja", "discharged"),
            ("baja temporal", "on_leave"),
            ("Alta médica", "discharged"),
            ("Matriculada", "enrolled"),
            ("ATIVO", "enrolled"),
            ("Egresado", "discharged"),
            ("em espera", "waitlisted"),
        ],
    ),
)
def test_a_state_of_one_meaning_is_read(db: Database, a: Any, word: str, state: str) -> None:
    with db.tenant(a):
        assert state_of(word) == state


@pytest.mark.slow
def test_the_user_says_what_a_word_means(db: Database, a: Any, b: Any) -> None:
    for organization, meant in ((a, "enrolled"), (b, "discharged")):
        with db.tenant(organization):
            assert state_of("Alta", words={"ALTA": meant}) == meant


def test_a_word_of_no_kind_is_read_as_the_user_says(db: Database, a: Any) -> None:
    with db.tenant(a):
        assert state_of("En tratamiento", words={"en tratamiento": "activo"}) == "enrolled"


def test_a_value_that_there_is_not_is_refused_at_once(db: Database, a: Any) -> None:
    with db.tenant(a), pytest.raises(ColumnMappingError, match=r"'signed up' is no value of .*admission_state"):
        importing.check([{"nombre": "A", "apellido": "B"}], "students", words={"Alta": "signed up"})
    with db.tenant(a), pytest.raises(ColumnMappingError, match="no column"):
        importing.check([{"author": "a@x.org"}], "posts", words={"Alta": "enrolled"})


@pytest.mark.parametrize("option", ["words", "values"])
@pytest.mark.parametrize("given", [5, {"a": 5}, ["a"]])
def test_words_and_values_of_another_kind_are_refused(db: Database, a: Any, option: str, given: Any) -> None:
    with db.tenant(a), pytest.raises(InvalidDataError, match=option):
        importing.check([{"email": "a@example.org"}], "users", **{option: given})


@pytest.mark.slow
@pytest.mark.parametrize(
    "word", first(2, ["Pendiente", "Programada", "Reservado", "Agendada", "Marcada", "scheduled", "booked"])
)
def test_an_appointment_that_is_on_the_books_is_asked_about(db: Database, a: Any, word: str) -> None:
    with db.tenant(a):
        make_centre()
        report = importing.check([session(state=word)], "appointments", now=NOW)
        assert told(report) == [(1, "state")]
        assert "confirmed or pre_confirmed" in report.problems[0].problem
        importing.run([session(state=word)], "appointments", now=NOW, words={word: "confirmed"})
        assert Appointment.get().state == "confirmed"


@pytest.mark.parametrize(
    ("word", "role"),
    [
        ("Madre", Role.GUARDIAN),
        ("tutor legal", Role.GUARDIAN),
        ("Profissional", Role.PROFESSIONAL),
        ("Secretary", Role.STAFF),
    ],
)
def test_a_role_of_one_meaning_is_read(db: Database, a: Any, word: str, role: Role) -> None:
    with db.tenant(a):
        importing.run([{"email": "x@example.org", "rol": word}], "users")
        assert User.get().role == role


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tutor", "guardian or professional"),
        ("Teacher", "professional or staff"),
        ("administración", "staff or admin"),
        ("student", "import students as students"),
        ("Alumno", "import students as students"),
    ],
)
def test_a_role_of_two_meanings_is_refused_with_both(db: Database, a: Any, word: str, said: str) -> None:
    with db.tenant(a):
        (problem,) = importing.check([{"email": "x@example.org", "rol": word}], "users").problems
        assert said in f"{problem.problem}; {problem.advice}"


# -- the day of the discharge -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["enrolled", "prospect", "", "on_leave", "rejected"])
def test_a_day_of_discharge_goes_with_the_discharged_alone(db: Database, a: Any, state: str) -> None:
    row = {"nombre": "Luz", "apellido": "Sosa", "estado": state, "fecha de egreso": "01/03/2024"}
    with db.tenant(a):
        assert told(importing.check([row], "students")) == [(1, "discharge_date")]
        assert importing.check([row | {"estado": "discharged"}], "students").created == 1


def test_a_day_of_discharge_is_mended_where_the_student_is_discharged(db: Database, a: Any) -> None:
    row = {"nombre": "Luz", "apellido": "Sosa", "fecha de egreso": "01/03/2024"}
    with db.tenant(a):
        importing.run([row | {"estado": "discharged"}], "students")
        assert importing.run([row | {"fecha de egreso": "02/03/2024"}], "students", update=True).updated == 1
        assert importing.run([row | {"fecha de egreso": "02/03/2024"}], "students").unchanged == 1


def test_a_student_that_the_application_left_so_is_unchanged(db: Database, a: Any) -> None:
    with db.tenant(a):
        Student.create(first_name="Luz", last_name="Sosa", discharge_date=date(2024, 3, 1), admission_state="enrolled")
        row = {"nombre": "Luz", "apellido": "Sosa", "estado": "enrolled", "fecha de egreso": "01/03/2024"}
        assert importing.check([row], "students").unchanged == 1


# -- credits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", first(3, ["15000,00", "15.000,00", "$ 8", "12500.50", "8 ARS", "€8", "USD 10"]))
def test_credits_that_are_written_as_money_are_refused(db: Database, a: Any, written: str) -> None:
    with db.tenant(a):
        make_centre()
        assert told(importing.check([{"user": "ana@example.org", "credits": written}], "credits")) == [(1, "credits")]


@pytest.mark.parametrize("written", ["8", 8, 8.0, "8.0", "1.200"])
def test_whole_credits_are_read(db: Database, a: Any, written: Any) -> None:
    with db.tenant(a):
        make_centre()
        assert importing.check([{"user": "ana@example.org", "credits": written}], "credits").created == 1


# -- a value for every row --------------------------------------------------------------------------------------------


def test_every_row_has_a_value_that_is_given(db: Database, a: Any) -> None:
    rows = [{key: value for key, value in session(24 * day).items() if key != "professional"} for day in range(3)]
    with db.tenant(a):
        make_centre()
        report = importing.run(rows, "appointments", now=NOW, values={"professional": "eva@example.org"})
        assert (report.created, report.columns["professional"]) == (3, "--set professional")
        assert {each.professional.user.email for each in Appointment.select()} == {"eva@example.org"}


def test_a_given_value_is_read_and_checked_as_others_are(db: Database, a: Any) -> None:
    rows = [{"email": "x@example.org"}, {"email": "y@example.org"}]
    with db.tenant(a):
        assert told(importing.check(rows, "users", values={"role": "boss"})) == [(1, "role"), (2, "role")]
        with pytest.raises(ColumnMappingError, match="no column 'boss'"):
            importing.check(rows, "users", values={"boss": "x"})
        report = importing.check([{"role": "staff", "email": "x@example.org"}], "users", values={"role": "admin"})
        assert (report.columns["role"], report.unused) == ("--set role", ("role",))
