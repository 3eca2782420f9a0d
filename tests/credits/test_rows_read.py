"""How many rows a posting looks at: a few of a table that has no statistics yet, however long its balance is."""

from collections.abc import Callable

import pytest

from rayces_core import CreditTransaction, Database, credits
from tests.factory import make_organization, make_user

FETCHED = """SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables
    WHERE relname IN ('credit_transactions', 'credit_balances')"""
ENTRIES = 400


@pytest.mark.slow
@pytest.mark.parametrize("post", [lambda user: credits.debit(user, 1), lambda user: credits.purchase(user, 1)])
def test_what_a_posting_reads_does_not_grow_with_the_balance(own_db: Database, post: Callable[..., object]) -> None:
    with own_db.tenant(make_organization(own_db)):
        user = make_user()
        credits.purchase(user, 1_000)
        for _ in range(ENTRIES):
            credits.debit(user, 1)
        assert CreditTransaction.select().count() == ENTRIES + 1
        with own_db.atomic():
            before = own_db.execute_sql(FETCHED).fetchone()[0]
            post(user)
            after = own_db.execute_sql(FETCHED).fetchone()[0]
    assert after - before <= 12
