"""Statements are told apart as PostgreSQL tells them apart: pglast is the server's own parser."""

from typing import Any

import pglast
import pytest

from rayces_core.migrating.files import read_directory
from rayces_core.migrating.statements import statements, statements_of
from rayces_core.migrations.session import connected, dedicated
from rayces_core.migrations.steps import Migrator, Step

TEXTS = [
    "SELECT 1; ; SELECT 2;",
    "-- nothing\n/* ; */ SELECT ';' ; SELECT $a$;$a$, \";\", E'\\';' -- ;",
    "CREATE RULE r AS ON INSERT TO h DO ALSO (UPDATE h SET x = 1; DELETE FROM h); SELECT 1",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT 2; END; SELECT 3",
    "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC END; SELECT 1",
    'BEGIN; SELECT 1; END; CREATE TABLE atomic ("begin" int)',
    "SELECT (1), ARRAY[2]; DO $$ BEGIN PERFORM 1; END $$; COMMIT",
]


@pytest.mark.parametrize("sql", TEXTS)
def test_statements_are_told_apart_as_the_server_tells_them_apart(sql: str) -> None:
    theirs = pglast.split(sql)
    assert [_bare(each.text) for each in statements(sql)] == [_bare(each) for each in theirs]


@pytest.mark.slow
def test_so_are_those_of_every_packaged_migration(server_url: str) -> None:
    for step in _packaged(server_url):
        theirs = pglast.split(step.text)
        assert len(statements_of(step)) == len(theirs), step.text


@pytest.mark.parametrize("sql", ["SELECT 'never closed", "COMMIT; SELECT $a$ never", ""])
def test_what_the_server_refuses_as_a_whole_has_no_statements(sql: str) -> None:
    assert statements(sql) == []


def _bare(text: str) -> str:
    """Without comments at either end, which belong to no statement."""
    words: list[Any] = statements(text)
    return str(words[0].text) if words else ""


def _packaged(url: str) -> list[Step]:
    database = dedicated(url)
    database.app_role, database.admin_role, database.schema = "rayces_app", "rayces_admin", "public"
    steps: list[Step] = []
    with connected(database):
        for file in read_directory(None):
            module = file.load()
            for body in (module.migrate, module.rollback):
                migrator = Migrator(database)
                body(migrator, database, fake=False)
                steps += [step for step in migrator.steps if not step.is_call]
    return steps
