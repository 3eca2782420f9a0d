"""The database's word counts: what an object that fell behind, or was read in part, makes of an event."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    InvalidTransitionError,
    NotPermittedError,
    TransitionRefusedError,
)
from tests.factory import have_unsaved, make_appointment, make_user, write_past
from tests.state_machine.rules import columns, fire, in_memory, make_in, moment_for, stored
from tests.walking import walked


def behind(row, event, **given):
    """An object that was loaded before `event` happened."""
    stale = type(row).get_by_id(row.id)
    fire(row, event, **given)
    return stale


def test_an_object_that_fell_behind_moves_when_the_database_allows_it(bound):
    stale = behind(make_appointment(), "pre_confirm")
    assert not stale.can_confirm()
    fire(stale, "confirm")
    assert columns(stale) == stored(stale)
    assert stale.history()[1].from_state == "pre_confirmed"


def test_an_object_that_fell_behind_is_told_what_the_database_has(bound):
    appointment = make_in(Appointment, "confirmed")
    stale = behind(appointment, "cancel")
    remembered = in_memory(stale)
    with pytest.raises(InvalidTransitionError) as caught:
        fire(stale, "execute")
    assert (caught.value.from_state, caught.value.allowed) == ("cancelled", ())
    assert str(caught.value) == "execute is not possible: the Appointment is cancelled; nothing can follow it"
    assert in_memory(stale) == remembered


def test_catching_up_keeps_what_was_not_saved_yet(bound):
    appointment = make_appointment(metadata={"room": 1})
    stale = Appointment.get_by_id(appointment.id)
    stale.notes = "bring the file"
    stale.metadata["room"] = 2
    Appointment.update(professional_notes="written elsewhere").where(Appointment.id == stale.id).execute()
    fire(appointment, "pre_confirm")

    fire(stale, "confirm")

    assert (stale.notes, stale.metadata, stale.professional_notes) == (
        "bring the file",
        {"room": 2},
        "written elsewhere",
    )
    assert stored(stale)["notes"] is None
    stale.save()
    assert (stored(stale)["notes"], stored(stale)["metadata"]) == ("bring the file", {"room": 2})


def test_what_was_caught_up_with_is_not_written_back(bound):
    appointment = make_appointment(metadata={"room": 1})
    stale = Appointment.get_by_id(appointment.id)
    assert stale.metadata == {"room": 1}
    Appointment.update(metadata={"room": 2}).where(Appointment.id == stale.id).execute()
    fire(appointment, "pre_confirm")
    fire(stale, "confirm")
    assert stale.metadata == {"room": 2}
    Appointment.update(metadata={"room": 3}).where(Appointment.id == stale.id).execute()
    assert not stale.save()
    assert stored(stale)["metadata"] == {"room": 3}


def test_a_transition_leaves_what_is_not_saved_alone(bound):
    appointment = make_appointment()
    appointment.notes = "mine"
    fire(appointment, "pre_confirm")
    assert (appointment.notes, appointment.dirty_field_names, stored(appointment)["notes"]) == ("mine", ["notes"], None)


def test_a_hold_that_was_prolonged_elsewhere_can_be_confirmed(bound):
    appointment = make_in(Appointment, "pre_confirmed")
    late = appointment.expires_at + timedelta(hours=1)
    Appointment.update(expires_at=late).where(Appointment.id == appointment.id).execute()
    assert not appointment.can_confirm(now=late)
    appointment.confirm(now=late)
    assert (appointment.state, appointment.expires_at) == ("confirmed", late)


def test_a_hold_that_was_shortened_elsewhere_cannot(bound):
    appointment = make_in(Appointment, "pre_confirmed")
    now = appointment.expires_at
    shorter = {"pre_confirmed_at": now - timedelta(hours=2), "expires_at": now - timedelta(hours=1)}
    Appointment.update(**shorter).where(Appointment.id == appointment.id).execute()
    assert appointment.can_confirm(now=now)
    with pytest.raises(TransitionRefusedError, match="expired"):
        appointment.confirm(now=now)
    assert stored(appointment)["state"] == "pre_confirmed"


def test_a_value_that_is_not_saved_convinces_nobody(bound, admin):
    appointment = make_in(Appointment, "confirmed")
    early, stranger = appointment.scheduled_at - timedelta(days=1), make_user()
    have_unsaved(appointment, scheduled_at=early, client=stranger.id)
    with pytest.raises(TransitionRefusedError, match="not begun"):
        appointment.execute(now=early + timedelta(hours=1))
    held = make_in(Appointment, "pre_confirmed")
    have_unsaved(held, client=stranger.id)
    with pytest.raises(NotPermittedError):
        fire(held, "cancel", by=stranger)
    held.expires_at += timedelta(days=30)
    with pytest.raises(TransitionRefusedError, match="expired"):
        held.confirm(now=held.expires_at)
    assert (stored(appointment)["state"], stored(held)["state"]) == ("confirmed", "pre_confirmed")


def test_who_owns_it_now_decides(bound):
    appointment, heir = make_in(Appointment, "pre_confirmed"), make_user()
    former = appointment.client
    write_past(appointment, client_id=heir.id)
    assert appointment.can_confirm(by=former, now=moment_for(appointment, "confirm"))
    with pytest.raises(NotPermittedError):
        fire(appointment, "confirm", by=former)
    fire(appointment, "confirm", by=heir)
    assert appointment.client == heir


@walked("names", [("id",), ("id", "state"), ("id", "expires_at"), ("id", "state", "client")])
def test_an_object_that_was_read_in_part_moves_too(bound, names):
    appointment = make_in(Appointment, "pre_confirmed")
    part = Appointment.select(*(Appointment._meta.fields[name] for name in names))
    part = part.where(Appointment.id == appointment.id).get()
    assert not part.can_confirm(now=moment_for(appointment, "confirm"))  # it does not know
    part.confirm(by=appointment.client, now=moment_for(appointment, "confirm"))
    assert part.state == stored(part)["state"] == "confirmed"


def test_an_object_that_was_read_in_part_is_refused_like_any_other(bound):
    appointment = make_in(Appointment, "pre_confirmed")
    part = Appointment.select(Appointment.id, Appointment.state).where(Appointment.id == appointment.id).get()
    with pytest.raises(TransitionRefusedError, match="expired"):
        part.confirm(now=appointment.expires_at + timedelta(seconds=1))
