"""Whatever is done to a group in whatever order: every seat is had once, and what is listed free can be booked."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from rayces_core import Appointment, BookingError, GroupFullError, GroupSession, LifecycleError
from rayces_core.scheduling import cancel_group_session, expire_overdue, group_slots, reschedule_group
from tests.scheduling.test_groups import gather, join
from tests.scheduling.worlds import NOW, at, open_centre
from tests.sizes import examples

LATER = at(8)  # holds of NOW are overdue, and the group has not begun
STEPS = st.one_of(
    st.tuples(st.just("join"), st.booleans()),
    st.tuples(st.just("leave"), st.integers(0, 7)),
    st.tuples(st.just("move"), st.sampled_from([9, 10, 10.5, 12, 16])),
    st.tuples(st.just("seats"), st.integers(1, 5)),
    st.tuples(st.just("book"), st.sampled_from([9, 11, 12, 15])),
    st.tuples(st.just("sweep"), st.none()),
    st.tuples(st.just("cancel"), st.none()),
)


def seated(group):
    return list(Appointment.select().where(Appointment.group_session == group.id, Appointment.seat.is_null(False)))


def live(group, now):
    return [each for each in seated(group) if each.state != "pre_confirmed" or each.expires_at >= now]


def step(centre, group, what, value, now):
    """Do it, and say whether it was refused for a reason that it may have."""
    mine = Appointment.select().where(Appointment.group_session == group.id).order_by(Appointment.id)
    if what == "join":
        join(group, confirm=value, now=now)
    elif what == "leave" and value < mine.count():
        mine[value].cancel(reason="ill", now=now)
    elif what == "move":
        reschedule_group(group, at(value), now=now)
    elif what == "seats":
        group.change_capacity(capacity=value, now=now)
    elif what == "book":
        centre.book_for_another(at(value), now=now)
    elif what == "sweep":
        expire_overdue(now)
    elif what == "cancel":
        cancel_group_session(group, reason="ill", now=now)


def check_whole(group, now):
    stored, taken = GroupSession.get_by_id(group.id), seated(group)
    assert len({each.seat for each in taken}) == len(taken) <= stored.open_seats
    place = (stored.scheduled_at, stored.duration_minutes, stored.open_seats)
    assert {(each.scheduled_at, each.duration_minutes, each.seats) for each in taken} <= {place}
    over = Appointment.select().occupying(stored.scheduled_at, stored.occupied_until, now=now)
    over = over.for_professional(stored.professional_id).where(Appointment.group_session.is_null())
    assert stored.state == "cancelled" or not list(over)


def check_listed(group, now):
    """It is listed with as many free seats as can be booked, one after the other."""
    stored = GroupSession.get_by_id(group.id)
    free = stored.capacity - len(live(group, now)) if stored.state == "open" else 0
    assert [slot.free for slot in group_slots(at(0), at(24), now=now)] == ([free] if free else [])
    for _ in range(free):
        join(group, now=now)
    if stored.state == "open":
        try:
            join(group, now=now)
        except GroupFullError:
            return
        raise AssertionError("a seat too many was booked")


@given(steps=st.lists(st.tuples(STEPS, st.booleans()), max_size=12), capacity=st.integers(1, 4))
@examples(6, 60)
def test_a_group_is_whole_after_every_step(db, steps, capacity):
    with open_centre(db) as centre:
        group, now = gather(centre, capacity=capacity), NOW
        for (what, value), later in steps:
            now = LATER if later else now
            with contextlib.suppress(BookingError, LifecycleError):
                step(centre, group, what, value, now)
            check_whole(group, now)
        check_listed(group, now)
