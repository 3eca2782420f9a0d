"""Time off: asked for by the professional alone, decided on by the desk, and no session is hit unseen."""

from datetime import date, timedelta

import pytest

from rayces_core import (
    Appointment,
    CrossTenantError,
    InvalidDataError,
    InvalidTransitionError,
    NotPermittedError,
    OutboxMessage,
    OutsideScheduleError,
    Professional,
    Role,
    TimeOffRequest,
    TransitionRefusedError,
    clock,
)
from rayces_core.outbox.topics import parse
from rayces_core.scheduling import create_group_session, request_time_off
from tests.factory import make_professional, make_user
from tests.scheduling import racing
from tests.scheduling.test_booking_races import ids_of
from tests.scheduling.worlds import ALWAYS, DAY, HOUR, NOW, another_family, at, make_working, open_centre
from tests.sizes import quick_or_whole

ROUNDS, WORKERS = quick_or_whole((3, 6), (8, 30))
HOURS = {"start": "10:00", "end": "13:00"}


@pytest.fixture
def asked(centre):
    """The centre's professional asks for the 3rd and the 4th."""
    own = centre.professional
    return request_time_off(own, date(2031, 3, 3), date(2031, 3, 4), note=" wedding ", by=own.user)


def blocked_dates(centre):
    return Professional.get_by_id(centre.professional.id).blocked_dates


def test_a_request_blocks_nothing_until_it_is_approved(centre, asked):
    assert (asked.state, asked.note, blocked_dates(centre)) == ("requested", "wedding", [])
    asked.approve(by=centre.staff, now=NOW)
    assert blocked_dates(centre) == [{"start": "2031-03-03", "end": "2031-03-04", "reason": "wedding"}]
    assert TimeOffRequest.get_by_id(asked.id).decided_at == NOW
    assert [(step.event, step.from_state, step.to_state, step.actor_id) for step in asked.history()] == [
        ("approve", "requested", "approved", centre.staff.id)
    ]
    refused = centre.refused(OutsideScheduleError, scheduled_at=at(10))
    assert refused.reason == "blocked_date"


def test_what_is_blocked_stays_in_order_and_as_the_model_would_store_it(centre):
    own = centre.professional
    own.blocked_dates = ["2031-03-01", {"start": "2031-03-05", "end": "2031-03-06", "reason": "x"}]
    own.save()
    for day, hours in ((4, None), (5, HOURS)):
        request_time_off(own, date(2031, 3, day), date(2031, 3, day), hours=hours).approve()
    stored = blocked_dates(centre)
    assert [(period["start"], period.get("hours")) for period in stored] == [
        *(("2031-03-01", None), ("2031-03-04", None), ("2031-03-05", HOURS), ("2031-03-05", None))
    ]
    again = Professional.get_by_id(own.id)
    again.blocked_dates = stored
    again.save()
    assert blocked_dates(centre) == stored


@pytest.mark.parametrize(("event", "state"), [("decline", "declined"), ("withdraw", "withdrawn")])
def test_what_is_declined_or_withdrawn_blocks_nothing_and_is_over(centre, asked, event, state):
    getattr(asked, event)(by=centre.staff, reason="exams")
    assert (asked.state, blocked_dates(centre)) == (state, [])
    for over in ("approve", "decline", "withdraw", "revoke"):
        with pytest.raises(InvalidTransitionError):
            getattr(asked, over)(by=centre.staff)


def test_what_is_revoked_can_be_booked_again_and_the_rest_stays_blocked(centre, asked):
    own = centre.professional
    own.blocked_dates = ["2031-03-08", {"start": "2031-03-09", "end": "2031-03-10", "reason": "x"}]
    own.save()
    kept = blocked_dates(centre)
    hours = [request_time_off(own, date(2031, 3, 3), date(2031, 3, 3), hours=HOURS) for _ in range(2)]
    for request in (asked, *hours):
        request.approve(by=centre.staff, now=NOW)
    asked.revoke(by=centre.staff, reason="the wedding is off")
    assert (asked.state, len(blocked_dates(centre))) == ("withdrawn", 4)
    hours[0].revoke(by=centre.staff)
    assert [period.get("hours") for period in blocked_dates(centre)] == [HOURS, None, None]
    hours[1].revoke(by=centre.staff)
    assert blocked_dates(centre) == kept
    assert centre.book(at(10)).state == "pre_confirmed"
    assert [(step.event, step.from_state, step.to_state) for step in asked.history()] == [
        ("approve", "requested", "approved"),
        ("revoke", "approved", "withdrawn"),
    ]


def test_what_was_taken_out_by_hand_is_revoked_all_the_same(centre, asked):
    asked.approve(by=centre.staff, now=NOW)
    own = Professional.get_by_id(centre.professional.id)
    own.blocked_dates = []
    own.save()
    asked.revoke(by=centre.staff)
    assert blocked_dates(centre) == []
    with pytest.raises(InvalidTransitionError):
        asked.revoke(by=centre.staff)


def test_only_the_desk_revokes(centre, asked):
    asked.approve(by=centre.staff, now=NOW)
    with pytest.raises(NotPermittedError):
        asked.revoke(by=centre.professional.user)
    assert asked.available_events(by=centre.professional.user) == []
    assert asked.available_events(by=centre.staff) == ["revoke"]


def test_who_may(centre, asked):
    own, colleague = centre.professional.user, make_professional().user
    guardian, admin = make_user(), make_user(role=Role.ADMIN)
    for user in (colleague, guardian):
        with pytest.raises(NotPermittedError):
            request_time_off(centre.professional, date(2031, 3, 3), date(2031, 3, 3), by=user)
        assert asked.available_events(by=user) == []
    assert asked.available_events(by=own) == ["withdraw"]
    assert asked.available_events(by=admin) == asked.available_events(by=centre.staff) != []
    for event in ("approve", "decline"):
        with pytest.raises(NotPermittedError):
            getattr(asked, event)(by=own)
    assert request_time_off(centre.professional, date(2031, 3, 3), date(2031, 3, 3), by=centre.staff).id


@pytest.mark.slow
def test_what_it_hits_is_told_before_and_after(centre):
    with clock.frozen(NOW):
        centre.book(at(9))
        hit = centre.book_for_another(at(12.5))
        centre.book(at(13), professional=make_working(), **another_family())
        group = create_group_session(professional=centre.professional, scheduled_at=at(11), capacity=2)
        create_group_session(professional=centre.professional, scheduled_at=at(14), capacity=2)
        second = {"professional": make_working(), "second_professional": centre.professional}
        beside = create_group_session(**second, scheduled_at=at(10), capacity=2)
        request = request_time_off(centre.professional, date(2031, 3, 3), date(2031, 3, 3), hours=HOURS)
        assert request.hits() == ([hit], [beside, group])
        request.approve(by=centre.staff)
        assert request.hits() == ([hit], [beside, group])
        assert Appointment.get_by_id(hit.id).state == "pre_confirmed"


def test_it_is_told_in_privileged_work_too(db, centre, asked):
    session = centre.book(at(10))
    with db.privileged(reason="test"):
        request = TimeOffRequest.select().where(TimeOffRequest.organization == centre.organization).get()
        assert request.hits(now=NOW).appointments == [session]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"end": date(2031, 3, 2)}, "time off"),
        ({"start": "soon"}, "time off"),
        ({"end": date(2032, 3, 3)}, "end"),
        ({"hours": {"start": "13:00", "end": "10:00"}}, "time off"),
        ({"note": "x" * 501}, "time off"),
    ],
)
def test_what_is_asked_amiss_is_refused(centre, given, field):
    usual = {"professional": centre.professional, "start": date(2031, 3, 3), "end": date(2031, 3, 3)}
    with pytest.raises(InvalidDataError) as refused:
        request_time_off(**(usual | given))
    assert refused.value.field == field
    assert TimeOffRequest.select().count() == 0


def test_nobody_asks_for_another_organizations(db, centre):
    theirs = centre.professional
    with open_centre(db), pytest.raises(CrossTenantError):
        request_time_off(theirs, date(2031, 3, 3), date(2031, 3, 3))


def test_there_is_an_end_to_blocked_dates(centre, asked):
    periods = [{"start": "2030-01-01", "end": "2030-01-01"}] * 1000
    centre.professional.blocked_dates = periods
    centre.professional.save()
    with pytest.raises(TransitionRefusedError) as refused:
        asked.approve(by=centre.staff)
    assert refused.value.reason == "no_room"
    assert TimeOffRequest.get_by_id(asked.id).state == "requested"


def test_a_decision_is_told_outside_in_its_shape(centre, asked):
    asked.approve(by=centre.staff, reason="enjoy it", now=NOW)
    told = OutboxMessage.get(OutboxMessage.topic == "time_off_request.approve")
    read = parse(told.topic, told.version, told.payload)
    assert (read.professional_id, read.starts_on, read.ends_on) == (
        asked.professional_id,
        asked.starts_on,
        asked.ends_on,
    )
    assert (read.note, read.from_time, read.reason, read.to_state) == ("wedding", None, "enjoy it", "approved")


@pytest.fixture(scope="module")
def race(db):
    with open_centre(db, weekly_schedule=ALWAYS) as centre, racing.crew(db, WORKERS) as crew:
        yield centre, crew, [another_family() for _ in range(WORKERS)]


@pytest.mark.slow
def test_approving_against_booking_leaves_no_booking_unseen(race):
    _, crew, families = race
    for number in range(ROUNDS):
        one, start = make_working(weekly_schedule=ALWAYS), DAY + timedelta(days=number)
        request = request_time_off(one, start.date(), start.date())
        deeds = [
            (racing.book, {"scheduled_at": start + n * HOUR, "now": NOW, "professional": one.user_id} | ids_of(family))
            for n, family in enumerate(families[1:24])  # of one day
        ]
        outcomes = crew.race([(racing.approve_time_off, {"request": request.id, "now": NOW}), *deeds])
        seen, booked = outcomes[0].value, [outcome.value for outcome in outcomes[1:]]
        kept = {each.id for each in Appointment.select().where(Appointment.professional == one.user_id)}
        assert set(seen) == kept == {value for value in booked if isinstance(value, int)}
        assert all(isinstance(value, int | OutsideScheduleError) for value in booked), booked
