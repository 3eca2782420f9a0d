"""What has to add up, whatever the rows are: parts to wholes, tenants to privileged work, two counts to one."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import TenantNotSetError, analysis
from rayces_core.analysis.dimensions import DIMENSIONS
from tests.analysis.slow.worlds import DAY, MINUTE, worlds
from tests.analysis.test_against_slow import BY, METRICS
from tests.factory import make_appointment, make_professional
from tests.sizes import examples

MARCH = date(2026, 3, 1), date(2026, 4, 1)

RATIOS = {"rate", "late_rate", "occupancy", "utilisation"}


def figures(metric):
    return [name for name in getattr(analysis, metric).definition.columns if name not in {*RATIOS, "weekday", "hour"}]


def sums(frame, metric):
    return {name: frame[name].sum() for name in figures(metric)}


def ask(metric, world, **options):
    return getattr(analysis, metric)(world.first, world.last, now=world.now, **options)


@pytest.mark.slow
@examples(3, 30)
@given(world=worlds(), some=st.integers(0, 2))
def test_what_is_told_apart_and_cut_into_periods_adds_up_to_the_whole(db, world, some):
    with db.tenant(world.insert(db)):
        for metric in METRICS:
            whole = sums(ask(metric, world), metric)
            for name in BY.get(metric, tuple(DIMENSIONS))[some::3]:
                assert sums(ask(metric, world, by=name, every="1d"), metric) == whole, (metric, name)
            for every in ("1w", "1mo"):
                assert sums(ask(metric, world, every=every), metric) == whole, (metric, every)


@pytest.mark.slow
@examples(3, 30)
@given(world=worlds())
def test_minutes_within_and_outside_are_those_of_the_sessions_and_of_the_heat_map(db, world):
    world.first -= 10 * DAY  # all of every session lies within
    world.last += 20 * DAY
    with db.tenant(world.insert(db)):
        whole, by_hour = ask("occupancy", world), ask("heat_map", world)
    taking = [one for one in world.sessions if one.is_taking_time(world.now)]
    row = whole.row(0, named=True)
    assert row["booked_minutes"] + row["outside_minutes"] == sum(one.minutes for one in taking)
    assert row["booked_minutes"] <= row["occupied_minutes"] <= row["working_minutes"]
    assert sums(by_hour, "heat_map") == {name: row[name] for name in ("working_minutes", "booked_minutes")}
    assert by_hour.height == 168


@pytest.mark.slow
@examples(3, 30)
@given(world=worlds(), other=worlds())
def test_a_tenant_counts_its_own_rows_only_and_privileged_work_counts_every_tenants(db, world, other):
    other.first, other.last, other.now = world.first, world.last, world.now
    a = world.insert(db)
    with db.tenant(a):
        alone = {metric: ask(metric, world, every="1w") for metric in METRICS}
    b = other.insert(db)
    with db.tenant(a):
        beside = {metric: ask(metric, world, every="1w") for metric in METRICS}
    with db.tenant(b):
        theirs = {metric: ask(metric, world, every="1w") for metric in METRICS}
    with db.privileged(reason="a chain's report"):
        both = {metric: ask(metric, world, every="1w") for metric in METRICS}
    for metric in METRICS:
        assert beside[metric].equals(alone[metric], null_equal=True), metric
        of_two = both[metric].filter(both[metric]["organization_id"].is_in([a.id, b.id]))
        assert of_two.equals(alone[metric].vstack(theirs[metric]), null_equal=True), metric


@pytest.mark.parametrize("metric", METRICS)
def test_without_a_tenant_a_metric_is_refused(metric):
    with pytest.raises(TenantNotSetError):
        getattr(analysis, metric)(*MARCH)


@pytest.mark.parametrize("metric", METRICS)
def test_within_a_unit_of_work_what_is_not_committed_yet_counts(db, a, metric):
    with db.tenant(a), db.atomic() as unit:
        before = getattr(analysis, metric)(*MARCH)
        at = datetime(2026, 3, 2, 12, tzinfo=UTC)
        held = {"pre_confirmed_at": at - DAY, "expires_at": at + 9000 * DAY, "scheduled_at": at}
        make_appointment(state="pre_confirmed", professional=make_professional(), **held)
        gone = {**held, "state": "cancelled", "cancelled_at": at - MINUTE, "cancellation_reason": "ill"}
        make_appointment(**gone, confirmed_at=at - DAY)
        if metric == "heat_map":  # counts working time only
            schedule = {"monday": [{"start": "09:00", "end": "10:00"}]}
            make_professional(weekly_schedule=schedule)
        assert not getattr(analysis, metric)(*MARCH).equals(before, null_equal=True)
        unit.rollback()
