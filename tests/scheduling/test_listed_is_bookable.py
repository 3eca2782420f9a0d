"""Listed and bookable are one: each listed slot is booked by `book()` itself, and what is not listed is refused.

Random zones near a change of the clock, schedules, blocked dates, bookings, groups, rooms that are blocked, notice,
window, durations and steps. What `book()` says is compared with the slow and plain oracle as well.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import Phase, example, given
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
from tests.factory import make_closed, make_elsewhere, make_giving, make_group, make_resource, make_service
from tests.scheduling.agenda import take
from tests.scheduling.oracle import MINUTE, Case, every_day, hours_of, room_json
from tests.scheduling.random_cases import cases, rooms
from tests.scheduling.worlds import open_centre
from tests.sizes import examples

TELLS = {
    TooSoonError: "too_soon",
    BookingWindowError: "beyond_window",
    OutsideScheduleError: ("closed_day", "blocked_date", "busy_elsewhere", "outside_schedule", "resource_blocked"),
    SlotTakenError: "taken",
}


class UndoneError(Exception):
    """The booking is only tried."""


@st.composite
def bookings(draw, start):
    """Sessions one after the other, with their buffers: (start, minutes, after, before, whether it is a group)."""
    at, booked = start.replace(second=0, microsecond=0) - timedelta(hours=3), []
    gaps = st.integers(0, 240).map(lambda n: n * MINUTE)
    buffers = [st.sampled_from([0, 0, 10, 60])] * 2
    lengths = st.tuples(gaps, st.sampled_from([15, 45, 60, 200, 480]), *buffers, st.booleans())
    for gap, minutes, after, before, group in draw(st.lists(lengths, min_size=1, max_size=6)):
        booked.append((at + gap + before * MINUTE, minutes, after, before, group and before == 0))
        at += gap + (before + minutes + after) * MINUTE
    return booked


@st.composite
def agendas(draw):
    case = draw(cases())
    booked = draw(bookings(case.start))
    busy = tuple(
        (start - before * MINUTE, start + (minutes + after) * MINUTE) for start, minutes, after, before, _ in booked
    )
    room = draw(rooms(case.start.date()))
    return replace(case, busy=busy, end=case.end + timedelta(hours=6), room=room), booked


def centre_of(db, case):
    return open_centre(
        db,
        zone=case.zone,
        settings={"minimum_notice_minutes": case.notice_minutes, "booking_window_days": case.window_days},
        **hours_of(case),
        buffer_minutes=case.buffer_minutes,
        buffer_before_minutes=0 if asks_service(case) else case.buffer_before_minutes,
    )


def put(db, centre, entry, state="confirmed"):
    """Take the time of one of `bookings`; the session's id, or None of a group, which nobody attends."""
    start, minutes, after, before, group = entry
    if not group:
        professional_id = centre.professional.user_id
        return take(db, professional_id, start, minutes=minutes, buffer=after, before=before, state=state)
    when = {"scheduled_at": start, "duration_minutes": minutes, "buffer_minutes": after}
    make_group(professional=centre.professional, **when)
    return None


def asks_service(case):
    """Whether the time before a session is the service's, or the professional's own."""
    return case.buffer_before_minutes > 0 and case.step_minutes % 2 == 0


def wanted_of(case, centre):
    """What is booked and listed: a service of that length where time before it is needed, and a room."""
    room = {} if case.room is None else {"room": make_resource(blocked_dates=room_json(case))}
    if not asks_service(case):
        return room | {"duration_minutes": case.duration_minutes}
    service = make_service(duration_minutes=case.duration_minutes, buffer_before_minutes=case.buffer_before_minutes)
    make_giving(professional=centre.professional, service=service)
    return room | {"service": service}


def listed(case, centre, what, step_minutes, start=None, end=None):
    slots = free_slots(
        centre.professional,
        start or case.start,
        end or case.end,
        step_minutes=step_minutes,
        now=case.now,
        **what,
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


def try_to_book(case, centre, what, start):
    """What `book()` says: None where it books. Nothing stays."""
    wanted = centre.wanted(start, now=case.now, **what)
    try:
        with centre.db.atomic():
            booked = book(**wanted)
            assert Appointment.get_by_id(booked.id).scheduled_at == start
            assert listed(case, centre, what, 1, start, booked.ends_at) == []
            raise UndoneError
    except UndoneError:
        return None
    except BookingError as error:
        return error


def reason_of(error):
    return error.reason if isinstance(error, OutsideScheduleError) else TELLS[type(error)]


seen: Counter[str] = Counter()


# A night on which the clock is set back, and a room that is blocked meanwhile.
NIGHT = Case(
    "Europe/Madrid",
    start=datetime(2026, 10, 24, 21, tzinfo=UTC),
    end=datetime(2026, 10, 25, 9, tzinfo=UTC),
    now=datetime(2026, 10, 23, tzinfo=UTC),
    schedule=every_day((0, 1440)),
    room=((date(2026, 10, 25), date(2026, 10, 25), (90, 240)),),
)


@example(agenda=(NIGHT, []))
# Not made smaller when it fails: that takes minutes, as each example is dozens of bookings.
@examples(
    8,
    40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(agenda=agendas())
def check(db, agenda):
    case, booked = agenda
    with centre_of(db, case) as centre:
        for entry in booked:
            put(db, centre, entry)
        make_closed(case)
        make_elsewhere(centre.professional, case)
        what = wanted_of(case, centre)
        every, bookable = minutes_of(case), listed(case, centre, what, 1)
        refused = sorted(set(every) - set(bookable))
        assert set(bookable) <= set(every)
        assert set(listed(case, centre, what, case.step_minutes)) <= set(bookable)

        for start in telling(bookable, set(every)):
            assert try_to_book(case, centre, what, start) is None, start
            assert case.reasons(start) == []
            seen["booked"] += 1
        for start in telling(refused, set(every)):
            error = try_to_book(case, centre, what, start)
            assert error is not None, start
            assert reason_of(error) == case.reasons(start)[0]
            assert error.scheduled_at == start
            seen[reason_of(error)] += 1


def test_what_is_listed_is_booked_and_what_is_not_is_refused(db):
    seen.clear()

    check(db)

    # Enough of either kind, so that neither half of the claim is empty: the night alone has as many.
    assert seen["booked"] >= 6, seen
    assert seen["resource_blocked"] >= 5, seen
