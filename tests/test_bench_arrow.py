"""The benchmark of frames runs: all ways read the same rows, and each is measured."""

from typing import Any

import pytest
from bench import asking
from bench.arrow import BASE, WAYS, _compared, _fill

from rayces_core import Database
from rayces_core.analysis import asking as analysis_asking
from rayces_core.analysis.asking import rows_of


@pytest.mark.exhaustive
def test_all_ways_read_the_same_rows(own_db):
    """`make test` keeps the metrics, which are asked in each way as well."""
    _fill(own_db.url, "rows-300", 300)
    found = _compared(own_db.url, "rows-300", 1)
    assert set(found) == set(WAYS)
    assert found[BASE]["ratio"] == 1
    assert all(figure > 0 for figures in found.values() for figure in figures.values())


@pytest.mark.slow
def test_every_metric_counts_the_same_minutes_and_is_measured(own_db):
    _fill(own_db.url, "asked-300", 300)
    found = asking.asked(own_db.url, "asked-300", 1)
    assert set(found) == set(asking.WAYS)
    assert all(each["seconds"] > 0 and each["minutes"] > 300 * 20 for each in found.values())


@pytest.fixture(scope="module")
def planned(create_database, template):
    """A database with a thousand sessions of the year."""
    with Database.connect(create_database(template)) as database:
        _fill(database.url, "planned", 1000)
        yield database


@pytest.mark.slow
@pytest.mark.parametrize("name", asking.WAYS)
def test_no_session_is_held_against_every_day_of_the_year(planned, monkeypatch, name):
    """The planner joined sessions with all cells of the year by their spans: 92 seconds for 50,000 sessions."""
    plans: list[Any] = []

    def explained(sql: str, values: Any, *, where: Any = None) -> Any:
        if "piece AS" in sql:
            plans.append(rows_of(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values, where=where)[0][0])
        return rows_of(sql, values, where=where)

    monkeypatch.setattr(analysis_asking, "rows_of", explained)
    year = asking.FROM, asking.FROM.replace(year=asking.FROM.year + 1)
    with planned.tenant("planned"):
        asking.WAYS[name](*year)
    (removed,) = [removed_by_joins(plan[0]["Plan"]) for plan in plans]
    assert removed < 20 * 1000


def removed_by_joins(plan: dict[str, Any]) -> int:
    """How many pairs of rows were looked at in vain, in this node of a plan and beneath it."""
    here = round(plan.get("Rows Removed by Join Filter", 0) * plan["Actual Loops"])
    return here + sum(removed_by_joins(beneath) for beneath in plan.get("Plans", ()))
