"""People to contact in a student's row: found by address or name, made of what the row says, and never changed."""

from __future__ import annotations

from typing import Any

import pytest

from rayces_core import CreditTransaction, Database, Role, Student, User, credits, importing
from tests.importing.world import make_centre, people, told
from tests.sizes import first

LUZ = {"Nombre": "Luz", "Apellido": "Sosa", "Nacimiento": "31/12/2019"}
TEO = {"Nombre": "Teo", "Apellido": "Sosa", "Nacimiento": "01/02/2020"}
ANA = {"Responsable": "Paz, Ana", "Email": "ana@x.org", "Teléfono": "11 4321-5678"}


def families() -> list[tuple[str, str | None, str | None]]:
    """Each student with the contacts' addresses."""
    return [
        (
            each.first_name,
            each.primary_contact and each.primary_contact.email,
            each.secondary_contact and each.secondary_contact.email,
        )
        for each in Student.select().order_by(Student.first_name)
    ]


def made() -> list[tuple[str, str | None, str | None, str | None]]:
    """The users that are there."""
    return [(each.email, each.first_name, each.last_name, each.phone) for each in User.select().order_by(User.email)]


def faults(*rows: dict[str, Any], **options: Any) -> list[str]:
    """What is wrong with the rows."""
    found = importing.check(rows, "students", **options).problems
    return [f"{each.row} {each.column}: {each.problem}; {each.advice}" for each in found]


def test_name_address_and_phone_make_the_user(db: Database, a: Any, b: Any) -> None:
    with db.tenant(a):
        assert importing.run([LUZ | ANA, TEO | ANA], "students").created == 2
        assert made() == [("ana@x.org", "Ana", "Paz", "+541143215678")]
        assert User.get().role == Role.GUARDIAN
        assert families() == [("Luz", "ana@x.org", None), ("Teo", "ana@x.org", None)]
        again = importing.run([LUZ | ANA, TEO | ANA], "students")
        assert (again.created, again.unchanged) == (0, 2)
    with db.tenant(b):
        assert not User.select().exists()


@pytest.mark.parametrize(
    ("columns", "expected"),
    first(
        3,
        [
            (
                {"Nombre del tutor": "Ana", "Apellido del tutor": "Paz", "Email del tutor": "ana@x.org"},
                ("Ana", "Paz", None),
            ),
            ({"Nombre del tutor": "Paz, Ana", "Email del tutor": "ana@x.org"}, ("Ana", "Paz", None)),
            ({"Guardian Name": "Paz, Ana", "Guardian Email": "ana@x.org"}, ("Ana", "Paz", None)),
            ({"Teléfono del tutor": "11 4321-5678", "Correo del tutor": "ana@x.org"}, (None, None, "+541143215678")),
            ({"Guardian first name": "Ana", "Email": "ANA@x.org "}, ("Ana", None, None)),
            ({"Nome do responsável": "Paz, Ana", "E-mail do responsável": "ana@x.org"}, ("Ana", "Paz", None)),
        ],
    ),
)
def test_a_contact_is_told_in_the_columns_that_people_have(db: Database, a: Any, columns: Any, expected: Any) -> None:
    with db.tenant(a):
        importing.run([LUZ | columns], "students")
        assert made() == [("ana@x.org", *expected)]
        assert families() == [("Luz", "ana@x.org", None)]


def test_two_contacts_of_one_row_are_both_made(db: Database, a: Any) -> None:
    second = {"Nombre del segundo contacto": "Río, Leo", "Segundo contacto": "leo@x.org"}
    with db.tenant(a):
        importing.run([LUZ | ANA | second], "students")
        assert families() == [("Luz", "ana@x.org", "leo@x.org")]
        assert [each[0] for each in made()] == ["ana@x.org", "leo@x.org"]


def test_what_one_row_of_a_contact_leaves_empty_another_one_says(db: Database, a: Any) -> None:
    bare, named = ANA | {"Responsable": "", "Teléfono": ""}, ANA | {"Teléfono": ""}
    eva = {"Nombre": "Eva", "Apellido": "Sosa", "Nacimiento": ""}
    with db.tenant(a):
        importing.run([LUZ | bare, TEO | named, eva | ANA | {"Responsable": "ana paz"}], "students", batch_rows=1)
        assert made() == [("ana@x.org", "Ana", "Paz", "+541143215678")]
        assert [contact for _, contact, _ in families()] == ["ana@x.org"] * 3


@pytest.mark.parametrize("other", [{"Responsable": "Paz, Eva"}, {"Teléfono": "11 4321-5679"}])
def test_rows_that_say_different_things_of_one_contact_are_refused(db: Database, a: Any, other: Any) -> None:
    with db.tenant(a):
        found = faults(LUZ | ANA, TEO | ANA | other)
        assert [each[:9] for each in found] == ["2 primary"]
        assert "a row before says another name or phone of this contact" in found[0]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"Responsable": "Paz, Eva"}, "1 primary_contact_name: the user who has this e-mail address is called Ana Paz"),
        (
            {"Teléfono": "11 4321-5679"},
            "1 primary_contact_phone: the user who has this e-mail address has the phone +541143215678",
        ),
    ],
)
def test_a_row_that_says_another_thing_of_a_user_who_is_there_is_refused(
    db: Database, a: Any, other: Any, said: str
) -> None:
    with db.tenant(a):
        importing.run([LUZ | ANA], "students")
        found = faults(TEO | ANA | other)
        assert len(found) == 1
        assert found[0].startswith(said)
        assert made() == [("ana@x.org", "Ana", "Paz", "+541143215678")]


@pytest.mark.parametrize("name", first(2, ["Ana Paz", "PAZ ANA", "paz, ana", "", "Paz,Ána"]))
def test_a_user_who_is_there_is_found_however_the_name_is_written(db: Database, a: Any, name: str) -> None:
    with db.tenant(a):
        importing.run([LUZ | ANA], "students")
        assert faults(TEO | ANA | {"Responsable": name, "Teléfono": ""}) == []


@pytest.mark.parametrize("name", ["Ana Paz", "Ana", "Paz, Ana, Eva", "Paz,", "eva@x.org"])
def test_a_name_that_does_not_say_what_is_last_makes_nobody(db: Database, a: Any, name: str) -> None:
    with db.tenant(a):
        assert told(importing.check([LUZ | ANA | {"Responsable": name}], "students")) == [(1, "primary_contact_name")]
        assert not User.select().exists()


@pytest.mark.slow
def test_a_contact_without_an_address_is_refused(db: Database, a: Any) -> None:
    with db.tenant(a):
        (said,) = faults(LUZ | ANA | {"Email": ""})
        assert said.startswith("1 primary_contact: a name or phone comes without an e-mail address")
        assert faults(LUZ | ANA | {"Email": ""}, columns={"Responsable": "", "Teléfono": ""}) == []


@pytest.mark.slow
def test_an_address_alone_makes_nobody(db: Database, a: Any) -> None:
    with db.tenant(a):
        (said,) = faults(LUZ | {"Email": "ana@x.org"})
        assert "no user of this organization has this e-mail address" in said


@pytest.mark.slow
def test_a_phone_of_nobody_in_particular_is_not_read(db: Database, a: Any) -> None:
    with db.tenant(a):
        report = importing.run([LUZ | {"Teléfono": "x"}], "students")
        assert (report.created, report.unused) == (1, ("Teléfono",))


def test_a_row_that_is_left_out_makes_nobody(db: Database, a: Any) -> None:
    with db.tenant(a):
        rows = [LUZ | ANA | {"Nacimiento": "x"}, TEO | ANA | {"Email": "eva@x.org", "Responsable": "Paz, Eva"}]
        assert importing.run(rows, "students", on_error="skip").created == 1
        assert [each[0] for each in made()] == ["eva@x.org"]


@pytest.mark.slow
def test_a_student_who_is_there_gets_the_contact_by_update_alone(db: Database, a: Any) -> None:
    with db.tenant(a):
        importing.run([LUZ], "students")
        assert faults(LUZ | ANA)[0].startswith("1 primary_contact: is there already, with another primary_contact")
        assert importing.run([LUZ | ANA], "students", update=True).updated == 1
        assert families() == [("Luz", "ana@x.org", None)]
        assert importing.run([LUZ | ANA], "students", update=True).unchanged == 1


def test_a_check_makes_nobody(db: Database, a: Any) -> None:
    with db.tenant(a):
        assert importing.check([LUZ | ANA], "students").created == 1
        assert not User.select().exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Ana Paz", "Paz, Ana", "PAZ ANA"])
def test_a_contact_who_is_there_is_found_by_name(db: Database, a: Any, name: str) -> None:
    with db.tenant(a):
        importing.run([{"email": "ana@x.org", "nombre": "Ana", "apellido": "Paz"}], "users")
        importing.run([LUZ | {"Responsable": name}], "students")
        assert families() == [("Luz", "ana@x.org", None)]
        assert importing.run([LUZ | {"Responsable": "ana@x.org"}], "students").unchanged == 1


@pytest.mark.slow
def test_many_contacts_are_made_batch_by_batch(db: Database, a: Any) -> None:
    rows = [
        {"Nombre": f"Luz {n}", "Apellido": "Sosa", "Responsable": f"Paz, Ana {n // 2}", "Email": f"a{n // 2}@x.org"}
        for n in range(40)
    ]
    with db.tenant(a):
        assert importing.run(rows, "students", batch_rows=7).created == 40
        assert User.select().count() == 20
        assert importing.run(rows, "students").unchanged == 40


def test_credits_find_their_user_by_name(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([{"cliente": "Paz, Ana", "sesiones": 4}], "credits")
        assert credits.balance(User.get(User.email == "ana@example.org")) == 4
        # The same purchase, however its user is named.
        for whom in ("ana paz", "ana@example.org"):
            assert importing.run([{"cliente": whom, "sesiones": 4}], "credits").unchanged == 1
        assert CreditTransaction.select().count() == 1
        assert told(importing.check([{"cliente": "Ana", "sesiones": 4}], "credits")) == [(1, "user")]


def test_a_name_of_several_users_is_refused(db: Database, a: Any) -> None:
    with db.tenant(a):
        importing.run([row | {"first_name": "Ana"} for row in people(5)], "users")
        (said,) = faults(LUZ | {"Responsable": "Ana Paz"})
        assert "5 users of this organization are called so" in said
        assert "person1@example.org" in said


def test_two_purchases_of_one_day_are_told_what_tells_them_apart(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        rows = [{"user": "ana@example.org", "credits": count, "Fecha": "01/03/2026"} for count in (8, 4)]
        (problem,) = importing.check(rows, "credits").problems
        assert "need a reference each" in problem.advice
        assert (
            importing.run([row | {"reference": f"r{place}"} for place, row in enumerate(rows)], "credits").created == 2
        )
