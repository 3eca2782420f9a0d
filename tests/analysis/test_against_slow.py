"""Every metric against a second implementation: loops over rows and minutes, on random centres near clock changes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import analysis
from rayces_core.analysis.dimensions import DIMENSIONS
from rayces_core.analysis.occupied import ALLOWED
from tests.analysis.slow import counting
from tests.analysis.slow.worlds import worlds
from tests.sizes import examples

EVERY = st.sampled_from([None, "1d", "1w", "1mo"])
BY = {
    "occupancy": ALLOWED,
    "heat_map": ("professional", "specialization"),
}


def told_apart(metric):
    names = st.lists(st.sampled_from(BY.get(metric, tuple(DIMENSIONS))), max_size=2, unique=True)
    return names.map(tuple)


def as_rows(rows):
    """Rows without their order, ratios as their first twelve digits."""
    told = (tuple((k, f"{v:.12g}" if isinstance(v, float) else v) for k, v in row.items()) for row in rows)
    return Counter(told)


METRICS = ("sessions", "no_show_rate", "cancellation_rate", "rebooked", "occupancy", "heat_map")


@pytest.mark.slow
@examples(6, 40)
@given(world=worlds(), every=EVERY, by=st.fixed_dictionaries({metric: told_apart(metric) for metric in METRICS}))
def test_every_metric_counts_what_loops_over_rows_and_minutes_count(db, world, every, by):
    with db.tenant(world.insert(db)):
        asked = {"every": every, "now": world.now}
        found = {name: getattr(analysis, name)(world.first, world.last, by=by[name], **asked) for name in METRICS}
    for name in METRICS:
        slow = getattr(counting, name)(world, every, by[name])
        assert as_rows(found[name].to_dicts()) == as_rows(slow), name
