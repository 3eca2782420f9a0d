"""What has to add up in money, clients, credits and admissions; and whose rows they are."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import CreditBalance, InvalidDataError, TenantNotSetError, analysis, credits
from rayces_core.analysis.dimensions import DIMENSIONS
from tests.analysis.slow import ledgers, money
from tests.analysis.test_against_slow import as_rows
from tests.sizes import examples

YEAR = date(2026, 1, 1), date(2027, 1, 1)
DAYS = {"every": "1d"}
OF_SESSIONS = {
    "revenue": (["sessions", "unpriced", "revenue_cents"], {}),
    "lifetime_value": (["sessions", "revenue_cents"], {}),
    "lead_time": (["n"], {}),
}
OF_BOOKS = {
    "credit_liability": (["purchased", "used", "refunded", "adjusted", "expired"], "client"),
    "admission_funnel": (["applied", "waitlisted", "admitted", "enrolled", "rejected", "pending"], "grade"),
}
EVERY_METRIC = ("credit_liability", "admission_wait", "admission_funnel", "retention", *OF_SESSIONS)
LISTS = ("expiring_holds", "overdue_confirmations", "unclosed_sessions")


def sums(frame, columns):
    """The sums of the columns; money for each currency by itself, where none of it is nothing."""
    if "currency" not in frame.columns:
        return {name: frame[name].sum() for name in columns}
    apart = frame.group_by("currency").agg(pl.col(columns).sum()).filter(pl.col("sessions") > 0)
    return sorted(apart.rows())


@pytest.mark.slow
@examples(3, 30)
@given(priced=money.priced() | money.priced(of=money.long_worlds), some=st.integers(0, 2))
def test_what_is_told_apart_and_cut_into_days_adds_up_to_the_whole(db, priced, some):
    world = priced.world
    with db.tenant(priced.insert(db)):
        for metric, (columns, options) in OF_SESSIONS.items():
            ask = getattr(analysis, metric)
            whole = sums(ask(world.first, world.last, **options), columns)
            for name in sorted(set(DIMENSIONS) - ({"client"} if metric == "lifetime_value" else set()))[some::3]:
                assert sums(ask(world.first, world.last, by=name, every="1d"), columns) == whole, (metric, name)
            for every in ("1w", "1mo"):
                assert sums(ask(world.first, world.last, every=every), columns) == whole, (metric, every)


@examples(3, 30)
@given(world=money.long_worlds(), name=st.sampled_from(sorted(DIMENSIONS)))
def test_cohorts_that_are_told_apart_add_up_to_the_cohort(db, world, name):
    with db.tenant(world.insert(db)):
        whole, apart = (analysis.retention(world.first, world.last, by=by, now=world.now) for by in ((), name))
    keys, counts = ["cohort", "age_months"], ["clients", "active"]
    parts = apart.group_by(keys).agg(pl.col(counts).sum())
    for row in whole.filter(pl.col("clients") > 0).to_dicts():
        (part,) = parts.filter(pl.col("cohort") == row["cohort"], pl.col("age_months") == row["age_months"]).to_dicts()
        assert part["clients"] == row["clients"]
        assert part["active"] == (row["active"] or 0)


@pytest.mark.slow
@examples(3, 30)
@given(books=ledgers.books())
def test_flows_and_stages_add_up_and_what_is_owed_is_the_sum_of_the_balances(db, books):
    with db.tenant(books.insert(db)):
        for metric, (columns, name) in OF_BOOKS.items():
            ask = getattr(analysis, metric)
            whole = sums(ask(books.first, books.last, now=books.now), columns)
            parts = ask(books.first, books.last, now=books.now, by=name, every="1d")
            assert sums(parts, columns) == whole, metric
        ever = analysis.credit_liability(date(2000, 1, 1), date(2050, 1, 1))["outstanding"].item()
        by_client = analysis.credit_liability(date(2000, 1, 1), date(2050, 1, 1), by="client")
        held = {row.user_id: row.balance for row in CreditBalance.select()}
        assert ever == sum(held.values())
        assert dict(by_client.select("client_id", "outstanding").rows()) == held
        assert credits.verify().is_clean
        days = analysis.credit_liability(books.first, books.last, every="1d")
    grown = days["purchased"] - days["used"] + days["refunded"] + days["adjusted"] - days["expired"]
    assert (days["outstanding"].diff() - grown)[1:].to_list() == [0] * (days.height - 1)


@pytest.mark.slow
@examples(3, 20)
@given(priced=money.priced(of=money.long_worlds), other=money.priced(), books=ledgers.books(), more=ledgers.books())
def test_a_tenant_counts_its_own_rows_and_privileged_work_every_tenants(db, priced, other, books, more):
    def ask(organization):
        with db.tenant(organization):
            return {metric: getattr(analysis, metric)(*YEAR, **options) for metric in EVERY_METRIC}

    options = {"every": "1mo", "now": datetime(2026, 9, 1, tzinfo=UTC)}
    organizations = [world.insert(db) for world in (priced, books)]
    alone = [ask(organization) for organization in organizations]
    theirs = [world.insert(db) for world in (other, more)]
    beside = [ask(organization) for organization in [*organizations, *theirs]]
    with db.privileged(reason="a chain's report"):
        everybody = {metric: getattr(analysis, metric)(*YEAR, **options) for metric in EVERY_METRIC}
    ours = [organization.id for organization in [*organizations, *theirs]]
    for metric in EVERY_METRIC:
        assert [as_rows(found[metric].to_dicts()) for found in beside[:2]] == [
            as_rows(found[metric].to_dicts()) for found in alone
        ], metric
        of_ours = everybody[metric].filter(pl.col("organization_id").is_in(ours))
        assert as_rows(of_ours.to_dicts()) == as_rows(row for found in beside for row in found[metric].to_dicts()), (
            metric
        )


@pytest.mark.parametrize("metric", [*EVERY_METRIC, *LISTS])
def test_without_a_tenant_nothing_is_told(db, metric):
    with pytest.raises(TenantNotSetError):
        getattr(analysis, metric)(*([] if metric in LISTS else YEAR))


@pytest.mark.parametrize(
    "metric, wrong, said",
    [
        (
            "credit_liability",
            {"by": "professional"},
            "apart by 'professional'; use 'client' or 'credit_kind'$",
        ),
        ("credit_liability", {"where": analysis.Definition}, "entries of the ledger are none"),
        ("admission_wait", {"by": "client"}, "cannot be told apart by 'client'; use 'grade'$"),
        ("admission_wait", {"where": 1}, "applications are none"),
        ("admission_funnel", {"window": 0}, "whole days, 1 to"),
        ("admission_funnel", {"window": True}, "whole days, 1 to"),
        ("admission_funnel", {"window": 1.5}, "whole days, 1 to"),
        ("admission_funnel", {"window": 40_000}, "whole days, 1 to"),
        ("admission_funnel", {"where": 0}, "applications are none"),
        ("retention", {"every": "1w"}, "use '1mo', or None"),
        ("retention", {"every": "1y"}, "use '1mo', or None"),
        ("lifetime_value", {"by": "client"}, "cannot be told apart by 'client'; use 'professional'"),
        ("revenue", {"by": "currency"}, "there is no 'currency'; use 'professional'"),
        ("lead_time", {"every": "1h"}, "'1mo', '1w', '1d' or None"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(db, a, metric, wrong, said):
    with db.tenant(a), pytest.raises(InvalidDataError, match=said):
        getattr(analysis, metric)(*YEAR, **wrong)


@pytest.mark.parametrize("within", [timedelta(), -timedelta(hours=1), timedelta(days=367), 24, None])
def test_how_far_ahead_holds_are_asked_for_is_a_time(db, a, within):
    with db.tenant(a), pytest.raises(InvalidDataError, match="needs a timedelta"):
        analysis.expiring_holds(within)


@pytest.mark.parametrize("metric", LISTS)
def test_a_list_is_one_statement(own_pool, a, metric):
    told = []
    own_pool.on_query(told.append)
    with own_pool.tenant(a.id):
        getattr(analysis, metric)()
        told.clear()
        getattr(analysis, metric)()
    assert [query.operation for query in told] == ["select"]
