"""Money, clients, credits and admissions against loops over rows, on random centres near changes of the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import analysis
from rayces_core.analysis.dimensions import DIMENSIONS
from rayces_core.analysis.metrics.lifetime_value import ALLOWED
from tests.analysis.slow import ledgers, money
from tests.analysis.test_against_slow import EVERY, as_rows
from tests.sizes import examples

PRICED = ("revenue", "lifetime_value", "lead_time")


def some_of(names):
    return st.lists(st.sampled_from(tuple(names)), max_size=2, unique=True).map(tuple)


@pytest.mark.slow
@examples(6, 40)
@given(
    priced=money.priced() | money.priced(of=money.long_worlds),
    every=EVERY,
    by=st.fixed_dictionaries({name: some_of(set(ALLOWED) - {"lead"}) for name in PRICED}),
)
def test_money_and_lead_times_are_what_loops_over_sessions_give(db, priced, every, by):
    world = priced.world
    with db.tenant(priced.insert(db)):
        found = {
            name: getattr(analysis, name)(world.first, world.last, every=every, by=by[name], now=world.now)
            for name in PRICED
        }
    for name in PRICED:
        assert as_rows(found[name].to_dicts()) == as_rows(getattr(money, name)(priced, every, by[name])), name


@pytest.mark.slow
@examples(6, 40)
@given(
    world=money.long_worlds(),
    every=st.sampled_from([None, "1mo"]),
    by=some_of(set(DIMENSIONS) - {"lead"}),
)
def test_who_comes_back_is_what_loops_over_clients_give(db, world, every, by):
    with db.tenant(world.insert(db)):
        found = analysis.retention(world.first, world.last, every=every, by=by, now=world.now)
    assert as_rows(found.to_dicts()) == as_rows(money.retention(world, every, by))


@pytest.mark.slow
@examples(6, 40)
@given(books=ledgers.books(), every=EVERY, by=st.booleans(), window=st.sampled_from([1, 10, 180, None]))
def test_credits_and_admissions_are_what_loops_over_ledger_and_journal_give(db, books, every, by, window):
    client, grade = (("client",), ("grade",)) if by else ((), ())
    days = (books.first, books.last)
    with db.tenant(books.insert(db)):
        owed = analysis.credit_liability(*days, every=every, by=client)
        waited = analysis.admission_wait(*days, every=every, by=grade, now=books.now)
        came = analysis.admission_funnel(*days, every=every, by=grade, now=books.now, window=window)
    assert as_rows(owed.to_dicts()) == as_rows(ledgers.credit_liability(books, every, client))
    assert as_rows(waited.to_dicts()) == as_rows(ledgers.admission_wait(books, every, grade))
    assert as_rows(came.to_dicts()) == as_rows(ledgers.admission_funnel(books, every, grade, window))
