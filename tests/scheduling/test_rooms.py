"""Rooms, devices and a second professional: a session holds them as long as its professional, and nobody else does."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CrossTenantError,
    DeviceTakenError,
    IdempotencyConflictError,
    InvalidDataError,
    NotPermittedError,
    OutsideScheduleError,
    Professional,
    ProfessionalInactiveError,
    ReferenceNotFoundError,
    Resource,
    ResourceUnfitError,
    RoomTakenError,
    SecondProfessionalTakenError,
    SlotTakenError,
    StillReferencedError,
    User,
)
from rayces_core.models import GroupSession
from rayces_core.scheduling import (
    affected_by,
    book_group,
    book_series,
    cancel_group_session,
    create_group_session,
    deciding,
    find_slots,
    free_slots,
    reschedule,
    reschedule_group,
    reschedule_series,
)
from tests.factory import make_giving, make_organization, make_resource, make_service
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.test_raw_bookings import as_role
from tests.scheduling.worlds import DAY, HOUR, MINUTE, NOW, another_family, at, make_working, moving, noted
from tests.walking import walked

TOMORROW = DAY + timedelta(days=1)
LATER = NOW + timedelta(days=60)


def mirror(**columns):
    return make_resource(**({"features": ["mirror"]} | columns))


def starts(centre, **asked):
    return [slot.start for slot in free_slots(centre.professional, DAY, TOMORROW, now=NOW, **asked)]


def elsewhere(centre, scheduled_at, **asked):
    """A booking of another professional by another family."""
    return centre.book(scheduled_at, **({"professional": make_working()} | another_family() | asked))


EVERYTHING = [at(hour) for hour in range(9, 17)]
WITHOUT_TEN = [moment for moment in EVERYTHING if moment != at(10)]

# -- what is held -----------------------------------------------------------------------------------------------------

HELD = {
    "second_professional": (make_working, SecondProfessionalTakenError),
    "room": (make_resource, RoomTakenError),
    "device": (lambda: make_resource(kind="device"), DeviceTakenError),
}


@pytest.mark.slow
@walked("role", HELD)
def test_what_one_session_holds_no_other_can_have(make_centre, role):
    make, error = HELD[role]
    with make_centre() as centre:
        held = make()
        first = elsewhere(centre, at(10), **{role: held})
        assert getattr(Appointment.get_by_id(first.id), role) == held
        assert starts(centre, **{role: held}) == WITHOUT_TEN
        assert starts(centre) == EVERYTHING

        refused = centre.refused(error, scheduled_at=at(10), **{role: held})
        assert isinstance(refused, SlotTakenError)
        assert refused.conflicting_id == first.id
        assert refused.fields == (f"{role}_id", "scheduled_at")
        centre.book(at(11), **{role: held})
        first.cancel(reason="ill", now=NOW)
        assert starts(centre, **{role: held}) == [moment for moment in EVERYTHING if moment != at(11)]
        centre.book(at(10), **{role: held}, **another_family())


@pytest.mark.slow
@walked("role", HELD)
def test_a_draft_holds_nothing_and_asks_again_when_it_takes_its_time(make_centre, role):
    make, error = HELD[role]
    with make_centre() as centre:
        held = make()
        draft = centre.book(at(10), draft=True, **{role: held})
        first = elsewhere(centre, at(10.5), **{role: held})
        with pytest.raises(error) as refused:
            draft.pre_confirm(now=NOW)
        assert refused.value.conflicting_id == first.id
        first.cancel(reason="ill", now=NOW)
        draft.pre_confirm(now=NOW)
        assert elsewhere_refused(centre, error, at(10.5), **{role: held}).conflicting_id == draft.id


def elsewhere_refused(centre, error, scheduled_at, **asked):
    return centre.refused(error, scheduled_at=scheduled_at, professional=make_working(), **another_family(), **asked)


@pytest.mark.slow
@walked("role", HELD)
def test_an_overdue_hold_holds_nothing_besides_either(make_centre, role):
    make, _ = HELD[role]
    with make_centre() as centre:
        held = make()
        dead = elsewhere(centre, at(10), **{role: held})
        draft = centre.book(at(12), draft=True, **{role: held})
        also_dead = elsewhere(centre, at(12), **{role: held})
        later = dead.expires_at + MINUTE
        assert at(10) in starts_at(centre, later, **{role: held})
        booked = centre.book(at(10), now=later, **{role: held}, **another_family())
        draft.pre_confirm(now=later)
        assert {booked.state, draft.state} == {"pre_confirmed"}
        for each in (dead, also_dead):
            assert Appointment.get_by_id(each.id).cancellation_reason == "expired"


def starts_at(centre, now, **asked):
    return [slot.start for slot in free_slots(centre.professional, DAY, TOMORROW, now=now, **asked)]


@pytest.mark.slow
def test_buffers_are_kept_free_in_the_room_too(centre):
    room = make_resource()
    cleaned = make_working(buffer_minutes=30)
    elsewhere(centre, at(10), room=room, professional=cleaned)
    assert starts(centre, room=room) == [at(9), *(at(hour) for hour in range(12, 17))]
    centre.refused(RoomTakenError, scheduled_at=at(11.25), room=room)
    centre.book(at(11.5), room=room)
    # And those of the session that comes.
    mine = make_working(buffer_minutes=30)
    elsewhere_refused(centre, RoomTakenError, at(10.5) - HOUR, room=room)
    centre.refused(RoomTakenError, scheduled_at=at(9), professional=mine, room=room)


@pytest.mark.slow
def test_a_second_professional_is_taken_by_what_takes_the_first_and_the_other_way_round(centre):
    second = make_working()
    assisted = centre.book(at(10), second_professional=second)
    # The second one's own time is gone ...
    assert [slot.start for slot in free_slots(second, DAY, TOMORROW, now=NOW)] == WITHOUT_TEN
    refused = centre.refused(SlotTakenError, scheduled_at=at(10), professional=second, **another_family())
    assert refused.conflicting_id == assisted.id
    # ... as is the first one's, for whoever wants them as a second.
    other = make_working()
    refused = centre.refused(
        SecondProfessionalTakenError,
        scheduled_at=at(10),
        professional=other,
        second_professional=centre.professional,
        **another_family(),
    )
    assert refused.conflicting_id == assisted.id
    # A draft that wants the second as its first asks for it when it takes its time.
    draft = centre.book(at(11), professional=second, draft=True, **another_family())
    centre.book(at(11), second_professional=second, **another_family())
    with pytest.raises(SlotTakenError):
        draft.pre_confirm(now=NOW)


@pytest.mark.slow
def test_a_second_professional_works_by_the_own_schedule(centre):
    mornings = make_working(weekly_schedule=schedule_json(hours((9, 12))))
    assert starts(centre, second_professional=mornings) == [at(9), at(10), at(11)]
    error = centre.refused(OutsideScheduleError, scheduled_at=at(12), second_professional=mornings)
    assert (error.reason, error.nearest.start) == ("outside_schedule", at(11))
    assert "second professional" in str(error)
    centre.book(at(12), second_professional=mornings, override_schedule=True)

    mornings.blocked_dates = [DAY.date()]
    mornings.save()
    assert mornings.affected == tuple(affected_by(mornings, blocked=[DAY.date()], now=NOW))
    assert [each.second_professional_id for each in affected_by(mornings, now=NOW)] == [mornings.user_id]
    assert starts(centre, second_professional=mornings) == []
    error = centre.refused(OutsideScheduleError, scheduled_at=at(9), second_professional=mornings)
    assert error.reason == "blocked_date"
    centre.book(at(9), second_professional=mornings, override_blocked=True, **another_family())


@pytest.mark.slow
def test_who_is_not_active_is_no_second_but_stays_one(centre):
    second = make_working()
    held = centre.book(at(10), second_professional=second)
    second.active = False
    second.save()
    assert starts(centre, second_professional=second) == []
    centre.refused(ProfessionalInactiveError, scheduled_at=at(11), second_professional=second)
    assert at(11) in starts(centre, moving=held)
    reschedule(held, at(11), now=NOW)
    assert held.second_professional_id == second.user_id


def test_nobody_is_the_second_of_themselves(centre):
    centre.refused(InvalidDataError, second_professional=centre.professional)
    booked, other = centre.book(at(10)), make_working()
    centre.refused(InvalidDataError, moving(booked, second_professional=centre.professional), scheduled_at=at(11))
    assert starts(centre, second_professional=centre.professional) == []
    found = find_slots(DAY, TOMORROW, second_professional=centre.professional, now=NOW)
    assert {slot.professional_id for slot in found} == {other.user_id}


# -- rooms that have what is needed -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_any_room_with_what_is_needed_is_listed_and_the_first_that_is_free_is_booked(centre):
    mirror(name="b"), mirror(name="a", features=["ramp", "mirror"]), make_resource(name="0")
    mirror(name="1", active=False), mirror(name="2", kind="device")
    taken = []
    for _ in range(2):
        assert starts(centre, room_with={"Mirror "}) == EVERYTHING
        taken.append(elsewhere(centre, at(10), room_with={"mirror"}).room.name)
    assert taken == ["a", "b"]
    assert starts(centre, room_with={"mirror"}) == WITHOUT_TEN
    error = centre.refused(RoomTakenError, scheduled_at=at(10), room_with={"mirror"})
    assert "every room with mirror is taken or blocked" in str(error)
    assert elsewhere(centre, at(10), room_with=set()).room.name == "0"
    assert starts(centre, room_with=()) == WITHOUT_TEN
    assert starts(centre, room_with={"piano"}) == []
    centre.refused(ResourceUnfitError, room_with={"piano"})


@pytest.mark.slow
def test_one_room_has_to_be_free_for_the_whole_session(centre):
    mirror(name="a"), mirror(name="b")
    elsewhere(centre, at(9), room_with={"mirror"}, duration_minutes=90)  # a until 10:30
    blocked = elsewhere(centre, at(10.5), room=Resource.get(name="b"), duration_minutes=60)  # b from 10:30 to 11:30
    assert blocked.room.name == "b"
    # Somewhere there is always a free room, but no hour that lies in one of them begins at 10.
    assert at(10) not in starts(centre, room_with={"mirror"})
    centre.refused(RoomTakenError, scheduled_at=at(10), room_with={"mirror"})
    assert centre.book(at(10.5), room_with={"mirror"}).room.name == "a"


@pytest.mark.slow
def test_a_service_says_what_its_room_has_and_families_get_one(centre):
    speech = make_service(name="Speech", duration_minutes=60, room_features=["Mirror"])
    make_giving(professional=centre.professional, service=speech)
    assert starts(centre, service=speech) == []
    centre.refused(ResourceUnfitError, service=speech, by=centre.client)
    plain, good = make_resource(), mirror()
    assert starts(centre, service=speech) == EVERYTHING
    booked = centre.book(at(10), service=speech, by=centre.client)
    assert booked.room == good
    colleague = make_working()
    make_giving(professional=colleague, service=speech)
    found = find_slots(DAY, TOMORROW, service=speech, now=NOW)
    assert {slot.start for slot in found if slot.professional_id == colleague.user_id} == set(WITHOUT_TEN)
    elsewhere_family = another_family()
    centre.refused(RoomTakenError, scheduled_at=at(10), professional=colleague, service=speech, **elsewhere_family)
    error = centre.refused(ResourceUnfitError, scheduled_at=at(12), service=speech, room=plain)
    assert error.resource_id == plain.id
    # What is more is asked for as well.
    assert starts(centre, service=speech, room_with={"ramp"}) == []
    # A family's move finds a room again: the own one first.
    mirror(name="0")
    reschedule(booked, at(11), by=centre.client, now=NOW)
    assert booked.room == good
    elsewhere(centre, at(13), room=good)
    assert at(13) in starts(centre, moving=booked)
    reschedule(booked, at(13), by=centre.client, now=NOW)
    assert booked.room.name == "0"


@pytest.mark.slow
def test_a_room_that_is_not_active_is_not_booked_and_keeps_its_sessions(centre):
    room = make_resource()
    held = centre.book(at(10), room=room)
    room.active = False
    room.save()
    assert starts(centre, room=room) == []
    assert centre.refused(ResourceUnfitError, scheduled_at=at(11), room=room).resource_id == room.id
    assert at(11) in starts(centre, moving=held)
    reschedule(held, at(11), now=NOW)
    with pytest.raises(StillReferencedError), centre.db.atomic():
        room.delete_instance()


# -- who may say it, and what is malformed ----------------------------------------------------------------------------


@pytest.mark.slow
@walked("role", [*HELD, "room_with"])
def test_families_choose_nothing_besides(make_centre, role):
    with make_centre() as centre:
        value = {"mirror"} if role == "room_with" else HELD[role][0]()
        error = centre.refused(NotPermittedError, by=centre.client, **{role: value})
        assert role in error.action
        booked = centre.book(at(10))
        centre.refused(NotPermittedError, moving(booked, by=centre.client, **{role: value}), scheduled_at=at(11))
        centre.book(at(12), by=centre.staff, **({} if role == "room_with" else {role: value}), **another_family())


def test_a_family_does_not_give_back_what_the_centre_chose(centre):
    booked = centre.book(at(10), room=make_resource())
    centre.refused(NotPermittedError, moving(booked, by=centre.client, room=None), scheduled_at=at(11))


@walked("asked", [{"second_professional": "ana"}, {"room": True}, {"device": 1.5}, {"room_with": "mirror"},
                  {"room_with": [3]}, {"room_with": {" "}}], ids=str)  # fmt: skip
def test_malformed_wishes_are_refused(make_centre, asked):
    with make_centre() as centre:
        (name,) = asked
        assert centre.refused(InvalidDataError, **asked).field == name


def test_what_is_not_saved_yet_is_not_left_out(centre):
    booked = centre.book(at(14))
    for name, unsaved in (
        ("room", Resource(kind="room", name="Room 9")),
        ("device", Resource(kind="device", name="Tablet 9")),
        ("second_professional", Professional(user=None)),
        ("second_professional", User(email="new@example.org")),
    ):
        assert centre.refused(InvalidDataError, **{name: unsaved}).field == name
        assert centre.refused(InvalidDataError, moving(booked), scheduled_at=at(15), **{name: unsaved}).field == name
        with pytest.raises(InvalidDataError):
            starts(centre, **{name: unsaved})


@pytest.mark.slow
def test_kinds_are_not_mixed_up(centre):
    room, device = make_resource(), make_resource(kind="device")
    centre.refused(InvalidDataError, room=device)
    centre.refused(InvalidDataError, device=room)
    centre.refused(ReferenceNotFoundError, room=device.id)
    centre.refused(ReferenceNotFoundError, device=room.id)
    centre.refused(ReferenceNotFoundError, second_professional=centre.client)
    centre.refused(InvalidDataError, room=room, device=room.id)
    centre.refused(InvalidDataError, room=room, room_with={"mirror"})
    with pytest.raises(ReferenceNotFoundError):
        starts(centre, room=device.id)


def test_another_organizations_room_is_nobodys_here(centre):
    with centre.db.tenant(make_organization(centre.db)):
        theirs = make_resource()
    centre.refused(CrossTenantError, room=theirs)
    centre.refused(ReferenceNotFoundError, room=theirs.id)


@pytest.mark.slow
def test_a_request_that_comes_again_finds_its_room(centre):
    room = make_resource()
    asked = {"room": room, "idempotency_key": "form 1"}
    first = centre.book(at(10), **asked)
    again = centre.book(at(10), **asked)
    assert (again.id, again.was_repeated) == (first.id, True)
    centre.refused(IdempotencyConflictError, idempotency_key="form 1", scheduled_at=at(10))
    reschedule(first, at(11), room=None, idempotency_key="form 2", now=NOW)
    reschedule(first, at(12), now=NOW)
    assert reschedule(first, at(11), room=None, idempotency_key="form 2", now=NOW).was_repeated
    with pytest.raises(IdempotencyConflictError):
        reschedule(first, at(11), room=room, idempotency_key="form 2", now=NOW)


# -- moving -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_session_that_is_moved_keeps_what_it_holds(centre):
    second, room, device = make_working(), make_resource(), make_resource(kind="device")
    booked = centre.book(at(10), second_professional=second, room=room, device=device)
    elsewhere(centre, at(14), room=room)
    assert starts(centre, moving=booked) == [moment for moment in EVERYTHING if moment != at(14)]
    centre.refused(RoomTakenError, moving(booked), scheduled_at=at(14))
    reschedule(booked, at(10.5), now=NOW)  # over itself
    assert (booked.second_professional, booked.room, booked.device) == (second, room, device)
    assert starts(centre, moving=booked, room=None) == EVERYTHING
    reschedule(booked, at(14), room=None, device=None, now=NOW)
    assert (booked.second_professional, booked.room, booked.device) == (second, None, None)
    assert "room" in [*booked.history()][-1].reason


@pytest.mark.slow
def test_whatever_room_is_the_own_one_and_elsewhere_another(centre):
    own, other = make_resource(name="1"), make_resource(name="2")
    booked = centre.book(at(10), room=own)
    elsewhere(centre, at(12), room=own)

    assert reschedule(booked, at(11), room_with=set(), now=NOW).room_id == own.id
    assert at(12) in starts(centre, moving=booked, room_with=set())
    assert reschedule(booked, at(12), room_with=set(), now=NOW).room_id == other.id


def test_asked_for_what_its_room_has_already_nothing_is_moved(centre):
    room = mirror(name="2")
    booked = centre.book(at(10), room=room)
    group = create_group_session(professional=centre.professional, scheduled_at=at(14), capacity=3, room=room, now=NOW)
    mirror(name="1")

    with centre.untouched():
        assert reschedule(booked, at(10), room_with={"mirror"}, now=NOW).room_id == room.id
        assert reschedule_group(group, at(14), room_with={"mirror"}, now=NOW).room_id == room.id
    more = {"room_with": {"mirror"}, "second_professional": make_working()}
    assert reschedule(booked, at(10), now=NOW, **more).room_id == room.id
    assert [event for event, *_ in noted(booked)] == ["pre_confirm", "reschedule"]


@pytest.mark.slow
def test_a_room_is_changed_without_moving(centre):
    one, other = mirror(name="a"), mirror(name="b")
    booked = centre.book(at(10), room=one)
    heard = len([*booked.history()])
    reschedule(booked, at(10), room=one, now=NOW)
    assert len([*booked.history()]) == heard
    reschedule(booked, at(10), room=other, now=NOW)
    assert Appointment.get_by_id(booked.id).room == other
    assert len([*booked.history()]) == heard + 1
    assert elsewhere(centre, at(10), room_with={"mirror"}).room == one
    reschedule(booked, at(11), room_with={"mirror"}, now=NOW)
    assert booked.room == other


def test_who_gets_a_session_is_not_its_second(centre):
    second = make_working()
    booked = centre.book(at(10), second_professional=second)
    centre.refused(InvalidDataError, moving(booked, professional=second), scheduled_at=at(11))
    reschedule(booked, at(11), professional=second, second_professional=centre.professional, now=NOW)
    assert (booked.professional, booked.second_professional) == (second, centre.professional)


def test_what_a_session_holds_is_not_assigned(centre):
    booked, room = centre.book(at(10)), make_resource()
    with pytest.raises(AttributeError, match="reschedule"):
        booked.room = room
    with pytest.raises(AttributeError):
        room.kind = "device"


@pytest.mark.slow
def test_a_series_holds_its_room_each_time(centre):
    room, other = make_resource(), make_resource()
    elsewhere(centre, at(10, 7), room=room)
    wanted = centre.wanted(at(10), room=room, count=3)
    assert [each.error.code for each in book_series(**wanted, dry_run=True).skipped] == ["room_taken"]
    made = book_series(**wanted, skip_conflicts=True)
    assert [each.room for each in made.booked] == [room, room]
    change = reschedule_series(made.booked[0], at(11), which="all", room=other, now=NOW)
    assert [each.room for each in change.changed] == [other, other]


# -- group sessions ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_group_holds_its_room_attended_or_not(centre):
    second, room, device = make_working(), make_resource(), make_resource(kind="device")
    held = {"second_professional": second, "room": room, "device": device}
    group = create_group_session(professional=centre.professional, scheduled_at=at(10), capacity=3, now=NOW, **held)
    for name, value in held.items():
        assert [s.start for s in free_slots(make_working(), DAY, TOMORROW, now=NOW, **{name: value})] == WITHOUT_TEN
        elsewhere_refused(centre, HELD[name][1], at(10), **{name: value})
    assert [slot.start for slot in free_slots(second, DAY, TOMORROW, now=NOW)] == WITHOUT_TEN
    centre.refused(SlotTakenError, scheduled_at=at(10), professional=second)
    seat = book_group(group, student=centre.student, client=centre.client, now=NOW)
    assert (seat.second_professional, seat.room, seat.device) == (second, room, device)
    elsewhere_refused(centre, RoomTakenError, at(10), room=room)

    draft = elsewhere(centre, at(12), room=room, draft=True)
    reschedule_group(group, at(12), now=NOW)
    with pytest.raises(RoomTakenError):
        draft.pre_confirm(now=NOW)
    booked = elsewhere(centre, at(10), room=room)
    with pytest.raises(RoomTakenError) as refused:
        reschedule_group(group, at(10), now=NOW)
    assert refused.value.conflicting_id == booked.id
    reschedule_group(group, at(10), room=None, now=NOW)
    seat = Appointment.get_by_id(seat.id)
    assert (group.room, seat.room, seat.second_professional) == (None, None, second)
    cancel_group_session(group, reason="ill", now=NOW)
    elsewhere(centre, at(10.0) + 7 * HOUR - HOUR, second_professional=second)


def test_a_group_takes_the_first_room_that_does(centre):
    elsewhere(centre, at(10), room=mirror(name="a"))
    mirror(name="b")
    group = create_group_session(
        professional=centre.professional, scheduled_at=at(10), capacity=3, room_with={"mirror"}, now=NOW
    )
    assert group.room.name == "b"
    with pytest.raises(RoomTakenError):
        create_group_session(
            professional=make_working(), scheduled_at=at(10), capacity=3, room_with={"mirror"}, now=NOW
        )
    assert GroupSession.select().count() == 1


def test_an_overdue_hold_in_the_groups_room_is_expired(centre):
    room = make_resource()
    dead = elsewhere(centre, at(10), room=room)
    later = dead.expires_at + MINUTE
    create_group_session(professional=centre.professional, scheduled_at=at(10), capacity=3, room=room, now=later)
    assert Appointment.get_by_id(dead.id).state == "cancelled"


# -- who reads it -----------------------------------------------------------------------------------------------------


def test_a_second_professional_sees_the_session_and_its_student(centre):
    second = make_working()
    booked = centre.book(at(10), second_professional=second)
    other = elsewhere(centre, at(12))
    seen = {each.id for each in Appointment.visible_to(second.user)}
    assert booked.id in seen
    assert other.id not in seen
    assert centre.student.id in {each.id for each in type(centre.student).visible_to(second.user)}
    assert second.user_id in {each.user_id for each in type(second).visible_to(centre.client)}


# -- blocked dates ----------------------------------------------------------------------------------------------------

MORNING = {"start": DAY.date(), "end": DAY.date(), "hours": {"start": "09:00", "end": "12:00"}, "reason": "Painting"}
AFTERNOON = [at(hour) for hour in range(12, 17)]


@walked("kind", ["room", "device"])
def test_a_blocked_resource_is_neither_listed_nor_booked(make_centre, kind):
    with make_centre() as centre:
        resource = make_resource(kind=kind, blocked_dates=[MORNING])
        held = {kind: resource}
        assert starts(centre, **held) == AFTERNOON
        for start in (at(10), at(11.5)):
            error = centre.refused(OutsideScheduleError, scheduled_at=start, **held)
            assert (error.reason, error.nearest.start) == ("resource_blocked", at(12))
            assert f"a blocked date of the {kind}" in str(error)
        centre.book(at(12), **held)
        assert getattr(elsewhere(centre, at(10), override_blocked=True, **held), kind) == resource


def test_of_several_rooms_one_that_is_not_blocked_is_taken(centre):
    mirror(name="a", blocked_dates=[MORNING]), mirror(name="b")
    assert elsewhere(centre, at(10), room_with={"mirror"}).room.name == "b"
    assert starts(centre, room_with={"mirror"}) == WITHOUT_TEN
    centre.refused(RoomTakenError, scheduled_at=at(10), room_with={"mirror"})
    assert centre.book(at(12), room_with={"mirror"}).room.name == "a"


def test_a_group_and_a_move_ask_for_blocked_dates_too(centre):
    room = make_resource(blocked_dates=[DAY.date()])
    group = {"professional": centre.professional, "capacity": 2, "room": room, "now": NOW}
    with pytest.raises(OutsideScheduleError) as refused:
        create_group_session(scheduled_at=at(10), **group)
    assert refused.value.reason == "resource_blocked"
    booked = centre.book(at(10))
    with pytest.raises(OutsideScheduleError):
        reschedule(booked, at(11), room=room, now=NOW)


def test_a_blocked_resource_tells_whose_sessions_it_hits(centre):
    room = make_resource()
    booked, later = elsewhere(centre, at(9), room=room), elsewhere(centre, at(13), room=room)
    group = create_group_session(professional=centre.professional, scheduled_at=at(11), capacity=2, room=room, now=NOW)
    room.blocked_dates = [MORNING]
    assert room.hits(now=NOW) == ([booked], [group])
    room.save()
    assert (booked, later) == tuple(Appointment.select().where(Appointment.room == room).order_by(Appointment.id))
    assert Resource.get_by_id(room.id).hits(now=at(10)) == ([], [group])


def test_a_booking_that_was_decided_before_a_room_was_blocked_is_decided_anew(centre):
    room = make_resource()
    decide = deciding.check_time

    def block_it_meanwhile(*given):
        decide(*given)
        Resource.update(blocked_dates=[MORNING]).where(Resource.id == room.id).execute()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding, "check_time", block_it_meanwhile)
        assert centre.refused(OutsideScheduleError, scheduled_at=at(10), room=room).reason == "resource_blocked"


def test_who_has_to_decide_anew_keeps_the_own_room(centre):
    own = make_resource(name="1")
    for number in range(2, 22):
        make_resource(name=str(number))
    booked, decide, tries = centre.book(at(10), room=own), deciding.check_time, []

    def change_something_meanwhile(*given):
        decide(*given)
        tries.append(given)
        if len(tries) < 4:
            Professional.update(bio=f"try {len(tries)}").where(
                Professional.user == centre.professional.user_id
            ).execute()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding, "check_time", change_something_meanwhile)
        assert reschedule(booked, at(11), room_with=set(), now=NOW).room_id == own.id
    assert len(tries) == 4


# -- the database -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("role", HELD)
def test_raw_sql_meets_the_rule_too(make_centre, role):
    make, _ = HELD[role]
    with make_centre() as centre:
        held = make()
        first = centre.book(at(10), **{role: held})
        key = held.id if isinstance(held, Resource) else held.user_id
        again = elsewhere(centre, at(12))
        move = "UPDATE appointments SET scheduled_at = %s WHERE id = %s"
        hold = f"UPDATE appointments SET {role}_id = %s WHERE id = %s"
        centre.db.execute_sql(move, (at(10.5), again.id))
        with pytest.raises(SlotTakenError), centre.db.atomic():
            centre.db.execute_sql(hold, (key, again.id))
        centre.db.execute_sql(move, (at(12), again.id))
        centre.db.execute_sql(hold, (key, again.id))
        with pytest.raises(SlotTakenError), centre.db.atomic():
            centre.db.execute_sql(move, (at(10.5), again.id))
        assert first.state == "pre_confirmed"


def test_raw_sql_cannot_have_a_first_professional_as_a_second(centre):
    centre.book(at(10))
    other = elsewhere(centre, at(10))
    with pytest.raises(SlotTakenError), centre.db.atomic():
        centre.db.execute_sql(
            "UPDATE appointments SET second_professional_id = %s WHERE id = %s",
            (centre.professional.user_id, other.id),
        )


@pytest.mark.slow
@walked("role", ["app", "admin"])
@walked("kind", ["room", "device"])
def test_raw_sql_cannot_have_a_device_as_a_room(make_centre, kind, role):
    with make_centre() as centre:
        other = make_resource(kind="device" if kind == "room" else "room")
        booked = centre.book(at(10))
        group = create_group_session(professional=make_working(), scheduled_at=at(10), capacity=2, now=NOW)
        for table, key in (("appointments", booked.id), ("group_sessions", group.id)):
            with centre.untouched(), as_role(centre, role), pytest.raises(ReferenceNotFoundError) as refused:
                centre.db.execute_sql(
                    f"UPDATE {table} SET {kind}_id = %s WHERE organization_id = %s AND id = %s",
                    (other.id, centre.organization.id, key),
                )
            assert refused.value.fields == (f"{kind}_id",)


def test_a_room_and_a_professional_of_the_same_number_are_two(centre):
    room = make_resource(id=centre.professional.user_id)
    centre.book(at(10))
    elsewhere(centre, at(10), room=room)
    with pytest.raises(SlotTakenError), centre.db.atomic():
        elsewhere_refused(centre, RoomTakenError, at(10), room=room)
        raise SlotTakenError


def test_a_join_from_the_professional_is_that_of_the_first_one(centre):
    first, second = make_working(), make_working()
    mine = Appointment.id == centre.book(at(10), professional=first, second_professional=second).id
    assert [each.user_id for each in Professional.select().join(Appointment).where(mine)] == [first.user_id]
    seconds = Professional.select().join(Appointment, on=Appointment.second_professional).where(mine)
    assert [each.user_id for each in seconds] == [second.user_id]
    with pytest.raises(ValueError, match="More than one foreign key"):
        User.select().join(Appointment).exists()
