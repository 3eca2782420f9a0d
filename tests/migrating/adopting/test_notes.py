"""What an adoption makes slower is said before, and is so."""

from __future__ import annotations

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


@pytest.mark.parametrize("case", INDEXES)
def test_an_index_that_row_level_security_takes_away_is_noted(myhub: MyHub, case: str) -> None:
    statement, is_lost = INDEXES[case]
    myhub.sql(statement)
    found = [each for each in myhub.adoption().report().findings if each.kind == "slower-indexes"]
    assert [("odd" in each.what, each.severity) for each in found] == [(True, "note")] * is_lost


def test_the_note_is_true_and_so_is_its_advice(myhub: MyHub) -> None:
    myhub.sql("CREATE INDEX odd ON users (lower(email))")
    myhub.adoption().run()
    application = myhub.application()

    def plan() -> str:
        return str(application.ask("EXPLAIN SELECT * FROM users WHERE lower(email) = 'user1@example.com'"))

    application.ask("SET enable_seqscan = off")
    assert "Index Cond: (lower" not in plan()
    myhub.sql("ALTER FUNCTION lower(text) LEAKPROOF")
    assert "Index Cond: (lower" in plan()
    assert [each for each in myhub.again().report().findings if each.kind == "slower-indexes"] == []
