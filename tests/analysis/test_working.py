"""Cells of working time: each lies in one bucket of UTC, so that a session meets it once."""

from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from rayces_core.analysis.working import HOUR, _cells
from rayces_core.scheduling.wall_clock import DAY, LocalDays

START, END = 20_000, 20_400


@pytest.mark.parametrize("length", [HOUR, DAY])
@pytest.mark.parametrize("zone", ["America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_each_cell_lies_in_one_bucket_of_utc_of_its_own_length(zone, length):
    days = LocalDays(ZoneInfo(zone), (START - 2) * DAY, (END + 2) * DAY)
    cells = list(_cells(days.pieces, START, END, length))

    assert all(cell.start // length == (cell.end - 1) // length for cell in cells)
    assert all(before.end == after.start for before, after in pairwise(cells))
