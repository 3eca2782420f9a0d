"""Random professionals, and times asked of them, mostly near a change of the clock."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import strategies as st

from rayces_core.fields.schemas import WEEKDAYS
from tests.scheduling.oracle import MICROSECOND, Case, utc

# A zone, and a moment near which its clock changes, if it ever does.
PLACES = [
    ("America/Argentina/Buenos_Aires", utc(2026, 5, 10)),
    ("America/Argentina/Buenos_Aires", utc(2008, 10, 19, 3)),
    ("America/Santiago", utc(2026, 4, 5, 3)),  # 24:00 back to 23:00
    ("America/Santiago", utc(2026, 9, 6, 4)),  # 00:00 on to 01:00
    ("America/Asuncion", utc(2024, 3, 24, 3)),
    ("America/Asuncion", utc(2024, 10, 6, 4)),
    ("Europe/Berlin", utc(2026, 3, 29, 1)),
    ("Europe/Berlin", utc(2026, 10, 25, 1)),
    ("America/New_York", utc(2026, 3, 8, 7)),
    ("America/New_York", utc(2026, 11, 1, 6)),
    ("Australia/Lord_Howe", utc(2026, 4, 4, 15)),  # back by half an hour
    ("Australia/Lord_Howe", utc(2026, 10, 3, 15, 30)),
    ("Asia/Kathmandu", utc(2026, 1, 10)),
    ("UTC", utc(2026, 2, 28)),
    ("Africa/Casablanca", utc(2026, 2, 15, 2)),
    ("Africa/Casablanca", utc(2026, 3, 22, 2)),
    ("Pacific/Apia", utc(2011, 12, 30, 10)),  # 30 December never was
    ("America/St_Johns", utc(2026, 3, 8, 5, 30)),
    ("America/St_Johns", utc(2026, 11, 1, 4, 30)),
]


@st.composite
def windows_of_a_day(draw):
    times = st.one_of(st.sampled_from([0, 60, 90, 120, 150, 180, 1380, 1440]), st.integers(0, 288).map(lambda n: 5 * n))
    points = sorted(draw(st.sets(times, min_size=2, max_size=6)))
    pairs = list(pairwise(points))
    return pairs if draw(st.booleans()) else pairs[::2]


@st.composite
def spans(draw, start):
    odd = st.integers(0, 6 * 3600 * 10**6)
    taken, at = [], start - timedelta(hours=9)
    for gap, length in draw(st.lists(st.tuples(odd, odd), max_size=8)):
        begins = at + MICROSECOND * (gap if gap % 3 else gap // 60_000_000 * 60_000_000)
        at = begins + MICROSECOND * (length + 1)
        taken.append((begins, at))
    return tuple(taken)


@st.composite
def weeks(draw):
    off = draw(st.sets(st.sampled_from(WEEKDAYS), max_size=2))
    return {weekday: draw(windows_of_a_day()) for weekday in WEEKDAYS if weekday not in off}


@st.composite
def changes_of_hours(draw, day):
    """Now and then: other weeks from a day on, dates of their own, hours off, and days on which all is closed."""
    days = st.integers(-3, 3).map(lambda n: day + timedelta(days=n))
    dated, first = [], day + timedelta(days=draw(st.integers(-3, 1)))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        last = first + timedelta(days=draw(st.integers(0, 2)))
        dated.append((first, last, draw(weeks())))
        first = last + timedelta(days=draw(st.integers(1, 2)))
    windows = st.one_of(windows_of_a_day().map(tuple), st.just(()))
    overrides = draw(st.dictionaries(days, windows, max_size=2))
    hours_off = draw(st.lists(st.tuples(days, st.integers(0, 2), windows_of_a_day()), max_size=1))
    return {
        "dated": tuple(dated),
        "overrides": tuple(overrides.items()),
        "hours_off": tuple((at, at + timedelta(days=more), spans[0]) for at, more, spans in hours_off),
        "closed": tuple(draw(st.one_of(st.just(set()), st.sets(days, max_size=1)))),
    }


@st.composite
def elsewhere(draw, start):
    """Now and then what calendars elsewhere have, in whole minutes; of several they may overlap."""
    first = start.replace(second=0, microsecond=0)
    begins, lengths = st.integers(-600, 3000), st.sampled_from([1, 15, 50, 60, 1440])
    most = draw(st.sampled_from([0, 0, 3]))
    found = draw(st.lists(st.tuples(begins, lengths), max_size=most))
    return tuple(
        (first + timedelta(minutes=at), first + timedelta(minutes=at + minutes)) for at, minutes in sorted(found)
    )


@st.composite
def rooms(draw, day):
    """Now and then a room, which some hours of days or days block."""
    days = st.integers(-2, 2).map(lambda n: day + timedelta(days=n))
    windows = st.one_of(windows_of_a_day().map(lambda found: found[-1]), st.none())
    blocks = draw(st.lists(st.tuples(days, st.integers(0, 3), windows), min_size=1, max_size=2))
    found = tuple((first, first + timedelta(days=more), window) for first, more, window in blocks)
    return draw(st.sampled_from([found, None]))


@st.composite
def cases(draw):
    zone, change = draw(st.sampled_from(PLACES))
    start = change + timedelta(minutes=draw(st.integers(-2400, 600)), seconds=draw(st.sampled_from([0, 0, 0, 1, 59.5])))
    day = start.date() + timedelta(days=draw(st.integers(-1, 2)))
    blocked = draw(st.sampled_from([(), (), ((day, day),), ((day, day + timedelta(days=1)),)]))
    return Case(
        zone,
        start,
        start + timedelta(minutes=draw(st.integers(15, 3000))),
        now=start + MICROSECOND * draw(st.integers(-4 * 86_400 * 10**6, 86_400 * 10**6)),
        schedule=draw(weeks()),
        blocked=blocked,
        busy=draw(spans(start)),
        duration_minutes=draw(st.sampled_from([15, 20, 30, 45, 60, 90, 240, 480])),
        buffer_minutes=draw(st.sampled_from([0, 0, 5, 15, 60])),
        buffer_before_minutes=draw(st.sampled_from([0, 0, 10, 45, 300])),
        step_minutes=draw(st.sampled_from([5, 7, 15, 30, 45, 60, 90, 1440])),
        notice_minutes=draw(st.sampled_from([0, 0, 60, 1440])),
        window_days=draw(st.sampled_from([1, 2, 3, 90])),
        elsewhere=draw(elsewhere(start)),
        **(draw(changes_of_hours(day)) if draw(st.sampled_from([False, False, True])) else {}),
    )
