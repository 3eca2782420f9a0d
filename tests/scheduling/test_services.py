"""Services: a session has the length, buffers, price and credits of its service, and who may not book it is told."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CrossTenantError,
    DuplicateError,
    IdempotencyConflictError,
    InvalidDataError,
    NotPermittedError,
    ProfessionalService,
    ReferenceNotFoundError,
    Service,
    ServiceInactiveError,
    ServiceNotGivenError,
    SettledFieldError,
    SlotTakenError,
    StillReferencedError,
    credits,
)
from rayces_core.scheduling import book_series, find_slots, free_slots, reschedule
from tests.factory import make_giving, make_organization, make_service
from tests.scheduling.worlds import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    Other,
    another_family,
    at,
    make_working,
    moving,
    open_centre,
)
from tests.walking import walked

EURO = {"session_price_cents": 4500, "currency": "EUR"}


@pytest.fixture
def make_centre(db):
    return lambda: open_centre(db, buffer_minutes=10, **EURO)


@pytest.fixture
def centre(make_centre):
    with make_centre() as opened:
        yield opened


def offer(centre, *, professional=None, own=None, **columns):
    """A service that the centre's professional gives."""
    service = make_service(**columns)
    make_giving(professional=professional or centre.professional, service=service, **(own or {}))
    return service


def starts(centre, service, **options):
    slots = free_slots(centre.professional, DAY, DAY + 24 * HOUR, service=service, **({"now": NOW} | options))
    return [slot.start for slot in slots]


def copied(appointment):
    row = Appointment.get_by_id(appointment.id)
    price = row.price_cents, row.currency
    return row.service_id, row.duration_minutes, row.buffer_before_minutes, row.buffer_minutes, price


# -- what is booked ---------------------------------------------------------------------------------------------------


@walked("how", [{}, {"draft": True}, {"confirm": True}], anew="centre")
def test_a_session_has_what_its_service_says_on_the_day_of_its_booking(centre, how):
    service = offer(
        centre,
        duration_minutes=45,
        buffer_before_minutes=20,
        buffer_after_minutes=5,
        price_cents=9900,
        currency="USD",
    )
    booked = centre.book(at(10), service=service, **how)
    said = (service.id, 45, 20, 5, (9900, "USD"))
    assert copied(booked) == said
    assert (booked.occupied_from, booked.occupied_until) == (at(10) - 20 * MINUTE, at(10) + 50 * MINUTE)
    assert (booked.occupies_from, booked.occupies_until) == (booked.occupied_from, booked.occupied_until)

    service.duration_minutes, service.buffer_before_minutes, service.price_cents = 60, 0, 1
    service.save()
    assert copied(booked) == said
    assert Appointment.get_by_id(booked.id).service == service


def test_what_a_service_does_not_say_is_the_professionals(centre):
    service = offer(centre, duration_minutes=45)
    assert copied(centre.book(at(10), service=service.id)) == (service.id, 45, 0, 10, (4500, "EUR"))


@pytest.mark.slow
@walked(
    "own, said",
    [
        ({"duration_minutes": 30}, (30, (9900, "USD"))),
        ({"price_cents": 100, "currency": "ARS"}, (45, (100, "ARS"))),
        ({"price_cents": 0, "currency": "ARS", "duration_minutes": 90}, (90, (0, "ARS"))),
    ],
    anew="centre",
)
def test_a_professional_may_give_it_at_an_own_length_and_price(centre, own, said):
    service = offer(centre, duration_minutes=45, price_cents=9900, currency="USD", own=own)
    _, minutes, _, _, price = copied(centre.book(at(10), service=service))
    assert (minutes, price) == said
    assert starts(centre, service)[1] - starts(centre, service)[0] >= minutes * MINUTE


def test_each_session_of_a_series_has_it(centre):
    service = offer(centre)
    series = book_series(**centre.wanted(at(10), service=service), count=3)
    assert {copied(one) for one in series.booked} == {(service.id, 45, 0, 10, (4500, "EUR"))}


@pytest.mark.slow
@walked("costs, uses_credit, held", [(3, True, 3), (3, False, 0), (0, True, 0)], anew="centre")
def test_it_costs_as_many_credits_as_the_service_does(centre, costs, uses_credit, held):
    credits.purchase(centre.client, 5, now=None)
    service = offer(centre, credits=costs)
    booked = centre.book(at(10), service=service, uses_credit=uses_credit, confirm=True)
    assert (booked.uses_credit, booked.credits_used) == (held > 0, held)
    assert credits.balance(centre.client) == 5 - held
    booked.cancel(by=centre.staff, now=NOW)
    assert credits.balance(centre.client) == 5


def test_a_request_with_a_key_names_its_service(centre):
    service, other = offer(centre), offer(centre)
    booked = centre.book(at(10), service=service, idempotency_key="k")
    again = centre.book(at(10), service=service, idempotency_key="k")
    assert (again.id, again.was_repeated) == (booked.id, True)
    for another in (other, None):
        centre.refused(IdempotencyConflictError, scheduled_at=at(10), service=another, idempotency_key="k")


# -- who may not ------------------------------------------------------------------------------------------------------


def test_one_that_is_not_offered_any_more_is_booked_and_listed_by_nobody(centre):
    service = offer(centre)
    assert starts(centre, service)
    service.active = False
    service.save()
    for who in (centre.client, centre.staff, None):
        assert centre.refused(ServiceInactiveError, service=service, by=who).service_id == service.id
    assert starts(centre, service) == []
    assert find_slots(DAY, DAY + 24 * HOUR, service=service, now=NOW) == []


def test_a_professional_who_does_not_give_it_is_not_booked_nor_listed(centre):
    giver = make_working()
    service = offer(centre, professional=giver)
    assert centre.refused(ServiceNotGivenError, service=service, by=centre.staff).service_id == service.id
    assert starts(centre, service) == []
    found = find_slots(DAY, DAY + 24 * HOUR, service=service, now=NOW)
    assert {slot.professional_id for slot in found} == {giver.user_id}
    assert centre.book(at(10), professional=giver, service=service).service_id == service.id


def test_what_only_the_centre_books_no_family_does(centre):
    service = offer(centre, families_may_book=False)
    error = centre.refused(NotPermittedError, service=service, by=centre.client)
    assert error.action == "book this service"
    assert centre.book(service=service, by=centre.staff).service_id == service.id


def test_a_family_books_a_service_at_its_length(centre):
    service = offer(centre)
    centre.refused(NotPermittedError, service=service, duration_minutes=60, by=centre.client)
    assert centre.book(at(10), service=service, duration_minutes=60, by=centre.staff).duration_minutes == 60
    assert centre.book(at(12), service=service, by=centre.client).duration_minutes == 45


@walked("wrong", [True, "speech", 1.5], anew="centre")
def test_a_service_is_given_as_one_or_as_its_id(centre, wrong):
    centre.refused(InvalidDataError, service=wrong)
    with pytest.raises(InvalidDataError):
        starts(centre, wrong)


def test_a_service_of_nobody_or_of_another_organization_is_none(db, centre):
    with db.tenant(make_organization(db)):
        theirs = make_service()
    centre.refused(CrossTenantError, service=theirs)
    for unknown in (theirs.id, 0):
        error = centre.refused(ReferenceNotFoundError, service=unknown)
        assert error.fields == ("service_id",)
        with pytest.raises(ReferenceNotFoundError, match="there is no service"):
            starts(centre, unknown)
        with pytest.raises(ReferenceNotFoundError, match="there is no service"):
            find_slots(DAY, at(24), service=unknown, now=NOW)


# -- meanwhile --------------------------------------------------------------------------------------------------------


def meanwhile(centre, change, deed):
    """What comes of a deed that waits for the professional's row while `change` is committed by itself."""
    with centre.db.atomic():
        centre.db.execute_sql(
            "SELECT 1 FROM professionals WHERE organization_id = %s AND user_id = %s FOR NO KEY UPDATE",
            (centre.organization.id, centre.professional.user_id),
        )
        other = Other(centre.db, centre.organization, deed)
        other.wait_until_blocked()
        change()
    return other.finish()


def test_a_service_that_is_changed_meanwhile_is_booked_as_it_is_then(centre):
    service = offer(centre)

    def change():
        service.duration_minutes, service.price_cents, service.currency = 30, 100, "USD"
        service.save()

    booked = meanwhile(centre, change, lambda: centre.book(at(10), service=service.id))
    assert copied(booked) == (service.id, 30, 0, 10, (100, "USD"))


@pytest.mark.slow
@walked(
    "change, refusal",
    [
        (lambda: ProfessionalService.delete().execute(), ServiceNotGivenError),
        (lambda: Service.update(active=False).execute(), ServiceInactiveError),
    ],
    anew="centre",
)
def test_a_service_that_ends_or_is_given_up_meanwhile_is_not_booked(centre, change, refusal):
    service = offer(centre)
    assert type(meanwhile(centre, change, lambda: centre.book(at(10), service=service.id))) is refusal
    assert Appointment.select().count() == 0


# -- the buffer before ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_time_before_a_session_is_kept_free_of_others(centre):
    service = offer(centre, duration_minutes=60, buffer_before_minutes=30, buffer_after_minutes=0)
    centre.book(at(11), duration_minutes=60)  # until 12:10, its own buffer included
    found = starts(centre, service, step_minutes=10)
    assert found[0] == at(9)  # before the first session of the day nobody waits
    assert at(10) in found
    assert at(10) + 10 * MINUTE not in found
    assert min(one for one in found if one > at(11)) == at(12) + 40 * MINUTE
    for taken in (at(12) + 30 * MINUTE, at(11), at(10) + 1 * MINUTE):
        centre.refused(SlotTakenError, scheduled_at=taken, service=service, **another_family())
    centre.book_for_another(at(12) + 40 * MINUTE, service=service)


def test_what_begins_later_may_need_the_time_before_it(centre):
    service = offer(centre, duration_minutes=60, buffer_before_minutes=90)
    centre.book(at(12), service=service)
    plain = [slot.start for slot in free_slots(centre.professional, DAY, at(24), step_minutes=10, now=NOW)]
    assert max(one for one in plain if one < at(12)) == at(9) + 20 * MINUTE  # an hour, and ten minutes after it
    error = centre.refused(SlotTakenError, scheduled_at=at(9.5), **another_family())
    assert error.conflicting_id == Appointment.get().id
    centre.book_for_another(at(9) + 20 * MINUTE)


def test_a_session_of_the_day_before_may_reach_into_the_buffer(db):
    with open_centre(db, weekly_schedule={"monday": [{"start": "00:00", "end": "24:00"}]}, buffer_minutes=0) as centre:
        service = offer(centre, duration_minutes=60, buffer_before_minutes=1440)
        centre.book(at(-20), override_schedule=True)  # Sunday, 4 to 5
        assert starts(centre, service)[0] == at(5)
        centre.refused(SlotTakenError, scheduled_at=at(4), service=service, **another_family())
        centre.book_for_another(at(5), service=service)


@pytest.mark.slow
def test_the_database_keeps_the_time_before_whoever_writes(centre):
    service = offer(centre, buffer_before_minutes=30)
    centre.book(at(10), duration_minutes=60)
    draft = centre.book_for_another(at(12), service=service, draft=True)
    Appointment.update(buffer_before_minutes=60).where(Appointment.id == draft.id).execute()
    with pytest.raises(SlotTakenError):  # asked under the locks
        draft.pre_confirm(now=NOW)
    raw = "UPDATE appointments SET state = 'pre_confirmed', pre_confirmed_at = %s, expires_at = %s WHERE id = %s"
    with pytest.raises(SlotTakenError) as caught, centre.db.atomic():
        centre.db.execute_sql(raw, (NOW, at(12), draft.id))
    assert caught.value.constraint == "appointments_no_overlap"


def test_an_overdue_hold_in_the_buffer_gives_way(centre):
    service = offer(centre, duration_minutes=60, buffer_before_minutes=60)
    held = centre.book(at(10), **another_family())
    late = NOW + 25 * HOUR
    booked = centre.book(at(12), service=service, now=late)
    assert Appointment.get_by_id(held.id).state == "cancelled"
    assert booked.occupied_from == at(11)


# -- moving -----------------------------------------------------------------------------------------------------------


def test_a_session_that_is_moved_keeps_its_service_and_gets_its_buffers_of_today(centre):
    service = offer(centre, duration_minutes=45, buffer_before_minutes=20, price_cents=9900, currency="USD")
    booked = centre.book(at(10), service=service)
    Service.update(buffer_before_minutes=30, duration_minutes=60, active=False).execute()
    assert at(10) + 40 * MINUTE in starts(centre, None, moving=booked, step_minutes=10)
    reschedule(booked, at(14), by=centre.staff, now=NOW)
    assert copied(booked) == (service.id, 45, 30, 10, (9900, "USD"))


def test_a_family_moves_a_service_at_its_length(centre):
    booked = centre.book(service=offer(centre, duration_minutes=45))

    centre.refused(NotPermittedError, moving(booked, by=centre.client), scheduled_at=at(11), duration_minutes=90)
    assert reschedule(booked, at(11), by=centre.client, duration_minutes=45, now=NOW).scheduled_at == at(11)
    assert reschedule(booked, at(11), by=centre.staff, duration_minutes=90, now=NOW).duration_minutes == 90


@pytest.mark.slow
def test_it_is_given_away_to_who_gives_the_service(centre):
    service = offer(centre)
    booked = centre.book(at(10), service=service)
    bob = make_working()
    assert free_slots(bob, DAY, at(24), moving=booked, now=NOW) == []
    centre.refused(ServiceNotGivenError, moving(booked, professional=bob, by=centre.staff), scheduled_at=at(11))
    make_giving(professional=bob, service=service)
    listed = [slot.start for slot in free_slots(bob, DAY, at(24), moving=booked, now=NOW)]
    assert at(9) in listed
    reschedule(booked, at(9), professional=bob, by=centre.staff, now=NOW)
    assert (booked.professional_id, booked.service_id) == (bob.user_id, service.id)


def test_who_gave_it_up_keeps_what_is_booked_and_may_move_it(centre):
    service = offer(centre)
    booked = centre.book(at(10), service=service)
    ProfessionalService.delete().execute()
    assert at(14) in starts(centre, None, moving=booked, step_minutes=60)
    assert reschedule(booked, at(14), by=centre.staff, now=NOW).service_id == service.id


def test_one_that_is_moved_is_listed_as_what_it_is(centre):
    service, other = offer(centre), offer(centre)
    booked = centre.book(at(10), service=service)
    assert starts(centre, service, moving=booked) == starts(centre, None, moving=booked)
    with pytest.raises(InvalidDataError, match="keeps the service"):
        starts(centre, other, moving=booked)


def test_a_service_is_not_exchanged_on_a_saved_row(centre):
    booked = centre.book(at(10), service=offer(centre))
    with pytest.raises(SettledFieldError):
        booked.service = offer(centre)


# -- the rows ---------------------------------------------------------------------------------------------------------


def test_a_name_is_one_services_whatever_its_case(db, centre):
    make_service(name="Speech Therapy")
    with pytest.raises(DuplicateError, match="there is a service of that name already") as caught, db.atomic():
        make_service(name="SPEECH therapy")
    assert caught.value.fields == ("name",)
    with db.tenant(make_organization(db)):
        make_service(name="Speech Therapy")


def test_one_that_was_booked_stays_and_who_gives_it_goes_with_it(db, centre):
    booked, free = offer(centre), offer(centre)
    centre.book(at(10), service=booked)
    with pytest.raises(StillReferencedError), db.atomic():
        booked.delete_instance()
    free.delete_instance()
    assert [giving.service_id for giving in ProfessionalService.select()] == [booked.id]
    assert [giving.service_id for giving in centre.professional.services_given] == [booked.id]


@walked("given", [{"duration_minutes": 14}, {"buffer_before_minutes": 1441}, {"credits": -1}, {"currency": "peso"}])
def test_what_no_service_can_be_is_refused_before_the_database_has_to(db, given):
    with db.tenant(make_organization(db)), pytest.raises(InvalidDataError):
        make_service(**given)


def test_everyone_reads_what_is_offered(centre):
    service = offer(centre)
    for who in (centre.client, centre.staff, centre.professional.user):
        assert list(Service.visible_to(who)) == [service]
        assert ProfessionalService.visible_to(who).count() == 1


def test_a_hold_waits_as_any_other(centre):
    booked = centre.book(at(10), service=offer(centre))
    assert booked.expires_at == NOW + timedelta(hours=24)
