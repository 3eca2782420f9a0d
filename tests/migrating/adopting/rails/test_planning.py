"""What an adoption of a Rails database would do is told by doing it on a likeness: the very statements, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rayces_core.migrating.adopting import Planned
from rayces_core.migrating.adopting.rails.planning import EXCHANGE, plan_of_rails
from rayces_core.migrating.catalogue import fingerprint
from tests.sizes import exhaustive
from tests.wire import Wire

from .conftest import Rails

# What a Rails application may have besides: tables that refer to ours, a view, a type and a sequence of its own.
BESIDES = """
CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
CREATE TABLE notes (id bigserial PRIMARY KEY, user_id bigint REFERENCES users (id), mood mood NOT NULL DEFAULT 'sad');
CREATE VIEW wrote AS SELECT users.id, count(*) AS posts FROM users JOIN posts ON posts.user_id = users.id GROUP BY 1;
ALTER TABLE posts ADD mood mood DEFAULT 'it''s ok', ADD "Size" numeric(9, 2);
CREATE SEQUENCE free_id_seq; ALTER SEQUENCE students_id_seq OWNED BY NONE;
"""
# Whatever is sent and changes nothing but the session, or is noted of itself.
FRAME = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SHOW", "RESET", "SET ")
NOTES = ('INSERT INTO rayces_adoption ', 'UPDATE rayces_adoption ', 'INSERT INTO "rayces_migrations"',
         'UPDATE "rayces_migrations"', 'SELECT pg_', 'SELECT "t1"')  # fmt: skip


def planned(rails: Rails, server_url: str, **options: Any) -> tuple[Planned, ...]:
    adoption = rails.adoption(**options)
    return plan_of_rails(adoption, adoption.report(), server_url)


def sent(rails: Rails) -> Iterator[str]:
    """What an adoption really sends from its first note on, that changes anything."""
    wire = Wire(rails.owner_url)
    rails.adoption(url=wire.url).run()
    texts = [" ".join(text.split()) for text in wire.sent]
    begun = next(place for place, text in enumerate(texts) if text.startswith("CREATE TABLE rayces_adoption"))
    for text in texts[begun:]:
        parts = [part.strip() for part in text.split(";") if part.strip()]
        if all(part.startswith(FRAME) for part in parts) or text.startswith(NOTES):
            continue
        if text.startswith("SELECT") and not text.startswith("SELECT setval"):
            continue
        yield text


@pytest.mark.slow
@pytest.mark.parametrize("besides", [BESIDES, *exhaustive("")], ids=["with more", "alone"])
def test_what_is_listed_is_what_the_server_is_sent(small: Rails, server_url: str, besides: str) -> None:
    small.sql(f"SET ROLE {small.owner}; {besides} RESET ROLE")
    catalogue = fingerprint(small.connection)
    statements = planned(small, server_url, url=small.owner_url)
    assert fingerprint(small.connection) == catalogue
    changing = [each.sql for each in statements if not each.sql.startswith("SELECT count(*)")]
    assert changing == list(sent(small))


@pytest.mark.slow
def test_the_list_says_what_waits_and_for_how_long(small: Rails, server_url: str) -> None:
    statements = planned(small, server_url)
    steps = [each.step for each in statements if each.migration == EXCHANGE]
    assert steps == list(range(1, len(steps) + 1))
    held = [each for each in statements if each.lock in ("SHARE", "ACCESS EXCLUSIVE")]
    assert {each.migration for each in held} == {EXCHANGE}
    assert "users" in held[0].locked
    copied = next(each for each in held if each.sql.startswith('INSERT INTO "rayces_staging".users '))
    assert (copied.lock, copied.seconds > 0) == ("SHARE", True)
    first = next(each for each in statements if each.lock == "ACCESS EXCLUSIVE")
    assert first.sql.startswith("SET LOCAL lock_timeout")


@pytest.mark.exhaustive  # that of a MyHub is in ../test_planning.py
def test_a_choice_that_is_open_is_planned_as_its_first(small: Rails, server_url: str) -> None:
    first = planned(small, server_url, choices={})
    assert [each.sql for each in first] == [each.sql for each in planned(small, server_url, choices={"roles": "rails"})]
    other = {each.sql for each in planned(small, server_url, choices={"roles": "same"})}
    assert other != {each.sql for each in first}


def test_a_refusal_leaves_no_plan(small: Rails, server_url: str) -> None:
    small.sql("ALTER TABLE posts ENABLE ROW LEVEL SECURITY")
    assert planned(small, server_url) == ()
