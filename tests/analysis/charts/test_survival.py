"""Kaplan and Meier by hand, and bars of a round width."""

from rayces_core.analysis.charts.survival import bars_of, median_of, still_waiting


def test_who_waits_still_is_counted_for_as_long_as_has_been_seen():
    # Five families; one is still waiting after 3 days, and is none of those left after that.
    steps = still_waiting([1.0, 2.0, 3.0, 4.0, 4.0], [False, False, True, False, False])
    assert [(days, round(share, 4)) for days, share in steps] == [(1.0, 0.8), (2.0, 0.6), (3.0, 0.6), (4.0, 0.0)]
    assert median_of(steps) == 4.0


def test_a_median_that_was_not_reached_is_none():
    assert median_of(still_waiting([1.0, 9.0], [False, True])) == 1.0
    assert median_of(still_waiting([1.0, 9.0, 9.0], [False, True, True])) is None
    assert median_of(still_waiting([], [])) is None
    assert still_waiting([None], [True]) == []


def test_bars_are_round_and_gaps_are_bars():
    assert bars_of([]) == []
    assert bars_of([150_00, 950_00]) == [
        *[(100_00, 200_00, 1)],
        *[(low, low + 100_00, 0) for low in range(200_00, 900_00, 100_00)],
        *[(900_00, 1000_00, 1)],
    ]
    assert bars_of([0, 0]) == [(0, 100, 2)]
    assert sum(count for *_, count in bars_of([-500, 3, 7_777_777, 10**15])) == 4
