"""A draft that takes its time is decided on as a booking is: what has come since it was made counts."""

from types import SimpleNamespace

import pytest

from rayces_core import (
    Appointment,
    ClientBusyError,
    ClosedDay,
    NotPermittedError,
    OutsideScheduleError,
    Professional,
    ProfessionalInactiveError,
    ProfessionalService,
    ResourceUnfitError,
    ServiceInactiveError,
    ServiceNotGivenError,
    SlotTakenError,
    StudentBusyError,
    TimeOffRequest,
    TransitionRefusedError,
    clock,
)
from rayces_core.scheduling import request_time_off, reschedule
from tests.factory import make_resource, make_service, make_student, make_user
from tests.scheduling import racing
from tests.scheduling.worlds import DAY, HOUR, NOW, Other, another_family, at, make_working, open_centre
from tests.sizes import quick_or_whole
from tests.walking import walked


def taking(draft, **given):
    """The deed of taking a draft's time, for `refused`."""
    return lambda: Appointment.get_by_id(draft.id).pre_confirm(**({"now": NOW} | given))


@pytest.mark.slow
def test_a_draft_does_not_put_one_child_in_two_places(centre):
    """f01_drafts_put_one_child_in_two_places."""
    draft = centre.book(at(10), draft=True, by=centre.staff)
    firm = centre.book(at(10), professional=make_working(), by=centre.client)
    firm.confirm(by=centre.client, now=NOW)

    error = centre.refused(StudentBusyError, taking(draft))

    assert (error.conflicting_id, error.scheduled_at, draft.state) == (firm.id, at(10), "draft")


@pytest.mark.slow
def test_of_two_drafts_of_one_child_at_one_hour_one_is_taken(centre):
    first = centre.book(at(10), draft=True)
    second = centre.book(at(10.5), draft=True, professional=make_working())
    second.pre_confirm(now=NOW)

    assert centre.refused(StudentBusyError, taking(first)).conflicting_id == second.id


@pytest.mark.slow
def test_the_client_is_in_one_place_as_well(centre):
    draft = centre.book(at(10), draft=True)
    other = centre.book(at(10), professional=make_working(), **(another_family() | {"client": centre.client}))

    assert centre.refused(ClientBusyError, taking(draft)).conflicting_id == other.id


@pytest.mark.slow
def test_of_several_the_professionals_time_is_told_first(centre):
    draft = centre.book(at(10), draft=True)
    taken = centre.book_for_another(at(10))
    centre.book(at(10), professional=make_working())

    assert centre.refused(SlotTakenError, taking(draft)).conflicting_id == taken.id


@pytest.mark.slow
@walked("moved", [False, True], anew="centre")
def test_a_draft_that_allows_an_overlap_remembers_it(centre, moved):
    centre.book(at(11 if moved else 10), professional=make_working())
    draft = centre.book(at(10), draft=True, by=centre.staff, allow_overlap=not moved)
    if moved:
        reschedule(draft, at(11), by=centre.staff, allow_overlap=True, now=NOW)
    draft = Appointment.get_by_id(draft.id)
    assert draft.allows_overlap

    draft.pre_confirm(now=NOW)

    assert Appointment.get_by_id(draft.id).state == "pre_confirmed"


def test_an_overlap_is_allowed_for_the_time_that_it_was_asked_for(centre):
    draft = centre.book(at(10), draft=True, by=centre.staff, allow_overlap=True)

    assert reschedule(draft, at(11), now=NOW).allows_overlap is False


@pytest.mark.slow
@walked("late", [0 * HOUR, HOUR, 48 * HOUR])
def test_a_draft_of_the_past_takes_no_hold(centre, late):
    """f02_draft_of_the_past_takes_a_hold."""
    draft, told = centre.book(at(10), draft=True), []
    listener = Appointment.lifecycle.on("pre_confirm")(told.append)
    try:
        error = centre.refused(
            TransitionRefusedError,
            lambda: Appointment.get_by_id(draft.id).pre_confirm(by=centre.staff, now=at(10) + late),
        )
    finally:
        Appointment.lifecycle.off(listener)
    assert (error.reason, told, draft.can_pre_confirm(now=at(10) + late)) == ("begun", [], False)


@pytest.mark.slow
def test_its_hold_ends_after_it_begins_and_not_after_the_start(centre):
    soon, far = centre.book(at(10), draft=True), centre.book_for_another(at(10, 5), draft=True)
    soon.pre_confirm(now=at(9.9))
    far.pre_confirm(now=NOW)

    assert (soon.expires_at, far.expires_at) == (at(10), NOW + 24 * HOUR)


def change(row, **columns):
    for name, value in columns.items():
        setattr(row, name, value)
    row.save()


def fresh(model, row):
    return model.get_by_id(row.id)


THE_DAY = {"start": "2031-03-03", "end": "2031-03-03"}
SINCE = {
    "a closed day": (OutsideScheduleError, "closed_day", lambda it: ClosedDay.create(day=DAY.date(), name="Feast")),
    "a blocked day": (
        OutsideScheduleError,
        "blocked_date",
        lambda it: change(it.professional, blocked_dates=[THE_DAY]),
    ),
    "blocked hours": (
        OutsideScheduleError,
        "blocked_date",
        lambda it: change(it.professional, blocked_dates=[THE_DAY | {"hours": {"start": "10:30", "end": "11:00"}}]),
    ),
    "time off": (
        OutsideScheduleError,
        "blocked_date",
        lambda it: request_time_off(it.professional, DAY.date(), DAY.date()).approve(by=it.staff),
    ),
    "a blocked room": (OutsideScheduleError, "resource_blocked", lambda it: change(it.room, blocked_dates=[THE_DAY])),
    "the second one's day off": (
        OutsideScheduleError,
        "blocked_date",
        lambda it: change(it.second, blocked_dates=[THE_DAY]),
    ),
    "a professional who left": (ProfessionalInactiveError, None, lambda it: change(it.professional, active=False)),
    "a second one who left": (ProfessionalInactiveError, None, lambda it: change(it.second, active=False)),
    "a room that is no more": (ResourceUnfitError, None, lambda it: change(it.room, active=False)),
    "a device that is no more": (ResourceUnfitError, None, lambda it: change(it.device, active=False)),
    "a service that is no more": (ServiceInactiveError, None, lambda it: change(it.service, active=False)),
    "a service that is not given": (ServiceNotGivenError, None, lambda it: it.given.delete_instance()),
}


@pytest.fixture
def prepared(centre):
    """A draft of all that a session may need."""
    service = make_service()
    given = ProfessionalService.create(professional=centre.professional, service=service)
    things = {"second_professional": make_working(), "room": make_resource(), "device": make_resource(kind="device")}
    draft = centre.book(at(10), draft=True, service=service, by=centre.staff, **things)
    own = {"draft": draft, "service": service, "given": given, "room": things["room"], "device": things["device"]}
    who = {"professional": centre.professional, "second": things["second_professional"], "staff": centre.staff}
    return SimpleNamespace(**own, **who)


@pytest.mark.slow
@pytest.mark.parametrize("since", SINCE, ids=[each.replace(" ", "-") for each in SINCE])
def test_what_has_come_since_it_was_drafted_counts(centre, prepared, since):
    error, reason, deed = SINCE[since]
    with clock.frozen(NOW):
        deed(prepared)
    refused = centre.refused(error, taking(prepared.draft))
    assert (getattr(refused, "reason", None), refused.scheduled_at) == (reason, at(10))
    assert fresh(Appointment, prepared.draft).state == "draft"


@pytest.fixture
def before_it_is_written(db, centre, prepared, monkeypatch):
    """Has a deed done once both are read that a draft's time is decided on, the people and what it needs besides."""
    read, done = [], []

    def meanwhile(deed):
        def count(_):
            read.append(None)
            if len(read) == 2:
                done.append(Other(db, centre.organization, lambda: frozen_at_now(deed, prepared)))
                assert not isinstance(done[0].finish(), Exception)

        monkeypatch.setattr(db.engine, "query_hooks", [count])

    yield meanwhile
    assert len(done) == 1


@pytest.mark.slow
@pytest.mark.parametrize("since", SINCE, ids=[each.replace(" ", "-") for each in SINCE])
def test_what_comes_between_the_decision_and_what_is_written_counts(before_it_is_written, prepared, since):
    error, _, deed = SINCE[since]
    draft = Appointment.get_by_id(prepared.draft.id)
    before_it_is_written(deed)
    with pytest.raises(error):
        draft.pre_confirm(now=NOW)
    assert (draft.state, fresh(Appointment, draft).state) == ("draft", "draft")


def test_what_is_changed_meanwhile_and_speaks_against_nothing_is_decided_on_anew(before_it_is_written, prepared):
    draft = Appointment.get_by_id(prepared.draft.id)
    before_it_is_written(lambda it: change(it.room, name="Blue room"))
    draft.pre_confirm(now=NOW)
    assert fresh(Appointment, draft).state == "pre_confirmed"


def frozen_at_now(deed, prepared):
    with clock.frozen(NOW):
        return deed(prepared)


@pytest.mark.slow
@pytest.mark.parametrize("since", ["a closed day", "a blocked day", "a blocked room", "the second one's day off"])
def test_staff_may_set_aside_what_is_blocked(centre, prepared, since):
    SINCE[since][2](prepared)
    aside = {"override_blocked": True}
    centre.refused(NotPermittedError, taking(prepared.draft, by=centre.professional.user, **aside))
    taking(prepared.draft, by=centre.staff, **aside)()
    assert fresh(Appointment, prepared.draft).state == "pre_confirmed"


def test_hours_notice_and_window_were_decided_when_it_was_drafted(centre):
    centre.settings(minimum_notice_minutes=0, booking_window_days=60)
    draft = centre.book(at(10), draft=True)
    change(centre.professional, weekly_schedule={})
    centre.settings(minimum_notice_minutes=60 * 24 * 7, booking_window_days=1, start_every_minutes=45)
    taking(draft, by=centre.professional.user)()
    assert fresh(Appointment, draft).state == "pre_confirmed"


def test_the_drafts_own_buffers_count(centre):
    """The professional's have changed since, and what is written is the draft."""
    change(centre.professional, buffer_minutes=15)
    draft = centre.book(at(10), draft=True)
    change(centre.professional, buffer_minutes=0)
    other = centre.book_for_another(at(11))
    assert centre.refused(SlotTakenError, taking(draft)).conflicting_id == other.id


@pytest.mark.slow
@pytest.mark.parametrize("since", ["a closed day", "time off", "a blocked room", "a blocked day"])
def test_what_is_blocked_at_the_same_moment_is_waited_for_and_seen(db, centre, prepared, since):
    with db.atomic():
        with clock.frozen(NOW):
            SINCE[since][2](prepared)
        other = Other(db, centre.organization, taking(prepared.draft))
        other.wait_until_blocked()
    assert isinstance(other.finish(), OutsideScheduleError)
    assert fresh(Appointment, prepared.draft).state == "draft"


@pytest.mark.slow
@pytest.mark.parametrize("since", ["time off", "a blocked day", "a closed day"])
def test_who_blocks_at_the_same_moment_waits_and_is_told_of_it(db, centre, prepared, since):
    request = request_time_off(centre.professional, DAY.date(), DAY.date())
    with db.atomic():
        taking(prepared.draft)()
        other = Other(db, centre.organization, lambda: blocking(since, centre, request))
        other.wait_until_blocked()
    assert [each.id for each in other.finish()] == [prepared.draft.id]


def blocking(since, centre, request):
    with clock.frozen(NOW):
        if since == "time off":
            request = TimeOffRequest.get_by_id(request.id)
            request.approve(by=centre.staff)
            return request.hits(now=NOW).appointments
        if since == "a closed day":
            return ClosedDay.create(day=DAY.date(), name="Feast").affected
        own = Professional.get_by_id(centre.professional.id)
        change(own, blocked_dates=[THE_DAY])
        return own.affected


def test_privileged_work_which_books_nothing_decides_on_nothing(db, centre):
    draft = centre.book(at(10), draft=True)
    ClosedDay.create(day=DAY.date(), name="Feast")
    with db.privileged(reason="test"):
        Appointment.get((Appointment.id == draft.id) & (Appointment.organization == centre.organization)).pre_confirm(
            now=NOW
        )
    assert fresh(Appointment, draft).state == "pre_confirmed"


@pytest.mark.slow
def test_of_drafts_and_bookings_of_one_child_in_a_race_one_holds_its_time(db):
    workers, rounds = 6, quick_or_whole(2, 25)
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        elsewhere = [make_working() for _ in range(workers)]
        for number in range(rounds):
            start = at(9 + number % 8, number // 8)
            drafts = [centre.book(start, draft=True, professional=one) for one in elsewhere[: workers // 2]]
            deeds = [(racing.fire, {"appointment_id": one.id, "event": "pre_confirm", "now": NOW}) for one in drafts]
            wanted = {"student": centre.student.id, "client": centre.client.id, "now": NOW, "scheduled_at": start}
            deeds += [(racing.book, wanted | {"professional": one.user_id}) for one in elsewhere[workers // 2 :]]

            outcomes = crew.race(deeds)

            lost = [outcome for outcome in outcomes if isinstance(outcome.value, Exception)]
            assert len(lost) == workers - 1, outcomes
            assert {type(outcome.value) for outcome in lost} == {StudentBusyError}
            assert max(outcome.seconds for outcome in lost) < racing.LONGEST_WAIT
            (held,) = Appointment.select().for_student(centre.student).occupying(start, start + HOUR, now=NOW)
            held.cancel(reason="the round is over")


@pytest.mark.slow
def test_drafts_of_many_children_and_professionals_wait_in_one_order(db):
    """Crossed pairs: each of two professionals' drafts is of the other's child; nobody waits in a circle."""
    workers, rounds = 6, quick_or_whole(2, 25)
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        professionals = [make_working() for _ in range(2)]
        children = [make_student(admission_state="enrolled") for _ in range(2)]
        clients = [make_user() for _ in range(2)]
        for number in range(rounds):
            start = at(9 + number % 8, number // 8)
            people = [(professionals[n % 2], children[n // 2 % 2], clients[(n + n // 2) % 2]) for n in range(workers)]
            drafts = [
                centre.book(start, draft=True, professional=one, student=child, client=client)
                for one, child, client in people
            ]
            outcomes = crew.race(
                [(racing.fire, {"appointment_id": one.id, "event": "pre_confirm", "now": NOW}) for one in drafts]
            )
            errors = {type(outcome.value) for outcome in outcomes if isinstance(outcome.value, Exception)}
            assert errors <= {SlotTakenError, StudentBusyError, ClientBusyError}, outcomes
            assert max(outcome.seconds for outcome in outcomes) < racing.LONGEST_WAIT
            for held in Appointment.select().in_state("pre_confirmed"):
                held.cancel(reason="the round is over")
