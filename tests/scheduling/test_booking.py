"""Booking: what is written, what the journal and subscribers are told, and in how many messages."""

from contextvars import Context
from datetime import timedelta, timezone

import pytest

from rayces_core import (
    Appointment,
    AppointmentState,
    CrossTenantError,
    Database,
    InvalidDataError,
    NewClientsRefusedError,
    ReferenceNotFoundError,
    SlotTakenError,
    StateTransition,
    TenantNotSetError,
    TooSoonError,
    clock,
    credits,
)
from rayces_core.scheduling import book, free_slots
from rayces_core.state_machine.announcing import Effect
from tests.factory import make_organization, make_user
from tests.scheduling.worlds import HOUR, NOW, another_family, at, noted, open_centre
from tests.walking import walked
from tests.wire import wire


@pytest.fixture
def listen():
    """Subscribe to every event of appointments for the test; gives the list of what was told."""
    told = []
    listener = Appointment.lifecycle.on()(told.append)
    yield told
    Appointment.lifecycle.off(listener)


@pytest.fixture
def within(monkeypatch):
    """Attach an effect to an event for the test."""

    def attach(event, effect):
        monkeypatch.setitem(Appointment.lifecycle._announcements._effects, event, [Effect(effect, None, ())])

    return attach


def fail(_):
    raise RuntimeError("the effect fails")


# -- the row ----------------------------------------------------------------------------------------------------------


def test_a_booking_holds_the_professionals_time_and_waits_for_its_confirmation(centre):
    credits.purchase(centre.client, 1)
    booked = centre.book(at(10), notes="brings the report", uses_credit=True)

    assert Appointment.get_by_id(booked.id).__data__ == booked.__data__
    assert booked.__data__ | {"id": 0} == {
        "organization": centre.organization.id,
        "id": 0,
        **dict.fromkeys(("group_session", "seat", "seats")),
        "professional": centre.professional.user_id,
        "student": centre.student.id,
        "client": centre.client.id,
        "scheduled_at": at(10),
        "duration_minutes": 60,
        "buffer_minutes": 0,
        "buffer_before_minutes": 0,
        "occupied_from": at(10),
        "occupied_until": at(11),
        "state": "pre_confirmed",
        "pre_confirmed_at": NOW,
        "expires_at": NOW + 24 * HOUR,
        "confirmed_at": None,
        "executed_at": None,
        "no_show_at": None,
        "cancelled_at": None,
        "cancelled_by": None,
        "cancellation_reason": None,
        "notes": "brings the report",
        "professional_notes": None,
        "uses_credit": True,
        "credits_used": 1,
        "metadata": {},
        "price_cents": None,
        "currency": None,
        "idempotency_key": None,
        "request_fingerprint": None,
        "allows_overlap": False,
        "external_id": None,
        "group_session": None,
        "seat": None,
        "seats": None,
        "series": None,
        "occurrence_at": None,
        "second_professional": None,
        "room": None,
        "device": None,
        "slot_request": None,
        "created_at_made_up": False,
        "reserved_credits": 1,
        "service": None,
        "credit_kind": None,
        "created_at": NOW,
        "updated_at": NOW,
    }
    assert booked.dirty_fields == []


def test_instances_and_ids_name_the_same_people(centre):
    professional, student, client = centre.professional, centre.student, centre.client
    named = [
        centre.book(at(9)),
        centre.book(at(10), professional=professional.user, student=student.id, client=client.id),
        centre.book(at(11), professional=professional.user_id),
    ]

    assert {(it.professional_id, it.student_id, it.client_id) for it in named} == {
        (professional.user_id, student.id, client.id)
    }


def test_a_session_lasts_as_long_as_the_professionals_do_unless_it_is_said(db):
    with open_centre(db, session_duration_minutes=45) as centre:
        assert centre.book(at(10)).duration_minutes == 45
        assert centre.book(at(12), duration_minutes=480 - 180).duration_minutes == 300


def test_the_buffer_is_the_one_the_professional_had_at_booking(db):
    with open_centre(db, buffer_minutes=15) as centre:
        booked = centre.book(at(10))
        centre.professional.buffer_minutes = 30
        centre.professional.save()

        again = Appointment.get_by_id(booked.id)

    assert (again.buffer_minutes, again.occupied_until) == (15, at(11.25))


def test_the_start_may_be_given_in_any_zone(centre):
    there = timezone(timedelta(hours=-3))

    assert centre.book(at(10).astimezone(there)).scheduled_at == at(10)


@walked("hours", [1, 24, 720])
def test_the_hold_ends_after_the_organizations_confirmation_hours(db, hours):
    with open_centre(db, settings={"confirmation_hours": hours}) as centre:
        booked = centre.book(at(10, day=31))

    assert booked.expires_at == NOW + hours * HOUR


@walked("ahead", [1, 23, 24, 25], anew="centre")
def test_the_hold_never_ends_after_the_start(centre, ahead):
    booked = centre.book(at(10), now=at(10) - ahead * HOUR)

    assert booked.expires_at - booked.pre_confirmed_at == min(ahead, 24) * HOUR


def test_without_a_present_the_clock_is_asked(centre):
    wanted = centre.wanted() | {"now": None}
    with clock.frozen(NOW + HOUR):
        assert book(**wanted).pre_confirmed_at == NOW + HOUR


def test_what_is_booked_is_not_listed_and_what_follows_it_is(centre):
    centre.book(at(10))

    assert [slot.start for slot in free_slots(centre.professional, at(9), at(12), now=NOW)] == [at(9), at(11)]


# -- drafts -----------------------------------------------------------------------------------------------------------


def test_a_draft_takes_no_time_until_it_is_pre_confirmed(centre):
    draft = centre.book(at(10), draft=True)
    second = centre.book(at(10), draft=True)

    assert (draft.state, draft.pre_confirmed_at, draft.expires_at, noted(draft)) == ("draft", None, None, [])
    draft.pre_confirm(now=NOW)
    assert (draft.state, draft.expires_at) == ("pre_confirmed", NOW + 24 * HOUR)
    with pytest.raises(SlotTakenError) as caught:
        second.pre_confirm(now=NOW)
    assert caught.value.conflicting_id == draft.id


def test_a_draft_is_checked_as_a_booking_is(centre):
    taken = centre.book(at(10))

    error = centre.refused(SlotTakenError, **another_family(), scheduled_at=at(10.5), draft=True)

    assert error.conflicting_id == taken.id


def test_drafts_and_cancelled_appointments_are_in_nobodys_way(centre):
    centre.book(at(10), draft=True)
    centre.book(at(10)).cancel(reason="ill")

    assert centre.book(at(10)).state == "pre_confirmed"


@pytest.mark.slow
@walked("state", [state for state in AppointmentState if state.occupies_time], anew="centre")
def test_every_state_that_occupies_time_is_in_the_way(centre, state):
    booked = centre.book(at(10), confirm=state != "pre_confirmed")
    if state == "executed":
        booked.execute(now=at(10))
    if state == "no_show":
        booked.mark_no_show(now=at(10))

    assert booked.state == state
    assert centre.refused(SlotTakenError, **another_family()).conflicting_id == booked.id


# -- confirmed at once ------------------------------------------------------------------------------------------------


def test_a_booking_may_be_confirmed_in_the_same_unit_of_work(centre):
    booked = centre.book(confirm=True, by=centre.staff)

    assert (booked.state, booked.pre_confirmed_at, booked.confirmed_at) == ("confirmed", NOW, NOW)
    assert Appointment.get_by_id(booked.id).__data__ == booked.__data__
    assert noted(booked) == [("pre_confirm", "draft", "pre_confirmed"), ("confirm", "pre_confirmed", "confirmed")]
    assert booked.pre_confirmed_by == booked.confirmed_by == centre.staff


def test_a_booking_whose_confirmation_fails_is_not_made(centre, within, listen):
    within("confirm", fail)

    centre.refused(RuntimeError, confirm=True)

    assert listen == []


def test_a_draft_is_not_confirmed_at_once(centre):
    assert centre.refused(InvalidDataError, draft=True, confirm=True).field == "draft"


# -- journal and subscribers ------------------------------------------------------------------------------------------


def test_the_journal_says_who_booked_and_when(centre):
    (row,) = centre.book(by=centre.client).history()

    assert row.__data__ | {"id": 0} == {
        "organization": centre.organization.id,
        "id": 0,
        "subject_type": "Appointment",
        "subject_id": Appointment.get().id,
        "event": "pre_confirm",
        "from_state": "draft",
        "to_state": "pre_confirmed",
        "actor": centre.client.id,
        "reason": None,
        "occurred_at": NOW,
        "idempotency_key": None,
        "details": {},
        "made_up": False,
        "request_fingerprint": None,
    }


def test_subscribers_are_told_of_a_booking_after_the_outermost_commit(centre, listen):
    with centre.db.atomic():
        booked = centre.book(by=centre.staff, confirm=True)
        assert listen == []

    assert [(it.event, it.from_state, it.to_state, it.occurred_at, it.actor) for it in listen] == [
        ("pre_confirm", "draft", "pre_confirmed", NOW, centre.staff),
        ("confirm", "pre_confirmed", "confirmed", NOW, centre.staff),
    ]
    assert all(it.subject is booked for it in listen)


def test_subscribers_are_told_of_no_draft_and_of_nothing_that_was_undone(centre, listen):
    centre.book(draft=True)
    with pytest.raises(RuntimeError), centre.db.atomic():
        centre.book()
        raise RuntimeError

    assert listen == []
    assert Appointment.select().count() == 1


def test_what_belongs_to_pre_confirming_belongs_to_booking(centre, within, listen):
    seen = []
    within("pre_confirm", lambda change: seen.append(Appointment.get_by_id(change.subject.id).state))
    centre.book(at(10))
    centre.book(at(11), draft=True)
    assert seen == ["pre_confirmed"]

    within("pre_confirm", fail)
    listen.clear()
    centre.refused(RuntimeError, scheduled_at=at(12))
    assert listen == []


# -- whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("who", ["student", "professional", "client"])
def test_nobody_of_another_organization_can_be_named(db, centre, b, who):
    with open_centre(db) as other:
        theirs = getattr(other, who)
    number = theirs.user_id if who == "professional" else theirs.id

    with db.tenant(centre.organization):
        error = centre.refused(ReferenceNotFoundError, **{who: number})
        assert error.fields == (f"{who}_id",)
        assert str(error) == str(centre.refused(ReferenceNotFoundError, **{who: 10**12}))
        centre.refused(CrossTenantError, **{who: theirs})


def test_the_acting_user_belongs_to_the_organization(db, centre, b):
    with db.tenant(b):
        stranger = make_user(role=3)

    with db.tenant(centre.organization):
        centre.refused(CrossTenantError, by=stranger)


TWIN = """
INSERT INTO users (organization_id, id, email, role) VALUES (%(here)s, %(professional)s, 'p@example.org', 1),
    (%(here)s, %(client)s, 'c@example.org', 0);
INSERT INTO students (organization_id, id, first_name, last_name) VALUES (%(here)s, %(student)s, 'Luz', 'Sosa');
INSERT INTO professionals (organization_id, user_id, weekly_schedule, buffer_minutes)
SELECT %(here)s, %(professional)s, jsonb_object_agg(day, '[{"start": "00:00", "end": "24:00"}]'::jsonb), 0
  FROM unnest('{monday,tuesday}'::text[]) AS day RETURNING 1
"""


def test_another_organizations_bookings_are_in_nobodys_way(db, centre):
    ids = {"professional": centre.professional.user_id, "student": centre.student.id, "client": centre.client.id}
    taken = centre.book(at(10), confirm=True)

    with db.tenant(make_organization(db, time_zone="UTC")) as other:
        db.execute_sql(TWIN, ids | {"here": other.id})
        twin = book(**ids, scheduled_at=at(10), now=NOW)
        with pytest.raises(SlotTakenError) as caught:
            book(**ids, scheduled_at=at(10.5), now=NOW, allow_overlap=True)

    assert (twin.professional_id, twin.student_id) == (taken.professional_id, taken.student_id)
    assert caught.value.conflicting_id == twin.id
    assert Appointment.select().count() == 1


def test_a_professional_who_accepts_no_new_clients_is_not_known_from_another_organization(db, centre):
    ids = {"professional": centre.professional.user_id, "student": centre.student.id, "client": centre.client.id}
    centre.book(at(10), confirm=True)

    with db.tenant(make_organization(db, time_zone="UTC")) as other:
        db.execute_sql(TWIN, ids | {"here": other.id})
        db.execute_sql("UPDATE professionals SET accepts_new_clients = false")
        with pytest.raises(NewClientsRefusedError):
            book(**ids, scheduled_at=at(12), now=NOW)


def test_booking_needs_a_tenant(db, centre):
    wanted = centre.wanted(student=centre.student.id, professional=centre.professional.user_id, client=1)

    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        book(**wanted)
    with pytest.raises(TenantNotSetError):
        Context().run(lambda: book(**wanted))


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        yield centre, proxy.sent


def sent_by(deed, sent):
    sent.clear()
    deed()
    return len(sent)


def test_booking_and_each_step_after_it_take_as_few_messages_as_can_be(counted):
    centre, sent = counted
    booked = []

    assert sent_by(lambda: booked.append(centre.book()), sent) == 2
    assert sent_by(lambda: booked[0].confirm(now=NOW), sent) == 1
    assert sent_by(lambda: booked[0].execute(now=at(10)), sent) == 1
    assert sent_by(lambda: centre.book(at(11), draft=True), sent) == 2
    assert sent_by(lambda: centre.book(at(12), confirm=True), sent) == 5  # BEGIN, two to book, one to confirm, COMMIT
    assert StateTransition.select().count() == 5


def test_a_refusal_is_known_after_one_message(counted):
    centre, sent = counted

    def refused():
        with pytest.raises(TooSoonError):
            centre.book(NOW)

    assert sent_by(refused, sent) == 1
