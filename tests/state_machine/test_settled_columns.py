"""Time and people of an appointment are given to a new row, and then changed by `reschedule` alone."""

from datetime import timedelta

import pytest

from rayces_core import Appointment, SettledFieldError
from tests.factory import START, make_appointment, make_professional, make_student, make_user
from tests.state_machine.rules import columns, stored
from tests.walking import walked

# Column → another value, the word in the message that helps.
OTHERS = {
    "scheduled_at": (lambda: START + timedelta(days=40), "reschedule"),
    "duration_minutes": (lambda: 45, "reschedule"),
    "professional": (make_professional, "professional="),
    "student": (make_student, "book"),
    "client": (make_user, "book"),
}


def key_of(value):
    return getattr(value, "user_id", getattr(value, "id", value))


@pytest.mark.slow
@walked("name", OTHERS)
def test_a_saved_row_refuses_another_value_and_names_what_to_call(bound, name):
    row, (another, word) = make_appointment(), OTHERS[name]
    value, field = another(), Appointment._meta.fields[name]
    before = stored(row)
    key = key_of(value)
    by_id = field.object_id_name if hasattr(field, "object_id_name") else name
    partly = Appointment(id=row.id, notes="x", **{name: value})
    for assign in (
        lambda: setattr(row, name, value),
        lambda: setattr(row, by_id, key),
        lambda: setattr(Appointment.get_by_id(row.id), name, value),
        lambda: setattr(next(iter(Appointment.select())), by_id, key),
        lambda: partly.save(),
        lambda: row.save(only=[name]),
        lambda: Appointment.update(**{name: value}).execute(),
        lambda: Appointment.update({field: value}).execute(),
        lambda: Appointment.set_by_id(row.id, {name: value}),
        lambda: Appointment.bulk_update([row], [name]),
        lambda: (
            Appointment.insert(**columns(row))
            .on_conflict(conflict_target=[Appointment.id], update={field: value})
            .execute()
        ),
    ):
        with pytest.raises(SettledFieldError, match=word) as caught:
            assign()
        assert caught.value.field == f"Appointment.{name}"
    assert (stored(row), row.dirty_field_names) == (before, [])


def test_a_value_where_there_was_none_is_refused_on_a_row_read_in_part(bound):
    row = make_appointment()
    for name, value in {"price_cents": 4500, "currency": "ARS"}.items():
        partly = Appointment.select(Appointment.id).where(Appointment.id == row.id).get()
        setattr(partly, name, value)
        with pytest.raises(SettledFieldError, match="change_price"):
            partly.save()
    assert Appointment.get_by_id(row.id).price_cents is None


@walked("name", OTHERS)
def test_the_value_that_it_has_may_come_back_as_forms_send_it(bound, name):
    row = Appointment.get_by_id(make_appointment().id)
    setattr(row, name, getattr(row, name))
    assert row.dirty_field_names == []
    posted = Appointment(id=row.id, notes="from a form", **{name: getattr(row, name)})
    assert posted.save() == 1
    assert stored(row)["notes"] == "from a form"


def test_a_new_row_may_change_until_it_is_saved(bound):
    row = Appointment(professional=make_professional(), student=make_student(), client=make_user(), scheduled_at=START)
    for name, (another, _) in OTHERS.items():
        setattr(row, name, another())
    row.save()
    with pytest.raises(SettledFieldError):
        row.duration_minutes = 60
    assert stored(row)["duration_minutes"] == 45


def test_rows_that_are_joined_and_prefetched_have_their_people(bound):
    row = make_appointment()
    joined = Appointment.select(Appointment, type(row.student)).join(type(row.student)).get()
    assert (joined.student, joined.dirty_field_names) == (row.student, [])


def test_an_object_says_what_helps_and_keeps_what_it_had(bound):
    row = make_appointment()
    with pytest.raises(SettledFieldError) as caught:
        row.scheduled_at += timedelta(hours=1)
    assert str(caught.value) == (
        "Appointment.scheduled_at is not assigned once the row is saved: "
        "move it with scheduling.reschedule(appointment, start, ...)"
    )
    assert caught.value.code == "settled_field"
