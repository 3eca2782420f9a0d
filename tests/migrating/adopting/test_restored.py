"""An adopted MyHub that was dumped and restored has what it had, though PostgreSQL prints it otherwise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from rayces_core.migrating import Runner
from rayces_core.migrating.checking import Difference, differences
from tests.conftest import cloned
from tests.migrating.restoring import restore

from .conftest import MyHub

ITS_OWN = """
ALTER TABLE posts ADD kind varchar DEFAULT 'note', ADD CHECK (kind IN ('note', 'photo')),
    ADD shown boolean GENERATED ALWAYS AS (kind IN ('note', 'photo')) STORED;
CREATE INDEX index_posts_on_kind ON posts (kind) WHERE kind IN ('note', 'photo');
CREATE TABLE moods (id bigint PRIMARY KEY, kind varchar CHECK (kind IN ('well', 'ill')));
"""
# Of other kinds: a default, a rule of a domain, a condition of a trigger, a view, rules of other tables.
ITS_OTHERS = """
CREATE DOMAIN mood AS varchar CHECK (VALUE IN ('well', 'ill'));
ALTER TABLE moods ADD mood mood, ADD is_note boolean DEFAULT ('note'::varchar IN ('note', 'photo'));
CREATE VIEW notes AS SELECT id, kind IN ('note', 'photo') AS is_known FROM posts;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noted BEFORE INSERT ON moods FOR EACH ROW WHEN (NEW.kind IN ('well', 'ill')) EXECUTE FUNCTION nothing();
"""


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_what_a_myhub_had_is_known_again_after_a_restore_and_what_was_changed_is_not(
    myhub: MyHub, server_url: str
) -> None:
    myhub.sql(f"SET ROLE {myhub.owner}; {ITS_OWN} RESET ROLE")
    myhub.adoption().run()
    with cloned(server_url, "template0") as restored:
        restore(myhub.url, restored)
        before, after = (differences(Runner(url), server_url, strict=True) for url in (myhub.url, restored))
    assert _drift(before) == _drift(after)  # the table of what was set aside
    assert not [line for line in _drift(after) if " rayces_set_aside" not in line]
    assert [each.kind for each in after] == [each.kind for each in before]
    assert {each.line for each in after} != {each.line for each in before}
    name = "posts_kind_check"
    myhub.sql(f"ALTER TABLE posts DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK (kind IN ('note'))")
    drift = _drift(differences(Runner(myhub.url), server_url))
    assert drift == [f"constraint posts {name} CHECK (((kind)::text = 'note'::text))"]


@pytest.mark.exhaustive  # the same is known again in the one before
def test_the_way_back_after_a_restore_ends_with_what_was_there_and_tells_what_was_changed(
    myhub: MyHub, server_url: str, connect: Callable[[str], Any]
) -> None:
    myhub.sql(f"SET ROLE {myhub.owner}; {ITS_OWN} {ITS_OTHERS} RESET ROLE")
    myhub.adoption().run()
    with cloned(server_url, "template0") as restored, closing(connect(restored)) as connection:
        restore(myhub.url, restored)
        connection.cursor().execute(
            "DROP INDEX index_posts_on_kind; CREATE INDEX index_posts_on_kind ON posts (kind) WHERE kind = 'note'"
        )
        told = myhub.again(url=restored).undo().differences
    index = "index CREATE INDEX index_posts_on_kind ON public.posts USING btree (kind) WHERE "
    assert [line[: len(index) + 2] for line in told] == [f"- {index}", f"+ {index}"]
    assert told[1].endswith("((kind)::text = 'note'::text)")


@pytest.mark.exhaustive  # the one before has an index and a column
def test_the_way_back_knows_a_rule_again_that_it_has_made_anew(myhub: MyHub) -> None:
    """PostgreSQL prints otherwise what is made of its own print."""
    myhub.sql("UPDATE users SET provider = 'google'; ALTER TABLE users ADD CHECK (provider IN ('google', 'x'))")
    rule = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'users_provider_check'"
    before = myhub.sql(rule)
    myhub.adoption(choices={"rules": "drop"}).run()
    assert myhub.again().undo().differences == ()
    assert myhub.sql(rule) != before


def _drift(found: list[Difference]) -> list[str]:
    return [each.line for each in found if each.is_drift]
