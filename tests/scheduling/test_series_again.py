"""A series is booked again with its key after it was changed: what was left out goes where the series goes on."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rayces_core import Appointment, AppointmentSeries, BookingError, SlotTakenError
from rayces_core.scheduling import book_series, cancel_series, reschedule, reschedule_series
from tests.factory import make_resource
from tests.scheduling.worlds import NOW, Other, at, make_working, open_centre
from tests.sizes import examples

WEEK = timedelta(weeks=1)


@pytest.fixture
def centre(db):
    with open_centre(db, settings={"booking_window_days": 730}) as opened:
        yield opened


def asked(centre, start=None, **options):
    return centre.wanted(start or at(10), **({"count": 6, "skip_conflicts": True, "idempotency_key": "k"} | options))


def booked_but(centre, left_out, day=0, **options):
    """A series of six without those that stand at these numbers, from 0; the others are in the way no more."""
    gone = [at(10, day + 7 * number) for number in left_out]
    taken = [centre.book_for_another(start) for start in gone]
    made = book_series(**asked(centre, start=at(10, day), **options))
    assert [each.scheduled_at for each in made.skipped] == gone
    for other in taken:
        other.cancel(reason="ill", now=NOW)
    return made


def move(appointment, start, which="following", **options):
    return reschedule_series(Appointment.get_by_id(appointment.id), start, which=which, now=NOW, **options)


def held():
    return [
        (each.scheduled_at, each.occurrence_at, each.series_id)
        for each in Appointment.select().where(Appointment.series.is_null(False)).order_by(Appointment.scheduled_at)
    ]


@pytest.mark.parametrize("which", ["following", "all"])
def test_what_was_left_out_goes_where_the_series_was_moved_to(centre, which):
    made = booked_but(centre, [2, 5])
    on = move(
        made.booked[1] if which == "following" else made.booked[3], at(12, 8 if which == "following" else 29), which
    )

    again = book_series(**asked(centre))

    first = 1 if which == "following" else 0
    of = [(at(10, 7 * n), made.series.id) if n < first else (at(12, 7 * n + 1), on.series.id) for n in range(6)]
    assert held() == [(start, start, series) for start, series in of]
    assert (len(again.booked), again.skipped, again.series) == (6, (), made.series)
    with centre.untouched():  # and coming once more they are the same
        once_more = book_series(**asked(centre))
    assert [each.id for each in once_more.booked] == [each.id for each in again.booked]
    assert all(each.was_repeated for each in once_more.booked)


def test_before_the_change_it_goes_where_it_was_asked_for(centre):
    made = booked_but(centre, [1, 4])
    on = move(made.booked[2], at(12, 22))
    book_series(**asked(centre))
    assert [(start, series) for start, _, series in held()] == [
        *((at(10, 7 * n), made.series.id) for n in range(3)),
        *((at(12, 7 * n + 1), on.series.id) for n in (3, 4, 5)),
    ]


def test_through_changes_of_changes(centre):
    made = booked_but(centre, [1, 3, 5])
    first = move(made.booked[2], at(11, 28))  # the fifth and the sixth
    second = move(made.booked[1], at(12, 14))  # the third and the fourth, of what was there
    third = move(made.booked[2], at(9, 30))  # the fifth and the sixth again, two days on
    book_series(**asked(centre))
    assert [(start, series) for start, _, series in held()] == [
        (at(10), made.series.id),
        (at(10, 7), made.series.id),
        (at(12, 14), second.series.id),
        (at(12, 21), second.series.id),
        (at(9, 30), third.series.id),
        (at(9, 37), third.series.id),
    ]
    assert first.series.ends_before is None
    assert AppointmentSeries.get_by_id(first.series.id).ends_before == first.series.starts_at


def test_what_the_series_was_left_out_of_first_is_moved_with_all_of_it(centre):
    made = booked_but(centre, [0, 1])
    on = move(made.booked[0], at(12, 15), "all")
    book_series(**asked(centre))
    assert [start for start, *_ in held()] == [at(12, 7 * n + 1) for n in range(6)]
    assert on.series.starts_at == at(12, 1)


def test_what_was_cancelled_with_the_rest_is_not_booked(centre):
    made = booked_but(centre, [1, 4])
    cancel_series(made.booked[2], reason="moves away", now=NOW)

    again = book_series(**asked(centre))

    assert [start for start, *_ in held()] == [at(10, 7 * n) for n in (0, 1, 2, 3, 5)]
    assert (len(again.booked), again.skipped) == (5, ())
    assert {each.state for each in Appointment.select().where(Appointment.scheduled_at > at(10, 20))} == {"cancelled"}


def test_what_stands_in_the_way_there_is_left_out_again_and_told(centre):
    made = booked_but(centre, [2])
    move(made.booked[0], at(12), "all")
    taken = centre.book_for_another(at(12, 14))
    again = book_series(**asked(centre))
    assert [(each.scheduled_at, type(each.error)) for each in again.skipped] == [(at(12, 14), SlotTakenError)]
    assert again.skipped[0].error.conflicting_id == taken.id
    assert len(again.booked) == 5


@pytest.mark.slow
def test_it_is_given_by_whom_and_for_as_long_and_where_the_others_are_by_now(centre):
    room, other_room, other = make_resource(), make_resource(), make_working()
    made = booked_but(centre, [3], room=room)
    move(made.booked[0], at(10), "all", professional=other, duration_minutes=90, room=other_room, by=centre.staff)
    reschedule(Appointment.get_by_id(made.booked[2].id), at(15, 14), professional=centre.professional, now=NOW)

    again = book_series(**asked(centre, room=room))

    (new,) = [each for each in again.booked if not each.was_repeated]
    assert (new.scheduled_at, new.professional_id, new.duration_minutes, new.room_id) == (
        at(10, 21),
        other.user_id,
        90,
        other_room.id,
    )
    with centre.untouched():
        book_series(**asked(centre, room=room))


@pytest.mark.slow
def test_a_change_at_the_same_time_is_waited_for(db, centre):
    made = booked_but(centre, [2])
    with db.atomic():
        move(made.booked[0], at(12), "all")
        other = Other(db, centre.organization, lambda: book_series(**asked(centre)))
        other.wait_until_blocked()
    assert len(other.finish().booked) == 6
    assert [start for start, *_ in held()] == [at(12, 7 * n) for n in range(6)]


@pytest.mark.slow
def test_a_change_waits_for_the_series_that_is_booked_again(db, centre):
    made = booked_but(centre, [2])
    with db.atomic():
        book_series(**asked(centre))
        other = Other(db, centre.organization, lambda: move(made.booked[0], at(12), "all"))
        other.wait_until_blocked()
    assert len(other.finish().changed) == 6
    assert [start for start, *_ in held()] == [at(12, 7 * n) for n in range(6)]


CHANGE = st.tuples(
    st.sampled_from(["following", "all", "this", "cancel"]), st.integers(0, 5), st.integers(-3, 3), st.integers(9, 15)
)


@pytest.mark.slow
@examples(8, 60)
@example(left_out={0, 2, 5}, changes=[("following", 3, 1, 12), ("all", 1, 0, 14), ("following", 4, 2, 9)])
@example(left_out={0}, changes=[("all", 1, 0, 11), ("following", 1, 0, 9)])
@example(left_out={0, 1}, changes=[("all", 2, 0, 11), ("following", 4, 1, 9), ("following", 2, 0, 14)])
@given(left_out=st.sets(st.integers(0, 5), max_size=4), changes=st.lists(CHANGE, max_size=4))
def test_whatever_changed_a_series_what_was_left_out_stands_where_a_session_would_that_was_not(db, left_out, changes):
    """Beside it stands a twin of which nothing was left out, and which is changed in the same way."""
    assume(len(left_out) < 6)
    with open_centre(db, settings={"booking_window_days": 730}) as centre:
        made = booked_but(centre, sorted(left_out), day=28)
        mine = dict(zip(sorted(set(range(6)) - left_out), made.booked, strict=True))
        with open_centre(db, settings={"booking_window_days": 730}) as twin:
            whole = dict(enumerate(book_series(**asked(twin, start=at(10, 28))).booked))
        for what, chosen, days, hour in changes:
            for world, rows in ((centre, mine), (twin, whole)) if chosen in mine else ():
                with db.tenant(world.organization), not_in_its_own_way():
                    change(Appointment.get_by_id(rows[chosen].id), what, days, hour)
        again = book_series(**asked(centre, start=at(10, 28))).booked
        new = {int(each.idempotency_key.removeprefix("k/")) - 1: each for each in again if not each.was_repeated}
        with db.tenant(twin.organization):
            theirs = {number: Appointment.get_by_id(each.id) for number, each in whole.items()}
        assert {number for number in left_out if theirs[number].state != "cancelled"} == set(new)
        for number, each in new.items():
            assert each.scheduled_at == each.occurrence_at == theirs[number].occurrence_at


@contextmanager
def not_in_its_own_way():
    try:
        yield
    except BookingError:
        assume(False)


def change(one, what, days, hour):
    if one.state == "cancelled":
        return
    if what == "cancel":
        cancel_series(one, reason="x", now=NOW)
    else:
        move(one, one.scheduled_at.replace(hour=hour) + timedelta(days=days), what)
