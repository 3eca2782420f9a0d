"""The line for a time: who waits longest and fits is offered what is free, once, and what becomes of the offer."""

from contextlib import nullcontext
from datetime import date

import pytest

from rayces_core import (
    Appointment,
    ConstraintError,
    CrossTenantError,
    Database,
    DuplicateError,
    InsufficientCreditsError,
    InvalidDataError,
    InvalidTransitionError,
    NotPermittedError,
    OutboxMessage,
    Professional,
    ReferenceNotFoundError,
    Role,
    ServiceInactiveError,
    SlotRequest,
    Student,
    TenantNotSetError,
    TransitionRefusedError,
    credits,
    people,
)
from rayces_core.outbox.topics import parse
from rayces_core.scheduling import (
    accept_offer,
    decline_offer,
    expire_overdue,
    offer_slots,
    request_slot,
    reschedule,
    withdraw_slot_request,
)
from tests.factory import make_closed_day, make_giving, make_service, make_user
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.worlds import ALWAYS, HOUR, MINUTE, NOW, Other, another_family, at, make_working, open_centre
from tests.tenancy.worlds import several_pairs
from tests.wire import wire

FIRST, LAST = date(2031, 3, 3), date(2031, 3, 14)
TEN = {"from_time": "10:00", "until_time": "11:00"}
THAT_DAY = {"from_day": FIRST, "until_day": FIRST}


def wait(centre, **asked):
    """Another family waits for an hour of the centre's professional."""
    usual = {"until_day": LAST, "from_day": FIRST, "professional": centre.professional, "now": NOW}
    return request_slot(**(another_family() | usual | asked))


def state(request):
    return SlotRequest.get_by_id(request.id).state


def starts(offers):
    return [offer.scheduled_at for offer in offers]


def noted(request):
    return [(step.event, step.to_state) for step in request.history()]


@pytest.fixture
def full(centre):
    """The professional's tenth hour of the first day is taken."""
    return centre.book(at(10), confirm=True)


# -- asking ---------------------------------------------------------------------------------------------------


def test_a_family_asks_for_its_own_child_and_staff_for_anybody(centre):
    own = {"student": centre.student, "client": centre.client}
    assert wait(centre, **own, by=centre.client).client_id == centre.client.id
    assert wait(centre, **own, by=centre.staff).state == "waiting"
    for family in (another_family(), own | {"client": make_user()}, own | {"student": another_family()["student"]}):
        for by in (centre.client, centre.professional.user):
            with pytest.raises(NotPermittedError):
                wait(centre, **family, by=by)


def test_nobody_waits_for_who_was_merged_or_erased(centre):
    family, gone, keep = another_family(), another_family(), make_user()
    people.merge_users(keep, family["client"], by=centre.staff)
    people.erase_student(centre.db, gone["student"], by=centre.staff)
    for refused in (family, gone, family | {"client": 10**12}):
        with pytest.raises(ReferenceNotFoundError):
            wait(centre, **refused)
    assert wait(centre, **family | {"client": keep}).state == "waiting"
    people.erase_user(centre.db, keep, by=centre.staff)
    with pytest.raises(ReferenceNotFoundError):
        wait(centre, **family | {"client": keep})


def test_what_is_asked_for_is_kept_as_it_was_and_every_day_is_the_default(centre):
    request = wait(centre, weekdays=["friday", "monday", "friday"], **TEN, duration_minutes=30, uses_credit=True)
    stored = SlotRequest.get_by_id(request.id)
    assert (stored.weekdays, stored.from_time, stored.until_time) == (["monday", "friday"], "10:00", "11:00")
    assert (stored.duration_minutes, stored.uses_credit, stored.place_at) == (30, True, NOW)
    assert len(SlotRequest.get_by_id(wait(centre).id).weekdays) == 7
    assert request_slot(**another_family(), until_day=LAST, now=NOW).from_day == NOW.date()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"weekdays": []}, "weekdays"),
        ({"weekdays": ["someday"]}, "weekdays"),
        ({"weekdays": 5}, "weekdays"),
        ({"until_day": date(2031, 2, 28), "from_day": date(2031, 2, 28)}, "until_day"),
        ({"until_day": date(2031, 3, 2), "from_day": FIRST}, "until_day"),
        ({"until_day": date(2032, 3, 3)}, "until_day"),
        ({"until_day": NOW}, "until_day"),
        ({"from_day": "2031-03-03"}, "from_day"),
        ({"duration_minutes": 10}, "duration_minutes"),
        ({"student": "Luz"}, "student"),
        ({"professional": "Ana"}, "professional"),
    ],
)
def test_what_is_no_request_is_refused(centre, given, field):
    with pytest.raises(InvalidDataError) as refused:
        wait(centre, **given)
    assert field in refused.value.field


@pytest.mark.parametrize("hours", [("11:00", "10:00"), ("25:00", "26:00"), ("9:00", "10:00")])
def test_hours_that_are_none_are_refused_by_the_database(centre, hours):
    from_time, until_time = hours
    with pytest.raises(ConstraintError) as refused:
        wait(centre, from_time=from_time, until_time=until_time)
    assert refused.value.constraint.startswith("slot_requests_")


def test_a_service_that_families_may_not_book_is_not_waited_for(centre):
    service = make_service(duration_minutes=60)
    make_giving(professional=centre.professional, service=service)
    assert wait(centre, service=service).service_id == service.id
    with pytest.raises(InvalidDataError):
        wait(centre, service=service, duration_minutes=30)
    with pytest.raises(InvalidDataError):
        wait(centre, service=make_service(families_may_book=False))
    with pytest.raises(ServiceInactiveError):
        wait(centre, service=make_service(active=False))
    with pytest.raises(ReferenceNotFoundError):
        wait(centre, service=10**12)


def test_nothing_of_another_organization_is_asked_for_or_answered(db, centre):
    (pair,) = several_pairs(db, 1)
    with pair.in_a():
        foreign = Student.select().first()
        request = SlotRequest.select().first()
    with pytest.raises(CrossTenantError):
        wait(centre, student=foreign)
    for deed in (accept_offer, decline_offer, withdraw_slot_request):
        with pytest.raises(CrossTenantError):
            deed(request)


def test_a_line_is_one_organizations(db, centre):
    request = wait(centre)
    with db.privileged(reason="test"):
        for deed in (offer_slots, lambda: accept_offer(request), lambda: wait(centre)):
            with pytest.raises(TenantNotSetError):
                deed()


# -- offering -------------------------------------------------------------------------------------------------


def test_what_is_taken_is_not_offered_and_is_once_it_is_cancelled(centre, full):
    request = wait(centre, **THAT_DAY, **TEN)
    assert (offer_slots(NOW), state(request)) == ([], "waiting")
    full.cancel(by=centre.staff, now=NOW)
    (offer,) = offer_slots(NOW)
    assert (offer.scheduled_at, offer.state, offer.slot_request_id) == (at(10), "pre_confirmed", request.id)
    assert (offer.client_id, offer.student_id, offer.expires_at) == (
        *(request.client_id, request.student_id),
        NOW + 2 * HOUR,
    )
    assert (state(request), noted(request)) == ("offered", [("offer", "offered")])
    assert offer_slots(NOW) == []


def test_an_offer_that_is_moved_is_to_be_answered_by_the_same_moment(centre):
    request = wait(centre)
    (offer,) = offer_slots(NOW)
    until = offer.expires_at
    reschedule(offer, offer.scheduled_at + 3 * HOUR, by=request.client, now=NOW + HOUR)
    assert Appointment.get_by_id(offer.id).expires_at == until < NOW + 3 * HOUR


@pytest.mark.parametrize("how", ["reschedule", "expire", "time off", "new hours", "closed day"])
def test_time_that_is_freed_in_any_way_is_found(centre, how):
    own = centre.professional
    if how in ("reschedule", "expire"):
        session = centre.book(at(10))
    elif how == "new hours":
        own.weekly_schedule = {"monday": [{"start": "11:00", "end": "17:00"}]}
    elif how == "time off":
        own.blocked_dates = [FIRST]
    own.save()
    closed = make_closed_day(day=FIRST) if how == "closed day" else None
    request = wait(centre, **THAT_DAY, **TEN)
    assert offer_slots(NOW) == []
    now = NOW
    if how == "reschedule":
        reschedule(session, at(12), now=NOW)
    elif how == "expire":
        now = NOW + 25 * HOUR
    elif how == "closed day":
        closed.delete_instance()
    else:
        own.weekly_schedule = {"monday": [{"start": "09:00", "end": "17:00"}]}
        own.blocked_dates = []
        own.save()
    assert [offer.slot_request_id for offer in offer_slots(now)] == [request.id]


def test_who_asked_first_is_offered_first_and_each_gets_one_time(centre):
    late, early = wait(centre, now=NOW + MINUTE), wait(centre)
    offers = offer_slots(NOW + 2 * MINUTE)
    assert [offer.slot_request_id for offer in offers] == [early.id, late.id]
    assert starts(offers) == [at(9), at(10)]


def test_who_fits_is_offered_what_those_before_do_not_want(centre):
    waits_longer, fits = wait(centre, weekdays=["sunday"], until_day=FIRST), wait(centre, now=NOW + MINUTE)
    assert [offer.slot_request_id for offer in offer_slots(NOW + MINUTE)] == [fits.id]
    assert state(waits_longer) == "waiting"


def test_the_session_lies_within_the_days_and_hours_that_were_asked_for(centre):
    centre.professional.session_duration_minutes = 45
    centre.professional.save()
    request = wait(centre, weekdays=["wednesday"], from_time="14:20", until_time="15:20")
    (offer,) = offer_slots(NOW)
    assert offer.slot_request_id == request.id
    assert (offer.scheduled_at, offer.duration_minutes) == (at(14, 2) + 20 * MINUTE, 45)
    wait(centre, from_time="14:20", until_time="15:00", weekdays=["thursday"])
    assert offer_slots(NOW) == []


def test_a_gap_off_the_grid_is_found(centre):
    """Staff booked at twenty past, so what a cancellation leaves lies between the starts that families see."""
    for start in (9, 11 + 1 / 3, 12 + 1 / 3, 13 + 1 / 3, 14 + 1 / 3, 15 + 1 / 3):
        centre.book_for_another(at(start))
    gap = at(10) + 20 * MINUTE
    centre.book(gap).cancel(by=centre.staff, now=NOW)
    wait(centre, **THAT_DAY, from_time="10:00")
    (offer,) = offer_slots(NOW)
    assert at(10) <= offer.scheduled_at <= gap


def test_anybody_who_gives_the_service_will_do_at_its_length(centre):
    service = make_service(duration_minutes=90, credits=2)
    gives = make_working()
    make_giving(professional=gives, service=service)
    wait(centre, professional=None, service=service, uses_credit=True)
    (offer,) = offer_slots(NOW)
    assert (offer.professional_id, offer.duration_minutes, offer.service_id) == (gives.user_id, 90, service.id)
    assert (offer.uses_credit, offer.credits_used) == (True, 2)


def test_whom_a_student_cannot_be_with_is_passed_for_somebody_else(centre):
    centre.professional.accepts_new_clients = False
    centre.professional.save()
    other = make_working()
    wait(centre, professional=None)
    (offer,) = offer_slots(NOW)
    assert offer.professional_id == other.user_id


def test_when_the_child_or_the_client_is_elsewhere_another_time_is_offered(centre):
    elsewhere = make_working()
    centre.book(at(9), professional=elsewhere)
    wait(centre, student=centre.student, client=centre.client)
    (offer,) = offer_slots(NOW)
    assert offer.scheduled_at == at(10)


def test_a_student_who_cannot_come_yet_is_offered_a_day_on_which_it_can(centre):
    family = another_family()
    request = wait(centre, **family, until_day=LAST)
    away = family["student"]
    away.suspend(until=date(2031, 3, 4), now=NOW)
    (offer,) = offer_slots(NOW)
    assert (offer.slot_request_id, offer.scheduled_at) == (request.id, at(9, 2))


def test_who_cannot_be_booked_at_all_is_passed_and_stays_in_the_line(centre):
    family = another_family()
    gone, next_one = wait(centre, **family), wait(centre, now=NOW + MINUTE)
    family["student"].discharge(now=NOW)
    no_contact = wait(centre, client=make_user())
    assert [offer.slot_request_id for offer in offer_slots(NOW + MINUTE)] == [next_one.id]
    assert state(gone) == state(no_contact) == "waiting"


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["open_holds_per_client", "future_sessions_per_client"])
def test_the_limits_of_a_family_hold_for_offers_too(centre, setting):
    centre.settings(**{setting: 1})
    own = {"student": centre.student, "client": centre.client}
    first, second, other = wait(centre, **own), wait(centre, **own), wait(centre)
    assert [offer.slot_request_id for offer in offer_slots(NOW)] == [first.id, other.id]
    assert state(second) == "waiting"
    decline_offer(first, by=centre.client, now=NOW)
    withdraw_slot_request(first, by=centre.client, now=NOW)
    assert [offer.slot_request_id for offer in offer_slots(NOW)] == [second.id]


def test_how_long_it_is_held_and_how_far_ahead_it_is_the_centre_says(centre):
    centre.settings(slot_offer_minutes=30, slot_offer_notice_minutes=3 * 24 * 60)
    wait(centre)
    now = at(8)
    (offer,) = offer_slots(now)
    assert (offer.scheduled_at, offer.expires_at) == (at(9, 3), now + 30 * MINUTE)


def test_the_last_hour_of_the_last_day_is_one_of_them(centre):
    centre.professional.weekly_schedule = ALWAYS
    centre.professional.save()
    wait(centre, **THAT_DAY, from_time="23:00")
    (offer,) = offer_slots(NOW)
    assert offer.scheduled_at == at(23)


def test_who_waits_for_the_last_day_that_there_is_holds_nobody_up(centre):
    asked, far = wait(centre), wait(centre, from_day=date.max, until_day=date.max)
    assert [offer.slot_request_id for offer in offer_slots(NOW)] == [asked.id]
    assert state(far) == "waiting"


def test_a_hold_is_over_at_the_start_at_the_latest(centre):
    centre.settings(slot_offer_notice_minutes=0)
    wait(centre, **THAT_DAY, **TEN)
    (offer,) = offer_slots(at(9.5))
    assert offer.expires_at == at(10)


def test_a_limit_leaves_the_rest_of_the_line_waiting(centre):
    requests = [wait(centre, now=NOW + number * MINUTE) for number in range(3)]
    assert [offer.slot_request_id for offer in offer_slots(NOW + HOUR, limit=2)] == [each.id for each in requests[:2]]
    assert state(requests[2]) == "waiting"
    with pytest.raises(InvalidDataError):
        offer_slots(NOW, limit=0)


def test_a_request_whose_last_day_is_over_lapses(centre):
    request, goes_on = wait(centre, until_day=FIRST), wait(centre, weekdays=["sunday"], until_day=date(2031, 3, 4))
    assert (offer_slots(at(23)), state(request)) == ([], "waiting")
    offer_slots(at(0.5, 1))
    assert (state(request), state(goes_on), noted(request)) == ("lapsed", "waiting", [("lapse", "lapsed")])


def test_days_and_hours_are_those_of_the_organizations_wall_clock(db):
    with open_centre(db, zone="America/Argentina/Buenos_Aires") as centre:
        wait(centre, **THAT_DAY, **TEN)
        (offer,) = offer_slots(NOW)
        assert offer.scheduled_at == at(13)


# -- what becomes of it ---------------------------------------------------------------------------------------


@pytest.fixture
def offered(centre):
    """A family with an offer, and the one behind it, who wants the same hour."""
    first = wait(centre, student=centre.student, client=centre.client, **THAT_DAY, **TEN)
    second = wait(centre, **THAT_DAY, **TEN, now=NOW + MINUTE)
    (offer,) = offer_slots(NOW + MINUTE)
    assert offer.slot_request_id == first.id
    first = SlotRequest.get_by_id(first.id)
    return first, second, offer


def test_what_is_accepted_is_taken_and_nobody_else_is_offered_it(centre, offered):
    first, second, offer = offered
    confirmed = accept_offer(first, by=centre.client, now=NOW + HOUR)
    assert (confirmed.id, confirmed.state, first.state) == (offer.id, "confirmed", "taken")
    assert noted(first) == [("offer", "offered"), ("take", "taken")]
    assert first.history()[-1].actor_id == centre.client.id
    assert (offer_slots(NOW + HOUR), state(second)) == ([], "waiting")


def test_an_offer_reserves_no_credits_and_taking_it_costs_them(centre):
    family = another_family()
    first = wait(centre, **family, **THAT_DAY, **TEN, uses_credit=True)
    (offer,) = offer_slots(NOW)
    assert (offer.uses_credit, offer.reserved_credits) == (True, 0), "the family has said nothing yet"
    with pytest.raises(InsufficientCreditsError):
        accept_offer(first, by=family["client"], now=NOW)
    assert state(first) == "offered"
    credits.purchase(family["client"], 1)
    assert accept_offer(first, by=family["client"], now=NOW).state == "confirmed"
    assert credits.verify().is_clean


def test_confirming_the_appointment_is_accepting_it_whoever_does_it(centre, offered):
    first, _, offer = offered
    offer.confirm(by=centre.staff, now=NOW + HOUR)
    assert state(first) == "taken"
    offer.cancel(by=centre.staff, now=NOW + HOUR)
    assert state(first) == "taken", "what was taken is over for the line"


def test_what_is_declined_goes_to_the_next_and_is_not_offered_again(centre, offered):
    first, second, _ = offered
    decline_offer(first, by=centre.client, now=NOW + HOUR)
    assert (first.state, first.place_at) == ("waiting", NOW)
    (offer,) = offer_slots(NOW + HOUR)
    assert offer.slot_request_id == second.id
    withdraw_slot_request(SlotRequest.get_by_id(second.id), now=NOW + HOUR)
    assert offer_slots(NOW + HOUR) == [], "the first one has said no to it"


def test_an_offer_that_nobody_answers_goes_to_the_next_in_line(centre, offered):
    first, second, offer = offered
    with pytest.raises(TransitionRefusedError) as late:
        accept_offer(first, by=centre.client, now=offer.expires_at + MINUTE)
    assert late.value.reason == "expired"
    (again,) = offer_slots(offer.expires_at + MINUTE)
    assert (again.slot_request_id, again.scheduled_at) == (second.id, at(10))
    first = SlotRequest.get_by_id(first.id)
    assert (first.state, first.place_at) == ("waiting", offer.expires_at + MINUTE)
    assert noted(first)[-1] == ("miss", "waiting")


@pytest.mark.parametrize(("keeps", "who"), [(False, 1), (True, 0)])
def test_who_misses_an_offer_goes_behind_unless_the_centre_says_otherwise(centre, keeps, who):
    centre.settings(slot_offer_keeps_place=keeps)
    waiting = [wait(centre, now=NOW + number * MINUTE) for number in range(2)]
    offer_slots(NOW + HOUR, limit=1)
    (offer,) = offer_slots(NOW + 5 * HOUR, limit=1)
    assert offer.slot_request_id == waiting[who].id


def test_a_sweep_ends_offers_as_any_hold_also_in_privileged_work(db, centre, offered):
    first, _, offer = offered
    with db.privileged(reason="test"):
        assert expire_overdue(offer.expires_at + MINUTE)
    assert state(first) == "waiting"


def test_whoever_books_an_overdue_offers_time_sends_it_back_to_the_line(centre, offered):
    first, _, offer = offered
    centre.book_for_another(at(10), now=offer.expires_at + MINUTE)
    assert (state(first), Appointment.get_by_id(offer.id).state) == ("waiting", "cancelled")


def test_who_withdraws_gives_the_offer_back(centre, offered):
    first, second, offer = offered
    withdraw_slot_request(first, by=centre.client, reason="found another", now=NOW + HOUR)
    assert (first.state, state(first), Appointment.get_by_id(offer.id).state) == ("withdrawn", "withdrawn", "cancelled")
    assert [each.slot_request_id for each in offer_slots(NOW + HOUR)] == [second.id]
    for deed in (accept_offer, decline_offer, withdraw_slot_request):
        with pytest.raises(InvalidTransitionError):
            deed(first, by=centre.client, now=NOW + HOUR)


def test_who_withdraws_while_an_offer_is_made_gives_it_back(centre):
    first = wait(centre, **THAT_DAY, **TEN)
    with centre.db.atomic():
        (offer,) = offer_slots(NOW)
        other = Other(centre.db, centre.organization, lambda: withdraw_slot_request(first, now=NOW))
        other.wait_until_blocked()
    assert other.finish() is None
    assert (first.state, state(first), Appointment.get_by_id(offer.id).state) == ("withdrawn", "withdrawn", "cancelled")


def test_who_withdraws_after_the_offer_was_over_leaves_the_line(centre, offered):
    first, _, offer = offered
    expire_overdue(offer.expires_at + MINUTE)
    assert (first.state, state(first)) == ("offered", "waiting")
    withdraw_slot_request(first, by=centre.client, now=offer.expires_at + MINUTE)
    assert (first.state, state(first)) == ("withdrawn", "withdrawn")


def test_others_answer_nothing(centre, offered):
    first, second, _ = offered
    for by in (make_user(), make_user(role=Role.PROFESSIONAL)):
        for deed in (accept_offer, decline_offer, withdraw_slot_request):
            with pytest.raises(NotPermittedError):
                deed(first, by=by, now=NOW + HOUR)
            assert state(first) == "offered"
        with pytest.raises(NotPermittedError):
            withdraw_slot_request(second, by=by, now=NOW + HOUR)


def test_a_student_who_leaves_loses_the_offer(centre, offered):
    first, second, _ = offered
    Student.get_by_id(centre.student.id).discharge(by=centre.staff, now=NOW + HOUR)
    assert state(first) == "waiting"
    assert [each.slot_request_id for each in offer_slots(NOW + HOUR)] == [second.id]


def test_what_is_undone_was_never_offered(db, centre):
    request = wait(centre)
    with pytest.raises(RuntimeError), db.atomic():
        assert len(offer_slots(NOW)) == 1
        raise RuntimeError
    assert (state(request), noted(request), Appointment.select().count()) == ("waiting", [], 0)
    assert len(offer_slots(NOW)) == 1


def test_each_step_is_told_in_the_unit_of_work_that_makes_it(centre, offered):
    first, _, offer = offered
    accept_offer(first, by=centre.client, now=NOW + HOUR)
    about = OutboxMessage.select().where(OutboxMessage.subject_type == "SlotRequest").order_by(OutboxMessage.id)
    assert [message.topic for message in about] == ["slot_request.offer", "slot_request.take"]
    told = parse(about[0].topic, about[0].version, about[0].payload)
    assert (told.id, told.client_id, told.to_state) == (first.id, centre.client.id, "offered")
    booked = OutboxMessage.get(OutboxMessage.topic == "appointment.book")
    assert (booked.subject_id, booked.payload["slot_request_id"]) == (offer.id, first.id)


def test_the_database_lets_a_request_have_one_session_and_no_second(db, centre, offered):
    first, second, offer = offered
    other = centre.book_for_another(at(12))
    with db.privileged(reason="the database's own rule"):
        for request, refused in ((first, pytest.raises(DuplicateError)), (second, nullcontext())):
            with refused:
                db.execute_sql("UPDATE appointments SET slot_request_id = %s WHERE id = %s", (request.id, other.id))
    offer.cancel(reason="frees the request", now=NOW)
    assert state(first) == "waiting"


@pytest.mark.slow
def test_the_number_of_messages_does_not_grow_with_those_who_wait_in_vain(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        centre.book(at(10), confirm=True)
        sent = []
        for _ in range(3):
            wait(centre, **THAT_DAY, **TEN)
            proxy.sent.clear()
            assert offer_slots(NOW) == []
            sent.append(len(proxy.sent))
    assert len(set(sent[1:])) == 1, sent


def test_professionals_keep_their_rows(centre):
    """An offer is a booking like others: it changes nothing of the professional."""
    before = Professional.get_by_id(centre.professional.id).updated_at
    wait(centre)
    offer_slots(NOW)
    assert Professional.get_by_id(centre.professional.id).updated_at == before


@pytest.fixture
def asked(own_db):
    """What statements were run: operation and table."""
    run = []
    own_db.on_query(lambda query: run.append((query.operation, query.table)))
    return run


@pytest.mark.parametrize(("buffer", "fitting"), [(0, 4), (20, 2)])
def test_statements_and_messages_grow_with_the_offers_and_not_with_who_waits(own_db, asked, buffer, fitting):
    spent = []
    for families in (8, 16):
        with open_centre(own_db) as centre:
            one = make_working(weekly_schedule=schedule_json(hours((9, 13))), buffer_minutes=buffer)
            for number in range(families):
                wait(centre, **THAT_DAY, professional=one, now=NOW + number * MINUTE)
            asked.clear()
            offers = offer_slots(NOW + HOUR)
            spent.append((len(offers), len(asked), OutboxMessage.select().count()))
    assert spent[0] == spent[1]
    assert spent[0][0] == fitting


def test_who_can_be_offered_nothing_is_asked_about_once_and_holds_nobody_up(own_db, asked):
    with open_centre(own_db, settings={"open_holds_per_client": 1}) as centre:
        busy = another_family()
        centre.book(at(10, 3), **busy)
        families = (busy, another_family(), another_family())
        first, second, third = (wait(centre, **THAT_DAY, **family) for family in families)
        asked.clear()
        offers = offer_slots(NOW)
        assert [offer.slot_request_id for offer in offers] == [second.id, third.id]
        assert asked.count(("select", "users")) == len(families)
        assert state(first) == "waiting"
