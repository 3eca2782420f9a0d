"""Definitions that PostgreSQL prints otherwise after a dump mean the same; those that say something else do not."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import psycopg2
import pytest

from rayces_core.migrating.catalogue import Entry, entries
from rayces_core.migrating.meaning import Meanings
from rayces_core.migrations.session import connected, dedicated
from tests.conftest import cloned
from tests.migrating.restoring import restore
from tests.walking import walked

# One of each kind; IN over a varchar is what is printed otherwise once it has been read from its own print.
AMONG = "IN ('well', 'it''s \\ {0} %% %s')"
SCHEMA = f"""
CREATE EXTENSION btree_gist;
CREATE TABLE "T {{}}" (
    id int PRIMARY KEY, kind varchar NOT NULL, "N %" int,
    usual boolean DEFAULT ('ill'::varchar {AMONG}),
    good boolean GENERATED ALWAYS AS (kind {AMONG}) STORED,
    CONSTRAINT "kind's" CHECK (kind {AMONG}),
    CONSTRAINT alone EXCLUDE USING gist (id WITH =) WHERE (kind {AMONG})
);
CREATE UNIQUE INDEX "of kinds" ON "T {{}}" (id, (kind {AMONG})) INCLUDE (kind) WHERE kind {AMONG};
CREATE POLICY p ON "T {{}}" USING (kind {AMONG}) WITH CHECK (kind {AMONG} AND id > 0);
CREATE VIEW v AS SELECT id, kind {AMONG} AS is_one FROM "T {{}}";
CREATE FUNCTION f(kind varchar) RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT kind {AMONG}; END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER touched BEFORE INSERT ON "T {{}}" FOR EACH ROW WHEN (new.kind {AMONG}) EXECUTE FUNCTION touch();
CREATE DOMAIN "D %" AS varchar CONSTRAINT d CHECK (value {AMONG});
CREATE RULE quiet AS ON DELETE TO "T {{}}" WHERE old.kind {AMONG} DO INSTEAD NOTHING;
"""
KINDS = ["default", "generated", "constraint", "index", "policy", "view", "function", "trigger", "rule", "domain"]


@pytest.fixture(scope="module")
def original(server_url: str) -> Iterator[str]:
    with cloned(server_url, "template0") as url:
        with closing(psycopg2.connect(url)) as connection:
            connection.cursor().execute(SCHEMA)
            connection.commit()
        yield url


@pytest.fixture(scope="module")
def restored(original: str, server_url: str) -> Iterator[str]:
    with cloned(server_url, "template0") as url:
        restore(original, url)
        yield url


@pytest.fixture(scope="module")
def meanings(original: str) -> Iterator[Meanings]:
    database = dedicated(original)
    with connected(database):
        yield Meanings(database)


def _entries(url: str) -> list[Entry]:
    with closing(psycopg2.connect(url)) as connection:
        return entries(connection)


def _defined(url: str) -> dict[tuple[str, tuple[str, ...]], Entry]:
    return {(entry.how, entry.place): entry for entry in _entries(url) if entry.how}


def _of(url: str, how: str) -> list[Entry]:
    return [entry for entry in _entries(url) if entry.how == how]


@pytest.mark.slow
def test_everything_means_after_a_restore_what_it_meant(original: str, restored: str, meanings: Meanings) -> None:
    before, after = _defined(original), _defined(restored)
    assert before.keys() == after.keys()
    assert {how for how, _ in before} == set(KINDS)
    printed_otherwise = {how for how, place in before if before[how, place].line != after[how, place].line}
    assert printed_otherwise >= set(KINDS) - {"view", "function"}
    assert [key for key, entry in before.items() if not meanings.same(entry, after[key])] == []


@pytest.mark.slow
@walked("how", KINDS)
def test_what_says_something_else_is_not_the_same(original: str, meanings: Meanings, how: str) -> None:
    changed = 0
    for entry in _of(original, how):
        for place, definition in enumerate(entry.definitions):
            if "well" in definition:
                definitions = list(entry.definitions)
                definitions[place] = definition.replace("well", "will")
                other = replace(entry, line=entry.line.replace("well", "will"), definitions=tuple(definitions))
                assert not meanings.same(entry, other)
                changed += 1
    assert changed


@pytest.mark.slow
@walked("how", KINDS)
def test_what_the_server_cannot_read_there_is_the_same_as_nothing_else(
    original: str, meanings: Meanings, how: str
) -> None:
    entry = next(each for each in _of(original, how) if "well" in each.line)
    broken = tuple(definition + " AND no_such_column" for definition in entry.definitions)
    assert not meanings.same(entry, replace(entry, line="other", definitions=broken))
    assert meanings.settled(how, entry.place, broken[0]) is None


@pytest.mark.slow
def test_comparing_leaves_nothing_behind(original: str, restored: str, meanings: Meanings) -> None:
    before = _entries(original)
    column = Entry("column rooms.n integer", "column rooms.n integer", ("rooms",), "", (), ("rooms", "n", "integer"))
    check = Entry("", "constraint", ("rooms",), "constraint", ("CHECK ((n > 0))",), ("rooms", "c"))
    with meanings.among([column]):
        assert meanings.same(check, replace(check, line="printed otherwise", definitions=("CHECK (n > 0)",)))
    assert meanings.settled("constraint", ("rooms", "c"), "CHECK (n > 0)") is None
    assert _entries(original) == before
