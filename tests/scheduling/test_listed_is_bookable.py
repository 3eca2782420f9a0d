"""Listed and bookable are one: each listed slot is booked by `book()` itself, and what is not listed is refused.

Random zones near a change of the clock, schedules, blocked dates, bookings, notice, window, durations and steps. What
`book()` says is compared with the slow and plain oracle as well.
"""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from rayces_core import (
    Appointment,
    BookingWindowError,
    OutsideScheduleError,
    SlotTakenError,
    TooSoonError,
)
from rayces_core.errors import BookingError
from rayces_core.scheduling import book, free_slots
from tests.scheduling.agenda import take
from tests.scheduling.oracle import MINUTE, blocked_json, schedule_json
from tests.scheduling.random_cases import cases
from tests.scheduling.worlds import open_centre
from tests.sizes import examples

TELLS = {
    TooSoonError: "too_soon",
    BookingWindowError: "beyond_window",
    OutsideScheduleError: ("blocked_date", "outside_schedule"),
    SlotTakenError: "taken",
}


class UndoneError(Exception):
    """The booking is only tried."""


@st.composite
def bookings(draw, start):
    """Sessions one after the other, with their buffers: (start, minutes, buffer)."""
    at, booked = start.replace(second=0, microsecond=0) - timedelta(hours=3), []
    gaps = st.integers(0, 240).map(lambda n: n * MINUTE)
    lengths = st.tuples(gaps, st.sampled_from([15, 45, 60, 200, 480]), st.sampled_from([0, 0, 10, 60]))
    for gap, minutes, buffer in draw(st.lists(lengths, min_size=1, max_size=6)):
        booked.append((at + gap, minutes, buffer))
        at += gap + (minutes + buffer) * MINUTE
    return booked


@st.composite
def agendas(draw):
    case = draw(cases())
    booked = draw(bookings(case.start))
    busy = tuple((start, start + (minutes + buffer) * MINUTE) for start, minutes, buffer in booked)
    return replace(case, busy=busy, end=case.end + timedelta(hours=6)), booked


def centre_of(db, case):
    return open_centre(
        db,
        zone=case.zone,
        settings={"minimum_notice_minutes": case.notice_minutes, "booking_window_days": case.window_days},
        weekly_schedule=schedule_json(case.schedule),
        blocked_dates=blocked_json(case.blocked),
        buffer_minutes=case.buffer_minutes,
    )


def listed(case, centre, step_minutes, start=None, end=None):
    slots = free_slots(
        centre.professional,
        start or case.start,
        end or case.end,
        duration_minutes=case.duration_minutes,
        step_minutes=step_minutes,
        now=case.now,
    )
    return [slot.start for slot in slots]


def minutes_of(case):
    """Every whole minute at which a session could begin within the time that is listed."""
    first = case.start.replace(second=0, microsecond=0)
    last = case.end - case.duration_minutes * MINUTE
    every = (first + number * MINUTE for number in range((case.end - first) // MINUTE + 1))
    return [moment for moment in every if case.start <= moment <= last]


def telling(moments, among):
    """Those that have a neighbour of the other kind, and some of the others."""
    chosen = set(moments)
    edges = [one for one in moments if {one - MINUTE, one + MINUTE} & (among - chosen)]
    return sorted({*edges[:4], *edges[-4:], *moments[:: max(1, len(moments) // 4)]})


def try_to_book(case, centre, start):
    """What `book()` says: None where it books. Nothing stays."""
    wanted = centre.wanted(start, duration_minutes=case.duration_minutes, now=case.now)
    try:
        with centre.db.atomic():
            booked = book(**wanted)
            assert Appointment.get_by_id(booked.id).scheduled_at == start
            assert listed(case, centre, 1, start, booked.ends_at) == []
            raise UndoneError
    except UndoneError:
        return None
    except BookingError as error:
        return error


def reason_of(error):
    return error.reason if isinstance(error, OutsideScheduleError) else TELLS[type(error)]


seen: Counter[str] = Counter()


# Not made smaller when it fails: that takes minutes, as each example is dozens of bookings.
@examples(
    4,
    40,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(agenda=agendas())
def check(db, agenda):
    case, booked = agenda
    with centre_of(db, case) as centre:
        for start, minutes, buffer in booked:
            take(db, centre.professional.user_id, start, minutes=minutes, buffer=buffer)
        every, bookable = minutes_of(case), listed(case, centre, 1)
        refused = sorted(set(every) - set(bookable))
        assert set(bookable) <= set(every)
        assert set(listed(case, centre, case.step_minutes)) <= set(bookable)

        for start in telling(bookable, set(every)):
            assert try_to_book(case, centre, start) is None, start
            assert case.reasons(start) == []
            seen["booked"] += 1
        for start in telling(refused, set(every)):
            error = try_to_book(case, centre, start)
            assert error is not None, start
            assert reason_of(error) == case.reasons(start)[0]
            assert error.scheduled_at == start
            seen[reason_of(error)] += 1


def test_what_is_listed_is_booked_and_what_is_not_is_refused(db):
    seen.clear()

    check(db)

    # Enough of either kind, so that neither half of the claim is empty.
    assert seen["booked"] >= 20, seen
    assert seen.total() - seen["booked"] >= 20, seen
