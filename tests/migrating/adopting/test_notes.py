"""What an adoption makes slower is said before, and is so."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import MyHub

# Statement → whether the old role's queries lose the index.
INDEXES = {
    "lower": ("CREATE INDEX odd ON users (lower(email))", True),
    "two": ("CREATE INDEX odd ON users (provider, lower(name))", True),
    "json": ("CREATE INDEX odd ON posts USING gin (metadata)", True),
    "word": ("CREATE INDEX odd ON posts USING gin (to_tsvector('simple', content))", True),
    "plain": ("CREATE INDEX odd ON users (email)", False),
    "hash": ("CREATE INDEX odd ON users USING hash (uid)", False),
    "partial": ("CREATE INDEX odd ON posts (user_id, id DESC) WHERE lower(content) <> ''", False),
}


@pytest.mark.slow
def test_an_index_that_row_level_security_takes_away_is_noted(myhub: MyHub) -> None:
    for case, (statement, _) in INDEXES.items():
        myhub.sql(statement.replace("INDEX odd", f"INDEX odd_{case}"))
    found = slower(myhub)
    noted = {case for case in INDEXES for each in found if f"odd_{case}" in each.what}
    assert noted == {case for case, (_, is_lost) in INDEXES.items() if is_lost}
    assert {each.severity for each in found} == {"note"}
    myhub.sql("ALTER FUNCTION lower(text) LEAKPROOF")
    try:
        assert [each for each in slower(myhub) if "odd_lower" in each.what] == []
    finally:  # the database is emptied and used again, and its functions stay
        myhub.sql("ALTER FUNCTION lower(text) NOT LEAKPROOF")


def slower(myhub: MyHub) -> list[Any]:
    return [each for each in myhub.adoption().report().findings if each.kind == "slower-indexes"]


def test_the_note_is_true_and_so_is_its_advice(adopted: MyHub) -> None:
    adopted.sql("CREATE INDEX odd ON users (lower(email))")
    application = adopted.application()

    def plan() -> str:
        return str(application.ask("EXPLAIN SELECT * FROM users WHERE lower(email) = 'user1@example.com'"))

    application.ask("SET enable_seqscan = off")
    assert "Index Cond: (lower" not in plan()
    adopted.sql("ALTER FUNCTION lower(text) LEAKPROOF")
    assert "Index Cond: (lower" in plan()
