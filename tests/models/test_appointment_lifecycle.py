"""What an appointment's events demand and write, sentence by sentence of the rule book; the database agrees."""

from datetime import timedelta
from itertools import combinations

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    AppointmentState,
    InvalidTransitionError,
    Organization,
    Professional,
    SlotTakenError,
    TransitionRefusedError,
)
from tests.factory import START, make_appointment
from tests.state_machine.rules import REACHED, columns, fire, make_in, moment_for, stored
from tests.walking import walked

NOW = START - timedelta(days=9)
INSTANT = timedelta(microseconds=1)


# -- holding a slot -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked(
    "settings, hours_ahead, held_hours",
    [
        ({}, 100, 24),
        ({"confirmation_hours": 48}, 100, 48),
        ({"confirmation_hours": 48}, 30, 30),
        ({}, 24, 24),
        ({}, 1, 1),
        ({"default_locale": "es"}, 100, 24),
    ],
)
def test_a_slot_is_held_for_the_organizations_hours_and_never_after_the_start(bound, settings, hours_ahead, held_hours):
    Organization.update(settings=settings).execute()
    appointment = make_appointment(scheduled_at=START)
    now = START - timedelta(hours=hours_ahead)
    appointment.pre_confirm(now=now)
    assert appointment.expires_at == now + timedelta(hours=held_hours)
    assert columns(appointment) == stored(appointment)


def test_hours_are_hours_also_when_the_clocks_change(bound):
    Organization.update(time_zone="America/New_York").execute()
    appointment = make_appointment(scheduled_at=START + timedelta(days=20))
    night = START.replace(day=9, hour=4)  # at 7 UTC of this day the clock jumps an hour ahead
    appointment.pre_confirm(now=night)
    assert appointment.expires_at == night + timedelta(hours=24)


def test_a_hold_is_confirmed_up_to_its_end_and_expires_after_it(bound):
    appointment = make_in(Appointment, "pre_confirmed")
    end = appointment.expires_at
    assert (appointment.can_confirm(now=end), appointment.can_expire(now=end)) == (True, False)
    assert (appointment.can_confirm(now=end + INSTANT), appointment.can_expire(now=end + INSTANT)) == (False, True)
    with pytest.raises(TransitionRefusedError) as caught:
        appointment.confirm(now=end + INSTANT)
    assert (caught.value.event, caught.value.reason) == ("confirm", "expired")
    assert str(caught.value) == ("confirm is refused: the hold has expired and its time is free again; book it anew")
    with pytest.raises(TransitionRefusedError) as caught:
        appointment.expire(now=end)
    assert (caught.value.event, caught.value.reason) == ("expire", "not_overdue")
    appointment.confirm(now=end)
    assert appointment.state == "confirmed"


def test_what_expires_says_so(bound):
    appointment = make_in(Appointment, "pre_confirmed")
    now = appointment.expires_at + INSTANT
    appointment.expire(now=now)
    assert (appointment.state, appointment.cancelled_at, appointment.cancelled_by) == ("cancelled", now, None)
    assert appointment.cancellation_reason == stored(appointment)["cancellation_reason"] == "expired"
    assert [(change.event, change.reason) for change in appointment.history()] == [("expire", "expired")]


# -- the professional's time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", AppointmentState, ids=str)
def test_a_slot_is_taken_by_what_occupies_time_and_by_nothing_else(people, state):
    other = make_in(Appointment, str(state), professional=people.profile, scheduled_at=START)
    draft = make_appointment(professional=people.profile, scheduled_at=START + timedelta(minutes=59))
    if state in ("pre_confirmed", "confirmed", "executed", "no_show"):
        with pytest.raises(SlotTakenError) as caught:
            draft.pre_confirm(now=NOW)
        assert caught.value.conflicting_id == other.id
        assert draft.state == stored(draft)["state"] == "draft"
    else:
        draft.pre_confirm(now=NOW)
        assert draft.state == "pre_confirmed"


@pytest.mark.parametrize(
    ("minutes", "buffers", "is_free"),
    [
        (60, (0, 0), True),
        (59, (0, 0), False),
        (60, (10, 0), False),
        (70, (10, 0), True),
        (-60, (0, 0), True),
        (-60, (0, 10), False),
        (-70, (0, 10), True),
    ],
)
def test_back_to_back_is_fine_buffers_included(people, minutes, buffers, is_free):
    held = {"professional": people.profile, "scheduled_at": START, "buffer_minutes": buffers[0]}
    other = make_in(Appointment, "confirmed", **held)
    draft = make_appointment(
        professional=people.profile, scheduled_at=START + timedelta(minutes=minutes), buffer_minutes=buffers[1]
    )
    if is_free:
        draft.pre_confirm(now=NOW)
    else:
        with pytest.raises(SlotTakenError) as caught:
            draft.pre_confirm(now=NOW)
        assert caught.value.conflicting_id == other.id  # the constraint alone would not know


def test_another_professionals_time_is_another(people):
    make_in(Appointment, "confirmed", professional=people.profile, scheduled_at=START)
    make_appointment(scheduled_at=START).pre_confirm(now=NOW)


def test_a_cancelled_slot_is_free_again(people):
    held = make_in(Appointment, "confirmed", professional=people.profile, scheduled_at=START)
    held.cancel(reason="ill", now=NOW)
    make_appointment(professional=people.profile, scheduled_at=START).pre_confirm(now=NOW)


def test_taking_a_slot_does_not_look_at_what_memory_has_not_saved(people):
    make_in(Appointment, "confirmed", professional=people.profile, scheduled_at=START)
    draft = make_appointment(professional=people.profile, scheduled_at=START)
    elsewhen = Appointment(id=draft.id, professional=people.profile, scheduled_at=START + timedelta(days=1))
    with pytest.raises(SlotTakenError):
        elsewhen.pre_confirm(now=NOW)


# -- after the session ----------------------------------------------------------------------------------------------


@walked("event", ["execute", "mark_no_show"])
def test_a_session_is_recorded_only_once_it_has_begun(bound, event):
    appointment = make_in(Appointment, "confirmed")
    early = appointment.scheduled_at - INSTANT
    assert not getattr(appointment, f"can_{event}")(now=early)
    with pytest.raises(TransitionRefusedError) as caught:
        getattr(appointment, event)(now=early)
    assert (caught.value.event, caught.value.reason) == (event, "not_begun")
    getattr(appointment, event)(now=appointment.scheduled_at)
    assert appointment.state.is_final


@pytest.mark.slow
@walked(
    "final, allowed",
    [
        ("executed", "it allows correct_to_no_show, reopen"),
        ("cancelled", "nothing can follow it"),
        ("no_show", "it allows correct_to_executed, reopen"),
    ],
)
def test_final_is_final_but_for_corrections(people, final, allowed):
    appointment = make_in(Appointment, final)
    assert appointment.state.is_final
    for event, declared in Appointment.lifecycle.transitions.items():
        if not declared.corrects:
            with pytest.raises(InvalidTransitionError, match=allowed):
                fire(appointment, event, by=people.admin)


# -- cancelling -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("state", ["draft", "pre_confirmed", "confirmed"])
@walked("given", [{"by": True}, {"reason": "ill"}, {"by": True, "reason": "ill"}])
def test_cancelling_stores_who_when_and_why(people, state, given):
    appointment = make_in(Appointment, state)
    given = given | ({"by": people.staff} if "by" in given else {})
    now = moment_for(appointment, "cancel")
    appointment.cancel(now=now, **given)
    row = Appointment.get_by_id(appointment.id)
    for one in (appointment, row):
        assert (one.cancelled_at, one.cancelled_by, one.cancellation_reason) == (
            now,
            given.get("by"),
            given.get("reason"),
        )
    (change,) = row.history()
    assert (change.actor, change.reason, change.occurred_at) == (given.get("by"), given.get("reason"), now)


@walked("reason", [None, "", " \t", "\u200b\u00a0"])
def test_cancelling_needs_who_or_why(bound, reason):
    appointment = make_appointment()
    with pytest.raises(TransitionRefusedError) as caught:
        appointment.cancel(reason=reason)
    assert (caught.value.event, caught.value.reason) == ("cancel", "no_reason")
    assert stored(appointment)["state"] == "draft"


# -- who did it -----------------------------------------------------------------------------------------------------


def test_readers_tell_who_did_what(people):
    held, missed = (make_appointment(professional=people.profile, client=people.client) for _ in range(2))
    for appointment in (held, missed):
        fire(appointment, "pre_confirm", by=people.staff)
        fire(appointment, "confirm", by=people.client)
    fire(held, "execute", by=people.professional)
    fire(missed, "mark_no_show", by=people.admin)
    assert (held.pre_confirmed_by, held.confirmed_by, held.executed_by, held.marked_no_show_by) == (
        people.staff,
        people.client,
        people.professional,
        None,
    )
    assert (missed.executed_by, missed.marked_no_show_by) == (None, people.admin)


# -- not asked again ------------------------------------------------------------------------------------------------


def test_what_was_right_when_it_was_booked_is_not_asked_again(people):
    appointment, other = (make_appointment(professional=people.profile, client=people.client) for _ in range(2))
    for row in (appointment, other):
        fire(row, "pre_confirm")
    Professional.update(
        active=False, accepts_new_clients=False, weekly_schedule={}, blocked_dates=[START.date().isoformat()]
    ).where(Professional.id == people.profile.id).execute()
    fire(appointment, "confirm", by=people.client)
    fire(appointment, "execute", by=people.admin)
    fire(other, "cancel", by=people.client)
    assert (appointment.state, other.state) == ("executed", "cancelled")


# -- the database agrees ----------------------------------------------------------------------------------------------

FACTS = ("pre_confirmed_at", "expires_at", "confirmed_at", "executed_at", "no_show_at", "cancelled_at")
WHO_OR_WHY = ("cancelled_by_id", "cancellation_reason")


def right_forms(state):
    """The sets of facts that a row in this state may have, by the rule book."""
    if state != "cancelled":
        return [set(REACHED[state])]
    ways = [set(REACHED[before]) | {"cancelled_at"} for before in ("draft", "pre_confirmed", "confirmed")]
    return [way | {*why} for way in ways for why in ((WHO_OR_WHY[0],), (WHO_OR_WHY[1],), WHO_OR_WHY)]


# Whether no CHECK refuses the statement, which is undone.
TAKES = """
CREATE FUNCTION pg_temp.takes(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE SQLSTATE 'ZZ001';
EXCEPTION
    WHEN check_violation THEN RETURN false;
    WHEN SQLSTATE 'ZZ001' THEN RETURN true;
END $$
"""


@pytest.mark.slow
@walked("state", AppointmentState)
def test_the_database_takes_a_row_with_the_facts_of_its_state_and_no_other(db, people, state):
    """All 256 sets of facts, tried in SQL as the superuser, so that nothing but the CHECKs answers."""
    row = make_appointment()
    sets = [set(some) for count in range(9) for some in combinations((*FACTS, *WHO_OR_WHY), count)]
    values = dict.fromkeys(FACTS, "now()") | {"cancelled_by_id": str(people.staff.id), "cancellation_reason": "'x'"}
    connection = psycopg2.connect(db.url)
    try:
        cursor, updates = connection.cursor(), []
        for facts in sets:
            assigned = ", ".join(f"{name} = {value if name in facts else 'NULL'}" for name, value in values.items())
            updates.append(f"UPDATE appointments SET state = '{state}', {assigned} WHERE id = {row.id}")
        cursor.execute(TAKES)
        cursor.execute("SELECT pg_temp.takes(sql) FROM unnest(%s) WITH ORDINALITY AS u (sql, n) ORDER BY n", (updates,))
        accepted = [facts for facts, (taken,) in zip(sets, cursor.fetchall(), strict=True) if taken]
    finally:
        connection.close()
    assert sorted(map(sorted, accepted)) == sorted(map(sorted, right_forms(str(state))))


@walked("reason", ["''", "' '"])
def test_a_blank_reason_is_none_for_the_database_too(db, bound, reason):
    row = make_appointment()
    with pytest.raises(Exception, match="cancellation_reason_check"):
        db.execute_sql(
            f"UPDATE appointments SET state = 'cancelled', cancelled_at = now(), cancellation_reason = {reason} "
            f"WHERE id = {row.id}"
        )
