"""Cells of working time: each lies in one bucket of UTC, so that a session meets it once."""

from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from rayces_core import ClosedDay, analysis
from rayces_core.analysis.working import HOUR, _cells
from rayces_core.scheduling import working_time
from rayces_core.scheduling.wall_clock import DAY, LocalDays
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.worlds import MINUTE, open_centre

START, END = 20_000, 20_400


@pytest.mark.parametrize("length", [HOUR, DAY])
@pytest.mark.parametrize("zone", ["America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_each_cell_lies_in_one_bucket_of_utc_of_its_own_length(zone, length):
    days = LocalDays(ZoneInfo(zone), (START - 2) * DAY, (END + 2) * DAY)
    cells = list(_cells(days.pieces, START, END, length))

    assert all(cell.start // length == (cell.end - 1) // length for cell in cells)
    assert all(before.end == after.start for before, after in pairwise(cells))


def test_working_minutes_are_the_calendars_with_all_that_changes_it(db):
    windows = [{"start": "09:00", "end": "11:00"}]
    blocked = {"start": "2031-03-04", "end": "2031-03-04", "hours": {"start": "09:00", "end": "10:00"}}
    changes = {
        "blocked_dates": [blocked],
        "date_overrides": [{"date": "2031-03-05", "windows": windows}],
        "dated_schedules": [{"start": "2031-03-07", "schedule": schedule_json(hours((9, 12)))}],
    }
    with open_centre(db, zone="America/Santiago", **changes) as centre:
        ClosedDay.create(day=date(2031, 3, 6), name="Strike")
        first, last = date(2031, 3, 3), date(2031, 3, 10)
        counted = analysis.occupancy(first, last)["working_minutes"].sum()
        spans = working_time(centre.professional, *centre.organization.local_days(first, 7))
    assert counted == sum((span.end - span.start) // MINUTE for span in spans) == 60 * (8 + 7 + 2 + 0 + 3 * 3)
