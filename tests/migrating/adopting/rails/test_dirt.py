"""Rows that Rails' looser rules allow: each is found, with a choice, and nothing of it is lost."""

from __future__ import annotations

from contextlib import suppress

import psycopg2
import pytest

from rayces_core import Database, credits
from tests.migrating.adopting.writes import refused_writes
from tests.sizes import exhaustive

from .conftest import Rails
from .database import CHOICES
from .dirt import DIRT, LEDGER

pytestmark = pytest.mark.slow

CHAIN = (
    "SELECT amount, transaction_type, status FROM credit_transactions WHERE credit_balance_id = 1 "
    "ORDER BY sequence NULLS LAST, id"
)


# The others are among `test_everything_at_once`.
SHOWN = ("the same address", "states")
QUICK = [name for name in DIRT if name.startswith(SHOWN)]
QUICK_LEDGER = [name for name in LEDGER if name.startswith(("as it", "signs"))]


@pytest.mark.parametrize("case", [*QUICK, *exhaustive(*(name for name in DIRT if name not in QUICK))])
def test_rows_are_found_settled_as_chosen_and_kept_as_they_were(begun: Rails, case: str) -> None:
    statement, kinds, query, expected = DIRT[case]
    begun.sql(statement)
    assert begun.open_kinds() == kinds
    outcome = begun.adoption(url=begun.owner_url).run()
    begun.sql("SET timezone TO 'UTC'")
    assert begun.sql(query) == expected
    assert {table: sum(count for (_, each), count in kinds.items() if each == table) for _, table in kinds}.keys() == (
        outcome.set_aside.keys()
    )
    for table in outcome.set_aside:
        kept = begun.sql(
            f'SELECT s."row" = to_jsonb(o) FROM rayces_set_aside s JOIN rayces_before.{table} o '
            f"ON o.id = (s.\"row\" ->> 'id')::bigint WHERE table_name = '{table}'"
        )
        assert kept == [(True,)] * outcome.set_aside[table]
    with Database.connect(begun.url) as database:
        with database.privileged(reason="test"):
            assert credits.verify().discrepancies == ()


@pytest.mark.parametrize("case", [*QUICK_LEDGER, *exhaustive(*(name for name in LEDGER if name not in QUICK_LEDGER))])
def test_the_ledger_is_a_chain_that_gives_the_balance_that_was_shown(begun: Rails, case: str) -> None:
    statement, kinds, balance, chain = LEDGER[case]
    if statement:
        begun.sql(statement)
    assert begun.open_kinds() == kinds
    begun.adoption(url=begun.owner_url).run()
    assert begun.one("SELECT balance FROM credit_balances WHERE id = 1") == balance if balance else True
    assert begun.sql(CHAIN) == chain
    with Database.connect(begun.url) as database, database.privileged(reason="test"):
        assert credits.verify().discrepancies == ()


@pytest.mark.slow
def test_everything_at_once_and_every_write_works_afterwards(begun: Rails) -> None:
    """The kinds do not stand alone in a real database."""
    for statement, *_ in DIRT.values():
        with suppress(psycopg2.errors.UniqueViolation):  # one that another has made impossible
            begun.sql(statement)
    begun.adoption(url=begun.owner_url).run()
    with Database.connect(begun.url) as database:
        names = [name for (name,) in begun.sql("SELECT subdomain FROM organizations ORDER BY id")]
        assert {name: refused_writes(database, name) for name in names} == {name: {} for name in names}
        with database.privileged(reason="test"):
            assert credits.verify().discrepancies == ()
    assert begun.adoption(url=begun.owner_url, choices={}).undo(yes=True).differences == ()


def test_other_choices(begun: Rails) -> None:
    begun.sql(DIRT["sessions at one time: the more certain one stays, else the earlier"][0])
    begun.sql("UPDATE students SET admission_state = 'graduated' WHERE id = 11")
    begun.sql("UPDATE users SET organization_id = NULL WHERE id = 4; UPDATE professionals SET user_id = 4 WHERE id = 1")
    others = {"overlaps": "set-aside", "states": "set-aside", "missing-organization": "new", "roles": "same",
              "missing-profiles": "set-aside"}  # fmt: skip
    begun.adoption(choices=CHOICES | others).run()
    assert begun.one("SELECT array_agg(id) FROM students") == [1]
    assert begun.sql(
        "SELECT o.name, u.id FROM organizations o JOIN users u ON u.organization_id = o.id AND u.id = 4"
    ) == [("MyHub", 4)]
    assert begun.one("SELECT count(*) FROM appointments") == 0
    assert begun.one("SELECT array_agg(DISTINCT role ORDER BY role) FROM users") == [0, 1, 3]


@pytest.mark.slow
def test_posts_that_myhub_really_had_are_given_to_a_user_in_each_organization(begun: Rails) -> None:
    """They had neither author nor content; the user is made where the organization has none of that address."""
    begun.sql("ALTER TABLE posts DROP user_id, DROP content; UPDATE users SET email = 'ANA@x.org' WHERE id = 12")
    adoption = begun.adoption(url=begun.owner_url)
    adoption.choices["missing-author"] = "Ana@x.org"
    assert adoption.run().copied["users"] == 9
    query = (
        "SELECT p.id, u.id, u.organization_id, u.email, u.role FROM posts p JOIN users u ON u.id = user_id ORDER BY 1"
    )
    assert begun.sql(query) == [(1, 15, 1, "ana@x.org", 0), (11, 12, 2, "ana@x.org", 1)]
    assert begun.one("SELECT count(*) FROM likes") == 2
    with Database.connect(begun.url) as database:
        assert refused_writes(database, "norte") == {}
