"""However long a ledger is, a statement reads what it shows and some twenty rows to find where that begins and ends."""

import json
from datetime import timedelta

import pytest

from rayces_core import CreditBalance, credits
from rayces_core.credits.lines import AT_ONCE
from rayces_core.credits.places import BEFORE, UNTIL
from tests.credits.ledger import NOW, statements
from tests.factory import make_organization, make_user
from tests.nodes import past_rules
from tests.walking import walked

ENTRIES, SECOND = 20_000, timedelta(seconds=1)
FILL = """
INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, amount, transaction_type, status,
       balance_before, balance_after, sequence, previous_sequence, processed_at)
SELECT organization_id, user_id, id, 1, 'purchase', 'completed', n - 1, n, n, nullif(n - 1, 0),
       %(start)s + n * interval '1 second'
  FROM credit_balances, generate_series(1, %(entries)s) AS n WHERE user_id = %(user)s"""
STAND = """
UPDATE credit_balances SET balance = %(entries)s, last_sequence = %(entries)s, lifetime_purchased = %(entries)s
 WHERE user_id = %(user)s"""


@pytest.fixture(scope="module")
def filled(db):
    """An organization, and a user of it who has an entry each second of some hours."""
    organization = make_organization(db)
    with db.tenant(organization):
        user = make_user()
        CreditBalance.create(user=user)
    values = {"user": user.id, "start": NOW, "entries": ENTRIES}
    # Without foreign keys, which a table that has no statistics yet would be read through for, entry by entry.
    with past_rules(db.url) as cursor:
        cursor.execute(f"{FILL}; {STAND}", values)
        cursor.execute("ANALYZE credit_transactions, credit_balances")
    return organization, user


@pytest.fixture
def user(db, filled):
    organization, user = filled
    with db.tenant(organization):
        yield user


def scans(plan):
    """Each scan of a plan: what it reads, how, and how many rows it looked at in all."""
    if "Relation Name" in plan:
        rows = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
        yield plan["Relation Name"], plan["Node Type"], rows
    for part in plan.get("Plans", ()):
        yield from scans(part)


@walked("sql", [BEFORE, UNTIL])
@walked("after", [-1, 0, 1, 777, ENTRIES // 2, ENTRIES, ENTRIES + 1])
def test_a_place_is_found_by_looking_at_some_twenty_entries(db, user, sql, after):
    organization = CreditBalance.get(CreditBalance.user == user).organization_id
    values = {"tenant": organization, "user": user.id, "credit_kind": 0, "moment": NOW + after * SECOND}
    ((plan,),) = db.execute_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values).fetchall()
    found = list(scans((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))
    read = [(how, rows) for table, how, rows in found if table == "credit_transactions"]
    assert sum(rows for _, rows in read) <= 18
    assert all("Index" in how for how, _ in read)


def test_a_statement_of_all_of_it_knows_its_length_and_its_ends_without_reading_it(db, user):
    with statements(db) as sent:
        statement = credits.statement(user, NOW, NOW + timedelta(days=31))
        assert (statement.opening_balance, len(statement.lines), statement.closing_balance) == (0, ENTRIES, ENTRIES)
    assert len(sent) == 3
    with statements(db) as sent:
        assert [line.balance for line in statement.lines[:3]] == [1, 2, 3]
        assert [line.balance for line in statement.lines[-2:]] == [ENTRIES - 1, ENTRIES]
        assert [line.balance for line in statement.lines[10:4:-2]] == [11, 9, 7]
        assert statement.lines[1000].balance == statement.lines[1000].entry.balance_after == 1001
        assert statement.lines[5:5] == ()
    assert len(sent) == 5
    assert repr(statement.lines) == "<20000 lines>"
    with pytest.raises(IndexError):
        statement.lines[ENTRIES]


def test_a_long_statement_is_gone_through_a_thousand_at_a_time(db, user):
    statement = credits.statement(user, NOW, NOW + 2_500.5 * SECOND)
    with statements(db) as sent:
        assert [line.balance for line in statement.lines] == list(range(1, 2_501))
    assert len(sent) == 3
    with statements(db) as sent:
        assert next(iter(statement.lines)).balance == 1
    assert len(sent) == 1


def test_a_short_one_is_read_at_once_and_needs_no_tenant_afterwards(db, user):
    with statements(db) as sent:
        statement = credits.statement(user, NOW + 5 * SECOND, NOW + (5 + AT_ONCE) * SECOND)
    assert len(sent) == 4
    assert isinstance(statement.lines, tuple)
    assert [line.balance for line in statement.lines] == list(range(5, 5 + AT_ONCE))
    assert (statement.opening_balance, statement.closing_balance) == (4, 4 + AT_ONCE)


@walked("after", [-1, 0.5, 1, 7.5, 8, ENTRIES - 0.5, ENTRIES, ENTRIES + 5])
def test_the_balance_at_a_moment_is_that_of_the_last_entry_until_then(user, after):
    assert credits.balance(user, at=NOW + after * SECOND) == max(0, min(ENTRIES, int(after // 1)))
