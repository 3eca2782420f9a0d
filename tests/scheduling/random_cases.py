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
def cases(draw):
    zone, change = draw(st.sampled_from(PLACES))
    start = change + timedelta(minutes=draw(st.integers(-2400, 600)), seconds=draw(st.sampled_from([0, 0, 0, 1, 59.5])))
    day = start.date() + timedelta(days=draw(st.integers(-1, 2)))
    blocked = draw(st.sampled_from([(), (), ((day, day),), ((day, day + timedelta(days=1)),)]))
    off = draw(st.sets(st.sampled_from(WEEKDAYS), max_size=2))
    return Case(
        zone,
        start,
        start + timedelta(minutes=draw(st.integers(15, 3000))),
        now=start + MICROSECOND * draw(st.integers(-4 * 86_400 * 10**6, 86_400 * 10**6)),
        schedule={weekday: draw(windows_of_a_day()) for weekday in WEEKDAYS if weekday not in off},
        blocked=blocked,
        busy=draw(spans(start)),
        duration_minutes=draw(st.sampled_from([15, 20, 30, 45, 60, 90, 240, 480])),
        buffer_minutes=draw(st.sampled_from([0, 0, 5, 15, 60])),
        step_minutes=draw(st.sampled_from([5, 7, 15, 30, 45, 60, 90, 1440])),
        notice_minutes=draw(st.sampled_from([0, 0, 60, 1440])),
        window_days=draw(st.sampled_from([1, 2, 3, 90])),
    )
