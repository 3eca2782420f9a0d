"""After a dump and restore, beside or on a newer server, the instruments say what they said before."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rayces_core.database.database import Database
from rayces_core.doctor import audit
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.checking import Difference, Expected, unlike, what_they_make
from tests.conftest import cloned
from tests.migrating.restoring import restore, upgraded


@pytest.fixture(scope="module")
def oldest(oldest_server_url: str) -> Iterator[str]:
    """URL of a migrated database on PostgreSQL 15."""
    with cloned(oldest_server_url, "template0") as url:
        Runner(url).up()
        yield url


def _errors(url: str) -> list[str]:
    with Database.connect(url) as database:
        return [f"{each.check} {each.object}" for each in audit(database) if each.severity == "error"]


def _differences(url: str, expected: Expected) -> list[Difference]:
    return unlike(Runner(url), expected, strict=True)


@pytest.mark.slow
def test_restored_beside_it_a_database_is_what_its_migrations_make(
    migrated: str, create_database: Callable[..., str], expected: Expected, connect: Any
) -> None:
    copy = create_database()
    restore(migrated, copy)
    assert fingerprint(connect(copy)) != fingerprint(connect(migrated))  # it is printed otherwise
    assert _differences(copy, expected) == []
    assert _errors(copy) == []


@pytest.mark.slow
def test_so_it_is_on_the_oldest_server_and_against_either_servers_print(
    oldest: str, oldest_server_url: str, expected: Expected
) -> None:
    with cloned(oldest_server_url, "template0") as copy, what_they_make([Runner(oldest)], oldest_server_url) as own:
        restore(oldest, copy)
        assert (_differences(copy, own), _differences(copy, expected), _differences(oldest, expected)) == ([], [], [])
        assert _errors(copy) == []


@pytest.mark.exhaustive  # `make test` restores on either server, once
def test_restored_twice_and_upgraded_to_the_newest_server_it_still_is(
    oldest: str, oldest_server_url: str, create_database: Callable[..., str], expected: Expected
) -> None:
    newer, newest = create_database(), create_database()
    with cloned(oldest_server_url, "template0") as copy:
        restore(oldest, copy)
        restore(copy, newer)
        upgraded(copy, newest)
    assert (_differences(newer, expected), _differences(newest, expected)) == ([], [])
    assert (_errors(newer), _errors(newest)) == ([], [])
