"""Rows of a host's models go out and come in again, under the same names."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from rayces_core import Database, Organization, Professional, exporting, importing
from rayces_core.errors import ImportRefusedError, InvalidDataError
from rayces_core.importing.records import record_of
from rayces_core.importing.template import examples, write
from tests.factory import make_appointment, make_organization, make_professional, make_student, make_user
from tests.hosting.conftest import AREA, Bill, Floor, Room, Size, Stay
from tests.walking import walked

pytestmark = pytest.mark.usefixtures("registered")

FORMATS = ("csv", "jsonl", "xlsx", "parquet")


def furnished() -> None:
    keeper = make_user(email="keeper@example.org")
    hall = Room.create(
        name="Hall",
        keeper=keeper,
        floor=Floor.FIRST,
        size=Size.LARGE,
        seats=40,
        price_cents=150050,
        area=AREA,
        accessible=True,
        opened_on=date(2020, 2, 29),
        cleaned_at=datetime(2026, 3, 3, 12, 0, tzinfo=UTC),
        notes="=1+1",
        equipment=["piano", {"chairs": 40}],
        contact="hall@example.org",
    )
    cell = Room.create(name="007", within=hall)
    appointment = make_appointment()
    child = make_student(first_name="Luz", last_name="Sosa", date_of_birth=date(2019, 12, 31))
    make_professional()  # so that ids of professionals are not those of appointments' users
    professional = Professional.get(Professional.user == appointment.professional_id)
    staff = {"professional": professional, "assistant": professional}
    Stay.create(room=hall, number=1, student=child, appointment=appointment, **staff)
    Bill.create(stay=Stay.create(room=cell, number=1), total_cents=999)


def said() -> list[dict[str, Any]]:
    """What the rows say, without ids."""
    rooms = [
        {name: getattr(room, name) for name in Room._meta.fields if name not in ("id", "organization", "updated_at")}
        for room in Room.select().order_by(Room.name)
    ]
    for room in rooms:
        room.update(keeper=room["keeper"] and room["keeper"].email, within=room["within"] and room["within"].name)
        room.pop("created_at")
    stays = [
        {
            "room": stay.room.name,
            "number": stay.number,
            "student": stay.student and stay.student.full_name,
            "professional": stay.professional and stay.professional.user.email,
            "assistant": stay.assistant and stay.assistant.user.email,
            "appointment": stay.appointment and stay.appointment.scheduled_at,
        }
        for stay in Stay.select()
    ]
    bills = [
        {"stay": bill.stay.number, "room": bill.stay.room.name, "total": bill.total_cents} for bill in Bill.select()
    ]
    return [*rooms, *sorted(stays, key=lambda stay: stay["room"]), *bills]


@pytest.mark.slow
@walked("kind", FORMATS)
def test_what_went_out_comes_in_again(centre: Database, tmp_path: Path, kind: str) -> None:
    with centre.tenant(make_organization(centre)):
        furnished()
        before = said()
        for model in (Room, Stay, Bill):
            done = exporting.export(model, tmp_path / f"{model._meta.table_name}.{kind}")
            assert importing.run(tmp_path / f"{done.record}.{kind}", done.record).unchanged == done.rows
        Bill.delete().execute()
        Stay.delete().execute()
        Room.delete().where(Room.within.is_null(False)).execute()
        Room.delete().execute()
        rooms = importing.check(tmp_path / f"rooms.{kind}", Room)
        assert [problem.problem for problem in rooms.problems] == ["no room of this organization is called so"]
        assert importing.run(tmp_path / f"rooms.{kind}", Room, on_error="skip", columns={"id": ""}).created == 1
        assert importing.run(tmp_path / f"rooms.{kind}", Room, columns={"id": ""}).created == 1
        for model in (Stay, Bill):
            name = model._meta.table_name
            assert importing.run(tmp_path / f"{name}.{kind}", name, columns={"id": ""}).problem_count == 0
        assert said() == before


def test_what_people_write_is_understood(tenant: Organization) -> None:
    rows = [
        {"Sala": "Norte", "seats": "12,0", "price": "$ 1.234,50", "accessible": "sí", "floor": "first", "size": "large"}
    ]
    assert importing.run(rows, "rooms").created == 1
    assert importing.run([{"name": 7.0}], "rooms").created == 1
    room = Room.get(Room.name != "7")
    assert (room.name, room.seats, room.price_cents, room.accessible) == ("Norte", 12, 123450, True)
    assert (room.floor, room.size, room.currency, room.equipment) == (Floor.FIRST, Size.LARGE, "ARS", [])


REFUSED = {
    "a rule of the field": ({"name": "a", "seats": 501}, "seats", "must lie between 0 and 500"),
    "no choice": ({"name": "a", "floor": "roof"}, "floor", "is not known"),
    "no user": ({"name": "a", "keeper": "nobody@example.org"}, "keeper", "no user of this organization"),
    "no name": ({"name": "", "seats": 1}, "name", "is missing"),
    "no number": ({"name": "a", "area": "wide"}, "area", "is no number"),
    "a number that may be two": ({"name": "a", "area": "1.234"}, "area", "thousands or three decimals"),
    "somebody with two names": ({"name": "a", "contact": "no address"}, "contact", "e-mail"),
}


@pytest.mark.slow
@walked("fault", REFUSED)
def test_a_row_that_breaks_a_rule_is_told(tenant: Organization, fault: str) -> None:
    row, column, problem = REFUSED[fault]
    report = importing.check([row], Room)
    assert [(each.column, problem in each.problem) for each in report.problems] == [(column, True)]


def test_what_several_rows_are_called_is_nobody_s_name(tenant: Organization) -> None:
    for day in (date(2019, 1, 1), date(2020, 1, 1)):
        make_student(first_name="Luz", last_name="Sosa", date_of_birth=day)
    Room.create(name="a")
    child = {"room": "a", "number": 1, "student_first_name": "luz", "student_last_name": "SOSA"}
    (problem,) = importing.check([child], Stay).problems
    assert problem.problem == "2 students of this organization are called so"
    assert importing.run([{**child, "student_date_of_birth": "2020-01-01"}], Stay).created == 1
    assert Stay.get().student.date_of_birth == date(2020, 1, 1)


def test_rows_that_are_there_are_changed_when_it_is_asked(tenant: Organization) -> None:
    Room.create(name="a", seats=1, notes="kept")
    with pytest.raises(ImportRefusedError, match="is there already, with another seats"):
        importing.run([{"name": "a", "seats": 2}], Room)
    assert importing.run([{"name": "a", "seats": 2}], Room, update=True).updated == 1
    assert importing.run([{"name": "a", "notes": ""}], Room, update=True, clear_empty=True).updated == 1
    room = Room.get(Room.name != "7")
    assert (room.seats, room.notes) == (2, None)
    assert importing.run([{"id": room.id, "name": "b"}], Room, update=True, key="id").updated == 1
    assert Room.get().name == "b"


def test_rows_without_stamps_are_added_alone(tenant: Organization) -> None:
    """A table without updated_at could not tell that a row was changed."""
    Room.create(name="a")
    row = {"room": "a", "number": 1}
    assert importing.run([row], Stay).created == 1
    assert importing.run([row], Stay).unchanged == 1


def test_rows_of_a_neighbour_are_nobody_s_here(centre: Database, tenant: Organization) -> None:
    Room.create(name="ours")
    with centre.tenant(make_organization(centre)):
        (problem,) = importing.check([{"room": "ours", "number": 1}], Stay).problems
        assert (problem.column, problem.problem) == ("room", "no room of this organization is called so")
        Room.create(name="ours")
        assert importing.run([{"name": "ours"}], Room).unchanged == 1


def test_rows_are_filtered_as_others_are(tenant: Organization, tmp_path: Path) -> None:
    furnished()
    assert exporting.export("rooms", tmp_path / "a.csv", user="keeper@example.org").rows == 1
    assert (
        exporting.export("rooms", tmp_path / "a.csv", where={"floor": "ground"}, columns=["name", "within"]).rows == 1
    )
    assert list(csv.reader((tmp_path / "a.csv").open())) == [["name", "within"], ["007", "Hall"]]
    assert exporting.export("rooms", tmp_path / "a.csv", start=date(2999, 1, 1)).rows == 0
    with pytest.raises(InvalidDataError, match="stays have no moment"):
        exporting.export("stays", tmp_path / "a.csv", start=date(2020, 1, 1))


@walked("model", (Room, Stay, Bill))
def test_a_template_passes_its_check(tenant: Organization, tmp_path: Path, model: Any) -> None:
    if not Room.select().exists():
        stay = Stay.create(room=Room.create(name="Sala 1"), number=1)
        Bill.create(stay=stay, total_cents=150000)
    record = record_of(model)
    write(tmp_path / "template.csv", record.columns, rows=examples(record.name, record.columns))
    report = importing.check(tmp_path / "template.csv", model)
    assert (report.rows, report.problem_count) == (1, 0)
