"""The benchmark of frames runs: all ways read the same rows, and each is measured."""

from bench import asking
from bench.arrow import BASE, WAYS, _compared, _fill


def test_all_ways_read_the_same_rows(own_db):
    _fill(own_db.url, "rows-300", 300)
    found = _compared(own_db.url, "rows-300", 1)
    assert set(found) == set(WAYS)
    assert found[BASE]["ratio"] == 1
    assert all(figure > 0 for figures in found.values() for figure in figures.values())


def test_every_metric_counts_the_same_minutes_and_is_measured(own_db):
    _fill(own_db.url, "asked-300", 300)
    found = asking.asked(own_db.url, "asked-300", 1)
    assert set(found) == set(asking.WAYS)
    assert all(each["seconds"] > 0 and each["minutes"] > 300 * 20 for each in found.values())
