"""A series is moved or cancelled from one session on, or all of it that is to come: whole, or with a report."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rayces_core import (
    Appointment,
    AppointmentSeries,
    BookingWindowError,
    CheckFailedError,
    DuplicateError,
    IdempotencyConflictError,
    InvalidDataError,
    NotPermittedError,
    OutsideScheduleError,
    SeriesConflictError,
    SettledFieldError,
    SlotTakenError,
    StateTransition,
    TenantNotSetError,
    TransitionRefusedError,
)
from rayces_core.scheduling import book_series, cancel_series, reschedule, reschedule_series
from tests.factory import make_user
from tests.scheduling.worlds import ALWAYS, HOUR, NOW, Other, at, make_working, noted, open_centre
from tests.sizes import examples

WEEK = timedelta(weeks=1)


@pytest.fixture
def centre(db):
    with open_centre(db, settings={"booking_window_days": 730, "school_year_end": "03-20"}) as opened:
        yield opened


def booked(centre, start=None, **options):
    return book_series(**centre.wanted(start or at(10), **({"count": 5} | options))).booked


def move(appointment, start, **options):
    return reschedule_series(appointment, start, **({"now": NOW} | options))


def stored():
    """Every appointment's start, in order of time, with the series that it is of."""
    rows = Appointment.select().order_by(Appointment.scheduled_at)
    return [(row.scheduled_at, row.series_id) for row in rows]


def starts(appointments):
    return [appointment.scheduled_at for appointment in appointments]


# -- a series is a thing ----------------------------------------------------------------------------------------------


def test_a_series_is_kept_with_its_rule_and_each_session_is_an_occurrence(centre):
    made = book_series(**centre.wanted(count=3, weekdays=["monday", "wednesday"]))

    assert starts(made.booked) == [at(10), at(10, 2), at(10, 7)]
    assert made.series == AppointmentSeries.get()
    assert (made.series.rule, made.series.starts_at, made.series.time_zone) == (
        "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=3",
        at(10),
        "UTC",
    )
    assert [(each.series_id, each.occurrence_at) for each in Appointment.select().order_by(Appointment.id)] == [
        (made.series.id, start) for start in starts(made.booked)
    ]
    assert list(made.series.appointments.order_by(Appointment.id)) == list(made.booked)
    assert {each.series_id for each in made.booked} == {made.series.id}


def test_a_series_may_go_on_until_the_school_year_ends(centre):
    assert starts(book_series(**centre.wanted(until="school_year_end")).booked) == [at(10), at(10, 7), at(10, 14)]


def test_a_series_of_a_key_stays_one_and_takes_in_what_was_left_out(centre):
    taken = centre.book_for_another(at(10, 7))
    wanted = centre.wanted(count=3, skip_conflicts=True, idempotency_key="k")
    first = book_series(**wanted)
    taken.cancel(reason="ill")

    again = book_series(**wanted)

    assert (len(first.booked), len(again.booked)) == (2, 3)
    assert AppointmentSeries.select().count() == 1
    assert {each.series_id for each in Appointment.select().where(Appointment.state != "cancelled")} == {
        first.series.id
    }


def test_a_key_finds_the_series_that_it_named_however_that_was_changed(centre):
    wanted = centre.wanted(until=date(2031, 3, 31), idempotency_key="k")
    made = book_series(**wanted)
    move(made.booked[0], at(11, 1), which="all")
    move(made.booked[1], at(9, 8))

    with centre.untouched():
        assert [each.id for each in book_series(**wanted).booked] == [each.id for each in made.booked]
    other = {**wanted, "until": date(2031, 4, 7)}
    centre.refused(IdempotencyConflictError, lambda: book_series(**other))


def test_several_moves_have_no_key(centre):
    made = booked(centre)
    error = centre.refused(InvalidDataError, lambda: move(made[1], at(11, 7), idempotency_key="k"))
    assert error.field == "idempotency_key"
    assert starts(move(made[1], at(11, 7), which="this", idempotency_key="k").changed) == [at(11, 7)]


def test_what_cannot_be_booked_is_told_and_nothing_is_booked(centre):
    taken = centre.book_for_another(at(10, 7))
    with centre.untouched():
        made = book_series(**centre.wanted(count=3, dry_run=True))
    assert (made.booked, made.series, [each.error.conflicting_id for each in made.skipped]) == ((), None, [taken.id])
    assert [each.scheduled_at for each in made.skipped] == [at(10, 7)]


# -- moving -----------------------------------------------------------------------------------------------------------


def test_this_one_alone_is_moved_and_stays_of_the_series(centre):
    made = booked(centre)
    change = move(made[1], at(12, 8), which="this")
    assert (change.changed, change.kept, change.skipped, change.series) == ((made[1],), (), (), made[0].series)
    assert starts(Appointment.select().order_by(Appointment.id)) == [
        at(10),
        at(12, 8),
        *(at(10, 7 * n) for n in (2, 3, 4)),
    ]
    assert made[1].occurrence_at == at(10, 7)


def test_this_and_the_following_are_moved_and_go_on_as_a_series_of_their_own(centre):
    made = booked(centre)

    change = move(made[2], at(14, 15))

    assert starts(change.changed) == [at(14, 15 + 7 * n) for n in range(3)]
    old, new = AppointmentSeries.select().order_by(AppointmentSeries.id)
    assert stored() == [(at(10), old.id), (at(10, 7), old.id), *((at(14, 15 + 7 * n), new.id) for n in range(3))]
    assert change.series == new
    assert (new.follows_id, new.starts_at, new.rule) == (old.id, at(14, 15), "FREQ=WEEKLY;BYDAY=TU;COUNT=3")
    assert (old.ends_before, new.ends_before) == (at(10, 14), None)
    assert [each.occurrence_at for each in change.changed] == starts(change.changed)
    assert [event for event, *_ in noted(made[3])] == ["pre_confirm", "reschedule"]


@pytest.mark.slow
def test_all_that_are_to_come_are_moved_and_what_is_over_stays(centre):
    made = booked(centre, confirm=True, by=centre.staff)
    now = at(9, 14)
    made[0].execute(by=centre.professional.user, now=now)

    change = move(made[4], at(11, 29), which="all", now=now)

    assert starts(change.changed) == [at(11, 15), at(11, 22), at(11, 29)]
    assert starts(Appointment.select().order_by(Appointment.id))[:2] == [at(10), at(10, 7)]


@pytest.mark.slow
def test_a_series_may_be_moved_onto_its_own_places(centre):
    made = booked(centre)
    assert starts(move(made[0], at(10, 7)).changed) == [at(10, 7 * n) for n in range(1, 6)]
    assert starts(move(made[0], at(10)).changed) == [at(10, 7 * n) for n in range(5)]
    assert starts(move(made[0], at(10.5)).changed) == [at(10.5, 7 * n) for n in range(5)]


@pytest.mark.slow
def test_what_was_moved_by_itself_stays_where_it_was_put_and_is_told(centre):
    made = booked(centre)
    reschedule(made[2], at(15, 16), now=NOW)

    change = move(made[1], at(11, 7))

    assert starts(change.changed) == [at(11, 7), at(11, 21), at(11, 28)]
    assert [(each.id, each.scheduled_at, each.occurrence_at) for each in change.kept] == [
        (made[2].id, at(15, 16), at(11, 14))
    ]
    # And it is moved where it is the one that is asked for.
    own = change.kept[0]
    assert starts(move(own, at(9, 14)).changed) == [at(9, 14), at(9, 21), at(9, 28)]


def test_an_exception_over_a_change_of_the_clock_stays_and_the_others_keep_their_hour(db):
    berlin = ZoneInfo("Europe/Berlin")

    def local(day, hour):
        return datetime(2031, 3, day, hour, tzinfo=berlin).astimezone(UTC)

    with open_centre(db, zone="Europe/Berlin", weekly_schedule=ALWAYS) as centre:
        made = booked(centre, local(16, 9), count=4)  # the clock goes forward on 30 March
        reschedule(made[1], local(31, 15), now=NOW)
        change = move(made[0], local(17, 11))

        hours = [(each.astimezone(berlin).day, each.astimezone(berlin).hour) for each in starts(change.changed)]
        assert hours == [(17, 11), (31, 11), (7, 11)]
        assert [each.scheduled_at for each in change.kept] == [local(31, 15)]
        assert change.kept[0].occurrence_at == local(24, 11)


def test_the_following_may_be_given_away_and_made_longer(centre):
    other, made = make_working(), booked(centre)
    change = move(
        made[3], at(10, 21), professional=other, duration_minutes=90, by=centre.staff, reason="maternity leave"
    )
    assert [(each.professional_id, each.duration_minutes) for each in change.changed] == [(other.user_id, 90)] * 2
    assert Appointment.select().for_professional(centre.professional).count() == 3
    assert "maternity leave" in made[4].history()[1].reason


def test_what_is_cancelled_already_is_left_and_stays_an_occurrence(centre):
    made = booked(centre)
    made[3].cancel(reason="holiday")
    change = move(made[1], at(11, 7))
    assert starts(change.changed) == [at(11, 7), at(11, 14), at(11, 28)]
    gone = Appointment.get_by_id(made[3].id)
    assert (gone.state, gone.scheduled_at, gone.occurrence_at) == ("cancelled", at(10, 21), at(11, 21))
    assert gone.series_id == change.series.id


def test_from_one_that_is_over_on_what_is_to_come_is_moved_and_what_took_place_stays_what_it_was(centre):
    made = booked(centre, confirm=True, by=centre.staff)
    made[0].execute(by=centre.professional.user, now=at(12))
    series = made[0].series

    change = move(made[0], at(11), now=at(12))

    assert starts(change.changed) == [at(11, 7), at(11, 14), at(11, 21), at(11, 28)]
    took_place = Appointment.get_by_id(made[0].id)
    assert (took_place.scheduled_at, took_place.occurrence_at, took_place.series) == (at(10), at(10), series)
    assert AppointmentSeries.get_by_id(series.id).ends_before == at(10, 7)
    assert (change.series.starts_at, change.series.follows) == (at(11, 7), series)


def test_an_overdue_hold_keeps_no_series_where_it_is(centre):
    made = booked(centre)
    for firm in made[:2]:
        firm.confirm(now=NOW)
    later = NOW + 30 * HOUR  # nobody has swept the others

    assert move(made[0], at(11), now=later, dry_run=True).skipped == ()
    assert starts(move(made[0], at(11), now=later).changed) == [at(11), at(11, 7)]
    assert centre.refused(TransitionRefusedError, lambda: move(made[3], at(12, 21), now=later)).reason == "expired"


def test_a_series_of_which_nothing_is_moved_stays_as_it_is(centre):
    made = booked(centre, confirm=True, by=centre.staff)
    reschedule(made[4], at(15, 29), now=NOW)
    made[3].cancel(reason="ill", now=NOW)
    late = at(12, 14)
    with centre.untouched():
        change = move(made[3], at(9, 21), now=late)
        over = move(made[3], at(9, 21), which="all", now=at(16, 29))
    assert (change.changed, starts(change.kept), change.series) == ((), [at(15, 29)], made[0].series)
    assert (over.changed, over.kept, over.series) == ((), (), made[0].series)


def test_where_no_time_changes_the_series_stays_one(centre):
    made, other = booked(centre), make_working()
    with centre.untouched():
        assert move(made[1], at(10, 7)).series == made[1].series
    given_away = move(made[1], at(10, 7), professional=other)
    assert (len(given_away.changed), AppointmentSeries.select().count()) == (4, 1)


# -- conflicts --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_conflict_is_told_before_anything_moves(centre):
    made = booked(centre)
    taken = [centre.book_for_another(at(12, 7)), centre.book_for_another(at(12, 21))]

    error = centre.refused(SeriesConflictError, lambda: move(made[1], at(12, 7)))

    assert [(each.scheduled_at, each.error.conflicting_id) for each in error.conflicts] == [
        (at(12, 7), taken[0].id),
        (at(12, 21), taken[1].id),
    ]
    assert "2 sessions cannot be moved, the first one to 2031-03-10T12:00:00+00:00" in str(error)
    assert made[1].scheduled_at == at(10, 7)
    with centre.untouched():
        tried = move(made[1], at(12, 7), dry_run=True)
    assert (tried.changed, [type(each.error) for each in tried.skipped]) == ((), [SlotTakenError] * 2)


@pytest.mark.slow
def test_what_cannot_be_moved_may_be_left_where_it_is(centre):
    made = booked(centre)
    centre.book_for_another(at(12, 21))
    change = move(made[1], at(12, 7), skip_conflicts=True)
    assert starts(change.changed) == [at(12, 7), at(12, 14), at(12, 28)]
    assert [(each.scheduled_at, type(each.error)) for each in change.skipped] == [(at(12, 21), SlotTakenError)]
    assert Appointment.get_by_id(made[3].id).scheduled_at == at(10, 21)


def test_what_is_no_conflict_moves_nothing(centre):
    made = booked(centre, confirm=True, by=centre.staff)
    centre.refused(NotPermittedError, lambda: move(made[1], at(12, 7), by=centre.client, skip_conflicts=True))
    centre.refused(InvalidDataError, lambda: move(made[1], at(12, 7), duration_minutes=1))
    centre.refused(InvalidDataError, lambda: move(made[1], at(12, 7), which="some"))
    single = centre.book(at(15))
    assert centre.refused(InvalidDataError, lambda: move(single, at(16))).field == "appointment"
    assert centre.refused(InvalidDataError, lambda: cancel_series(single, reason="x")).field == "appointment"


@pytest.mark.slow
def test_one_alone_that_cannot_be_moved_is_told_as_the_others(centre):
    made = booked(centre)
    error = centre.refused(SeriesConflictError, lambda: move(made[1], at(3, 7), which="this"))
    assert [type(each.error) for each in error.conflicts] == [OutsideScheduleError]


@pytest.mark.slow
def test_a_move_beyond_the_window_is_a_conflict(db):
    with open_centre(db, settings={"booking_window_days": 40}) as centre:
        made = booked(centre)
        error = centre.refused(SeriesConflictError, lambda: move(made[0], at(10, 14)))
        assert [type(each.error) for each in error.conflicts] == [BookingWindowError]


@pytest.mark.slow
def test_a_monthly_series_goes_on_at_another_weekday(centre):
    made = booked(centre, frequency="monthly", count=3)  # first Mondays
    change = move(made[1], at(10, 43))  # Tuesday, 15 April
    assert [each.scheduled_at.strftime("%m-%d") for each in change.changed] == ["04-15", "05-20"]
    assert change.series.rule == "FREQ=MONTHLY;BYDAY=3TU;COUNT=2"
    error = centre.refused(
        InvalidDataError, lambda: move(change.changed[1], change.changed[1].scheduled_at + WEEK, which="all")
    )
    assert error.field == "which"


# -- cancelling -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_this_one_the_following_and_all_are_cancelled(centre):
    made = booked(centre, confirm=True, by=centre.staff)
    assert cancel_series(made[1], which="this", reason="ill", now=NOW) == (made[1],)
    assert cancel_series(made[3], reason="moves away", by=centre.staff, now=NOW) == (made[3], made[4])
    series = AppointmentSeries.get()
    assert series.ends_before == at(10, 21)

    # The first one is over by now; what has begun is not cancelled, whatever is asked for.
    assert cancel_series(made[3], which="all", reason="closes", now=at(11)) == (made[2],)

    assert [each.state for each in Appointment.select().order_by(Appointment.id)] == ["confirmed", *["cancelled"] * 4]
    assert Appointment.get_by_id(made[4].id).cancellation_reason == "moves away"
    assert AppointmentSeries.get().ends_before == at(10, 14)


def test_who_may_cancel_nothing_ends_no_series(centre):
    made = booked(centre, count=2, confirm=True, by=centre.staff)
    made[0].mark_no_show(now=at(12))
    with centre.untouched():
        for which in ("following", "all"):
            assert cancel_series(made[0], which=which, by=make_user(), now=at(12, 7)) == ()

    assert cancel_series(made[0], reason="moves away", now=at(12)) == (made[1],)
    assert AppointmentSeries.get().ends_before == at(10, 7)


def test_a_series_is_changed_where_its_tenant_is_bound(db):
    with open_centre(db) as opened:
        made = booked(opened, count=2)
    with db.privileged(reason="tidying up"):
        for deed in (lambda: cancel_series(made[1], reason="x", now=NOW), lambda: move(made[1], at(11, 7))):
            with pytest.raises(TenantNotSetError):
                deed()
    with db.tenant(opened.organization):
        assert {each.state for each in Appointment.select()} == {"pre_confirmed"}


def test_all_are_cancelled_or_none(centre):
    made = booked(centre)
    made[2].confirm(now=NOW)
    centre.refused(NotPermittedError, lambda: cancel_series(made[0], by=centre.client, reason="x", now=NOW))
    assert AppointmentSeries.get().ends_before is None


@pytest.mark.slow
def test_what_is_moved_after_a_cancellation_has_as_many_as_are_left(centre):
    made = booked(centre)
    cancel_series(made[3], reason="x", now=NOW)
    change = move(made[1], at(11, 7))
    assert change.series.rule.endswith("COUNT=2")
    assert starts(change.changed) == [at(11, 7), at(11, 14)]


# -- races and the database's own rules -------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_two_changes_at_once_the_second_sees_the_first(db, centre):
    made = booked(centre)
    with db.atomic():
        move(made[1], at(11, 7))
        other = Other(db, centre.organization, lambda: move(Appointment.get_by_id(made[2].id), at(15, 14)))
        other.wait_until_blocked()

    assert starts(other.finish().changed) == [at(15, 14), at(15, 21), at(15, 28)]
    assert [start for start, _ in stored()] == [at(10), at(11, 7), at(15, 14), at(15, 21), at(15, 28)]
    assert [each.follows_id for each in AppointmentSeries.select().order_by(AppointmentSeries.id)] == [
        None,
        *[each.id for each in AppointmentSeries.select().order_by(AppointmentSeries.id).limit(2)],
    ]


def test_an_occurrence_is_one_appointment_whatever_is_written(db, centre):
    made, single = booked(centre), centre.book(at(15))
    same = "UPDATE appointments SET series_id = %s, occurrence_at = %s WHERE id = %s"
    with pytest.raises(DuplicateError) as duplicate:
        db.execute_sql(same, (made[0].series_id, at(10), single.id))
    assert duplicate.value.constraint == "appointments_organization_id_series_id_occurrence_at_key"
    with pytest.raises(CheckFailedError) as half:
        db.execute_sql(same, (made[0].series_id, None, single.id))
    assert half.value.constraint == "appointments_occurrence_at_check"
    with pytest.raises(SettledFieldError, match="reschedule_series"):
        made[0].occurrence_at = at(11)
    with pytest.raises(SettledFieldError, match="reschedule_series"):
        made[0].series.rule = "FREQ=DAILY;COUNT=2"


@pytest.mark.slow
@examples(10, 100)
@given(
    which=st.sampled_from(["following", "all"]),
    chosen=st.integers(0, 5),
    days=st.integers(-6, 6),
    hour=st.integers(9, 15),
    alone=st.none() | st.integers(0, 5),
    gone=st.sets(st.integers(0, 5), max_size=2),
)
def test_a_change_is_all_of_its_moves_or_nothing(db, which, chosen, days, hour, alone, gone):
    """Afterwards every session is on its rule, moved by itself, or cancelled, whatever was done to it before."""
    assume((days, hour) != (0, 10))  # where no time changes, the series stays one
    with open_centre(db, settings={"booking_window_days": 730}) as centre:
        made = booked(centre, at(10, 7), count=6)
        if alone is not None:
            reschedule(made[alone], made[alone].scheduled_at + HOUR, now=NOW)
        for number in gone - {chosen}:
            made[number].cancel(reason="x", now=NOW)
        change = move(made[chosen], at(hour, 7 + 7 * chosen + days), which=which)
        mine = {each.id: Appointment.get_by_id(each.id) for each in made}
        first = chosen if which == "following" else min(set(range(6)) - gone | {chosen})
        for number, each in enumerate(made):
            row = mine[each.id]
            if number < first:
                assert row.series_id != change.series.id
                continue
            assert row.occurrence_at == at(hour, 7 + 7 * number + days)
            if number not in gone - {chosen} and (number != alone or number == chosen):
                assert row.scheduled_at == row.occurrence_at
        assert {each.id for each in change.kept} == {
            made[alone].id for _ in [0] if alone not in (None, chosen) and alone not in gone and alone >= first
        }
        assert StateTransition.select().where(StateTransition.event == "reschedule").count() >= len(change.changed) - 1
