"""Rooms and devices from files, and appointments that hold them: by their name, and never two at a time."""

from datetime import timedelta

import pytest

from rayces_core import Appointment, Resource, Role, importing, scheduling
from tests.factory import make_professional, make_user
from tests.importing.world import NOW, START, make_centre, session, told

ROOM = {"name": "Room 2", "features": "Mirror; ramp"}
MARA = "mara@example.org"


@pytest.fixture
def centre(db, a):
    with db.tenant(a):
        make_centre()
        make_professional(user=make_user(email=MARA, role=Role.PROFESSIONAL))
        importing.run([ROOM, {"name": "Tablet", "kind": "equipo"}], Resource, now=NOW)
        yield a


def test_a_room_is_known_by_its_name_and_stays_one(centre):
    room, device = Resource.select().order_by(Resource.id)
    assert (room.kind, room.features, room.active) == ("room", ["mirror", "ramp"], True)
    assert (device.kind, device.features) == ("device", [])
    again = importing.run([{"name": "ROOM 2", "features": '["piano"]', "active": "no"}], Resource, now=NOW, update=True)
    assert (again.created, again.updated) == (0, 1)
    room = Resource.get_by_id(room.id)
    assert (room.name, room.features, room.active) == ("Room 2", ["piano"], False)
    report = importing.run([{"name": "room 2", "kind": "device"}], Resource, now=NOW, update=True, on_error="skip")
    assert told(report) == [(1, "kind")]


@pytest.mark.parametrize(
    ("wrong", "column"),
    [({"kind": "car"}, "kind"), ({"features": "[1]"}, "features"), ({"name": "x" * 201}, "name")],
)
def test_what_no_room_can_be_is_told(centre, wrong, column):
    assert told(importing.check([ROOM | {"name": "Another"} | wrong], Resource, now=NOW)) == [(1, column)]


def test_an_appointment_holds_what_it_names(centre):
    row = session(room="room 2", device="TABLET", second_professional=MARA, state="pre_confirmed")
    assert importing.run([row], Appointment, now=NOW).created == 1
    made = Appointment.get()
    assert (made.room.name, made.device.name, made.second_professional.user.email) == ("Room 2", "Tablet", MARA)
    assert importing.run([row], Appointment, now=NOW).created == 0


def test_what_is_nobodys_is_told(centre):
    row = session(room="Tablet", device="Room 2", second_professional="luis@example.org")
    found = told(importing.check([row], Appointment, now=NOW))
    assert sorted(found) == [(1, "device"), (1, "room"), (1, "second_professional")]
    twice = session(second_professional=session()["professional"])
    assert told(importing.check([twice], Appointment, now=NOW)) == [(1, "second_professional")]


@pytest.mark.parametrize("held", [{"room": "Room 2"}, {"device": "Tablet"}, {"second_professional": MARA}], ids=str)
def test_two_rows_never_hold_one_thing(centre, held):
    other = make_professional(user=make_user(email="teo@example.org", role=Role.PROFESSIONAL)).user.email
    state = {"state": "pre_confirmed"}
    rows = [session(**held, **state), session(professional=other, **held, **state)]
    report = importing.run(rows, Appointment, now=NOW, on_error="skip")
    assert told(report) == [(2, "scheduled_at")]
    assert Appointment.select().count() == 1
    # Nor does one that comes later, beside what is there.
    assert told(importing.check(rows[1:], Appointment, now=NOW)) == [(1, "scheduled_at")]


@pytest.mark.slow
def test_who_is_the_second_of_one_row_is_not_the_first_of_another(centre):
    state = {"state": "pre_confirmed"}
    rows = [session(second_professional=MARA, **state), session(professional=MARA, **state)]
    assert told(importing.check(rows, Appointment, now=NOW)) == [(2, "scheduled_at")]
    importing.run(rows[:1], Appointment, now=NOW)
    assert told(importing.check(rows[1:], Appointment, now=NOW)) == [(1, "scheduled_at")]


@pytest.mark.slow
def test_an_overdue_hold_of_the_room_is_expired_by_what_comes_in(centre):
    held = scheduling.book(
        student=Appointment.student.rel_model.get(),
        professional=make_professional(),
        client=make_user(),
        scheduled_at=START,
        room=Resource.get(name="Room 2"),
        override_schedule=True,
        now=NOW,
    )
    later = held.expires_at + timedelta(minutes=1)
    assert importing.run([session(room="Room 2", state="confirmed")], Appointment, now=later).created == 1
    assert Appointment.get_by_id(held.id).cancellation_reason == "expired"
